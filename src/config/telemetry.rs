//! `[telemetry]`: logs and traces.

use crate::document::Table;
use crate::telemetry::log::LogFormat;

const FORMATS: [(&str, LogFormat); 2] = [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// How log lines look.
    pub log: LogFormat,
    /// What is logged: `info`, or a filter like `steadfast=debug,hyper=warn`.
    pub level: String,
    /// Where traces go, if anywhere.
    pub otlp: Option<String>,
}

impl Telemetry {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let mut telemetry = Telemetry { log: LogFormat::Json, level: "info".to_owned(), otlp: None };
        let Some(table) = table else { return telemetry };
        if let Some(log) = table.choice("log", &FORMATS) {
            telemetry.log = log;
        }
        if let Some(item) = table.item("level")
            && let Some(level) = item.nonempty()
        {
            if level.parse::<tracing_subscriber::EnvFilter>().is_err() {
                item.problem("is no log filter", Some("write a level like \"info\", or a filter like \"steadfast=debug\""));
            } else {
                telemetry.level = level.to_owned();
            }
        }
        if let Some(item) = table.item("otlp")
            && let Some(url) = item.nonempty()
        {
            match url.parse::<http::Uri>() {
                Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) => telemetry.otlp = Some(url.to_owned()),
                _ => item.problem("must begin with http:// or https://", Some("like \"http://localhost:4317\"")),
            }
        }
        table.finish();
        telemetry
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let log = FORMATS.iter().find(|(_, value)| *value == self.log).map(|(name, _)| *name);
        serde_json::json!({ "log": log, "level": self.level, "otlp": self.otlp })
    }
}

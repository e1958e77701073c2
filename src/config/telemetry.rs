//! `[telemetry]`: logs and traces.

use super::documented::documented;
use crate::document::Table;
use crate::telemetry::log::LogFormat;

const FORMATS: [(&str, LogFormat); 2] = [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

/// Where traces go and how. The two protocols have ports and paths of their own, so an address says which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otlp {
    /// OTLP over gRPC: an address without a path, usually port 4317.
    Grpc(String),
    /// OTLP over HTTP with protobuf: port 4318, or an address with a path. Ends in `/v1/traces`.
    Http(String),
}

impl Otlp {
    /// What an address means; `None` where it is none.
    #[must_use]
    pub fn from_url(url: &str) -> Option<Self> {
        let uri: http::Uri = url.parse().ok()?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
        // A user in the address would be sent in the clear; keys go into headers.
        let authority = uri.authority().map(http::uri::Authority::as_str).filter(|authority| !authority.contains('@'))?;
        if uri.query().is_some() {
            return None;
        }
        let path = uri.path().trim_end_matches('/');
        if path.is_empty() && uri.port_u16() != Some(4318) {
            return Some(Otlp::Grpc(format!("{scheme}://{authority}")));
        }
        let path = path.strip_suffix("/v1/traces").unwrap_or(path);
        Some(Otlp::Http(format!("{scheme}://{authority}{path}/v1/traces")))
    }

    /// The address that is asked.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Otlp::Grpc(url) | Otlp::Http(url) => url,
        }
    }
}

documented! {
    /// Logs and traces.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Telemetry {
        /// `json` or `pretty`; to standard error. Lines below `warn` leave together, within 10 milliseconds.
        pub log: LogFormat,
        /// A level, or a filter: `steadfast=debug,hyper=warn`; `RUST_LOG` goes first.
        pub level: String,
        /// Where traces go: `http://localhost:4317` (OTLP over gRPC), `http://localhost:4318` (over HTTP).
        #[see = "[traces](traces.md)"]
        pub otlp: Option<Otlp>,
    }
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
            match Otlp::from_url(url) {
                Some(_) if !cfg!(feature = "otel") => {
                    item.problem("this build cannot send traces", Some("build with the feature otel, or leave the key out"));
                }
                Some(otlp) => telemetry.otlp = Some(otlp),
                None => item.problem(
                    "must be http:// or https:// with a host and no user or query",
                    Some("like \"http://localhost:4317\" (gRPC) or \"http://localhost:4318\" (HTTP)"),
                ),
            }
        }
        table.finish();
        telemetry
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let log = FORMATS.iter().find(|(_, value)| *value == self.log).map(|(name, _)| *name);
        serde_json::json!({ "log": log, "level": self.level, "otlp": self.otlp.as_ref().map(Otlp::url) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_which_protocol_it_is() {
        let grpc = |url: &str| Some(Otlp::Grpc(url.to_owned()));
        let http = |url: &str| Some(Otlp::Http(url.to_owned()));
        for (url, means) in [
            ("http://localhost:4317", grpc("http://localhost:4317")),
            ("https://otel.example.com/", grpc("https://otel.example.com")),
            ("http://localhost:4318", http("http://localhost:4318/v1/traces")),
            ("http://localhost:4318/v1/traces", http("http://localhost:4318/v1/traces")),
            ("https://api.example.com/otlp", http("https://api.example.com/otlp/v1/traces")),
            ("localhost:4317", None),
            ("grpc://localhost:4317", None),
            ("http://user:key@localhost:4317", None),
            ("http://localhost:4318/v1/traces?key=1", None),
        ] {
            assert_eq!(Otlp::from_url(url), means, "{url}");
        }
    }
}

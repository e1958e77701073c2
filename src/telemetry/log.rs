//! Logs: `tracing` to standard error, as JSON or for people, and one line for each exchange. Never a secret, never message text: the
//! exchange's line has no place for evidence or excerpts, and the HTTP/2 crates' dumps of headers stay off whatever `RUST_LOG` says.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::json::JsonLines;
use super::sink::{Flush, Sink};
use crate::guard::events::{Ending, Observe, Outcome};
use crate::score::Scores;
use crate::verdict::{Action, Verdict};

/// How log lines look: `[telemetry] log`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// Crates whose lines below `info` print whole header fields, credentials among them.
const HEADER_DUMPERS: [&str; 3] = ["h2", "hyper", "rustls"];

/// Starts logging to standard error. `level`: what is logged where `RUST_LOG` does not say: a level or a filter.
///
/// What it gives back is to be kept to the end: it writes out what still waits.
///
/// # Errors
/// Where the filter cannot be understood, with the part that is wrong, or where logging has already been started.
pub fn start(format: LogFormat, level: &str) -> Result<Flush, LogError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|value| !value.trim().is_empty());
    let (from, wanted) = wanted.as_deref().map_or(("telemetry.level", level), |wanted| ("RUST_LOG", wanted));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (sink, flush) = Sink::new(std::io::stderr()).map_err(|error| LogError::Started(error.to_string()))?;
    subscriber(format, from, wanted, colour, sink)?.try_init().map_err(|error| LogError::Started(error.to_string()))?;
    Ok(flush)
}

fn subscriber<W>(
    format: LogFormat,
    from: &'static str,
    wanted: &str,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::ERROR.into())
        .parse(wanted)
        .map_err(|error| LogError::Filter(from, error.to_string()))?
        .and(filter_fn(harmless));
    let lines = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines.event_format(JsonLines).boxed(),
        LogFormat::Pretty => lines.compact().boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The setting is not a filter.
    #[error("{0}: {1}; write a level (\"debug\") or targets with levels (\"steadfast=debug,hyper=warn\")")]
    Filter(&'static str, String),
    /// Something else has taken the logs, or there can be no thread for them.
    #[error("logging cannot be started: {0}")]
    Started(String),
}

fn harmless(metadata: &tracing::Metadata<'_>) -> bool {
    let target = metadata.target();
    let root = target.split("::").next().unwrap_or(target);
    *metadata.level() <= Level::INFO || !HEADER_DUMPERS.contains(&root)
}

/// Writes one line for each exchange. A verdict is never an error: what was judged is told at `info`, block or not; what could not be
/// judged and what broke off, at `warn`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExchangeLog;

impl Observe for ExchangeLog {
    fn on_end(&self, outcome: &Outcome) {
        let subject = &outcome.subject;
        let verdict = outcome.verdict.as_ref();
        let unscored = (!outcome.unscored.is_empty())
            .then(|| outcome.unscored.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(","));
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "steadfast::exchange",
                    $level,
                    request_id = &*subject.request_id,
                    path = short(&subject.path),
                    route = &*subject.route,
                    api = subject.api.map(|api| api.as_str()),
                    model = subject.model.as_deref().map(short),
                    policy = &*subject.policy,
                    status = outcome.status,
                    verdict = word(outcome),
                    rule = verdict.and_then(|verdict| verdict.rule.as_deref()),
                    labels = verdict.and_then(labels),
                    unscored,
                    unread = outcome.unread,
                    ending = outcome.ending.as_str(),
                    stream = outcome.streamed,
                    attempts = outcome.attempts,
                    windows = outcome.windows,
                    session_drift = outcome.session.and_then(|session| session.after).map(|state| round(state.drift())),
                    measures = outcome.steered.as_ref().map(|steered| steered.taken.names().collect::<Vec<_>>().join(",")),
                    total_ms = milliseconds(outcome.total),
                    guard_ms = milliseconds(outcome.guard),
                    held_ms = milliseconds(outcome.held),
                    first_text_ms = outcome.first_text.map(milliseconds),
                    "exchange"
                )
            };
        }
        if outcome.unscored.is_empty() && outcome.ending != Ending::UpstreamBroke {
            line!(Level::INFO);
        } else {
            line!(Level::WARN);
        }
    }
}

/// What was decided, in one word: an action, `unscored` for what was let through unjudged, `none` where there was nothing to judge or the answer
/// broke off while it was clean.
#[must_use]
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome.decided() {
        Some(verdict) if verdict.rule.is_some() => verdict.action.as_str(),
        _ if !outcome.unscored.is_empty() => "unscored",
        Some(_) => Action::Allow.as_str(),
        None => "none",
    }
}

/// The labels that fired, as in the response header: `hate=0.97, hostility=0.41`.
pub(super) fn labels(verdict: &Verdict) -> Option<String> {
    let scores: &Scores = &verdict.scores;
    let mut text = String::new();
    for label in &verdict.labels {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{label}={}", scores.get(*label));
    }
    (!text.is_empty()).then_some(text)
}

/// User data on a log line: no longer than names are.
pub(super) fn short(text: &str) -> &str {
    &text[..crate::text::floor_char_boundary(text, 128)]
}

/// To a hundredth.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// To a tenth: finer than the clock is worth, and the line stays readable.
fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::telemetry::samples;
    use crate::verdict::Unscored;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, wanted: &str, what: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, "RUST_LOG", wanted, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, what);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_exchange_is_one_json_line_without_its_text() {
        let outcome = samples::blocked("the secret text", "said \"the secret text\"");
        let line = logged(LogFormat::Json, "info", || ExchangeLog.on_end(&outcome));
        let json: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        assert_eq!(json["level"], "INFO", "a block is not an error");
        assert_eq!(json["verdict"], "block");
        assert_eq!(json["rule"], "hateful persona");
        assert_eq!(json["labels"], "hate=0.97");
        assert_eq!(json["guard_ms"], 12.3);
        assert_eq!(json["request_id"], "01J00000000000000000000000");
        assert_eq!(json["path"], "/v1/chat/completions");
        assert!(!line.contains("secret text"), "{line}");
    }

    #[test]
    fn what_broke_off_clean_is_no_allow_and_a_block_stays_one() {
        for ending in [Ending::ClientLeft, Ending::UpstreamBroke, Ending::GatewayStopped] {
            assert_eq!(word(&Outcome { ending, ..samples::allowed() }), "none");
            assert_eq!(word(&Outcome { ending, ..samples::blocked("x", "y") }), "block");
        }
        assert_eq!(word(&samples::allowed()), "allow");
    }

    #[test]
    fn a_failure_to_open_is_a_warning_and_no_allow() {
        let mut outcome = samples::allowed();
        outcome.unscored = vec![Unscored::Deadline, Unscored::Error];
        outcome.unread = Some("choice without a message");
        let line = logged(LogFormat::Json, "info", || ExchangeLog.on_end(&outcome));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&json["level"], &json["verdict"], &json["unscored"]),
            (&"WARN".into(), &"unscored".into(), &"deadline,error".into())
        );
        assert_eq!(json["unread"], "choice without a message");
    }

    #[test]
    fn header_dumps_stay_off_and_rust_log_is_honoured() {
        let speak = || {
            tracing::debug!(target: "h2::codec::framed_write", "authorization: Bearer sk-1");
            tracing::debug!(target: "steadfast::proxy", "mine");
            tracing::trace!(target: "steadfast::proxy", "too fine");
            tracing::warn!(target: "h2::server", "reset");
        };
        let lines = logged(LogFormat::Pretty, "debug,h2::codec=trace", speak);
        assert!(!lines.contains("sk-1"), "{lines}");
        assert!(lines.contains("mine") && lines.contains("reset") && !lines.contains("too fine"), "{lines}");
        assert_eq!(logged(LogFormat::Pretty, "off", speak), "");
        let error = subscriber(LogFormat::Json, "RUST_LOG", "steadfast=loud", false, std::io::stderr).err().unwrap().to_string();
        assert!(error.starts_with("RUST_LOG: ") && error.contains("write a level"), "{error}");
    }
}

//! How an event becomes one line of JSON: its time, level, fields and target, in the shape of `tracing-subscriber`'s own flattened format,
//! which takes several times as long over it. There is a line for each exchange, so this is paid by every request.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::incidents::time::rfc3339;

/// Writes events as lines of JSON. Spans are left out: there are none in this program.
pub(super) struct JsonLines;

thread_local! {
    /// The second last written, since 1970, and how it is written: `2026-11-25T10:13:28`.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    /// The line that is being written.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        LINE.with(|line| match line.try_borrow_mut() {
            Ok(mut line) => {
                line.clear();
                write(&mut line, event, SystemTime::now());
                writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
            }
            // A field that logs while it is written.
            Err(_) => {
                let mut line = Vec::new();
                write(&mut line, event, SystemTime::now());
                writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
            }
        })
    }
}

fn write(line: &mut Vec<u8>, event: &Event<'_>, now: SystemTime) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(line, now);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(event.metadata().level().as_str().as_bytes());
    line.push(b'"');
    let mut fields = Fields { line, target: None };
    event.record(&mut fields);
    let target = fields.target;
    line.extend_from_slice(b",\"target\":");
    text(line, target.as_deref().unwrap_or(event.metadata().target()));
    line.extend_from_slice(b"}\n");
}

/// `2026-11-25T10:13:28.123456Z`.
fn timestamp(line: &mut Vec<u8>, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            *written = rfc3339(second.saturating_mul(1000));
            written.truncate(written.len() - ".000Z".len());
        }
        line.extend_from_slice(written.as_bytes());
    });
    line.push(b'.');
    let mut micros = since.subsec_micros();
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(micros % 10).unwrap_or_default();
        micros /= 10;
    }
    line.extend_from_slice(&digits);
    line.push(b'Z');
}

/// A text as a JSON string. Nearly none has anything to escape.
fn text(line: &mut Vec<u8>, value: &str) {
    let escapes = value.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if escapes {
        return json(line, value);
    }
    line.push(b'"');
    line.extend_from_slice(value.as_bytes());
    line.push(b'"');
}

fn json<T: serde::Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) {
    // Numbers and strings cannot fail, and neither can a buffer.
    let _ = serde_json::to_writer(line, value);
}

struct Fields<'l> {
    line: &'l mut Vec<u8>,
    /// Where a line of the `log` crate comes from: a field of an event whose own target is the adapter.
    target: Option<String>,
}

impl Fields<'_> {
    fn add<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if self.name(field) {
            json(self.line, value);
        }
    }

    /// Writes a field's name; whether the field counts.
    fn name(&mut self, field: &Field) -> bool {
        let name = field.name();
        if name.starts_with("log.") {
            return false;
        }
        self.line.extend_from_slice(b",\"");
        // An identifier or a path of them: nothing to escape.
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
        true
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.target = Some(value.to_owned());
        }
        if self.name(field) {
            text(self.line, value);
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut written = String::new();
        let _ = write!(written, "{value:?}");
        self.record_str(field, &written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tracing_subscriber::layer::SubscriberExt as _;

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

    /// What is logged through a layer, the time of each line cut out.
    fn logged<S>(layer: impl FnOnce(Lines) -> S, what: impl FnOnce()) -> Vec<String>
    where
        S: tracing_subscriber::Layer<tracing_subscriber::Registry> + Send + Sync,
    {
        let lines = Lines::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer(lines.clone())), what);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let cut = |line: &str| {
            let (head, rest) = line.split_at("{\"timestamp\":\"2026-11-25T09:53:28.123456Z".len());
            assert!(head.starts_with("{\"timestamp\":\"20") && head.ends_with('Z'), "{line}");
            rest.to_owned()
        };
        text.lines().map(cut).collect()
    }

    /// Shows itself by logging.
    struct Talkative;

    impl fmt::Display for Talkative {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("from within");
            f.write_str("shown")
        }
    }

    #[test]
    fn lines_are_those_of_tracing_subscriber() {
        let speak = || {
            let (none, error) = (None::<u64>, std::io::Error::other("odd \"one\""));
            tracing::info!(text = "\u{1b}[1m \"quoted\"\n\u{2028} 私", %error, none, "a {} message", 1);
            tracing::warn!(target: "steadfast::exchange", a = 1u64, b = -1i32, c = 1.5, d = f64::NAN, e = 1e300, f = true, g = ?vec![1], "x");
            tracing::error!(some = Some("thing"), error = &error as &dyn std::error::Error);
            tracing::info!("log.target" = "rustls::client", "log.line" = 7u64, "log.module_path" = "rustls", "by the log crate");
        };
        let ours =
            logged(|lines| tracing_subscriber::fmt::layer().event_format(JsonLines).with_writer(move || lines.clone()), speak);
        let json = |lines: Lines| {
            tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(move || lines.clone())
        };
        let theirs = logged(json, speak);
        assert_eq!(ours[..3], theirs[..3]);
        assert_eq!(ours[3], r#"","level":"INFO","message":"by the log crate","target":"rustls::client"}"#);
    }

    #[test]
    fn a_field_may_log_while_it_is_written() {
        let speak = || tracing::info!(field = %Talkative, "outer");
        let mut lines =
            logged(|lines| tracing_subscriber::fmt::layer().event_format(JsonLines).with_writer(move || lines.clone()), speak);
        lines.sort_unstable();
        assert!(lines.len() <= 2 && lines.iter().any(|line| line.contains("\"field\":\"shown\"")), "{lines:?}");
        for line in lines {
            serde_json::from_str::<serde_json::Value>(&format!("{{\"t\":\"{line}")).expect("a whole object");
        }
    }

    #[test]
    fn times_are_written_to_the_microsecond() {
        for (since, written) in [
            (Duration::new(1_795_600_408, 123_456_789), "2026-11-25T09:53:28.123456Z"),
            (Duration::new(1_795_600_408, 7_000), "2026-11-25T09:53:28.000007Z"),
            (Duration::new(1_795_600_409, 0), "2026-11-25T09:53:29.000000Z"),
        ] {
            let mut line = Vec::new();
            timestamp(&mut line, UNIX_EPOCH + since);
            assert_eq!(String::from_utf8(line).unwrap(), written);
        }
    }
}

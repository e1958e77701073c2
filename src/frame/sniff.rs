//! Which framing a body has. The bytes decide, the content type only where they say nothing: hosts label errors as streams, streams
//! as JSON, and both as nothing at all.

use super::{Framing, event_stream};

/// What lines of server-sent events begin with.
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];

/// How many bytes say what there is to say.
const ENOUGH: usize = 16;

/// Whether a label names a character set in which ASCII bytes may stand for other text than they do in UTF-8. What is read here is UTF-8;
/// a client that believes the label would read something else.
#[must_use]
pub fn foreign(content_type: &str) -> bool {
    let label = content_type.to_ascii_lowercase();
    label.split([';', ',']).filter_map(|part| part.trim().strip_prefix("charset")).any(|value| {
        let name = value.trim_start().trim_start_matches('=').trim().trim_matches(['"', '\'']);
        !matches!(name, "" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "latin1" | "windows-1252")
            && !name.starts_with("iso-8859-")
    })
}

impl Framing {
    /// The framing of a body that begins with `first`. `None`: too few bytes to say; where there are 16 or more, it is none of these
    /// framings. Of white space alone (some hosts send blank lines for minutes while the model thinks) the label decides.
    ///
    /// A top-level array is [`Framing::Json`]: formats that stream arrays say so themselves.
    #[must_use]
    pub fn sniff(content_type: Option<&str>, first: &[u8]) -> Option<Framing> {
        let kind = content_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let kind = kind.as_deref().unwrap_or_default();
        let bytes = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
        let lines = matches!(
            kind,
            "application/x-ndjson"
                | "application/ndjson"
                | "application/stream+json"
                | "application/jsonl"
                | "application/x-jsonl"
                | "application/jsonlines"
                | "application/x-jsonlines"
        );
        let Some(byte) = bytes.first() else {
            return match kind {
                _ if first.len() < ENOUGH => None,
                "application/json" => Some(Framing::Json),
                "text/event-stream" => Some(Framing::Sse),
                _ if lines => Some(Framing::Ndjson),
                _ => None,
            };
        };
        match byte {
            b'{' if lines => Some(Framing::Ndjson),
            b'{' | b'[' => Some(Framing::Json),
            _ if kind == "application/vnd.amazon.eventstream" => Some(Framing::EventStream),
            _ if kind == "text/event-stream" => Some(Framing::Sse),
            _ if FIELDS.iter().any(|field| bytes.starts_with(field)) => Some(Framing::Sse),
            _ if lines => Some(Framing::Ndjson),
            _ if kind == "application/json" || kind.ends_with("+json") => {
                // `data` cut short is no JSON either, but it may become server-sent events.
                let open = FIELDS.iter().any(|field| field.starts_with(bytes));
                (!open).then_some(Framing::Json)
            }
            0 => match event_stream::begins(first) {
                Some(true) => Some(Framing::EventStream),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_before_labels() {
        let cases: &[(Option<&str>, &[u8], Option<Framing>)] = &[
            (Some("application/json"), b"{\"id\"", Some(Framing::Json)),
            (Some("text/event-stream"), b"data: {", Some(Framing::Sse)),
            (Some("text/event-stream; charset=utf-8"), b"{\n  \"error\"", Some(Framing::Json)),
            (Some("Text/Event-Stream"), b"\xef\xbb\xbfid", Some(Framing::Sse)),
            (Some("text/event-stream"), b"\r\n", None),
            (Some("application/octet-stream"), b"{\"error\"", Some(Framing::Json)),
            (None, b"event: response.created", Some(Framing::Sse)),
            (None, b": OPENROUTER", Some(Framing::Sse)),
            (None, b"dat", None),
            (None, b"", None),
            (None, b"<html><body>no</body></html>", None),
            (Some("application/json"), b"data: {", Some(Framing::Sse)),
            (Some("application/json"), b"dat", None),
            (Some("application/json"), b"  true", Some(Framing::Json)),
            (Some("application/x-ndjson"), b"{\"model\"", Some(Framing::Ndjson)),
            (Some("application/stream+json"), b" {\"a\":1}", Some(Framing::Ndjson)),
            (Some("application/json; charset=UTF-8"), b"[{\n", Some(Framing::Json)),
            (Some("application/json"), b"\n         \n\n    ", Some(Framing::Json)),
            (Some("application/octet-stream"), b"\n         \n\n    ", None),
            (Some("application/vnd.amazon.eventstream"), b"\0", Some(Framing::EventStream)),
            (Some("application/vnd.amazon.eventstream"), b"{\"message\"", Some(Framing::Json)),
        ];
        for (kind, first, framing) in cases {
            assert_eq!(Framing::sniff(*kind, first), *framing, "{kind:?} {first:?}");
        }
    }

    #[test]
    fn other_character_sets_are_foreign() {
        for (label, expected) in [
            ("application/json", false),
            ("text/event-stream; charset=utf-8", false),
            ("text/event-stream;charset=\"UTF-8\"", false),
            ("application/json; charset=ISO-8859-1", false),
            ("text/event-stream; charset=utf-16le", true),
            ("text/event-stream; charset = utf-7", true),
            ("text/event-stream, text/event-stream; charset=utf-16", true),
        ] {
            assert_eq!(foreign(label), expected, "{label}");
        }
    }

    #[test]
    fn an_unlabelled_frame_is_known_by_its_checksum() {
        let mut prelude = [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0];
        let checksum = crc32fast::hash(&prelude[..8]).to_be_bytes();
        prelude[8..].copy_from_slice(&checksum);
        assert_eq!(Framing::sniff(None, &prelude), Some(Framing::EventStream));
        assert_eq!(Framing::sniff(None, &prelude[..5]), None);
        prelude[11] ^= 1;
        assert_eq!(Framing::sniff(None, &prelude), None);
    }
}

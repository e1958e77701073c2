//! Server-sent events: lines ended by LF, CRLF or CR, in any mixture; an event ended by a blank line. Comment lines that stand
//! between events are events of their own, without data: they keep connections alive and must not wait for what follows.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::Event;

const BOM: &[u8; 3] = b"\xef\xbb\xbf";

/// Appends an event as a server sends it. `data` holds no line breaks (JSON on one line).
pub fn write(out: &mut String, name: Option<&str>, data: &str) {
    if let Some(name) = name {
        out.push_str("event: ");
        out.push_str(name);
        out.push('\n');
    }
    out.push_str("data: ");
    out.push_str(data);
    out.push_str("\n\n");
}

/// Whether there are clients that find text in this event where the specification finds none, or other text: then what it says cannot
/// be known by reading it one way.
///
/// Some clients take a line that is no field for JSON, or cut blanks and capitals off a field's name; some end lines where Unicode does;
/// some read each of several `data:` lines by itself.
#[must_use]
pub fn ambiguous(event: &Event) -> bool {
    // What nearly every event is: one line of data and a blank one.
    if event.raw.len() == event.data.len() + b"data: \n\n".len() && event.raw.starts_with(b"data: ") {
        return false;
    }
    let mut rest = event.raw.strip_prefix(BOM).unwrap_or(&event.raw);
    let (mut lines, mut objects) = (0, 0);
    while !rest.is_empty() {
        let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        if line.is_empty() {
            continue;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
            None => (line, &[][..]),
        };
        if field == b"data" {
            lines += 1;
            objects += usize::from(value.starts_with(b"{") && value.ends_with(b"}"));
        } else if !plain(field) || breaks(line) {
            return true;
        }
    }
    // A second byte order mark hides a line from us, not from everybody.
    (lines > 1 || event.data.is_empty()) && objects > 0
}

/// A field that is no data to any client: a comment, or a name of letters, digits and dashes other than `data`.
fn plain(field: &[u8]) -> bool {
    !field.eq_ignore_ascii_case(b"data") && field.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a line holds a character at which some clients end a line: VT, FF, FS, GS, RS, NEL, LS, PS.
fn breaks(line: &[u8]) -> bool {
    line.iter().any(|byte| matches!(byte, 0x0b | 0x0c | 0x1c..=0x1e))
        || line.windows(2).any(|two| two == b"\xc2\x85")
        || line.windows(3).any(|three| matches!(three, b"\xe2\x80\xa8" | b"\xe2\x80\xa9"))
}

/// What has been seen of the current event.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// How much of a byte order mark the stream began with; 3 once that is settled.
    bom: usize,
    /// Whether an event has been read (only the first can hold the byte order mark).
    begun: bool,
    /// The first byte of the line in hand; `None` at a line's start.
    first: Option<u8>,
    /// Whether a whole line of this event has been seen.
    lines: bool,
    /// The last byte was a CR: an LF right after it belongs to the same line break.
    after_cr: bool,
    /// That CR ended the event.
    ended: bool,
}

impl Cutter {
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while self.bom < BOM.len() && at < bytes.len() {
            if bytes[at] == BOM[self.bom] {
                self.bom += 1;
                at += 1;
            } else {
                self.first = (self.bom > 0).then_some(BOM[0]);
                self.bom = BOM.len();
            }
        }
        loop {
            if self.after_cr {
                if *bytes.get(at)? == b'\n' {
                    at += 1;
                }
                self.after_cr = false;
                if self.ended {
                    return self.cut(at);
                }
            }
            let line = &bytes[at..];
            self.first = self.first.or(line.first().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')));
            let end = memchr2(b'\r', b'\n', line)?;
            let ended = match self.first.take() {
                None => true,
                Some(b':') => !self.lines,
                Some(_) => false,
            };
            self.lines = true;
            at += end + 1;
            if line[end] == b'\r' {
                self.after_cr = true;
                self.ended = ended;
            } else if ended {
                return self.cut(at);
            }
        }
    }

    /// Reads a whole event.
    pub(super) fn event(&mut self, raw: Bytes) -> Event {
        let mut rest: &[u8] = &raw;
        if !self.begun {
            rest = rest.strip_prefix(BOM).unwrap_or(rest);
        }
        self.begun = true;
        let mut name: &[u8] = &[];
        let mut data: Option<&[u8]> = None;
        let mut joined = BytesMut::new();
        while !rest.is_empty() {
            let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.strip_prefix(b"\r\n").or(after.get(1..)).unwrap_or_default();
            let (field, value) = match memchr::memchr(b':', line) {
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None => (line, &[][..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match field {
                b"event" => name = value,
                b"data" => match data {
                    None => data = Some(value),
                    Some(first) => {
                        if joined.is_empty() {
                            joined.reserve(raw.len());
                            joined.extend_from_slice(first);
                        }
                        joined.extend_from_slice(b"\n");
                        joined.extend_from_slice(value);
                    }
                },
                _ => {}
            }
        }
        let name = raw.slice_ref(name);
        let data = if joined.is_empty() { raw.slice_ref(data.unwrap_or_default()) } else { joined.freeze() };
        Event { raw, name, data }
    }

    fn cut(&mut self, at: usize) -> Option<usize> {
        self.lines = false;
        self.ended = false;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(raw: &str) -> Event {
        Cutter::default().event(Bytes::copy_from_slice(raw.as_bytes()))
    }

    #[test]
    fn what_clients_read_in_two_ways_is_ambiguous() {
        for (raw, expected) in [
            ("data: {\"a\":1}\n\n", false),
            ("data:{\"a\":1}\r\n\r\n", false),
            ("event: ping\nid: 7\nretry: 10\ndata: {}\n\n", false),
            (": OPENROUTER PROCESSING\n\n", false),
            (":\n", false),
            ("\n", false),
            ("data: [DONE]", false),
            ("x-field: 1\ndata: {}\n\n", false),
            // Pretty-printed over several lines: one object to every client that can read it at all.
            ("data: {\ndata:  \"a\": 1\ndata: }\n\n", false),
            // U+2028 is legal in JSON, and models write it.
            ("data: {\"a\":\"\u{2028}\"}\n\n", false),
            ("{\"candidates\":[]}\n\n", true),
            (" data: {\"a\":1}\n\n", true),
            ("Data: {\"a\":1}\n\n", true),
            ("retry2: 1\ndata: {}\n\n", false),
            ("data : {}\n\n", true),
            ("\u{feff}data: {}\n\n", false),
            ("event: a\n\u{feff}data: {}\n\n", true),
            ("\u{feff}\u{feff}data: {}\n\n", true),
            (": x\u{2028}data: {\"a\":1}\n\n", true),
            (": x\u{b}data: {\"a\":1}\n\n", true),
            ("id: 1\u{85}data: {\"a\":1}\ndata: {}\n\n", true),
            ("data: {\"x\":\ndata: {\"a\":1}\ndata: }\n\n", true),
        ] {
            assert_eq!(ambiguous(&one(raw)), expected, "{raw:?}");
        }
    }
}

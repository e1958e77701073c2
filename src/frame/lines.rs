//! One JSON object a line (NDJSON). A blank line is an event without data. Whether a line is JSON is the reader's to say.

use bytes::Bytes;

use super::Event;

/// The end of the first line.
pub(super) fn scan(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes).map(|at| at + 1)
}

/// A whole line: its data is what is not white space around it.
pub(super) fn event(raw: Bytes) -> Event {
    let data = raw.slice_ref(raw.trim_ascii());
    Event { raw, name: Bytes::new(), data }
}

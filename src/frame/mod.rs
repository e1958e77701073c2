//! Framing: cuts any chunking of bytes into whole events and keeps the raw bytes of each, since those are what the client gets.
//! Knows nothing of what an event says.

use bytes::Bytes;

/// How a body is cut into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One JSON document: a single event at the end of the body.
    Json,
    /// Server-sent events.
    Sse,
    /// One JSON object a line.
    Ndjson,
    /// A JSON array whose elements are the events (Gemini without `alt=sse`).
    JsonArray,
    /// `application/vnd.amazon.eventstream`.
    EventStream,
}

/// One event: its raw bytes (separators included, so that raws concatenated are the input) and what of them is data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Every byte of it, in order.
    pub raw: Bytes,
    /// The event's name (`event:` of SSE, `:event-type` of an AWS event stream); empty where there is none.
    pub name: Bytes,
    /// The payload (for SSE the `data:` lines joined by line feeds); empty for comments and separators.
    pub data: Bytes,
}

/// Bytes that cannot be framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// One event is larger than the limit.
    #[error("an event is over {0} bytes")]
    TooLarge(usize),
    /// Not this framing.
    #[error("malformed {0}")]
    Malformed(&'static str),
}

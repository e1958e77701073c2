//! Framing: cuts any chunking of bytes into whole events and keeps the raw bytes of each, since those are what the client gets.
//! Knows nothing of what an event says.
//!
//! One pass: each byte is scanned once and, where an event lies in more than one chunk, copied once. The events of a body do not
//! depend on how it was chunked, and their raw bytes concatenated are the body.

pub mod event_stream;
mod json_array;
mod lines;
pub(crate) mod sniff;
pub mod sse;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

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

/// Cuts a body into events.
///
/// ```
/// use steadfast::frame::{Framer, Framing};
/// let mut framer = Framer::new(Framing::Sse, 1024);
/// framer.push("data: one\n\ndata: tw".into());
/// assert_eq!(framer.next().unwrap().unwrap().data, "one");
/// assert!(framer.next().is_none());
/// framer.push("o\n".into());
/// assert!(framer.next().is_none());
/// assert_eq!(framer.finish().unwrap().unwrap().data, "two");
/// assert!(framer.finish().unwrap().is_none());
/// ```
#[derive(Debug)]
pub struct Framer {
    cutter: Cutter,
    limit: usize,
    /// Bytes not looked at yet.
    chunks: VecDeque<Bytes>,
    /// Bytes of the event that is not whole yet.
    open: Open,
    held: usize,
    failed: bool,
}

#[derive(Debug)]
enum Cutter {
    Json,
    Sse(sse::Cutter),
    Ndjson,
    JsonArray(json_array::Cutter),
    EventStream(event_stream::Cutter),
}

/// The bytes of one event in the making: borrowed from its chunk as long as there is but one.
#[derive(Debug, Default)]
enum Open {
    #[default]
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Framer {
    /// A framer for one body. An event of more than `limit` bytes is an error.
    #[must_use]
    pub fn new(framing: Framing, limit: usize) -> Self {
        let cutter = match framing {
            Framing::Json => Cutter::Json,
            Framing::Sse => Cutter::Sse(sse::Cutter::default()),
            Framing::Ndjson => Cutter::Ndjson,
            Framing::JsonArray => Cutter::JsonArray(json_array::Cutter::default()),
            Framing::EventStream => Cutter::EventStream(event_stream::Cutter::new(limit)),
        };
        Framer { cutter, limit, chunks: VecDeque::new(), open: Open::Empty, held: 0, failed: false }
    }

    /// How it cuts.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match self.cutter {
            Cutter::Json => Framing::Json,
            Cutter::Sse(_) => Framing::Sse,
            Cutter::Ndjson => Framing::Ndjson,
            Cutter::JsonArray(_) => Framing::JsonArray,
            Cutter::EventStream(_) => Framing::EventStream,
        }
    }

    /// Takes in the body's next bytes.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.held += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// The next whole event; `None` where more bytes are needed. After an error, always `None`: see [`Framer::rest`].
    #[allow(clippy::should_implement_trait)] // An iterator that ends and goes on again would mislead.
    pub fn next(&mut self) -> Option<Result<Event, FrameError>> {
        if self.failed {
            return None;
        }
        while let Some(chunk) = self.chunks.front_mut() {
            // One byte more than an event may have: it may show that the event ended before it. That errors do not depend on the
            // chunks either, nothing after it is looked at.
            let window = chunk.len().min((self.limit - self.open.len()).saturating_add(1));
            match self.cutter.scan(&chunk[..window]) {
                Ok(Some(end)) => {
                    let piece = chunk.split_to(end);
                    if chunk.is_empty() {
                        self.chunks.pop_front();
                    }
                    self.open.extend(piece);
                    return Some(self.cut());
                }
                Ok(None) if self.open.len() + window > self.limit => return Some(self.fail(FrameError::TooLarge(self.limit))),
                Ok(None) => {
                    if let Some(chunk) = self.chunks.pop_front() {
                        self.open.extend(chunk);
                    }
                }
                Err(error) => return Some(self.fail(error)),
            }
        }
        None
    }

    /// The body has ended: what is still to come, one event a call, until `None`. The last may be cut short (an SSE event without
    /// its blank line, half a JSON document); it is up to the reader to say so.
    ///
    /// # Errors
    /// [`FrameError`] as from [`Framer::next`], and where the body ends inside a binary frame.
    pub fn finish(&mut self) -> Result<Option<Event>, FrameError> {
        if let Some(event) = self.next() {
            return event.map(Some);
        }
        if self.failed || self.open.len() == 0 {
            return Ok(None);
        }
        self.cutter.end().or_else(|error| self.fail(error).map(|_: Event| ()))?;
        self.cut().map(Some)
    }

    /// How many bytes have been pushed and not given back in an event.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes the bytes that are in no event, in order: after an error, what a policy that fails open still has to pass on.
    pub fn rest(&mut self) -> Vec<Bytes> {
        self.held = 0;
        let open = std::mem::take(&mut self.open).freeze();
        std::iter::once(open).chain(self.chunks.drain(..)).filter(|bytes| !bytes.is_empty()).collect()
    }

    fn cut(&mut self) -> Result<Event, FrameError> {
        let raw = std::mem::take(&mut self.open).freeze();
        let cut = if raw.len() > self.limit { Err(FrameError::TooLarge(self.limit)) } else { self.cutter.event(raw.clone()) };
        match cut {
            Ok(event) => {
                self.held -= event.raw.len();
                Ok(event)
            }
            Err(error) => {
                self.open = Open::One(raw);
                self.fail(error)
            }
        }
    }

    fn fail<T>(&mut self, error: FrameError) -> Result<T, FrameError> {
        self.failed = true;
        Err(error)
    }
}

impl Cutter {
    /// Looks at the bytes that follow those it has seen. `Some(n)`: the event ends after `n` of them (0 where that only now shows);
    /// `None`: all of them belong to it, and it goes on.
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        match self {
            Cutter::Json => Ok(None),
            Cutter::Sse(cutter) => Ok(cutter.scan(bytes)),
            Cutter::Ndjson => Ok(lines::scan(bytes)),
            Cutter::JsonArray(cutter) => cutter.scan(bytes),
            Cutter::EventStream(cutter) => cutter.scan(bytes),
        }
    }

    /// Reads a whole event.
    fn event(&mut self, raw: Bytes) -> Result<Event, FrameError> {
        match self {
            Cutter::Json => Ok(Event { name: Bytes::new(), data: raw.clone(), raw }),
            Cutter::Sse(cutter) => Ok(cutter.event(raw)),
            Cutter::Ndjson => Ok(lines::event(raw)),
            Cutter::JsonArray(cutter) => Ok(cutter.event(raw)),
            Cutter::EventStream(_) => event_stream::event(raw),
        }
    }

    /// Whether the body may end in the middle of this event.
    fn end(&self) -> Result<(), FrameError> {
        match self {
            // Nobody can read half a frame, and its checksum is missing.
            Cutter::EventStream(_) => Err(FrameError::Malformed("event stream: cut short")),
            _ => Ok(()),
        }
    }
}

impl Open {
    fn len(&self) -> usize {
        match self {
            Open::Empty => 0,
            Open::One(bytes) => bytes.len(),
            Open::Many(bytes) => bytes.len(),
        }
    }

    fn extend(&mut self, piece: Bytes) {
        *self = match std::mem::take(self) {
            open if piece.is_empty() => open,
            Open::Empty => Open::One(piece),
            Open::One(first) => {
                let mut bytes = BytesMut::with_capacity((first.len() + piece.len()).max(256));
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&piece);
                Open::Many(bytes)
            }
            Open::Many(mut bytes) => {
                bytes.extend_from_slice(&piece);
                Open::Many(bytes)
            }
        };
    }

    fn freeze(self) -> Bytes {
        match self {
            Open::Empty => Bytes::new(),
            Open::One(bytes) => bytes,
            Open::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests;

//! `application/vnd.amazon.eventstream`: length-prefixed binary frames with two checksums, both of which are checked: a frame that
//! we and the client might read differently is no frame.

use bytes::Bytes;

use super::{Event, FrameError};

/// Total length, headers length, checksum of both.
const PRELUDE: usize = 12;
/// The prelude and the final checksum.
const OVERHEAD: usize = PRELUDE + 4;

/// The type of a header whose value is text.
const STRING: u8 = 7;

const CHECKSUM: FrameError = FrameError::Malformed("event stream: wrong checksum");
const HEADERS: FrameError = FrameError::Malformed("event stream: headers");

/// What has been seen of the current frame.
#[derive(Debug)]
pub(super) struct Cutter {
    limit: usize,
    prelude: [u8; PRELUDE],
    seen: usize,
    /// The frame's length, once the prelude is whole.
    total: Option<usize>,
}

impl Cutter {
    pub(super) fn new(limit: usize) -> Self {
        Cutter { limit, prelude: [0; PRELUDE], seen: 0, total: None }
    }

    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let total = match self.total {
            Some(total) => total,
            None => {
                let missing = (PRELUDE - self.seen).min(bytes.len());
                self.prelude[self.seen..self.seen + missing].copy_from_slice(&bytes[..missing]);
                if self.seen + missing < PRELUDE {
                    self.seen += missing;
                    return Ok(None);
                }
                let total = lengths(&self.prelude)?.0;
                if total > self.limit {
                    return Err(FrameError::TooLarge(self.limit));
                }
                self.total = Some(total);
                total
            }
        };
        let missing = total - self.seen;
        if bytes.len() < missing {
            self.seen += bytes.len();
            return Ok(None);
        }
        self.seen = 0;
        self.total = None;
        Ok(Some(missing))
    }
}

/// Whether these bytes begin a frame; `None` where there are too few to say.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    bytes.first_chunk().map(|prelude| lengths(prelude).is_ok())
}

/// Reads a whole frame. Its name is the event's or exception's type.
pub(super) fn event(raw: Bytes) -> Result<Event, FrameError> {
    let (prelude, _) = raw.split_first_chunk::<PRELUDE>().ok_or(HEADERS)?;
    let (total, headers) = lengths(prelude)?;
    let (signed, checksum) = raw.split_last_chunk::<4>().ok_or(HEADERS)?;
    if total != raw.len() {
        return Err(HEADERS);
    }
    if crc32fast::hash(signed) != u32::from_be_bytes(*checksum) {
        return Err(CHECKSUM);
    }
    let payload = PRELUDE + headers;
    let name = name(&raw[PRELUDE..payload]).ok_or(HEADERS)?;
    let name = raw.slice_ref(name);
    let data = raw.slice(payload..signed.len());
    Ok(Event { raw, name, data })
}

fn lengths(prelude: &[u8; PRELUDE]) -> Result<(usize, usize), FrameError> {
    let word = |at: usize| u32::from_be_bytes([prelude[at], prelude[at + 1], prelude[at + 2], prelude[at + 3]]);
    if crc32fast::hash(&prelude[..8]) != word(8) {
        return Err(CHECKSUM);
    }
    let (total, headers) = (word(0) as usize, word(4) as usize);
    if total < OVERHEAD || headers > total - OVERHEAD {
        return Err(FrameError::Malformed("event stream: lengths"));
    }
    Ok((total, headers))
}

/// Appends a frame with these string headers. What is written here is short: a frame over 4 GiB could not say its length.
pub fn write(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        block.extend_from_slice(&name.as_bytes()[..name.len().min(usize::from(u8::MAX))]);
        block.push(STRING);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        block.extend_from_slice(&value.as_bytes()[..value.len().min(usize::from(u16::MAX))]);
    }
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let start = out.len();
    out.extend_from_slice(&word(OVERHEAD + block.len() + payload.len()));
    out.extend_from_slice(&word(block.len()));
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}

/// The value of the header that names the event. `None` where the headers cannot be walked, or name it more than once: a client might
/// take another of them.
fn name(mut headers: &[u8]) -> Option<&[u8]> {
    let mut found: Option<&[u8]> = None;
    while let Some((&length, rest)) = headers.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(length))?;
        let (&kind, rest) = rest.split_first()?;
        let (length, rest) = match kind {
            0 | 1 => (0, rest),
            2 => (1, rest),
            3 => (2, rest),
            4 => (4, rest),
            5 | 8 => (8, rest),
            6 | 7 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            9 => (16, rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        if kind == STRING && matches!(name, b":event-type" | b":exception-type" | b":error-code") {
            if found.is_some() {
                return None;
            }
            found = Some(value);
        }
        headers = rest;
    }
    Some(found.unwrap_or_default())
}

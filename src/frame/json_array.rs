//! A JSON array whose elements are the events, cut as they arrive. An element's raw bytes begin with the separator before it, so
//! that it can leave as soon as its last brace is there; the closing bracket is an event of its own, without data. A lone
//! object in place of the array (an error, as a rule) is one event. Only strings and brackets are understood: whether an
//! element is JSON is the reader's to say.

use bytes::Bytes;
use memchr::memchr2;

use super::{Event, FrameError};

const MALFORMED: FrameError = FrameError::Malformed("json array");

/// What has been seen of the current event.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    place: Place,
    /// Brackets open inside the element.
    depth: usize,
    /// Inside a string of the element.
    string: bool,
    /// The last byte was a backslash inside a string.
    escaped: bool,
    /// The document is an array.
    array: bool,
    /// Bytes of the current event that earlier scans saw.
    seen: usize,
    /// Where in the event the element begins.
    start: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the document.
    #[default]
    Outside,
    /// After `[`: an element or `]`.
    First,
    /// After `,`: an element.
    Next,
    /// Inside an object, an array or a string.
    Element,
    /// Inside a number or a word.
    Scalar,
    /// After an element: `,` or `]`.
    After,
    /// After the document.
    End,
}

impl Cutter {
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match self.place {
                Place::Element if self.string => {
                    if std::mem::take(&mut self.escaped) {
                        at += 1;
                        continue;
                    }
                    match memchr2(b'"', b'\\', &bytes[at..]) {
                        None => break,
                        Some(found) => {
                            at += found + 1;
                            if bytes[at - 1] == b'\\' {
                                self.escaped = true;
                            } else {
                                self.string = false;
                                if self.depth == 0 {
                                    return Ok(Some(self.cut(at)));
                                }
                            }
                        }
                    }
                    continue;
                }
                Place::Element => match byte {
                    b'"' => self.string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth -= 1;
                        if self.depth == 0 {
                            return Ok(Some(self.cut(at + 1)));
                        }
                    }
                    _ => {}
                },
                Place::Scalar => {
                    if matches!(byte, b',' | b']') || byte.is_ascii_whitespace() {
                        return Ok(Some(self.cut(at)));
                    }
                }
                _ if byte.is_ascii_whitespace() => {}
                Place::Outside if byte == b'[' => {
                    self.array = true;
                    self.place = Place::First;
                }
                Place::Outside if byte == b'{' => self.begin(byte, at),
                Place::First | Place::After if byte == b']' => {
                    self.place = Place::End;
                    self.seen = 0;
                    return Ok(Some(at + 1));
                }
                Place::First | Place::Next if !matches!(byte, b',' | b']' | b'}' | b':') => self.begin(byte, at),
                Place::After if byte == b',' => self.place = Place::Next,
                Place::Outside | Place::First | Place::Next | Place::After | Place::End => return Err(MALFORMED),
            }
            at += 1;
        }
        self.seen += bytes.len();
        Ok(None)
    }

    /// Reads a whole event.
    pub(super) fn event(&mut self, raw: Bytes) -> Event {
        let data = self.start.take().map_or_else(Bytes::new, |start| raw.slice(start..));
        Event { raw, name: Bytes::new(), data }
    }

    fn begin(&mut self, byte: u8, at: usize) {
        self.start = Some(self.seen + at);
        self.string = byte == b'"';
        self.depth = usize::from(matches!(byte, b'{' | b'['));
        self.place = if self.string || self.depth > 0 { Place::Element } else { Place::Scalar };
    }

    fn cut(&mut self, at: usize) -> usize {
        self.place = if self.array { Place::After } else { Place::End };
        self.seen = 0;
        at
    }
}

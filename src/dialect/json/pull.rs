//! A reader that goes through a JSON document once, from front to back: no tree, no second look at what lies inside, and no copy of a
//! string that needs no unescaping.
//!
//! It takes and refuses what `serde_json` does (the tests compare them): numbers, escapes and control characters by the letter, nothing
//! after the document, and of half surrogates one U+FFFD each in values, none in names. Values that nobody asks for are checked all
//! the same, and however deep they are they cost no stack.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{DialectError, Raw};

/// The reader: a document and a place in it.
#[derive(Clone, Debug)]
pub struct Pull<'a> {
    bytes: &'a [u8],
    /// The same, where all of it is UTF-8: then no piece is checked again.
    text: Option<&'a str>,
    at: usize,
    what: &'static str,
}

/// What a member holds, to be read once: of two members of one name, clients differ in which they take.
pub type Once<T> = Option<T>;

impl<'a> Pull<'a> {
    /// At the front of a document, called `what` in errors.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        // Some hosts prepend a byte order mark, and their clients strip it.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        Pull { bytes, text: std::str::from_utf8(bytes).ok(), at: 0, what }
    }

    /// At the front of a value that has been read before.
    #[must_use]
    pub fn over(value: Raw<'a>, what: &'static str) -> Self {
        Pull { bytes: value.json().as_bytes(), text: Some(value.json()), at: 0, what }
    }

    /// The byte that the next value (or what closes the one around it) begins with; 0 at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Where the reader stands.
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    /// Goes back to where the reader stood.
    pub fn back_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where something does.
    pub fn end(mut self) -> Result<(), DialectError> {
        self.peek();
        if self.at == self.bytes.len() { Ok(()) } else { self.bad() }
    }

    /// Goes through an object; `each` gets the reader at a member's value, which it must read or skip, and the member's name.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where there is no object, and what `each` returns.
    #[inline]
    pub fn members(&mut self, mut each: impl FnMut(&mut Self, &str) -> Result<(), DialectError>) -> Result<(), DialectError> {
        self.eat(b'{')?;
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let (name, whole) = self.quoted()?;
            if !whole {
                return self.bad();
            }
            self.eat(b':')?;
            each(self, &name)?;
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.bad(),
            }
        }
    }

    /// Goes through an array; `each` gets the reader at an element, which it must read or skip, and its index.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where there is no array, and what `each` returns.
    #[inline]
    pub fn elements(&mut self, mut each: impl FnMut(&mut Self, usize) -> Result<(), DialectError>) -> Result<(), DialectError> {
        self.eat(b'[')?;
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            each(self, index)?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    break;
                }
                _ => return self.bad(),
            }
        }
        Ok(())
    }

    /// Whether an object stands here; a `null` is read.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where there is anything else.
    #[inline]
    pub fn object(&mut self, what: &'static str) -> Result<bool, DialectError> {
        self.opens(b'{', what)
    }

    /// Whether an array stands here; a `null` is read.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where there is anything else.
    #[inline]
    pub fn array(&mut self, what: &'static str) -> Result<bool, DialectError> {
        self.opens(b'[', what)
    }

    /// Reads the value of a member that may be there once.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where it was there before, and what `read` returns.
    #[inline]
    pub fn once<T>(
        &mut self,
        member: &mut Once<T>,
        read: impl FnOnce(&mut Self) -> Result<T, DialectError>,
    ) -> Result<(), DialectError> {
        if member.is_some() {
            return self.bad();
        }
        *member = Some(read(self)?);
        Ok(())
    }

    /// A string: the text of it. Half surrogates are a U+FFFD each.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where there is none.
    pub fn string(&mut self) -> Result<Cow<'a, str>, DialectError> {
        self.quoted().map(|(text, _)| text)
    }

    /// The text of a string; nothing where there is `null`; for members that a reader sees.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where there is anything else.
    pub fn text(&mut self, what: &'static str) -> Result<Option<Cow<'a, str>>, DialectError> {
        match self.peek() {
            b'"' => self.string().map(Some),
            b'n' => self.skip().map(|()| None),
            _ => Err(DialectError::Malformed(what)),
        }
    }

    /// The next value, unread.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where there is none, or one that is no UTF-8.
    pub fn raw(&mut self) -> Result<Raw<'a>, DialectError> {
        self.peek();
        let start = self.at;
        self.skip()?;
        self.slice(start, self.at).map(Raw)
    }

    /// The next value, unread; nothing where it is `null`.
    ///
    /// # Errors
    /// Those of [`Pull::raw`].
    pub fn optional(&mut self) -> Result<Option<Raw<'a>>, DialectError> {
        self.raw().map(|raw| (!raw.is_null()).then_some(raw))
    }

    /// Checks that what has been read since `start` is UTF-8, where not all of the document is.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where it is not.
    pub fn utf8_since(&self, start: usize) -> Result<(), DialectError> {
        if self.text.is_some() { Ok(()) } else { self.slice(start, self.at).map(|_| ()) }
    }

    /// Goes past the next value, which is checked all the same.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where there is none.
    pub fn skip(&mut self) -> Result<(), DialectError> {
        // What closes the objects and arrays that are open.
        let mut open: SmallVec<[u8; 32]> = SmallVec::new();
        loop {
            match self.peek() {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.at += 1;
                    if self.peek() != b'}' {
                        open.push(b'}');
                        self.skip_name()?;
                        continue;
                    }
                    self.at += 1;
                }
                b'[' => {
                    self.at += 1;
                    if self.peek() != b']' {
                        open.push(b']');
                        continue;
                    }
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => self.skip_number()?,
                b'n' => self.skip_word(b"null")?,
                b't' => self.skip_word(b"true")?,
                b'f' => self.skip_word(b"false")?,
                _ => return self.bad(),
            }
            loop {
                let Some(close) = open.last().copied() else { return Ok(()) };
                match self.peek() {
                    b',' => {
                        self.at += 1;
                        if close == b'}' {
                            self.skip_name()?;
                        }
                        break;
                    }
                    byte if byte == close => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return self.bad(),
                }
            }
        }
    }

    #[inline]
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn opens(&mut self, byte: u8, what: &'static str) -> Result<bool, DialectError> {
        match self.peek() {
            found if found == byte => Ok(true),
            b'n' => self.skip().map(|()| false),
            _ => Err(DialectError::Malformed(what)),
        }
    }

    fn bad<T>(&self) -> Result<T, DialectError> {
        Err(DialectError::Malformed(self.what))
    }

    fn eat(&mut self, byte: u8) -> Result<(), DialectError> {
        if self.peek() != byte {
            return self.bad();
        }
        self.at += 1;
        Ok(())
    }

    fn slice(&self, start: usize, end: usize) -> Result<&'a str, DialectError> {
        let piece = match self.text {
            Some(text) => text.get(start..end),
            None => self.bytes.get(start..end).and_then(|bytes| std::str::from_utf8(bytes).ok()),
        };
        piece.ok_or(DialectError::Malformed(self.what))
    }

    /// A string, and whether it is whole: without half surrogates.
    #[inline]
    fn quoted(&mut self) -> Result<(Cow<'a, str>, bool), DialectError> {
        self.eat(b'"')?;
        let start = self.at;
        self.at += plain(&self.bytes[start..]);
        match self.byte() {
            b'"' => {
                self.at += 1;
                Ok((Cow::Borrowed(self.slice(start, self.at - 1)?), true))
            }
            b'\\' => self.unescape(start),
            _ => self.bad(),
        }
    }

    /// The rest of a string, from its first escape on.
    fn unescape(&mut self, start: usize) -> Result<(Cow<'a, str>, bool), DialectError> {
        let mut text = String::with_capacity(2 * (self.at - start) + 16);
        text.push_str(self.slice(start, self.at)?);
        let mut whole = true;
        loop {
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Ok((Cow::Owned(text), whole));
                }
                b'\\' => {
                    self.at += 1;
                    let escaped = self.escaped()?;
                    whole &= escaped.is_some();
                    text.push(escaped.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                // The end, or a control character.
                byte if byte < b' ' => return self.bad(),
                _ => {
                    let start = self.at;
                    self.at += plain(&self.bytes[start..]);
                    text.push_str(self.slice(start, self.at)?);
                }
            }
        }
    }

    /// What an escape stands for, after its backslash; nothing for half a surrogate.
    fn escaped(&mut self) -> Result<Option<char>, DialectError> {
        let letter = self.byte();
        self.at += 1;
        Ok(Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit(self.at)?;
                self.at += 4;
                if !(0xd800..0xdc00).contains(&unit) {
                    return Ok(char::from_u32(unit));
                }
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Ok(None);
                }
                let low = self.unit(self.at + 2)?;
                if !(0xdc00..0xe000).contains(&low) {
                    return Ok(None);
                }
                self.at += 6;
                return Ok(char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)));
            }
            _ => return self.bad(),
        }))
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Result<u32, DialectError> {
        let Some(digits) = self.bytes.get(at..at + 4) else { return self.bad() };
        digits.iter().try_fold(0, |unit, digit| match char::from(*digit).to_digit(16) {
            Some(digit) => Ok(unit << 4 | digit),
            None => self.bad(),
        })
    }

    fn skip_string(&mut self) -> Result<(), DialectError> {
        self.eat(b'"')?;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.byte() {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.unit(self.at + 1)?;
                            self.at += 5;
                        }
                        _ => return self.bad(),
                    }
                }
                _ => return self.bad(),
            }
        }
    }

    fn skip_name(&mut self) -> Result<(), DialectError> {
        self.skip_string()?;
        self.eat(b':')
    }

    fn skip_number(&mut self) -> Result<(), DialectError> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        match self.byte() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte().is_ascii_digit() {
            return self.bad();
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DialectError> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.bad() }
    }

    fn skip_word(&mut self, word: &[u8]) -> Result<(), DialectError> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.bad();
        }
        self.at += word.len();
        Ok(())
    }
}

/// How many bytes stand before the first quote, backslash or control character.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest byte with its high bit set is the first that is below `less`, counted from where all before it are not.
    let below = |word: u64, less: u64| word.wrapping_sub(ONES * less) & !word & HIGH;
    let mut at = 0;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let special = below(word, 0x20) | below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;

//! Borrowed JSON reading, shared by the formats.
//!
//! Reading is lenient about everything but text: an odd number or an unknown field never costs an event, while text of a wrong
//! type is an error, since it would otherwise pass unjudged. Knows nothing of any format.

mod edits;
mod pull;
mod shape;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::DialectError;
use super::names::{self, Folded};
use crate::text::{MAX_LANES, Str};

pub use edits::Edits;
pub use pull::{Once, Pull};
pub use shape::{Shape, shape};
pub(super) use shape::{each, members};

/// Text of a JSON string, borrowed where it needs no unescaping. Lone surrogates (`"\ud83d"`, half of an emoji cut between two
/// events) become U+FFFD: serde's `str` would refuse them, and with them the whole event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

/// A JSON value that has not been read yet: its bytes. The type of every field of which only some shapes are of interest.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(&'a str);

/// The members of an object, in order, values unread.
#[derive(Clone, Debug)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, Raw<'a>)>);

/// Reads a whole document, a JSON object, into `T`.
///
/// # Errors
/// [`DialectError::Malformed`] with `what`, where the bytes are no JSON object of that shape (or not UTF-8).
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, DialectError> {
    // Some hosts prepend a byte order mark, and their clients strip it.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    // Derived structs would also take an array for an object, field by field.
    if bytes.first() != Some(&b'{') {
        return Err(DialectError::Malformed(what));
    }
    // From a `str` no value is checked again. What is no UTF-8 may lie in a field that nobody reads: then each value is checked.
    let read = match std::str::from_utf8(bytes) {
        Ok(text) => whole(serde_json::Deserializer::from_str(text)),
        Err(_) => whole(serde_json::Deserializer::from_slice(bytes)),
    };
    read.map_err(|_| DialectError::Malformed(what))
}

/// Reads all there is.
fn whole<'a, R: serde_json::de::Read<'a>, T: Deserialize<'a>>(mut json: serde_json::Deserializer<R>) -> serde_json::Result<T> {
    let value = T::deserialize(Folded(&mut json))?;
    json.end()?;
    Ok(value)
}

/// Goes through a whole document with `read`, which must read or skip one value.
///
/// # Errors
/// [`DialectError::Malformed`] with `what` where something follows it, and what `read` returns.
pub fn document<'a, T>(
    bytes: &'a [u8],
    what: &'static str,
    read: impl FnOnce(&mut Pull<'a>) -> Result<T, DialectError>,
) -> Result<T, DialectError> {
    let mut json = Pull::new(bytes, what);
    let value = read(&mut json)?;
    json.end().map(|()| value)
}

/// The JSON string of a text, quotes included.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_quoted(&mut out, text);
    out
}

/// Appends the JSON string of a text, quotes included.
pub fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => {
                out.push_str(&text[plain..at]);
                out.push_str(&format!("\\u{byte:04x}"));
                plain = at + 1;
                continue;
            }
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(escape);
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// The JSON number of a finite value, shortest form; `null` otherwise (JSON has no such numbers).
#[must_use]
pub fn number(value: f32) -> String {
    if value.is_finite() { value.to_string() } else { "null".to_owned() }
}

impl<'a> Raw<'a> {
    /// Its bytes.
    #[must_use]
    pub fn json(self) -> &'a str {
        self.0
    }

    fn first(self) -> u8 {
        self.json().as_bytes().first().copied().unwrap_or(b'n')
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.first() == b'n'
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_string(self) -> bool {
        self.first() == b'"'
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// The text, where it is a string; for fields that are good to have (ids, model names, reasons).
    #[must_use]
    pub fn str(self) -> Option<Cow<'a, str>> {
        if self.is_string() { Pull::over(self, "string").string().ok() } else { None }
    }

    /// [`Raw::str`], shared.
    #[must_use]
    pub fn shared(self) -> Option<Str> {
        self.str().map(|text| Str::from(&*text))
    }

    /// The text, where it is a string; nothing where it is `null`; for fields that a reader sees.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where it is anything else.
    pub fn text(self, what: &'static str) -> Result<Option<Cow<'a, str>>, DialectError> {
        match self.str() {
            Some(text) => Ok(Some(text)),
            None if self.is_null() => Ok(None),
            None => Err(DialectError::Malformed(what)),
        }
    }

    /// A non-negative whole number; `3.0` counts as one.
    #[must_use]
    pub fn u64(self) -> Option<u64> {
        self.i64().and_then(|number| u64::try_from(number).ok())
    }

    /// [`Raw::u64`] for indices.
    #[must_use]
    pub fn u32(self) -> Option<u32> {
        self.i64().and_then(|number| u32::try_from(number).ok())
    }

    /// A whole number; a fraction is cut off (`created` of some hosts has one).
    #[must_use]
    pub fn i64(self) -> Option<i64> {
        match self.first() {
            b'-' | b'0'..=b'9' => self.json().parse().ok().or_else(|| {
                let number: f64 = self.json().parse().ok()?;
                // Beyond 2^53 a float names no single whole number.
                #[allow(clippy::cast_possible_truncation)]
                (number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
            }),
            _ => None,
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        match self.json() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Reads it as `T`, or not at all.
    #[must_use]
    pub fn maybe<T: Deserialize<'a>>(self) -> Option<T> {
        whole(serde_json::Deserializer::from_str(self.json())).ok()
    }

    /// Reads it as `T`.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what`.
    pub fn read<T: Deserialize<'a>>(self, what: &'static str) -> Result<T, DialectError> {
        whole(serde_json::Deserializer::from_str(self.json())).map_err(|_| DialectError::Malformed(what))
    }

    /// Reads an object as `T`; nothing where it is `null`. (Derived structs would take an array for an object.)
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where it is anything else.
    pub fn object<T: Deserialize<'a>>(self, what: &'static str) -> Result<Option<T>, DialectError> {
        match self.first() {
            b'{' => self.read(what).map(Some),
            b'n' => Ok(None),
            _ => Err(DialectError::Malformed(what)),
        }
    }

    /// The elements of an array; none where it is `null`.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where it is anything else.
    pub fn elements(self, what: &'static str) -> Result<Vec<Raw<'a>>, DialectError> {
        self.some_elements(usize::MAX, what)
    }

    /// The elements of an array of answers, of which there are [`MAX_LANES`] at most: each is remembered and may have to be ended.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where there are more, and those of [`Raw::elements`].
    pub fn answers(self, what: &'static str) -> Result<Vec<Raw<'a>>, DialectError> {
        self.some_elements(MAX_LANES, what)
    }

    fn some_elements(self, most: usize, what: &'static str) -> Result<Vec<Raw<'a>>, DialectError> {
        let mut elements = Vec::new();
        let mut json = Pull::over(self, what);
        if json.array(what)? {
            json.elements(|json, index| {
                if index == most {
                    return Err(DialectError::Malformed(what));
                }
                elements.push(json.raw()?);
                Ok(())
            })?;
        }
        Ok(elements)
    }

    /// Where it lies in the document it was read from.
    ///
    /// # Panics
    /// If it was read from another document.
    #[must_use]
    pub fn span(self, document: &str) -> Range<usize> {
        let start = self.json().as_ptr() as usize - document.as_ptr() as usize;
        let span = start..start + self.json().len();
        assert!(span.end <= document.len(), "a value of another document");
        span
    }
}

impl<'a> Members<'a> {
    /// The value of the last member of that name: what clients take of repeated names.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.0.iter().rev().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// The value of the member of that name in any case, as lenient clients read an answer.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where there are several.
    pub fn only(&self, name: &str, what: &'static str) -> Result<Option<Raw<'a>>, DialectError> {
        let mut found = self.0.iter().filter(|(member, _)| names::same(member, name)).map(|(_, value)| *value);
        let value = found.next();
        if found.next().is_some() { Err(DialectError::Malformed(what)) } else { Ok(value) }
    }

    /// Whether there is a member of that name in any case that is not `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member, value)| names::same(member, name) && !value.is_null())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|value| Raw(value.get()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Text(lossy(bytes)))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(lossy(bytes).into_owned())))
            }
        }
        // Asked for bytes, serde_json gives strings as WTF-8: lone surrogates included.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, Raw<'de>>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// WTF-8 as text: a surrogate is one U+FFFD, as are other bytes that are no UTF-8.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    let mut rest = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(_) => bytes,
    };
    let mut out = String::with_capacity(bytes.len());
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                out.push_str(text);
                break;
            }
            Err(error) => {
                let (valid, bad) = rest.split_at(error.valid_up_to());
                out.push_str(&String::from_utf8_lossy(valid));
                out.push(char::REPLACEMENT_CHARACTER);
                let skip = match bad {
                    [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
                    _ => error.error_len().unwrap_or(bad.len()),
                };
                rest = &bad[skip..];
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Doc<'a> {
        #[serde(borrow, default)]
        content: Option<Raw<'a>>,
        #[serde(borrow, default)]
        n: Option<Raw<'a>>,
    }

    #[test]
    fn plain_text_is_borrowed_and_escapes_are_not() {
        let raw: Raw<'_> = serde_json::from_str(r#""plain é""#).unwrap();
        assert!(matches!(raw.str(), Some(Cow::Borrowed("plain é"))));
        let raw: Raw<'_> = serde_json::from_str(r#""a\nb""#).unwrap();
        assert_eq!(raw.str().unwrap(), "a\nb");
    }

    #[test]
    fn lone_surrogates_cost_one_mark_not_the_event() {
        for (json, text) in [
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00b""#, "\u{fffd}b"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83dA""#, "\u{fffd}A"),
        ] {
            let doc = format!(r#"{{"content":{json}}}"#);
            let doc: Doc<'_> = read(doc.as_bytes(), "doc").unwrap();
            assert_eq!(doc.content.unwrap().text("content").unwrap().unwrap(), text, "{json}");
        }
    }

    #[test]
    fn odd_types_are_told_from_absent_text() {
        let doc: Doc<'_> = read(br#"{"content":["x"],"n":"3","other":{"deep":[1,2]}}"#, "doc").unwrap();
        assert_eq!(doc.content.unwrap().text("content"), Err(DialectError::Malformed("content")));
        assert_eq!(doc.n.unwrap().u64(), None);
        let doc: Doc<'_> = read(br#"{"content":null,"n":3.0}"#, "doc").unwrap();
        assert!(doc.content.is_none());
        assert_eq!(doc.n.unwrap().u64(), Some(3));
    }

    #[test]
    fn a_repeated_text_field_is_an_error() {
        // Clients differ in which of the two they take, so neither may go unjudged.
        assert!(read::<Doc<'_>>(br#"{"content":"a","content":"b"}"#, "doc").is_err());
        assert!(read::<Doc<'_>>(br#"{"content":"a","c\u006fntent":"b"}"#, "doc").is_err());
    }

    proptest! {
        #[test]
        fn quotes_what_serde_reads(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&quote(&text)).unwrap(), text.clone());
            let quoted = quote(&text);
            let raw: Raw<'_> = serde_json::from_str(&quoted).unwrap();
            prop_assert_eq!(raw.str().unwrap(), text);
        }

        #[test]
        fn lossy_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = lossy(&bytes);
            if let Ok(valid) = std::str::from_utf8(&bytes) { prop_assert_eq!(text, valid); }
        }

        #[test]
        fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read::<Members<'_>>(&bytes, "doc");
        }
    }
}

//! Changes to a JSON document that somebody else wrote: an edit names bytes, and all other bytes stay. Never re-serialises.

use std::ops::Range;

use super::{Members, Raw, quote};
use crate::dialect::DialectError;

/// Changes to a JSON document, by position. The bytes that no edit names stay as they are.
#[derive(Clone, Debug)]
pub struct Edits<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    /// No edit of a document yet.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where it is not UTF-8.
    pub fn new(document: &'a [u8], what: &'static str) -> Result<Self, DialectError> {
        let text = std::str::from_utf8(document).map_err(|_| DialectError::Malformed(what))?;
        Ok(Edits { text: text.strip_prefix('\u{feff}').unwrap_or(text), edits: Vec::new() })
    }

    /// The document, to be read with [`Edits::members`] or by hand. Values read from it know their place.
    #[must_use]
    pub fn document(&self) -> &'a str {
        self.text
    }

    /// The top-level members.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where the document is no JSON object.
    pub fn members(&self, what: &'static str) -> Result<Members<'a>, DialectError> {
        serde_json::from_str(self.text).map_err(|_| DialectError::Malformed(what))
    }

    /// Sets a top-level member to a JSON value: in its place where there is one (in each, where it is repeated), else as the
    /// object's first.
    pub fn set(&mut self, members: &Members<'a>, name: &str, json: &str) {
        let open = self.text.find('{').map_or(0, |at| at + 1);
        self.set_after(open, members, name, json);
    }

    /// [`Edits::set`] for a member of an object inside the document.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where the value is no object.
    pub fn set_in(&mut self, object: Raw<'a>, name: &str, json: &str, what: &'static str) -> Result<(), DialectError> {
        let members = object.object(what)?.ok_or(DialectError::Malformed(what))?;
        self.set_after(object.span(self.text).start + 1, &members, name, json);
        Ok(())
    }

    fn set_after(&mut self, open: usize, members: &Members<'a>, name: &str, json: &str) {
        let mut found = false;
        for (_, value) in members.0.iter().filter(|(member, _)| member == name) {
            self.replace(*value, json);
            found = true;
        }
        if !found {
            // In an empty object nothing follows but what was put there before.
            let alone = members.0.is_empty();
            let before = if alone && self.edits.iter().any(|(span, _)| *span == (open..open)) { "," } else { "" };
            let after = if alone { "" } else { "," };
            self.edits.push((open..open, format!("{before}{}:{json}{after}", quote(name))));
        }
    }

    /// Replaces a value of the document.
    pub fn replace(&mut self, value: Raw<'a>, json: &str) {
        self.edits.push((value.span(self.text), json.to_owned()));
    }

    /// Puts an element into an array of the document, before the element that is now at `at` (or last).
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where the value is no array.
    pub fn insert(&mut self, array: Raw<'a>, at: usize, json: &str, what: &'static str) -> Result<(), DialectError> {
        if !array.is_array() {
            return Err(DialectError::Malformed(what));
        }
        let elements = array.elements(what)?;
        let (position, text) = match (elements.get(at), elements.last()) {
            (Some(next), _) => (next.span(self.text).start, format!("{json},")),
            (None, Some(last)) => (last.span(self.text).end, format!(",{json}")),
            (None, None) => (array.span(self.text).start + 1, json.to_owned()),
        };
        self.edits.push((position..position, text));
        Ok(())
    }

    /// Puts text at the front of a JSON string of the document.
    pub fn prepend(&mut self, string: Raw<'a>, text: &str) {
        let at = string.span(self.text).start + 1;
        let quoted = quote(text);
        self.edits.push((at..at, quoted[1..quoted.len() - 1].to_owned()));
    }

    /// Puts text at the end of a JSON string of the document.
    pub fn append(&mut self, string: Raw<'a>, text: &str) {
        let at = string.span(self.text).end - 1;
        let quoted = quote(text);
        self.edits.push((at..at, quoted[1..quoted.len() - 1].to_owned()));
    }

    /// The edited document. Edits at one position apply in the order they were made.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.edits.sort_by_key(|(span, _)| (span.start, span.end));
        let mut out = String::with_capacity(self.text.len() + self.edits.iter().map(|(_, new)| new.len()).sum::<usize>());
        let mut copied = 0;
        for (span, new) in &self.edits {
            // Of two edits of the same bytes the first wins.
            if span.start >= copied {
                out.push_str(&self.text[copied..span.start]);
                out.push_str(new);
                copied = span.end;
            }
        }
        out.push_str(&self.text[copied..]);
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::json::number;

    #[test]
    fn sets_members_in_place_or_first() {
        let body = br#" { "model" : "a" , "x": [1, 2] }"#;
        let mut edits = Edits::new(body, "request").unwrap();
        let members = edits.members("request").unwrap();
        edits.set(&members, "model", r#""b""#);
        edits.set(&members, "temperature", &number(0.3));
        edits.insert(members.get("x").unwrap(), 1, "9", "x").unwrap();
        assert_eq!(String::from_utf8(edits.finish()).unwrap(), r#" {"temperature":0.3, "model" : "b" , "x": [1, 9,2] }"#);

        let mut edits = Edits::new(b"{}", "request").unwrap();
        let members = edits.members("request").unwrap();
        edits.set(&members, "a", "1");
        edits.set(&members, "b", "2");
        assert_eq!(edits.finish(), br#"{"a":1,"b":2}"#);
    }

    #[test]
    fn sets_members_of_inner_objects() {
        let mut edits = Edits::new(br#"{"a":{ "b":1},"c":{},"d":7}"#, "request").unwrap();
        let members = edits.members("request").unwrap();
        edits.set_in(members.get("a").unwrap(), "b", "2", "a").unwrap();
        edits.set_in(members.get("a").unwrap(), "x", "3", "a").unwrap();
        edits.set_in(members.get("c").unwrap(), "y", "4", "c").unwrap();
        assert_eq!(edits.set_in(members.get("d").unwrap(), "z", "5", "d"), Err(DialectError::Malformed("d")));
        assert_eq!(edits.finish(), br#"{"a":{"x":3, "b":2},"c":{"y":4},"d":7}"#);
    }

    #[test]
    fn inserts_at_both_ends_of_arrays_and_inside_strings() {
        let body = r#"{"empty":[ ],"full":[{"a":"[,]"} ],"text":"b\"c"}"#;
        let mut edits = Edits::new(body.as_bytes(), "request").unwrap();
        let members = edits.members("request").unwrap();
        edits.insert(members.get("empty").unwrap(), 5, "1", "x").unwrap();
        edits.insert(members.get("full").unwrap(), 0, "0", "x").unwrap();
        edits.insert(members.get("full").unwrap(), 9, "2", "x").unwrap();
        edits.prepend(members.get("text").unwrap(), "a\n");
        edits.append(members.get("text").unwrap(), "\"");
        assert_eq!(String::from_utf8(edits.finish()).unwrap(), r#"{"empty":[1 ],"full":[0,{"a":"[,]"},2 ],"text":"a\nb\"c\""}"#);
    }

    #[test]
    fn repeated_members_are_all_set() {
        let mut edits = Edits::new(br#"{"model":"a","mod\u0065l":"b"}"#, "request").unwrap();
        let members = edits.members("request").unwrap();
        edits.set(&members, "model", r#""c""#);
        assert_eq!(edits.finish(), br#"{"model":"c","mod\u0065l":"c"}"#);
    }

    proptest! {
        #[test]
        fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(edits) = Edits::new(&bytes, "doc") { let _ = edits.members("doc"); }
        }
    }
}

//! Where something is in a JSON document: JSON pointers (RFC 6901) in which a segment `*` is every element of a list or every member of
//! an object. Knows no format.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize as _;

use crate::dialect::DialectError;
use crate::dialect::json::{Edits, Members, Raw};
use crate::dialect::names;

/// A place, or with `*` places, in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A member's name or an element's number.
    Key(String),
    /// `*`
    Every,
}

impl Pointer {
    /// Reads a pointer: empty (the whole document), or segments that each begin with `/`; in them `~1` is a slash and `~0` a tilde.
    ///
    /// # Errors
    /// In words, where it is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut segments = Vec::new();
        if !text.is_empty() {
            let rest = text.strip_prefix('/').ok_or("must begin with /, like \"/reply/text\"")?;
            for segment in rest.split('/') {
                segments.push(if segment == "*" { Segment::Every } else { Segment::Key(unescaped(segment)?) });
            }
        }
        Ok(Pointer { text: text.to_owned(), segments })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Every value there, in the order of the document. Names of members count in any case, as lenient clients read them; a member that is
    /// there twice is an error: clients differ in which they take.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where the document is no JSON on the way there.
    pub fn find<'a>(&self, document: Raw<'a>) -> Result<Vec<Raw<'a>>, DialectError> {
        let mut found = Vec::new();
        walk(&self.segments, names::same, document, &mut found)?;
        Ok(found)
    }

    /// The last value there, by its very name; for fields that are good to have.
    #[must_use]
    pub fn last<'a>(&self, document: Raw<'a>) -> Option<Raw<'a>> {
        let mut found = Vec::new();
        walk(&self.segments, str::eq, document, &mut found).ok()?;
        found.pop().filter(|raw| !raw.is_null())
    }

    /// Sets the value there: in its place, or as the first member of the object that lacks it.
    ///
    /// # Errors
    /// [`DialectError::Unsupported`] with `what` where there is no such object, or where there could be several.
    pub fn set(&self, document: &str, json: &str, what: &'static str) -> Result<Vec<u8>, DialectError> {
        let unsupported = DialectError::Unsupported(what);
        let [before @ .., Segment::Key(name)] = self.segments.as_slice() else { return Err(unsupported) };
        if before.contains(&Segment::Every) {
            return Err(unsupported);
        }
        let mut edits = Edits::new(document.as_bytes(), what)?;
        let mut parents = Vec::new();
        walk(before, str::eq, root(edits.document().as_bytes())?, &mut parents)?;
        let parent = parents.pop().filter(|parent| parent.is_object()).ok_or(unsupported)?;
        let mut inner = Edits::new(parent.json().as_bytes(), what)?;
        let members = inner.members(what)?;
        inner.set(&members, name, json);
        edits.replace(parent, &String::from_utf8_lossy(&inner.finish()));
        Ok(edits.finish())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A whole document, whatever it is.
///
/// # Errors
/// [`DialectError::Malformed`] where it is no JSON.
pub fn root(bytes: &[u8]) -> Result<Raw<'_>, DialectError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let raw = Raw::deserialize(&mut deserializer).map_err(|_| DialectError::Malformed("JSON"))?;
    deserializer.end().map_err(|_| DialectError::Malformed("JSON"))?;
    Ok(raw)
}

fn walk<'a>(
    segments: &[Segment],
    same: fn(&str, &str) -> bool,
    value: Raw<'a>,
    found: &mut Vec<Raw<'a>>,
) -> Result<(), DialectError> {
    let Some((segment, rest)) = segments.split_first() else {
        found.push(value);
        return Ok(());
    };
    if value.is_object() {
        let members: Members<'a> = value.read("object")?;
        let wanted = |name: &Cow<'a, str>| match segment {
            Segment::Key(key) => same(name, key),
            Segment::Every => true,
        };
        let mut seen: HashSet<&str> = HashSet::new();
        for (name, value) in members.0.iter().filter(|(name, _)| wanted(name)) {
            if matches!(segment, Segment::Key(_)) && !seen.is_empty() || !seen.insert(name) {
                return Err(DialectError::Malformed("object with a repeated member"));
            }
            walk(rest, same, *value, found)?;
        }
    } else if value.is_array() {
        let elements = value.elements("list")?;
        match segment {
            Segment::Every => elements.into_iter().try_for_each(|element| walk(rest, same, element, found))?,
            Segment::Key(key) => {
                if let Some(element) = key.parse().ok().and_then(|index: usize| elements.get(index)) {
                    walk(rest, same, *element, found)?;
                }
            }
        }
    }
    Ok(())
}

fn unescaped(segment: &str) -> Result<String, &'static str> {
    let mut parts = segment.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err("has a ~ that is neither ~0 (a tilde) nor ~1 (a slash)"),
        };
        out.push(escaped);
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(pointer: &str, document: &str) -> Vec<String> {
        let found = Pointer::parse(pointer).unwrap().find(root(document.as_bytes()).unwrap()).unwrap();
        found.iter().map(|raw| raw.json().to_owned()).collect()
    }

    #[test]
    fn places_are_found() {
        let document = r#"{"a":{"b":[{"c":1},{"d":2},{"c":3}],"":4},"x/y":{"~":5},"0":6}"#;
        for (pointer, found) in [
            ("", vec![document]),
            ("/a/b/*/c", vec!["1", "3"]),
            ("/a/b/1/d", vec!["2"]),
            ("/a/b/7/d", vec![]),
            ("/a/", vec!["4"]),
            ("/x~1y/~0", vec!["5"]),
            ("/0", vec!["6"]),
            ("/a/*/*/c", vec!["1", "3"]),
            ("/a/b/c", vec![]),
            ("/0/*", vec![]),
        ] {
            assert_eq!(find(pointer, document), found, "{pointer}");
        }
        assert_eq!(find("", " \"text\" "), ["\"text\""]);
        assert_eq!(find("/*", "[1,[2]]"), ["1", "[2]"]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let pointer = Pointer::parse("/a").unwrap();
        assert!(pointer.find(root(br#"{"a":1,"\u0061":2}"#).unwrap()).is_err());
        assert!(pointer.find(root(br#"{"a":1,"A":2}"#).unwrap()).is_err());
        assert_eq!(find("/a", r#"{"A":1}"#), ["1"]);
        assert_eq!(find("/a", r#"{"a":1,"b":2,"b":3}"#), ["1"]);
        assert!(root(b"{} {}").is_err() && root(b"").is_err() && root(b"nul").is_err());
    }

    #[test]
    fn odd_pointers_are_refused() {
        assert!(Pointer::parse("a/b").is_err());
        assert!(Pointer::parse("/a~2").is_err());
        assert!(Pointer::parse("/a~").is_err());
    }

    #[test]
    fn values_are_set_in_place_or_as_the_first_member() {
        let set = |pointer: &str, document: &str| {
            let set = Pointer::parse(pointer).unwrap().set(document, "9", "it");
            set.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(set("/a", r#"{ "a" : 1 }"#).unwrap(), r#"{ "a" : 9 }"#);
        assert_eq!(set("/a/b", r#"{"x":0,"a": {"c":1} }"#).unwrap(), r#"{"x":0,"a": {"b":9,"c":1} }"#);
        assert_eq!(set("/a", "{}").unwrap(), r#"{"a":9}"#);
        for (pointer, document) in
            [("/a/b", "{}"), ("/a/*", r#"{"a":{}}"#), ("", "{}"), ("/*/b", r#"{"a":{}}"#), ("/a/0", r#"{"a":[1]}"#)]
        {
            assert_eq!(set(pointer, document), Err(DialectError::Unsupported("it")), "{pointer}");
        }
    }

    proptest! {
        #[test]
        fn finding_is_total(pointer in "(/[a*0~1]{0,3}){0,4}", document in "[\\[\\]{}a0\":,* ]{0,30}") {
            if let (Ok(pointer), Ok(document)) = (Pointer::parse(&pointer), root(document.as_bytes())) {
                let _ = pointer.find(document);
            }
        }

        #[test]
        fn any_name_can_be_pointed_at(name in ".{0,8}") {
            prop_assume!(name != "*");
            let document = serde_json::json!({ &name: 1 }).to_string();
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            prop_assert_eq!(find(&pointer, &document), ["1"]);
        }
    }
}

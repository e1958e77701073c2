//! Completes the JSON of a tool call that was cut in the middle, so that clients which parse it do not fail.
//!
//! The client already has the first part and it cannot be taken back. Merely closed, half an argument would look like a whole one
//! (`{"command":"rm -rf /` is the start of many commands), so the last member of the outermost object is given again as `null`:
//! parsers take the last of repeated names. Knows no wire format.

/// What to append to `text`, the start of a JSON document, to make it a whole document. An empty string if it is whole already;
/// `None` if it is no start of one.
#[must_use]
pub fn completion(text: &str) -> Option<String> {
    let mut scanner = Scanner { text, at: 0, stack: Vec::new(), key: None };
    let stop = scanner.scan()?;
    let mut out = String::new();
    match stop {
        Stop::Whole => return Some(out),
        Stop::Value => out.push_str("null"),
        Stop::Rest(rest) => out.push_str(rest),
        Stop::String(ref rest) => {
            out.push_str(rest);
            out.push('"');
        }
        Stop::Key(ref rest) => {
            out.push_str(rest);
            out.push_str("\":null");
        }
        Stop::Colon => out.push_str(":null"),
        Stop::Member => {}
    }
    // The key under way becomes a member of its own with the value null; everything before it is whole.
    let nulled = matches!(stop, Stop::Key(_) | Stop::Colon) && scanner.stack.len() == 1;
    let mut dangling = matches!(stop, Stop::Member);
    while let Some(close) = scanner.stack.pop() {
        if close == b'}' {
            if scanner.stack.is_empty()
                && !nulled
                && let Some(key) = scanner.key
            {
                out.push_str(if dangling { "" } else { "," });
                out.push_str(key);
                out.push_str(":null");
            } else if dangling && text.trim_end().ends_with(',') {
                out.push_str("\"\":null");
            }
        }
        dangling = false;
        out.push(char::from(close));
    }
    Some(out)
}

/// Where the text ends.
enum Stop {
    /// After the whole document.
    Whole,
    /// Where a value must follow.
    Value,
    /// Inside or after a number, a literal or another value, which this ends.
    Rest(&'static str),
    /// Inside a string value, whose last escape this ends.
    String(String),
    /// Inside a member's name, whose last escape this ends.
    Key(String),
    /// After a member's name.
    Colon,
    /// Where a member may follow: after `{` or `,`.
    Member,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The closing brackets that are due.
    stack: Vec<u8>,
    /// The last name of the outermost object, quotes included.
    key: Option<&'a str>,
}

impl<'a> Scanner<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn scan(&mut self) -> Option<Stop> {
        loop {
            // A value.
            let Some(first) = self.peek() else { return Some(Stop::Value) };
            match first {
                b'{' => {
                    self.at += 1;
                    self.stack.push(b'}');
                    match self.peek() {
                        None => return Some(Stop::Member),
                        Some(b'}') => {}
                        Some(_) => match self.name()? {
                            Some(stop) => return Some(stop),
                            None => continue,
                        },
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.stack.push(b']');
                    match self.peek() {
                        None => return Some(Stop::Rest("")),
                        Some(b']') => {}
                        Some(_) => continue,
                    }
                }
                b'"' => {
                    if let Err(rest) = self.string()? {
                        return Some(Stop::String(rest));
                    }
                }
                _ => {
                    if let Some(rest) = self.scalar()? {
                        return Some(Stop::Rest(rest));
                    }
                }
            }
            // What follows a value.
            loop {
                let next = self.peek();
                match (self.stack.last(), next) {
                    (None, None) => return Some(Stop::Whole),
                    (None, Some(_)) => return None,
                    (Some(_), None) => return Some(Stop::Rest("")),
                    (Some(due), Some(byte)) if *due == byte => {
                        self.at += 1;
                        self.stack.pop();
                    }
                    (Some(due), Some(b',')) => {
                        let object = *due == b'}';
                        self.at += 1;
                        if object {
                            if self.peek().is_none() {
                                return Some(Stop::Member);
                            }
                            if let Some(stop) = self.name()? {
                                return Some(stop);
                            }
                        }
                        break;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// A member's name and its colon. `None` inside: a value follows.
    fn name(&mut self) -> Option<Option<Stop>> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        if let Err(rest) = self.string()? {
            return Some(Some(Stop::Key(rest)));
        }
        let name = &self.text[start..self.at];
        match self.peek() {
            None => Some(Some(Stop::Colon)),
            Some(b':') => {
                self.at += 1;
                if self.stack.len() == 1 {
                    self.key = Some(name);
                }
                Some(None)
            }
            Some(_) => None,
        }
    }

    /// A string. `Err`: the text ends inside it, and what its last escape lacks. `None`: no string.
    fn string(&mut self) -> Option<Result<(), String>> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        // Half of a surrogate pair, which strict readers refuse to leave alone.
        let mut half = false;
        loop {
            match bytes.get(self.at) {
                None => return Some(Err(if half { "\\udc00".to_owned() } else { String::new() })),
                Some(b'"') => {
                    self.at += 1;
                    return Some(Ok(()));
                }
                Some(b'\\') => match bytes.get(self.at + 1) {
                    None => return Some(Err(if half { "udc00".to_owned() } else { "\\".to_owned() })),
                    Some(b'u') => {
                        let digits = &self.text[self.at + 2..];
                        let digits = &digits[..digits.bytes().take(4).take_while(u8::is_ascii_hexdigit).count()];
                        if digits.len() == 4 {
                            half = !half && is_first_half(digits);
                            self.at += 6;
                        } else if self.at + 2 + digits.len() == bytes.len() {
                            return Some(Err(rest_of_escape(digits, half)));
                        } else {
                            return None;
                        }
                    }
                    Some(_) => {
                        half = false;
                        self.at += 2;
                    }
                },
                Some(_) => {
                    half = false;
                    self.at += 1;
                }
            }
        }
    }

    /// A number or a literal. `Some` inside: the text ends in it, and what it lacks.
    fn scalar(&mut self) -> Option<Option<&'static str>> {
        let rest = &self.text[self.at..];
        for literal in ["true", "false", "null"] {
            if rest.starts_with(literal) {
                self.at += literal.len();
                return Some(None);
            }
            if let Some(lacks) = literal.strip_prefix(rest) {
                return Some(Some(lacks));
            }
        }
        let length = rest.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        if !rest.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return None;
        }
        if length == rest.len() {
            let whole = rest.ends_with(|last: char| last.is_ascii_digit());
            return Some(Some(if whole { "" } else { "0" }));
        }
        self.at += length;
        Some(None)
    }
}

fn is_first_half(digits: &str) -> bool {
    matches!(u16::from_str_radix(digits, 16), Ok(0xd800..=0xdbff))
}

/// The digits that a `\u` escape lacks, and the second half of the pair if it becomes a first one.
fn rest_of_escape(digits: &str, half: bool) -> String {
    let padding = if half && digits.len() < 2 { &"dc00"[digits.len()..] } else { &"0000"[digits.len()..] };
    let pair = if !half && is_first_half(&format!("{digits}{padding}")) { "\\udc00" } else { "" };
    format!("{padding}{pair}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn completed(text: &str) -> serde_json::Value {
        let whole = format!("{text}{}", completion(text).unwrap());
        serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{whole}: {error}"))
    }

    #[test]
    fn the_member_under_way_is_null() {
        for (text, value) in [
            (r"{", serde_json::json!({})),
            (r#"{"com"#, serde_json::json!({"com": null})),
            (r#"{"command""#, serde_json::json!({"command": null})),
            (r#"{"command":"#, serde_json::json!({"command": null})),
            (r#"{"command":"rm -rf /"#, serde_json::json!({"command": null})),
            (r#"{"a":1,"command":"rm \"#, serde_json::json!({"a": 1, "command": null})),
            (r#"{"a":1,"b":{"c":["x","#, serde_json::json!({"a": 1, "b": null})),
            (r#"{"a":1,"b":tr"#, serde_json::json!({"a": 1, "b": null})),
            (r#"{"a":1,"b":[{"c":2,"#, serde_json::json!({"a": 1, "b": null})),
            (r#"{"a":1,"b":-"#, serde_json::json!({"a": 1, "b": null})),
            (r#"{"a":"x","#, serde_json::json!({"a": null})),
            (r#"{"a":"x""#, serde_json::json!({"a": null})),
        ] {
            assert_eq!(completed(text), value, "{text}");
        }
    }

    #[test]
    fn whole_documents_stay_and_others_are_no_start() {
        assert_eq!(completion(r#"{"a":1}"#).unwrap(), "");
        assert_eq!(completion("{\"a\":1} \n").unwrap(), "");
        for text in [r#"{"a":1}{"#, "{1", r#"{"a" 1"#, "[1}", "hello", r#"{"a":"\u00zz"}"#, r#"{"a":nul"}"#] {
            assert_eq!(completion(text), None, "{text}");
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_are_ended() {
        for text in [
            r#"["\ud83d"#,
            r#"["\ud83d\"#,
            r#"["\ud83d\u"#,
            r#"["\ud83d\ud"#,
            r#"["\ud83d\ude"#,
            r#"["\ud8"#,
            r#"["\u"#,
            r#"["\u00"#,
        ] {
            assert!(completed(text).is_array(), "{text}");
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_start_of_a_document_is_completed(value in value(), pretty: bool, cut in any::<proptest::sample::Index>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let cut = crate::text::floor_char_boundary(&text, cut.index(text.len() + 1));
            completed(&text[..cut]);
        }

        #[test]
        fn completing_is_total(text in any::<String>()) {
            if let Some(rest) = completion(&text) {
                let _ = serde_json::from_str::<serde_json::Value>(&format!("{text}{rest}"));
            }
        }
    }
}

//! The reader against `serde_json`, on documents made at random and then damaged.

use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{Text, each};
use super::*;

/// A document as somebody read it. Numbers are their text.
#[derive(Debug, PartialEq)]
enum Tree {
    Word(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn pulled(json: &mut Pull<'_>) -> Result<Tree, DialectError> {
    match json.peek() {
        b'"' => json.string().map(|text| Tree::Text(text.into_owned())),
        b'[' => {
            let mut list = Vec::new();
            json.elements(|json, index| {
                assert_eq!(index, list.len());
                list.push(pulled(json)?);
                Ok(())
            })?;
            Ok(Tree::List(list))
        }
        b'{' => {
            let mut object = Vec::new();
            json.members(|json, name| {
                object.push((name.to_owned(), pulled(json)?));
                Ok(())
            })?;
            Ok(Tree::Object(object))
        }
        _ => json.raw().map(|raw| Tree::Word(raw.json().to_owned())),
    }
}

/// The members of an object as derived structs get them: names are text.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

fn by_serde(value: &RawValue) -> Option<Tree> {
    let json = value.get();
    Some(match json.as_bytes()[0] {
        b'"' => Tree::Text(serde_json::from_str::<Text<'_>>(json).ok()?.0.into_owned()),
        b'[' => Tree::List(serde_json::from_str::<Vec<&RawValue>>(json).ok()?.into_iter().map(by_serde).collect::<Option<_>>()?),
        b'{' => {
            let pairs = serde_json::from_str::<Pairs<'_>>(json).ok()?.0;
            Tree::Object(pairs.into_iter().map(|(name, value)| Some((name, by_serde(value)?))).collect::<Option<_>>()?)
        }
        _ => Tree::Word(json.to_owned()),
    })
}

/// Reads, skips and takes over a document; all must agree with `serde_json`.
fn agrees(document: &[u8]) -> Result<(), TestCaseError> {
    let mut json = Pull::new(document, "document");
    let skipped = json.skip().and_then(|()| json.end()).is_ok();
    let trimmed = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document).trim_ascii_start();
    prop_assert_eq!(skipped, serde_json::from_slice::<IgnoredAny>(trimmed).is_ok(), "skipping");

    let mut json = Pull::new(document, "document");
    let raw = json.raw().and_then(|raw| json.end().map(|()| raw.json())).ok();
    let expected = serde_json::from_slice::<&RawValue>(trimmed).ok();
    prop_assert_eq!(raw, expected.map(RawValue::get), "as a whole");

    let mut json = Pull::new(document, "document");
    let tree = pulled(&mut json).and_then(|tree| json.end().map(|()| tree)).ok();
    if let Some(expected) = expected {
        prop_assert_eq!(tree, by_serde(expected), "as a tree");
    } else if std::str::from_utf8(document).is_ok() {
        prop_assert_eq!(tree, None, "as a tree");
    }
    Ok(())
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => prop::sample::select(vec![" ", "\n\t", "\r\n  ", "\u{b}", "\u{a0}"])]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[ -~é日😀]{0,12}".prop_map(|text| text.replace(['"', '\\'], "'")),
        4 => prop::sample::select(vec![
            r"\n", r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\r", r"\t", r"\u00e9", r"\u0000", r"\uD83D", r"\ud83d", r"\ude00",
            r"\uDE00", r"\ufffd", r"\u004", r"\x", r"\", "\u{1f}", "\u{7f}", "\u{0}", "\n",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => string(),
        2 => prop::sample::select(vec!["null", "true", "false", "0", "-0", "7", "-31.50", "1e9", "2E-7", "0.5e+3", "18446744073709551616"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["01", "1.", ".5", "-", "+1", "1e", "0x1", "nul", "True", "NaN", "", "'a'", "//", "1 2"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let member = (space(), string(), space(), space(), inner, space())
            .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
        prop_oneof![
            prop::collection::vec(element, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// A change to a document: at which place, and what is put there in place of how many bytes.
fn damage() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let put = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..3),
        prop::sample::select(b"{}[]\",:\\u0ntf-. ".to_vec()).prop_map(|byte| vec![byte]),
    ];
    (any::<prop::sample::Index>(), 0usize..4, put)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn takes_what_serde_json_takes(document in value(), damage in prop::collection::vec(damage(), 0..3), bom in any::<bool>()) {
        let mut document = document.into_bytes();
        for (at, length, put) in damage {
            let at = at.index(document.len() + 1);
            let end = (at + length).min(document.len());
            document.splice(at..end, put);
        }
        if bom {
            document.splice(0..0, *b"\xef\xbb\xbf");
        }
        agrees(&document)?;
    }

    #[test]
    fn arbitrary_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        agrees(&bytes)?;
    }

    #[test]
    fn plain_text_ends_where_it_ends(bytes in prop::collection::vec(prop_oneof![9 => 0x20u8.., 1 => any::<u8>()], 0..40)) {
        let expected = bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len());
        prop_assert_eq!(plain(&bytes), expected);
    }
}

#[test]
fn depth_costs_no_stack() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let document = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        let mut json = Pull::new(document.as_bytes(), "document");
        assert!(json.skip().is_ok() && json.end().is_ok());
        let mut json = Pull::new(&document.as_bytes()[..document.len() - 1], "document");
        assert!(json.skip().is_err());
    }
}

#[test]
fn what_is_no_utf8_counts_where_it_is_read() {
    let document = b"{\"unread\":\"\xff\",\"read\":\"fine\"}";
    let mut read = None;
    let mut json = Pull::new(document, "document");
    let whole = json.members(|json, name| if name == "read" { json.once(&mut read, Pull::string) } else { json.skip() });
    assert_eq!((whole, read.as_deref()), (Ok(()), Some("fine")));
    let mut json = Pull::new(document, "document");
    assert!(json.members(|json, _| json.string().map(drop)).is_err());
    let mut json = Pull::new(document, "document");
    assert!(json.skip().is_ok() && json.utf8_since(0).is_err());
}

#[test]
fn a_member_is_read_once() {
    let both = |document: &'static str| {
        let mut text = None;
        let mut json = Pull::new(document.as_bytes(), "document");
        each!(json, { "text" => json.once(&mut text, |json| json.text("text")), }).map(|()| text.flatten())
    };
    assert_eq!(both(r#"{"a":1,"text":"x","a":2}"#), Ok(Some("x".into())));
    assert_eq!(both(r#"{"text":null}"#), Ok(None));
    assert!(both(r#"{"text":null,"t\u0065xt":"x"}"#).is_err());
    assert_eq!(both(r#"{"tEXT":"x","texts":1}"#), Ok(Some("x".into())));
    assert!(both(r#"{"text":"x","Text":"x"}"#).is_err());
    assert_eq!(both(r#"{"text":7}"#), Err(DialectError::Malformed("text")));
}

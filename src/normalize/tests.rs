//! The rows that the training side is held to as well, and what holds for every text.

use std::borrow::Cow;
use std::path::Path;

use proptest::prelude::*;

use super::*;

#[derive(serde::Deserialize)]
struct Row {
    text: String,
    normal: String,
    why: String,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("classifiers/training/tests/normalisation.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn gives_what_training_gives() {
    let rows = rows();
    assert!(rows.len() >= 80, "{} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| normalize(&row.text).text() != row.normal)
        .map(|row| format!("{:?} → {:?}, not {:?} ({})", row.text, normalize(&row.text).text(), row.normal, row.why))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_stays_is_borrowed() {
    for row in rows() {
        let unchanged = matches!(normalize(&row.text).into_text(), Cow::Borrowed(text) if text == row.text);
        assert_eq!(unchanged, row.text == row.normal, "{:?}", row.text);
    }
}

#[test]
fn ordinary_characters_need_nothing() {
    use unicode_normalization::char::{canonical_combining_class, decompose_compatible};
    use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};
    for c in (char::MIN..=char::MAX).filter(|&c| chars::ordinary(c)) {
        assert!([c].into_iter().nfkc().eq([c]) && !compatible::unseen(c) && alike::twin(c).is_none(), "{c:?}");
        let mut parts = Vec::new();
        decompose_compatible(c, |part| parts.push(part));
        let first = parts[0];
        assert!(canonical_combining_class(first) == 0 && is_nfkc_quick([first].into_iter()) != IsNormalized::Maybe, "{c:?}");
    }
}

#[test]
fn prose_of_many_languages_is_told_by_a_look() {
    for text in [
        "Hello, I am Aria, and I can help you with that: 3 apples, 12 % of 40, e.g. in 2024.",
        "私はアリアです。お手伝いします、「はい」。今日は第3章を読みます。",
        "Ich heiße Aria und kann Ihnen gerne helfen — „Straße“, Grüße.",
        "¿Qué tal? L’assistante; ação. 안녕하세요, 저는 아리아입니다. 😀",
        "```rust\nlet x = 1;\n```\n| a | b |\n| - | - |\n* * *\n",
    ] {
        assert!(plain::plain(text), "{text:?}");
    }
}

#[test]
fn spans_lead_back_to_the_original() {
    let original = |text: &str, part: &str| {
        let normal = normalize(text);
        let at = normal.text().find(part).unwrap_or_else(|| panic!("{part:?} in {:?}", normal.text()));
        text[normal.original(at..at + part.len())].to_owned()
    };
    for (text, part, expected) in [
        ("I will k i l l them", "kill", "k i l l"),
        ("so h.a.t.e!", "hate", "h.a.t.e"),
        ("so haaaaate it", "hate", "haaaaate"),
        ("so haaaaate it", "ha", "haaaaa"),
        ("ｋｉｌｌ them", "kill", "ｋｉｌｌ"),
        ("a \u{202e}k\u{200b}ill\u{202c} b", "kill", "k\u{200b}ill"),
        ("the ﬁnal h4te", "fin", "ﬁn"),
        ("the ﬁnal h4te", "inal", "ﬁnal"),
        ("the ﬁnal h4te", "hate", "h4te"),
        ("cafe\u{301}s", "é", "e\u{301}"),
        ("hа\u{301}te", "a", "а\u{301}"),
        ("plain", "lai", "lai"),
    ] {
        assert_eq!(original(text, part), expected, "{part:?} of {text:?}");
    }
    let normal = normalize("\u{200b}\u{200b}");
    assert_eq!((normal.text(), normal.original(0..0)), ("", 0..0));
    let normal = normalize("h4te");
    assert_eq!((normal.original(2..2), normal.original(4..9), normal.original(1..usize::MAX)), (2..2, 4..4, 1..4));
}

/// Texts in which the rules meet: made of their own material.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,4}",
        3 => "[khatelsni013457@$!]{1,6}",
        3 => ("[aeklі4k]{4,7}", "[ .\\-_*·•]").prop_map(|(letters, separator)| letters.chars().map(String::from).collect::<Vec<_>>().join(&separator)),
        2 => "([aekl1] ){1,6}",
        2 => "([aeklе]\\.){1,6}",
        2 => "[аеорсухкмтіαεικνοƒᴀᴋʟɪѕ]{1,3}",
        2 => "[ .\\-_*/@:'’\\n]{1,2}",
        1 => "(a{2,5}|e{2,5}|l{2,5}|K{2,5})",
        1 => "[\u{300}\u{301}\u{308}\u{338}\u{20dd}\u{200b}\u{ad}\u{fe0f}ﾞﾟカｶ㎏ﬁ½ﾡﾂ각ㄱㅏ\u{1160}\u{1ffd}\u{344}\u{2adc}]{1,4}",
        1 => "\\PC{0,3}",
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn twice_is_once(text in texts()) {
        let once = normalize(&text).text().to_owned();
        let twice = normalize(&once);
        prop_assert_eq!(twice.text(), &once);
    }

    #[test]
    fn origins_rise_and_lie_on_characters(text in texts()) {
        let normal = normalize(&text);
        let mut last = (0, 0);
        for (at, c) in normal.text().char_indices() {
            let bytes = normal.original(at..at + c.len_utf8());
            prop_assert!(text.is_char_boundary(bytes.start) && text.is_char_boundary(bytes.end));
            prop_assert!(bytes.start < bytes.end && bytes.end <= text.len());
            prop_assert!(bytes.start >= last.0 && bytes.end >= last.1);
            last = (bytes.start, bytes.end);
        }
        let (a, b) = (text.len() / 3, text.len());
        let part = normal.original(a..b);
        prop_assert!(part.start <= part.end && part.end <= text.len());
    }

    #[test]
    fn the_look_is_never_wrong(text in texts()) {
        if plain::plain(&text) {
            let units = undone(&text);
            prop_assert_eq!(units.iter().map(|unit| unit.c).collect::<String>(), text);
        }
    }

    #[test]
    fn composing_by_segments_is_composing(text in "([a-z\u{300}\u{301}\u{308}ﾞﾟカｶ㎏ﬁ½ﾡﾂㄱㅏ가\u{11a8}\u{1100}\u{1161}\u{9be}\u{9c7}\u{344}]|\\PC){0,8}") {
        use unicode_normalization::UnicodeNormalization;
        let whole: String = text.chars().filter(|&c| !compatible::unseen(c)).nfkc().collect();
        let parts: String = compatible::units(&text).iter().map(|unit| unit.c).collect();
        // Rows of marks and letters in circles are handled before NFKC, on purpose.
        let apart = text.contains(['\u{b4}', '\u{1ffd}']) || whole.chars().any(compatible::unseen) || text.chars().any(|c| matches!(u32::from(c), 0x249c..=0x24b5 | 0x1f110..=0x1f189));
        let marks = text.chars().filter(|&c| unicode_normalization::char::canonical_combining_class(c) > 0 || c == '\u{344}').count();
        if !apart && marks < 2 {
            prop_assert_eq!(parts, whole);
        }
    }
}

//! A rule's `patterns`: regular expressions searched in a text that grows, each place once. Finds exactly what a search of the whole
//! text would, without rescanning it: a match that only holds because the text stops there (`\b` before the next delta) waits for what
//! follows. Knows nothing of rules.

use std::fmt;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use crate::text::floor_char_boundary;

/// How far before new text a match may begin, if the pattern itself sets no limit (`begin.*end`) or a higher one. Longer matches of
/// such patterns are found only if their last 4096 bytes match by themselves.
pub const LOOK_BACK: usize = 4096;

/// Characters in a pattern.
const LONGEST: usize = 4096;

/// Memory of a compiled pattern, in bytes. Generous for word lists, far below what could hurt a server.
const COMPILED: usize = 4 << 20;

/// Nesting of groups.
const NESTING: u32 = 100;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFault {
    /// What is wrong, with the place.
    pub message: String,
    /// What to do.
    pub help: Option<&'static str>,
}

/// One compiled pattern.
pub struct Pattern {
    regex: Regex,
    hir: Hir,
    /// Bytes of the longest match, capped at [`LOOK_BACK`].
    reach: usize,
    /// Whether a match's end may depend on what follows it (`\b`, `$`).
    looks_ahead: bool,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.as_str()).finish()
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A syntax error with its place, a pattern that is too large, or one that matches the empty text and so would match everywhere.
    pub fn new(source: &str) -> Result<Self, PatternFault> {
        let fault = |message: String, help| Err(PatternFault { message, help });
        if source.chars().count() > LONGEST {
            return fault(format!("is longer than {LONGEST} characters"), Some("split it into several patterns"));
        }
        let hir = match regex_syntax::ParserBuilder::new().nest_limit(NESTING).build().parse(source) {
            Ok(hir) => hir,
            Err(error) => return Err(syntax_fault(source, &error)),
        };
        let properties = hir.properties();
        match properties.minimum_len() {
            Some(0) => {
                return fault(
                    "matches the empty text, so it would match every answer".to_owned(),
                    Some("make it require at least one character"),
                );
            }
            None => return fault("can never match".to_owned(), None),
            Some(_) => {}
        }
        let Ok(regex) = RegexBuilder::new(source).nest_limit(NESTING).size_limit(COMPILED).build() else {
            return fault(
                "is too large when compiled".to_owned(),
                Some("use smaller repetitions, or (?-u:\\w) in place of \\w where ASCII is enough"),
            );
        };
        let reach = properties.maximum_len().map_or(LOOK_BACK, |longest| longest.min(LOOK_BACK));
        let looks_ahead = may_end_in_assertion(&hir);
        Ok(Pattern { regex, reach, looks_ahead, hir })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// Its syntax tree.
    pub(super) fn hir(&self) -> &Hir {
        &self.hir
    }

    /// Bytes of the longest match, if there is a limit.
    pub(super) fn longest(&self) -> Option<usize> {
        self.hir.properties().maximum_len()
    }

    /// A match that `text` decides and that was not decided by `text[..seen]` yet. `last`: nothing follows `text`.
    ///
    /// Called with growing texts, each time with the length before as `seen` and once with `last`, it finds a match in one of the calls
    /// exactly if the whole text has one (matches over 4096 bytes aside).
    #[must_use]
    pub fn find_new(&self, text: &str, seen: usize, last: bool) -> Option<Range<usize>> {
        self.new_matches(text, seen, last).next()
    }

    /// All of them.
    pub(super) fn new_matches<'t>(&'t self, text: &'t str, seen: usize, last: bool) -> impl Iterator<Item = Range<usize>> + 't {
        let seen = floor_char_boundary(text, seen);
        self.decided(text, seen.saturating_sub(self.reach), last).filter(move |found| {
            if !self.looks_ahead {
                return found.end > seen;
            }
            // Decided before, unless the text stopped at `seen` within a longer candidate from the same place.
            found.end >= seen || self.regex.find_at(&text[..seen], found.start).is_some_and(|before| before.end() == seen)
        })
    }

    /// A match in the text from 4096 bytes before `seen`, new or not.
    #[must_use]
    pub fn find_recent(&self, text: &str, seen: usize, last: bool) -> Option<Range<usize>> {
        self.recent_matches(text, seen, last).next()
    }

    /// All of them.
    pub(super) fn recent_matches<'t>(
        &'t self,
        text: &'t str,
        seen: usize,
        last: bool,
    ) -> impl Iterator<Item = Range<usize>> + 't {
        self.decided(text, seen.saturating_sub(LOOK_BACK), last)
    }

    /// The matches from `from` on that no further text can undo.
    fn decided<'t>(&'t self, text: &'t str, from: usize, last: bool) -> impl Iterator<Item = Range<usize>> + 't {
        let mut at = floor_char_boundary(text, from);
        std::iter::from_fn(move || {
            loop {
                let found = self.regex.find_at(text, at)?;
                if last || !self.looks_ahead || found.end() < text.len() {
                    at = found.end();
                    return Some(found.range());
                }
                // Open: something that begins later may be decided already.
                at = found.start() + text[found.start()..].chars().next().map_or(1, char::len_utf8);
            }
        })
    }
}

/// Whether an assertion may be the last thing that a match passes. (`Properties::look_set_suffix_any` does not see `$` in `a$b?`.)
fn may_end_in_assertion(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Look(_) => true,
        HirKind::Repetition(repetition) => may_end_in_assertion(&repetition.sub),
        HirKind::Capture(capture) => may_end_in_assertion(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().any(may_end_in_assertion),
        HirKind::Concat(parts) => {
            let solid = parts.iter().rposition(|part| part.properties().minimum_len() != Some(0)).unwrap_or(0);
            parts[solid..].iter().any(may_end_in_assertion)
        }
    }
}

fn syntax_fault(source: &str, error: &regex_syntax::Error) -> PatternFault {
    let (what, at) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start.offset),
        _ => (error.to_string(), 0),
    };
    let character = source.get(..at).map_or(1, |before| before.chars().count() + 1);
    let help = (what.contains("look-around") || what.contains("backreference"))
        .then_some("patterns are matched in linear time, which excludes look-around and backreferences");
    let what = what.trim_end_matches('.');
    PatternFault { message: format!("bad pattern at character {character}: {what}"), help }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small patterns over a small alphabet, rich in what makes ends uncertain.
    pub(in crate::policy) fn any_pattern() -> impl Strategy<Value = String> {
        const ATOMS: [&str; 18] = [
            "a",
            "b",
            "[ab]",
            "é",
            r"\b",
            r"\B",
            "a?",
            "b{1,3}",
            r"(a|ab)\b",
            r"(bb\b)?",
            r"\s",
            r"\w{0,3}",
            "$",
            "(?m:$)",
            "^",
            "(?m:^)",
            r"(?-u:\b)",
            "(ab|a|b[^a])",
        ];
        prop::collection::vec(prop::sample::select(&ATOMS[..]), 1..7).prop_map(|atoms| atoms.concat())
    }

    /// Feeds the text in pieces and returns the first match reported.
    fn first_found(pattern: &Pattern, pieces: &[&str]) -> Option<Range<usize>> {
        let (mut text, mut seen) = (String::new(), 0);
        for piece in pieces {
            text.push_str(piece);
            if let Some(found) = pattern.find_new(&text, seen, false) {
                return Some(found);
            }
            seen = text.len();
        }
        pattern.find_new(&text, seen, true)
    }

    #[test]
    fn a_phrase_is_found_across_pieces_and_word_boundaries_wait_for_what_follows() {
        let pattern = Pattern::new(r"(?i)\bproject nightfall\b").unwrap();
        assert_eq!(first_found(&pattern, &["About Proj", "ect night", "fall: no"]), Some(6..23));
        assert_eq!(first_found(&pattern, &["About project nightfall", "s in Oslo"]), None);
        assert_eq!(first_found(&pattern, &["About project nightfall", " in Oslo"]), Some(6..23));
        assert_eq!(first_found(&pattern, &["About project nightfall"]), Some(6..23));
        assert_eq!(first_found(&pattern, &["my", "project nightfall"]), None);
        assert_eq!(first_found(&pattern, &["私は", "project nightfall", "です。"]), None, "kana are word characters");
        assert_eq!(first_found(&pattern, &["「", "project nightfall", "」です。"]), Some(3..20));
    }

    #[test]
    fn a_match_is_reported_once() {
        let pattern = Pattern::new("abc").unwrap();
        assert_eq!(pattern.find_new("xxabc", 0, false), Some(2..5));
        assert_eq!(pattern.find_new("xxabcyy", 5, false), None);
        assert_eq!(pattern.find_new("xxabcyyabc", 7, false), Some(7..10));
        assert_eq!(pattern.find_recent("xxabcyy", 5, false), Some(2..5));
    }

    #[test]
    fn what_cannot_be_used_says_why_and_where() {
        let fault = |source: &str| {
            let fault = Pattern::new(source).unwrap_err();
            format!("{}{}", fault.message, fault.help.map(|help| format!("; {help}")).unwrap_or_default())
        };
        let sources = [
            r"(?i)\bfoo(bar",
            r"a{3,1}",
            r"(?<!a)b",
            r"(a)\1",
            "",
            r"a*",
            r"\b",
            r"\p{Klingon}",
            r"(\w{1000}){100}",
            r"[^\x00-\x{10FFFF}]",
            "é[",
        ];
        let lines: Vec<String> = sources.iter().map(|source| format!("{source:?}: {}", fault(source))).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert!(fault(&"a".repeat(5000)).contains("longer than"));
        assert!(fault(&"(".repeat(300)).contains("character"));
    }

    #[test]
    fn unlimited_patterns_look_back_a_bounded_way() {
        let pattern = Pattern::new("begin[^!]*end").unwrap();
        let near = format!("begin{}", "x".repeat(LOOK_BACK - 10));
        assert_eq!(pattern.find_new(&format!("{near}end"), near.len(), false), Some(0..near.len() + 3));
        let far = format!("begin{}", "x".repeat(LOOK_BACK + 10));
        assert_eq!(pattern.find_new(&format!("{far}end"), far.len(), false), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn pieces_find_what_the_whole_text_has(
            source in any_pattern(),
            pieces in prop::collection::vec("[abé .]{0,5}", 0..8),
        ) {
            let Ok(pattern) = Pattern::new(&source) else { return Ok(()) };
            let whole: String = pieces.concat();
            let found = first_found(&pattern, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(found.is_some(), pattern.regex.is_match(&whole), "{:?} in {:?}: {:?}", source, pieces, found);
            if let Some(found) = found {
                let again = pattern.regex.find_at(&whole, found.start);
                prop_assert_eq!(again.map(|again| again.start()), Some(found.start), "{:?} in {:?}", source, pieces);
            }
        }
    }
}

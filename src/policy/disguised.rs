//! What a text reads as, for `patterns`: invisible characters within a word, look-alike letters, digits in the place of letters and spaced
//! letters hide a word from a regular expression and not from a reader. Knows nothing of rules.

use std::ops::Range;

use super::patterns::{LOOK_BACK, Pattern};
use crate::normalize::{Normalized, normalize};
use crate::text::ceil_char_boundary;

/// How many bytes of a text a byte of a match may have been drawn out to. Three invisible characters after each letter are ten.
const DRAWN_OUT: usize = 10;

/// Bytes around a match that say how it reads.
const AROUND: usize = 32;

/// The most that is looked at in one go. Longer matches are found as they are written.
const FARTHEST: usize = 1024;

/// How far before new text a disguised match of these patterns is looked for; 0 if there are none.
pub(super) fn reach<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> usize {
    let longest = patterns.map(|pattern| pattern.longest().unwrap_or(LOOK_BACK)).max();
    longest.map_or(0, |longest| longest.saturating_mul(DRAWN_OUT).saturating_add(AROUND).min(FARTHEST))
}

/// Where the last word of a text begins, if what it reads as is not settled before it ends: `n1` is a number, and `n1ght` is not.
pub(super) fn unsettled(text: &str) -> Option<usize> {
    let near = &text[ceil_char_boundary(text, text.len().saturating_sub(AROUND))..];
    let word = near.rsplit(char::is_whitespace).next().unwrap_or_default();
    // Signs and digits that stand for letters, and the scripts that have Latin letters' doubles.
    let doubtful = |c| matches!(c, '0'..='9' | '@' | '$' | '!' | '\u{370}'..='\u{52f}');
    word.contains(doubtful).then_some(text.len() - word.len())
}

/// A part of a text as it reads.
pub(super) struct Undisguised<'t> {
    /// Where in the text it begins.
    from: usize,
    reads: Normalized<'t>,
    /// How much of it had been seen.
    seen: usize,
}

impl<'t> Undisguised<'t> {
    /// The text from `reach` bytes before `seen` on; `None` if it reads as it is written.
    pub(super) fn of(text: &'t str, seen: usize, reach: usize) -> Option<Self> {
        if reach == 0 {
            return None;
        }
        let seen = seen.min(text.len());
        let from = ceil_char_boundary(text, seen.saturating_sub(reach));
        let reads = normalize(&text[from..]);
        let seen = reads.normal(seen.saturating_sub(from));
        reads.is_changed().then_some(Undisguised { from, reads, seen })
    }

    /// A new match of a pattern, as bytes of the text.
    pub(super) fn find(&self, pattern: &Pattern, last: bool) -> Option<Range<usize>> {
        self.places(pattern.find_new(self.reads.text(), self.seen, last)?)
    }

    /// A match, new or not.
    pub(super) fn find_recent(&self, pattern: &Pattern, last: bool) -> Option<Range<usize>> {
        self.places(pattern.find_recent(self.reads.text(), self.seen, last)?)
    }

    /// How much of the text's end is the last `open` bytes of what it reads as, and what was left out after them.
    pub(super) fn open(&self, open: impl Fn(&str) -> usize, end: usize) -> usize {
        let reads = self.reads.text();
        match open(reads) {
            0 => 0,
            open => end - self.from - self.reads.original(reads.len() - open..reads.len()).start,
        }
    }

    fn places(&self, found: Range<usize>) -> Option<Range<usize>> {
        let Range { start, end } = self.reads.original(found);
        Some(self.from + start..self.from + end)
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{Calibration, Policy};
    use crate::verdict::Action;

    fn policy(more: &str) -> Policy {
        let text = format!("[[rule]]\nname = \"words\"\npatterns = ['(?i)\\bproject nightfall\\b']\naction = \"block\"\n{more}");
        Policy::parse(&text, None, &Calibration::NONE).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// Lets a text through character by character, as `hold` does; what left before it was stopped, and whether it was.
    fn stream(policy: &Policy, text: &str) -> (usize, bool) {
        let (mut seen, mut released) = (0, 0);
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        for end in ends.chain([text.len()]) {
            let last = seen == end;
            if crate::policy::tests::found(policy, &text[..end], seen, last).is_some_and(|action| action == Action::Block) {
                return (released, true);
            }
            released = released.max(end - if last { 0 } else { policy.open_tail(&text[..end]) });
            seen = end;
        }
        (released, false)
    }

    #[test]
    fn disguised_words_are_found_and_nothing_of_them_has_left() {
        let policy = policy("");
        for hidden in [
            "pro\u{200b}ject night\u{200d}fall",
            "p\u{200b}\u{200b}\u{200b}roject nightf\u{ad}all",
            "pr0ject n1ghtf4ll",
            "рrоjесt nightfаll", // some of the letters are Cyrillic
            "ｐｒｏｊｅｃｔ nightfall",
        ] {
            let text = format!("We call it {hidden}, and so on.");
            let (released, stopped) = stream(&policy, &text);
            assert!(stopped, "{hidden:?}");
            assert!(released <= "We call it ".len(), "{:?} left before {hidden:?} was stopped", &text[..released]);
        }
        let spaced = stream(&policy, "We call it p r o j e c t nightfall, and so on.");
        assert!(spaced.1, "though its first letters may have left, for they were no word yet");
        assert!(!stream(&policy, "We call it pro\u{200b}ject n\u{e4}chtfall, with 40 4x4 cars and a b c d e.").1);
    }

    #[test]
    fn a_rule_may_look_at_the_text_as_it_is_written() {
        let exact = policy("as_written = true");
        assert!(!stream(&exact, "It is project night\u{200b}fall.").1);
        assert!(stream(&exact, "It is project nightfall.").1);
        assert_eq!(exact.open_tail("It is pro\u{200b}j"), 0);
    }
}

//! What a text reads as, for `patterns`: invisible characters within a word, look-alike letters, digits in the place of letters and spaced
//! letters hide a word from a regular expression and not from a reader. Knows nothing of rules.

use std::cell::OnceCell;
use std::ops::Range;

use super::patterns::{LOOK_BACK, Pattern};
use crate::normalize::{Normalized, guessed, may_change, normalize, unseen};
use crate::text::floor_char_boundary;

/// Characters before a match that say how it reads.
const AROUND: usize = 32;

/// The most characters of a match that are looked for in disguise; longer ones are found as they are written.
const LONGEST: usize = 512;

/// The last characters of a text that may still come to read otherwise, in bytes: what is drawn out further is held no longer.
const UNSETTLED: usize = 256;

/// How many characters before new text a disguised match of these patterns may begin; 0 if there are no patterns.
pub(super) fn reach<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> usize {
    let longest = patterns.map(|pattern| pattern.longest().unwrap_or(LONGEST)).max();
    longest.map_or(0, |longest| longest.min(LONGEST) + AROUND)
}

/// A text's end as it reads, made when a rule first asks for it.
pub(super) struct Readings<'t> {
    text: &'t str,
    seen: usize,
    reach: usize,
    near: OnceCell<Option<Reading<'t>>>,
    far: OnceCell<Option<Reading<'t>>>,
}

impl<'t> Readings<'t> {
    /// Of a text of which `seen` bytes were there before. `reach`: see [`reach`].
    pub(super) fn new(text: &'t str, seen: usize, reach: usize) -> Self {
        let seen = floor_char_boundary(text, seen);
        Readings { text, seen, reach, near: OnceCell::new(), far: OnceCell::new() }
    }

    /// A new match of a pattern, as bytes of the text.
    pub(super) fn find(&self, pattern: &Pattern, last: bool) -> Option<Range<usize>> {
        let near = self.near.get_or_init(|| Reading::of(self.text, self.seen, back(&self.text[..self.seen], self.reach)));
        let near = near.as_ref()?;
        near.first(pattern.new_matches(near.reads.text(), near.seen, last))
    }

    /// A match as far back as matches of what is written are remembered, new or not.
    pub(super) fn find_recent(&self, pattern: &Pattern, last: bool) -> Option<Range<usize>> {
        let from = floor_char_boundary(self.text, self.seen.saturating_sub(LOOK_BACK));
        let far = self.far.get_or_init(|| Reading::of(self.text, self.seen, from));
        let far = far.as_ref()?;
        far.first(pattern.recent_matches(far.reads.text(), far.seen, last))
    }
}

/// Bytes at the end of `text` that may be the beginning of a match, by `open`: as it is written, as it reads, and as its last word may come
/// to read.
pub(super) fn open(text: &str, reach: usize, open: impl Fn(&str) -> usize) -> usize {
    let from = back(text, reach);
    let reads = Reading::of(text, text.len(), from).map_or(0, |reads| reads.open(&open));
    let known = open(text).max(reads);
    let Some(unsettled) = unsettled(text) else { return known };
    let before = normalize(&text[from.min(unsettled)..unsettled]);
    let length = text.len() - unsettled;
    let guesses = ['i', 'l'].map(|one| guessed(&text[unsettled..], one));
    // Letters that stand alone are a word, and the last of them may begin the next.
    let joined = |part: &str| part.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let next = guesses[0].rfind(|c: char| !c.is_alphanumeric()).unwrap_or(0);
    let spelled = [joined(&guesses[0]), joined(&guesses[0][..next]) + &guesses[0][next..]];
    guesses.into_iter().chain(spelled).fold(known, |known, guess| {
        let may_be = open(&format!("{}{guess}", before.text()));
        if may_be == 0 {
            return known;
        }
        let earlier = may_be.saturating_sub(guess.len()).min(before.text().len());
        let begin = before.original(before.text().len() - earlier..before.text().len()).start;
        known.max(unsettled - from.min(unsettled) - begin + length)
    })
}

/// A part of a text as it reads, where that is not as it is written.
struct Reading<'t> {
    /// Where in the text it begins.
    from: usize,
    /// Its bytes.
    length: usize,
    reads: Normalized<'t>,
    /// How much of it has been seen, and read the same then.
    seen: usize,
}

impl<'t> Reading<'t> {
    fn of(text: &'t str, seen: usize, from: usize) -> Option<Self> {
        let reads = normalize(&text[from..]);
        if !reads.is_changed() {
            return None;
        }
        // What follows may change how something reads: that counts as new.
        let before = normalize(&text[from..seen]);
        let same = before.text().bytes().zip(reads.text().bytes()).take_while(|(a, b)| a == b).count();
        let seen = floor_char_boundary(reads.text(), same);
        Some(Reading { from, length: text.len() - from, reads, seen })
    }

    /// The first of these matches in it, as bytes of the text. Where the text is cut is no beginning of a word or of the text, so one that
    /// begins there is none.
    fn first(&self, mut found: impl Iterator<Item = Range<usize>>) -> Option<Range<usize>> {
        let Range { start, end } = self.reads.original(found.find(|found| found.start > 0 || self.from == 0)?);
        Some(self.from + start..self.from + end)
    }

    /// How much of the text is behind what may be the beginning of a match.
    fn open(&self, open: impl Fn(&str) -> usize) -> usize {
        let reads = self.reads.text();
        match open(reads) {
            0 => 0,
            open => self.length - self.reads.original(reads.len() - open..reads.len()).start,
        }
    }
}

/// The place so many seen characters before the end of a text, at most [`LOOK_BACK`] bytes.
fn back(text: &str, characters: usize) -> usize {
    let from = text.len().saturating_sub(characters);
    if text.as_bytes()[from..].is_ascii() {
        return from;
    }
    let mut left = characters;
    for (at, c) in text.char_indices().rev() {
        if !unseen(c) {
            if left == 0 {
                return at + c.len_utf8();
            }
            left -= 1;
        }
        if text.len() - at >= LOOK_BACK {
            return at;
        }
    }
    0
}

/// Where the part of a text's end begins that may come to read otherwise by what follows: a word with a digit, a sign or a look-alike in it
/// (`n1` is a number, and `n1ght` is not), or letters with separators between them.
fn unsettled(text: &str) -> Option<usize> {
    let near = floor_char_boundary(text, text.len().saturating_sub(UNSETTLED));
    let end = &text[near..];
    if end.bytes().rev().take(2).all(|b| b.is_ascii_alphabetic()) && plain_word(end) {
        return None;
    }
    let word = end.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = if word.contains(may_change) { word.len() } else { 0 };
    match word.max(spelled_out(end)) {
        0 => None,
        length => Some(text.len() - length),
    }
}

/// Whether a text ends with a word of ASCII letters: the end of nearly every piece of a stream.
fn plain_word(text: &str) -> bool {
    text.bytes().rev().find(|b| !b.is_ascii_alphabetic()).is_none_or(|b| b.is_ascii_whitespace())
}

/// Bytes of the letters at a text's end that stand alone, with a separator after each of them but the last perhaps; 0 for fewer than two.
fn spelled_out(text: &str) -> usize {
    let mut letters = 0;
    let mut begin = text.len();
    let mut rest = text.char_indices().rev().peekable();
    if rest.peek().is_some_and(|(_, c)| !c.is_alphanumeric()) {
        rest.next();
    }
    while let Some((at, c)) = rest.next() {
        let alone = rest.peek().is_none_or(|(_, before)| !before.is_alphanumeric());
        if !c.is_alphanumeric() || !alone {
            break;
        }
        (letters, begin) = (letters + 1, at);
        rest.next();
    }
    if letters < 2 { 0 } else { text.len() - begin }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::normalize::normalize;
    use crate::policy::tests::found;
    use crate::policy::{Calibration, Policy};

    fn policy(pattern: &str, more: &str) -> Policy {
        let text = format!("[[rule]]\nname = \"words\"\npatterns = ['{pattern}']\naction = \"block\"\n{more}");
        Policy::parse(&text, None, &Calibration::NONE).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// Lets a text through piece by piece, as `hold` does; how much left before it was stopped, if it was.
    fn stream<'t>(policy: &Policy, pieces: impl Iterator<Item = &'t str>) -> (usize, bool) {
        let (mut text, mut seen, mut released) = (String::new(), 0, 0);
        for piece in pieces.map(Some).chain([None]) {
            text.push_str(piece.unwrap_or_default());
            if found(policy, &text, seen, piece.is_none()).is_some() {
                return (released, true);
            }
            released = released.max(text.len() - if piece.is_some() { policy.open_tail(&text) } else { 0 });
            seen = text.len();
        }
        (released, false)
    }

    fn by_character(policy: &Policy, text: &str) -> (usize, bool) {
        stream(policy, text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]))
    }

    #[test]
    fn disguised_words_are_found_and_nothing_of_them_has_left() {
        let policy = policy(r"(?i)\bproject nightfall\b", "");
        for hidden in [
            "pro\u{200b}ject night\u{200d}fall",
            "p\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}roject nightf\u{ad}all",
            "pr0ject n1ghtf4ll",
            "project n1\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}ghtfall",
            "рrоjесt nightfаll", // some of the letters are Cyrillic
            "prօject nightfall", // one is Armenian
            "ｐｒｏｊｅｃｔ nightfall",
        ] {
            let text = format!("We call it {hidden}, and so on.");
            let (released, stopped) = by_character(&policy, &text);
            assert!(stopped, "{hidden:?}");
            assert!(released <= "We call it ".len(), "{:?} left before {hidden:?} was stopped", &text[..released]);
        }
        for spaced in ["p r o j e c t nightfall", "p.r.o.j.e.c.t nightfall"] {
            let text = format!("We call it {spaced}, and so on.");
            let (released, stopped) = by_character(&policy, &text);
            assert!(stopped && released <= "We call it p ".len(), "{:?} left of {spaced:?}", &text[..released]);
        }
        assert!(!by_character(&policy, "We call it pro\u{200b}ject n\u{e4}chtfall, with 40 4x4 cars and a b c d e.").1);
    }

    #[test]
    fn what_follows_may_change_what_was_seen() {
        for (pattern, pieces) in [
            ("(?i)kike", ["кіке", "s"]),
            ("(?i)babe", ["b4b3", "s"]),
            ("(?i)café", ["cafe", "\u{301}"]),
            (r"(?i)\bproject nightfall\b", ["project n1ghtfall-4", "ever"]),
        ] {
            assert!(stream(&policy(pattern, ""), pieces.into_iter()).1, "{pattern} in {pieces:?}");
        }
    }

    #[test]
    fn a_rule_may_look_at_the_text_as_it_is_written() {
        let exact = policy(r"(?i)\bproject nightfall\b", "as_written = true");
        assert!(!by_character(&exact, "It is project night\u{200b}fall.").1);
        assert!(by_character(&exact, "It is project nightfall.").1);
        assert_eq!(exact.open_tail("It is pro\u{200b}j"), 0);
    }

    #[test]
    fn a_word_is_remembered_in_disguise_as_it_is_when_written() {
        let more = "when = \"session.turns > 2\"";
        let policy = policy(r"(?i)\bdie\b", more);
        let text = format!("Please d1e. {}", "And so on. ".repeat(30));
        assert!(crate::policy::tests::found_in_turn(&policy, &text, 200, 3).is_some());
        assert!(crate::policy::tests::found_in_turn(&policy, &text, 200, 1).is_none());
    }

    #[test]
    fn what_only_begins_where_the_text_is_cut_hides_nothing_behind_it() {
        let policy = policy(r"(?i)\bdie\b", "when = \"session.turns > 2\"");
        let found = |text: &str| crate::policy::tests::found_in_turn(&policy, text, 2 + super::LOOK_BACK, 3).is_some();
        // Looked at from its third byte on, `xxdie` begins with a word that it does not have.
        let cut = format!("xxdie {}", "And so on. ".repeat(390));
        assert!(!found(&format!("{cut} h4te")), "{}", cut.len());
        assert!(found(&format!("{cut} d1e now")));
    }

    #[test]
    fn what_can_be_no_beginning_of_a_match_leaves_at_once() {
        let policy = policy(r"(?i)\bproject nightfall\b", "");
        for plain in
            ["finished in the spring of 1874", "it costs $5", "all is well, I will", "вполне", "a b c", "It was GPT-4", "b@"]
        {
            assert_eq!(policy.open_tail(plain), 0, "{plain:?}");
        }
        assert_eq!(policy.open_tail("We call it pr0"), 3);
        assert_eq!(policy.open_tail("We call it project n1"), 10);
    }

    #[test]
    fn a_text_goes_on_whatever_its_end_may_come_to() {
        let policy = policy(r"(?i)\bproject nightfall\b", "");
        for endless in ["1", "\u{200b}", "ж", "a.", "k"] {
            let text = endless.repeat(2000);
            assert!(policy.open_tail(&text) <= 600, "{endless:?}: {}", policy.open_tail(&text));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_the_whole_text_reads_as_is_found_in_pieces(
            pieces in prop::collection::vec("[kil14!sк\u{456}\u{200b}\u{301} .e-]{0,4}", 0..8),
            pattern in prop::sample::select(&["(?i)kil", "(?i)kill?s?", r"(?i)\bkil\b", "(?i)like", "(?i)sk[ie]"][..]),
        ) {
            let whole = pieces.concat();
            let regex = regex::Regex::new(pattern).unwrap();
            let (_, stopped) = stream(&policy(pattern, ""), pieces.iter().map(String::as_str));
            let matches = regex.is_match(&whole) || regex.is_match(normalize(&whole).text());
            prop_assert!(stopped || !matches, "{} in {:?}, read as {:?}", pattern, pieces, normalize(&whole).text());
        }
    }
}

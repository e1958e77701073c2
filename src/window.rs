//! Windows: how a growing text is cut into overlapping pieces to score. Counts tokens by estimate, so it needs no tokenizer; the
//! scorer splits what turns out longer than its model takes, and nothing is truncated.
//!
//! A streamed text gets a short first window (for the time to first text), then one for every `stride` new tokens, each with as much
//! of the text before it as fits in `tokens`. A text that arrives at once advances by `tokens - stride`, so neighbours overlap by
//! `stride` tokens and nothing can hide on a seam.

use std::collections::VecDeque;
use std::ops::Range;

use crate::policy::WindowSpec;

/// New tokens that make a stream's first window: about a sentence, which at 5 ms a token is 120 ms. Fewer would ask the model about
/// half a clause; more would delay the first text for nothing, since the next window sees these tokens again.
pub const FIRST_TOKENS: usize = 24;

/// The characters of a word that count as one token. Wordpiece vocabularies split English words at about this length.
const WORD_CHARS: u32 = 7;

/// What a character is to the estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Space,
    Word,
    /// A token of its own: punctuation, CJK, symbols.
    Single,
}

fn classify(c: char) -> Class {
    match c {
        c if c.is_ascii_alphanumeric() => Class::Word,
        c if c.is_ascii() => {
            if c.is_ascii_whitespace() || c.is_ascii_control() {
                Class::Space
            } else {
                Class::Single
            }
        }
        // Kana, Han, Hangul and everything after: one token a character is what BERT-like vocabularies do with them.
        c if c as u32 >= 0x2E80 => Class::Single,
        c if c.is_whitespace() => Class::Space,
        c if c.is_alphanumeric() => Class::Word,
        _ => Class::Single,
    }
}

/// Estimates where tokens begin in a text that grows.
#[derive(Clone, Debug, Default)]
struct Tokens {
    /// Byte offsets of the tokens that a window may still need.
    starts: VecDeque<usize>,
    /// Tokens dropped from the front.
    dropped: usize,
    class: Class,
    run: u32,
}

impl Tokens {
    fn push(&mut self, text: &str, base: usize) {
        for (offset, c) in text.char_indices() {
            let class = classify(c);
            let begins = match class {
                Class::Space => false,
                Class::Single => true,
                // Non-ASCII words (Cyrillic, accented Latin) split into more pieces: count each such letter double.
                Class::Word => {
                    let begins = self.class != Class::Word || self.run >= WORD_CHARS;
                    if begins {
                        self.run = 0;
                    }
                    self.run += if c.is_ascii() { 1 } else { 2 };
                    begins
                }
            };
            self.class = class;
            if begins {
                self.starts.push_back(base + offset);
            }
        }
    }

    fn total(&self) -> usize {
        self.dropped + self.starts.len()
    }

    /// Byte offset at which token `index` begins; `len` past the last.
    fn start(&self, index: usize, len: usize) -> usize {
        self.starts.get(index.saturating_sub(self.dropped)).copied().unwrap_or(len)
    }

    fn forget_before(&mut self, index: usize) {
        while self.dropped < index && self.starts.pop_front().is_some() {
            self.dropped += 1;
        }
    }
}

/// How many tokens a text has, by the same estimate.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    let mut tokens = Tokens::default();
    tokens.push(text, 0);
    tokens.total()
}

/// Cuts one lane's text into windows.
#[derive(Clone, Debug)]
pub struct Windower {
    spec: WindowSpec,
    tokens: Tokens,
    len: usize,
    /// Tokens and bytes that windows have covered.
    covered: (usize, usize),
    counts: bool,
}

impl Windower {
    /// A windower for an empty text.
    #[must_use]
    pub fn new(spec: WindowSpec) -> Self {
        Windower { spec, tokens: Tokens::default(), len: 0, covered: (0, 0), counts: true }
    }

    /// One that counts no tokens: for text that is covered as it comes ([`Windower::cover`]).
    #[must_use]
    pub fn uncounted(spec: WindowSpec) -> Self {
        Windower { counts: false, ..Windower::new(spec) }
    }

    /// Takes in more of the text.
    pub fn push(&mut self, text: &str) {
        if self.counts {
            self.tokens.push(text, self.len);
        }
        self.len += text.len();
    }

    /// Covers the text up to `end` with one window, however long, and counts no tokens from now on: where nobody scores, a window ends
    /// where an event does. Returns what is new in it.
    pub fn cover(&mut self, end: usize) -> Range<usize> {
        self.counts = false;
        self.tokens = Tokens::default();
        let seen = std::mem::replace(&mut self.covered, (0, end)).1;
        seen..end
    }

    /// Bytes covered by windows so far.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.covered.1
    }

    /// Bytes in no window yet.
    #[must_use]
    pub fn fresh(&self) -> usize {
        self.len - self.covered.1
    }

    /// Whether some text is in no window yet.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.covered.1 < self.len
    }

    /// Whether enough text has come for a window.
    #[must_use]
    pub fn due(&self) -> bool {
        let fresh = self.tokens.total() - self.covered.0;
        let wanted = if self.covered.1 == 0 { FIRST_TOKENS.min(self.spec.stride) } else { self.spec.stride };
        self.pending() && fresh >= wanted
    }

    /// Whether enough text has come for a window of full size.
    #[must_use]
    pub fn full(&self) -> bool {
        self.tokens.total() - self.covered.0 >= self.spec.tokens
    }

    /// The next window over text that is in none yet, whether due or not; `None` when all is covered. Call until `None`.
    /// Returns the window's bytes. What is new in it begins at [`Windower::covered`] as it was before the call.
    pub fn cut(&mut self) -> Option<Range<usize>> {
        if !self.pending() {
            return None;
        }
        let (covered_tokens, covered_bytes) = self.covered;
        let total = self.tokens.total();
        // Characters that begin no token (spaces) can be all that is pending.
        let fresh = total - covered_tokens;
        let (first, end_token, end) = if fresh <= self.spec.tokens {
            // All of it, with as much before it as fits.
            (total.saturating_sub(self.spec.tokens), total, self.len)
        } else {
            // Too much for one window: advance by tokens − stride past what is covered.
            let step = if covered_tokens == 0 { self.spec.tokens } else { (self.spec.tokens - self.spec.stride).max(1) };
            let end_token = (covered_tokens + step).min(total);
            (end_token.saturating_sub(self.spec.tokens), end_token, self.tokens.start(end_token, self.len))
        };
        let start = if first == 0 { 0 } else { self.tokens.start(first, self.len) }.min(covered_bytes);
        self.covered = (end_token, end);
        self.tokens.forget_before(end_token.saturating_sub(self.spec.tokens));
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPEC: WindowSpec = WindowSpec { tokens: 128, stride: 48 };

    fn words(n: usize) -> String {
        (0..n).map(|i| format!("w{} ", i % 10)).collect()
    }

    #[test]
    fn estimates_words_punctuation_and_kana() {
        assert_eq!(estimate_tokens("Hello, world."), 4);
        assert_eq!(estimate_tokens("こんにちは"), 5);
        assert_eq!(estimate_tokens("internationalisation"), 3);
        assert_eq!(estimate_tokens("   "), 0);
    }

    #[test]
    fn the_first_window_is_short_and_later_ones_look_back() {
        let mut windower = Windower::new(SPEC);
        windower.push(&words(23));
        assert!(!windower.due());
        windower.push("more ");
        assert!(windower.due());
        assert_eq!(windower.cut(), Some(0..windower.len));
        windower.push(&words(47));
        assert!(!windower.due());
        windower.push("x ");
        assert!(windower.due());
        let window = windower.cut().unwrap();
        assert_eq!((window.start, window.end), (0, windower.len));
        windower.push(&words(100));
        let window = windower.cut().unwrap();
        assert!(window.start > 0, "a window holds at most {} tokens", SPEC.tokens);
        assert_eq!(windower.cut(), None);
    }

    #[test]
    fn what_is_covered_as_it_is_needs_no_tokens() {
        let mut windower = Windower::new(SPEC);
        windower.push(&words(23));
        assert_eq!(windower.cover(windower.len), 0..windower.len);
        windower.push("more ");
        assert!(windower.pending() && !windower.due() && !windower.full());
        assert_eq!(windower.cover(windower.len), windower.len - 5..windower.len);
        assert!(!windower.pending());
    }

    #[test]
    fn a_text_that_comes_at_once_advances_with_overlap() {
        let text = words(500);
        let mut windower = Windower::new(SPEC);
        windower.push(&text);
        let windows: Vec<_> = std::iter::from_fn(|| windower.cut()).collect();
        assert_eq!(windows.len(), 6);
        for pair in windows.windows(2) {
            let overlap = estimate_tokens(&text[pair[1].start..pair[0].end]);
            assert!(overlap >= SPEC.stride, "overlap of {overlap} tokens");
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_in_a_window_and_windows_are_bounded(parts in prop::collection::vec("[a-zA-Zé日 .\\n😀]{0,60}", 0..40), cut_when_due in any::<bool>()) {
            let mut windower = Windower::new(WindowSpec { tokens: 32, stride: 8 });
            let mut text = String::new();
            let mut covered = 0;
            let mut check = |windower: &mut Windower, text: &str| {
                while let Some(window) = windower.cut() {
                    prop_assert!(window.start <= covered && window.end > covered, "{window:?} after {covered}");
                    prop_assert!(text.is_char_boundary(window.start) && text.is_char_boundary(window.end));
                    prop_assert!(estimate_tokens(&text[window.clone()]) <= 33);
                    covered = window.end;
                }
                Ok(())
            };
            for part in &parts {
                text.push_str(part);
                windower.push(part);
                if !cut_when_due || windower.due() {
                    check(&mut windower, &text)?;
                }
            }
            check(&mut windower, &text)?;
            prop_assert_eq!(covered, text.len());
        }
    }
}

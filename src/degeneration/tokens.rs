//! The words of a stretch of prose, hashed, with their places: whole words where words are written apart, single characters in Chinese
//! and Japanese. Numbers that begin list items are left out, so that a numbered loop is a loop.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use crate::detect::prose::{Part, Prose};
use crate::text::ceil_char_boundary;

/// At most so many, the last ones.
const MOST: usize = 1_200;

/// A word or a character.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// Of its lower-case form.
    pub hash: u64,
    pub start: u32,
    pub end: u32,
    /// It has letters in it and is no single letter.
    pub letters: bool,
    /// It is a Chinese or Japanese character.
    pub character: bool,
}

impl Token {
    /// Bytes of the text.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Behind the address that begins at `at`; `None` where none does.
pub(super) fn address_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    // Asked at each word: nearly all are told by their first letter.
    if !rest.starts_with('h') || !(rest.starts_with("https://") || rest.starts_with("http://")) {
        return None;
    }
    let closes = |c: char| c.is_whitespace() || matches!(c, ')' | ']' | '>' | '"');
    Some(rest.find(closes).map_or(text.len(), |length| at + length))
}

/// The tokens of what is neither code nor table.
pub(super) fn tokens(text: &str, prose: &Prose<'_>) -> Vec<Token> {
    // Seeded per call: nothing outside can aim at collisions.
    let hasher = RandomState::new();
    let mut lower: Vec<u8> = Vec::new();
    let mut tokens = Vec::new();
    for (range, part) in prose.parts() {
        if matches!(part, Part::Code | Part::Table) {
            continue;
        }
        let mut word: Option<(usize, bool)> = None;
        let piece = &text[range.clone()];
        let mut put = |start: usize, end: usize, letters: bool, character: bool| {
            let (start, end) = (range.start + start, range.start + end);
            if !letters && begins_line(text, start) {
                return;
            }
            // "3 x 3 x 3", "A G E D": a single letter is a symbol.
            let letters = letters && (character || text[start..end].chars().nth(1).is_some());
            let word = &text[start..end];
            let hash = if word.is_ascii() {
                // The same as of a text, and no allocation: nearly all words of most languages.
                lower.clear();
                lower.extend_from_slice(word.as_bytes());
                lower.make_ascii_lowercase();
                hasher.hash_one(&*lower)
            } else {
                hasher.hash_one(word.to_lowercase().as_bytes())
            };
            let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else { return };
            tokens.push(Token { hash, start, end, letters, character });
        };
        let mut skip = 0;
        for (at, c) in piece.char_indices() {
            if at < skip {
                continue;
            }
            // Addresses say again what the words beside them say.
            if word.is_none()
                && let Some(end) = address_end(piece, at)
            {
                skip = end;
                continue;
            }
            let apart = is_character(c);
            if c == 'ー' {
                // A long vowel is drawn out at will.
                continue;
            }
            if c.is_alphanumeric() && !apart {
                let letters = c.is_alphabetic() || word.is_some_and(|(_, letters)| letters);
                word = Some((word.map_or(at, |(start, _)| start), letters));
                continue;
            }
            let inside = matches!(c, '\'' | '’') && piece[at + c.len_utf8()..].starts_with(char::is_alphabetic);
            if word.is_some() && inside {
                continue;
            }
            if let Some((start, letters)) = word.take() {
                put(start, at, letters, false);
            }
            if apart {
                put(at, at + c.len_utf8(), true, true);
            }
        }
        if let Some((start, letters)) = word {
            put(start, piece.len(), letters, false);
        }
    }
    if tokens.len() > MOST {
        tokens.drain(..tokens.len() - MOST);
    }
    tokens
}

/// Han and kana: scripts that write no spaces between words.
pub(super) const fn is_character(c: char) -> bool {
    matches!(c as u32, 0x3040..=0x30FA | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF | 0xFF66..=0xFF9D)
}

/// Whether nothing but marks of a list or a heading stands before `at` on its line.
pub(super) fn begins_line(text: &str, at: usize) -> bool {
    const MARKS: usize = 256;
    let before = text[ceil_char_boundary(text, at.saturating_sub(MARKS))..at].trim_end_matches([' ', '\t', '*', '#', '(']);
    before.ends_with('\n') || (before.is_empty() && at <= MARKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_characters_and_list_numbers() {
        let text = "1. It's 5 o'clock\n2. 東京へ行く `code` https://a.b/c (ok)";
        let prose = Prose::read(text, 0, true);
        let words: Vec<&str> = tokens(text, &prose).iter().map(|token| &text[token.range()]).collect();
        assert_eq!(words, ["It's", "5", "o'clock", "東", "京", "へ", "行", "く", "ok"]);
    }
}

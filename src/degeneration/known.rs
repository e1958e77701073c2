//! The words that the skim looks out for among all words of an answer, by their hashes: little words that tell a language, and the ends of
//! what is recited of web pages. Most words are told to be none of them by one bit.

use std::sync::LazyLock;

use super::chrome::PHRASES;
use super::skim::{hash, join};
use super::tokens::is_character;
use super::tongues::{LITTLE, Tongues};

/// Places of the table. A power of two, and several times as many as there are words.
const PLACES: usize = 1024;

/// What a word may be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    hash: u64,
    /// The languages that it is a little word of; none: 0.
    pub tongues: Tongues,
    /// A part of a web page may end with it.
    pub ends_page: bool,
}

/// The words.
#[derive(Debug)]
pub(super) struct Known {
    filter: Filter,
    words: Box<[Word; PLACES]>,
    pages: Filter,
    /// Hashes of the last two words, or four characters, of what is recited of pages; ascending.
    ends: Vec<u64>,
}

/// Says of most hashes that are not in it that they are not.
#[derive(Debug)]
struct Filter([u64; 64]);

impl Filter {
    const fn place(hash: u64) -> (usize, u64) {
        ((hash >> 58) as usize, 1 << (hash >> 52 & 63))
    }

    fn add(&mut self, hash: u64) {
        let (block, bit) = Filter::place(hash);
        self.0[block] |= bit;
    }

    #[inline]
    fn may_hold(&self, hash: u64) -> bool {
        let (block, bit) = Filter::place(hash);
        self.0[block] & bit != 0
    }
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known =
        Known { filter: Filter([0; 64]), words: Box::new([Word::default(); PLACES]), pages: Filter([0; 64]), ends: Vec::new() };
    for (tongues, words) in LITTLE {
        for word in words {
            known.entry(hash(word.as_bytes())).tongues |= tongues;
        }
    }
    for phrase in PHRASES.iter().copied().flatten() {
        let words: Vec<u64> = if phrase.starts_with(is_character) {
            let characters = phrase.chars().filter(|c| is_character(*c));
            characters.map(|c| hash(c.encode_utf8(&mut [0; 4]).as_bytes())).collect()
        } else {
            phrase
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(|word| hash(word.as_bytes()))
                .collect()
        };
        let of = if phrase.starts_with(is_character) { 4 } else { 2 };
        let end = join(&words[words.len() - of..]);
        known.pages.add(end);
        known.ends.push(end);
        if of == 2 {
            known.entry(words[words.len() - 1]).ends_page = true;
        }
    }
    known.ends.sort_unstable();
    known
});

/// The words, made ready once.
pub(super) fn known() -> &'static Known {
    &KNOWN
}

impl Known {
    fn entry(&mut self, hash: u64) -> &mut Word {
        self.filter.add(hash);
        let mut at = Known::place(hash);
        while self.words[at].hash != 0 && self.words[at].hash != hash {
            at = (at + 1) % PLACES;
        }
        self.words[at].hash = hash;
        &mut self.words[at]
    }

    const fn place(hash: u64) -> usize {
        (hash >> 20) as usize % PLACES
    }

    /// What the word with this hash is, if it is one of them.
    #[inline]
    pub fn word(&self, hash: u64) -> Option<Word> {
        if !self.filter.may_hold(hash) {
            return None;
        }
        let mut at = Known::place(hash);
        while self.words[at].hash != 0 {
            if self.words[at].hash == hash {
                return Some(self.words[at]);
            }
            at = (at + 1) % PLACES;
        }
        None
    }

    /// Whether a part of a web page may end with these words.
    #[inline]
    pub fn ends_page(&self, words: &[u64]) -> bool {
        let end = join(words);
        self.pages.may_hold(end) && self.ends.binary_search(&end).is_ok()
    }
}

//! Sentences that change their language from word to word, told by the little words of languages in Latin letters: `the paste lleva una
//! spoon of the aceite und wird then gerührt con las hands`. A name or a title brings a foreign little word and comes with capitals or
//! marks; a sentence that goes to and fro is no language's. Knows words that are one language's alone, and of the Romance ones shared.

use std::ops::Range;

use super::tokens::{address_end, is_character};
use super::{Symptom, excerpt};
use crate::detect::prose::{Part, Prose};
use crate::text::floor_char_boundary;

/// How far before the new text the changes may begin, in bytes.
pub(super) const REACH: usize = 400;
/// Changes of language within a sentence that are worth a note.
pub(super) const FEW: usize = 3;
/// How many different little words of the sentence's other languages there must be.
const DISTINCT: usize = 2;

/// Languages, a bit each.
pub(super) type Tongues = u8;

const EN: Tongues = 1;
const ES: Tongues = 2;
const DE: Tongues = 4;
const FR: Tongues = 8;
const IT: Tongues = 16;
const PT: Tongues = 32;
const NL: Tongues = 64;
/// What several Romance languages write alike, and some others in passing.
const ROMANCE: Tongues = ES | FR | IT | PT;

/// Little words by language, in lower case, of up to eight bytes. A word that any other language of Europe writes often is none of them,
/// but for the last group: whoever writes Danish or Catalan meets one group alone and changes nothing.
pub(super) const LITTLE: [(Tongues, &[&str]); 8] = [
    (
        EN,
        &[
            "the", "and", "with", "that", "this", "which", "from", "your", "they", "been", "would", "their", "these", "could",
            "should", "because", "there", "when", "then", "very", "where", "were", "you", "what", "into", "about", "through",
        ],
    ),
    (ES, &["los", "las", "pero", "muy", "más", "cuando", "donde", "hasta", "siempre", "también", "entonces", "ellos", "nuestro"]),
    (
        DE,
        &[
            "und", "nicht", "eine", "einen", "einem", "einer", "für", "auch", "oder", "wird", "werden", "ist", "sich", "dann",
            "wenn", "durch", "noch", "sehr", "auf", "wir", "zu", "von", "kann", "sind", "weil",
        ],
    ),
    (
        FR,
        &[
            "les", "dans", "avec", "cette", "vous", "nous", "sont", "une", "leur", "leurs", "elle", "très", "été", "comme",
            "aussi",
        ],
    ),
    (IT, &["che", "della", "delle", "sono", "gli", "anche", "nel", "nella", "questo", "degli", "più", "perché"]),
    (PT, &["não", "uma", "são", "você", "também", "pelo", "pela", "muito"]),
    (NL, &["het", "een", "niet", "zijn", "ook", "naar", "voor", "maar", "worden"]),
    (ROMANCE, &["la", "un", "una", "con", "que", "del", "por", "para", "le", "et", "est", "lo", "el", "se", "al", "su"]),
];

/// Places of the table below. A power of two.
const PLACES: usize = 512;

/// The little words, each where its key leads or behind it.
static TABLE: [(u64, Tongues); PLACES] = {
    let mut table = [(0, 0); PLACES];
    let mut group = 0;
    while group < LITTLE.len() {
        let (tongues, words) = LITTLE[group];
        let mut at = 0;
        while at < words.len() {
            let key = key(words[at].as_bytes());
            let mut place = place(key);
            while table[place].0 != 0 {
                place = (place + 1) % PLACES;
            }
            table[place] = (key, tongues);
            at += 1;
        }
        group += 1;
    }
    table
};

/// A word of up to eight bytes as a number.
const fn key(word: &[u8]) -> u64 {
    let mut letters = [0; 8];
    let mut at = 0;
    while at < word.len() {
        letters[at] = word[at];
        at += 1;
    }
    u64::from_le_bytes(letters)
}

const fn place(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize
}

/// The languages that a little word may be of, as it is written; 0 for any other word.
pub(super) fn tongues(word: &[u8]) -> Tongues {
    if !(2..=8).contains(&word.len()) {
        return 0;
    }
    let key = key(word);
    let mut at = place(key);
    while TABLE[at].0 != 0 {
        if TABLE[at].0 == key {
            return TABLE[at].1;
        }
        at = (at + 1) % PLACES;
    }
    0
}

/// Counts changes of language from one little word to the next: a new one begins where no language has all words since the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    now: Tongues,
}

impl Changes {
    /// Takes the next little word; whether the language changed.
    pub fn push(&mut self, tongues: Tongues) -> bool {
        let both = self.now & tongues;
        let changed = self.now != 0 && both == 0;
        self.now = if both == 0 { tongues } else { both };
        changed
    }
}

/// A word of a sentence that is looked at.
#[derive(Debug)]
struct Word {
    range: Range<usize>,
    tongues: Tongues,
    capital: bool,
}

/// A sentence whose little words go to and fro between languages.
pub(super) fn alternating(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = floor_char_boundary(text, seen.saturating_sub(REACH)).max(prose.start());
    let mut best: Option<Symptom> = None;
    let mut sentence: Vec<Word> = Vec::new();
    for (range, part) in prose.parts() {
        if range.end <= from {
            continue;
        }
        if part != Part::Prose {
            best = super::stronger(best, judged(text, &sentence, seen));
            sentence.clear();
            continue;
        }
        let begin = range.start.max(from);
        let mut word: Option<usize> = None;
        let piece = &text[begin..range.end];
        let mut skip = 0;
        for (at, c) in piece.char_indices() {
            if at < skip {
                continue;
            }
            // Addresses are no words.
            if word.is_none()
                && let Some(end) = address_end(piece, at)
            {
                skip = end;
                best = super::stronger(best, judged(text, &sentence, seen));
                sentence.clear();
                continue;
            }
            let inside = || matches!(c, '\'' | '’') && piece[at + c.len_utf8()..].starts_with(char::is_alphabetic);
            if c.is_alphanumeric() && !is_character(c) || (word.is_some() && (c == 'ー' || inside())) {
                word = word.or(Some(at));
                continue;
            }
            if let Some(start) = word.take() {
                sentence.push(Word::new(text, begin + start..begin + at));
            }
            // A comma joins where a space follows it.
            if c != ' ' && !(c == ',' && piece[at + 1..].starts_with(' ')) {
                best = super::stronger(best, judged(text, &sentence, seen));
                sentence.clear();
            }
        }
        if let Some(start) = word {
            sentence.push(Word::new(text, begin + start..range.end));
        }
    }
    super::stronger(best, judged(text, &sentence, seen))
}

impl Word {
    fn new(text: &str, range: Range<usize>) -> Self {
        let word = &text[range.clone()];
        Word { tongues: tongues(word.as_bytes()), capital: word.starts_with(char::is_uppercase), range }
    }
}

fn judged(text: &str, words: &[Word], seen: usize) -> Option<Symptom> {
    if words.last()?.range.end <= seen {
        return None;
    }
    let little: Vec<&Word> =
        words.iter().enumerate().filter(|(at, word)| word.tongues != 0 && !in_a_name(words, *at)).map(|(_, word)| word).collect();
    let mut changes = Changes::default();
    let at: Vec<usize> = (0..little.len()).filter(|at| changes.push(little[*at].tongues)).collect();
    if at.len() < FEW {
        return None;
    }
    let end = little[at[at.len() - 1]].range.end;
    if end <= seen {
        return None;
    }
    // The language of the most words is the sentence's; the others are in the wrong place.
    let count = |tongue: Tongues| little.iter().filter(|word| word.tongues & tongue != 0).count();
    let most = [EN, ES, DE, FR, IT, PT, NL].into_iter().max_by_key(|tongue| count(*tongue))?;
    let mut others: Vec<&str> =
        little.iter().filter(|word| word.tongues & most == 0).map(|word| &text[word.range.clone()]).collect();
    others.sort_unstable();
    others.dedup();
    let score = match (at.len(), others.len()) {
        (_, 0..DISTINCT) => return None,
        (FEW, DISTINCT) => 0.6,
        _ => 0.92,
    };
    let range = little[at[0].saturating_sub(1)].range.start..end;
    let what = format!("changes its language {} times within a sentence: {:?}", at.len(), excerpt(&text[range.clone()]));
    Some(Symptom { score, range, what })
}

/// Whether the nearest words that are not little ones have capitals, on both sides: `Ludwig van der Rohe`.
fn in_a_name(words: &[Word], at: usize) -> bool {
    // "de", "der" and "di" belong to the name.
    let content = |word: &&Word| word.capital || (word.tongues == 0 && word.range.len() > 3);
    let before = words[..at].iter().rev().take(4).find(content);
    let after = words[at + 1..].iter().take(4).find(content);
    before.is_some_and(|word| word.capital) && after.is_some_and(|word| word.capital)
}

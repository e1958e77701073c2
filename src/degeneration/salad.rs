//! Broken characters, and word salad as far as it can be told without a model: little words doubled and strung together as no language
//! strings them. Anything finer is the classifier's business.

use std::sync::LazyLock;

use super::tokens::Token;
use super::{Symptom, excerpt};
use crate::detect::prose::{Part, Prose};

/// What a broken encoding or a broken program leaves.
pub(super) const BROKEN: [&str; 6] =
    ["\u{FFFD}\u{FFFD}\u{FFFD}", "锟斤拷", "烫烫烫", "屯屯屯", "[object Object] undefined", "undefined undefined"];

/// Runs of U+FFFD, and the marks that text of a wrong encoding leaves.
pub(super) fn broken(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = crate::text::floor_char_boundary(text, seen.saturating_sub(32)).max(prose.start());
    let found = BROKEN.iter().filter_map(|mark| {
        let at = from + text[from..].find(mark)?;
        let range = at..at + mark.len();
        (range.end > seen && prose.part_at(at) == Part::Prose).then_some(range)
    });
    let range = found.min_by_key(|range| range.start)?;
    Some(Symptom { score: 0.92, what: format!("holds broken characters {:?}", excerpt(&text[range.clone()])), range })
}

/// Little words.
const LITTLE: [&str; 14] = ["the", "a", "an", "of", "and", "to", "is", "was", "for", "with", "by", "from", "at", "or"];

/// Which of them hardly stand side by side in written English: `the of`, `a the`, `of of`. The first word's row, the second's column.
static PAIRS: LazyLock<[[bool; LITTLE.len()]; LITTLE.len()]> = LazyLock::new(|| {
    let articles = ["the", "a", "an"];
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for article in articles {
        for word in ["the", "a", "an", "of", "and", "to", "is", "was", "for", "with", "by", "from", "at"] {
            pairs.push((article, word));
        }
    }
    for word in ["of", "and", "to", "for", "with", "at", "from", "or", "by"] {
        pairs.push((word, word));
    }
    pairs.extend([("of", "and"), ("of", "to"), ("of", "is"), ("of", "for")]);
    pairs.extend(["with", "and", "to", "for", "by", "at"].map(|word| (word, "of")));
    // Letters and abbreviations make these ordinary: "vitamin a is", "the a to z".
    let ordinary = ["is", "to", "and", "of", "was", "for", "a", "by", "with", "from", "at", "the"];
    pairs.retain(|(one, two)| !(*one == "a" && ordinary.contains(two)) && (*one, *two) != ("the", "a"));
    let mut table = [[false; LITTLE.len()]; LITTLE.len()];
    for (one, two) in pairs {
        if let (Some(one), Some(two)) = (little(one.as_bytes()), little(two.as_bytes())) {
            table[one][two] = true;
        }
    }
    table
});

/// The number of a little word, in whatever case.
#[inline]
pub(super) fn little(word: &[u8]) -> Option<usize> {
    let begins = word.first().is_some_and(|first| FIRST >> (first & 31) & 1 == 1);
    if word.len() > 4 || !begins {
        return None;
    }
    let key = key(word);
    KEYS.iter().position(|little| *little == key)
}

/// Which letters they begin with, a bit for each: most words are told by that.
const FIRST: u32 = {
    let (mut letters, mut at) = (0, 0);
    while at < LITTLE.len() {
        letters |= 1 << (LITTLE[at].as_bytes()[0] & 31);
        at += 1;
    }
    letters
};

/// The little words as numbers: each word of an answer is compared with all of them.
const KEYS: [u32; LITTLE.len()] = {
    let mut keys = [0; LITTLE.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = key(LITTLE[at].as_bytes());
        at += 1;
    }
    keys
};

/// A word of up to four letters, in lower case, as a number.
const fn key(word: &[u8]) -> u32 {
    let mut letters = [0; 4];
    let mut at = 0;
    while at < word.len() {
        letters[at] = word[at].to_ascii_lowercase();
        at += 1;
    }
    u32::from_le_bytes(letters)
}

/// Whether two little words, by their numbers, hardly stand side by side.
pub(super) fn hardly_stand_together(one: usize, two: usize) -> bool {
    PAIRS[one][two]
}

/// Impossible pairs of little words, several in a short stretch.
pub(super) fn stutter(tokens: &[Token], text: &str, seen: usize) -> Option<Symptom> {
    const STRETCH: usize = 60;
    let fresh = tokens.partition_point(|token| token.end as usize <= seen);
    let part = &tokens[fresh.saturating_sub(STRETCH)..];
    let mut at: Vec<(usize, (usize, usize))> = Vec::new();
    for (index, pair) in part.windows(2).enumerate() {
        let [one, two] = pair else { continue };
        if one.end as usize + 1 != two.start as usize {
            continue;
        }
        let words = [one, two].map(|token| little(&text.as_bytes()[token.range()]));
        if let [Some(one), Some(two)] = words
            && hardly_stand_together(one, two)
        {
            at.push((index, (one, two)));
        }
    }
    // The worst stretch that ends in new text.
    let ends = at.iter().enumerate().filter(|(_, (index, _))| part[*index + 1].end as usize > seen);
    let stretches = ends.map(|(place, &(last, _))| {
        let near = at[..=place].iter().filter(|(other, _)| last - other <= STRETCH).count();
        let pairs = &at[place + 1 - near..=place];
        (certainty(pairs), near, pairs[0].0, last)
    });
    let (score, count, first, last) = stretches.max_by(|one, other| one.0.total_cmp(&other.0))?;
    if count < 2 {
        return None;
    }
    let range = part[first].range().start..part[last + 1].range().end;
    Some(Symptom {
        score,
        what: format!("strings little words together {count} times: {:?}", excerpt(&text[range.clone()])),
        range,
    })
}

/// How certain pairs near each other are. Two that are no words of a program (`the for loop and the with statement`), nor one of them twice,
/// are enough.
fn certainty(pairs: &[(usize, (usize, usize))]) -> f32 {
    let plain = |pair: &(usize, (usize, usize))| matches!(LITTLE[pair.1.1], "of" | "was" | "at" | "the" | "an").then_some(pair.1);
    let mut plain = pairs.iter().filter_map(plain);
    let first = plain.next();
    let different = plain.any(|other| Some(other) != first);
    match pairs.len() {
        0..=1 => 0.0,
        _ if different => 0.92,
        4.. if first.is_some() => 0.92,
        2 => 0.5,
        _ => 0.8,
    }
}

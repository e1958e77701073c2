//! Repetition: phrases that follow themselves again and again, and stretches that consist mostly of what was said before. Knows no words.

use std::collections::HashSet;

use super::tokens::Token;
use super::{Symptom, excerpt, stronger};

/// The longest phrase that is looked for, in tokens.
const PERIOD: usize = 64;
/// How many tokens before the new text a loop is looked for.
const BACK: usize = 400;

/// A phrase that is repeated exactly, several times in a row.
pub(super) fn loops(text: &str, tokens: &[Token], seen: usize) -> Option<Symptom> {
    let fresh = tokens.partition_point(|token| token.end as usize <= seen);
    let from = fresh.saturating_sub(BACK);
    let tokens = &tokens[from..];
    let fresh = fresh - from;
    let mut best = None;
    for period in 1..=PERIOD.min(tokens.len() / 3) {
        let same = |at: usize| tokens[at].hash == tokens[at - period].hash;
        // A run that counts ends in the new text: where nothing of that follows itself there is none.
        if !(fresh.max(period)..tokens.len()).any(same) {
            continue;
        }
        let mut run = 0;
        for at in period..=tokens.len() {
            if at < tokens.len() && same(at) {
                run += 1;
                continue;
            }
            // Ends here, and reaches into the new text.
            if run >= 2 * period && at > fresh {
                best = stronger(best, judged(text, &tokens[at - run - period..at], period));
            }
            run = 0;
        }
    }
    stronger(best, long_word(text, &tokens[fresh.min(tokens.len())..]))
}

/// How certain a loop is: the shorter the phrase, the more repetitions a speaker may mean (`no, no, no`).
fn judged(text: &str, tokens: &[Token], period: usize) -> Option<Symptom> {
    let times = tokens.len() / period;
    let phrase = &tokens[..period];
    let characters = phrase.iter().all(|token| token.character);
    if !phrase.iter().any(|token| token.letters) {
        return (tokens.len() >= 100).then(|| symptom(text, tokens, period, times, 0.9));
    }
    // A phrase of one word over and over is found at period 2, 3, … as well: count it as what it is.
    let distinct = phrase.iter().map(|token| token.hash).collect::<HashSet<_>>().len();
    let (some, many) = match (characters, distinct) {
        (false, 1) => (12, 24),
        (false, 2..=3) => (7, 12),
        (false, _) => (5, 8),
        (true, 1) => (16, 32),
        (true, 2..=3) => (8, 14),
        (true, 4..=7) => (5, 8),
        (true, _) => (4, 6),
    };
    let times = if distinct == 1 { tokens.len() } else { times };
    let score = match times {
        times if times >= many => 1.0,
        times if times >= some => 0.92,
        times if times + 1 >= some && distinct >= 4 => 0.6,
        _ => return None,
    };
    Some(symptom(text, tokens, period, times, score))
}

fn symptom(text: &str, tokens: &[Token], period: usize, times: usize, score: f32) -> Symptom {
    let range = tokens[0].range().start..tokens[tokens.len() - 1].range().end;
    let phrase = tokens[0].range().start..tokens[period - 1].range().end;
    Symptom { score, range, what: format!("repeats {:?} {times} times", excerpt(&text[phrase])) }
}

/// A loop without spaces: `wyfwyfwyf…`.
fn long_word(text: &str, tokens: &[Token]) -> Option<Symptom> {
    const CHARS: usize = 60;
    let long = tokens.iter().filter(|token| token.letters && token.end - token.start >= CHARS as u32);
    long.filter_map(|token| {
        // Its end: what leads into the loop is no part of it.
        let mut word: Vec<char> = text[token.range()].chars().rev().take(200).collect();
        word.reverse();
        let period = (1..=word.len() / 5).find(|period| (*period..word.len()).all(|at| word[at] == word[at - period]))?;
        let phrase: String = word[..period].iter().collect();
        (word.len() >= CHARS).then(|| Symptom {
            score: 0.95,
            range: token.range(),
            what: format!("repeats {:?} {} times", excerpt(&phrase), word.len() / period),
        })
    })
    .next()
}

/// The share of phrases that were said before, over the last stretch: loops with variations.
pub(super) fn share(tokens: &[Token], seen: usize) -> Option<Symptom> {
    let characters = tokens.iter().filter(|token| token.character).count() * 2 > tokens.len();
    // Words: (stretch, share). A shorter stretch must repeat more.
    const WORDS: [(usize, f32); 4] = [(60, 0.8), (120, 0.7), (240, 0.58), (480, 0.54)];
    const CHARACTERS: [(usize, f32); 3] = [(160, 0.66), (320, 0.55), (640, 0.5)];
    let (gram, stretches): (usize, &[(usize, f32)]) = if characters { (10, &CHARACTERS) } else { (4, &WORDS) };
    let mut best: Option<Symptom> = None;
    for &(stretch, limit) in stretches {
        if tokens.len() < stretch {
            break;
        }
        let part = &tokens[tokens.len() - stretch..];
        let mut known = HashSet::with_capacity(stretch);
        let (mut repeated, mut all, mut fresh, mut fresh_repeated) = (0_u32, 0_u32, 0_u32, 0_u32);
        for window in part.windows(gram) {
            let hash =
                window.iter().fold(0_u64, |hash, token| (hash.rotate_left(5) ^ token.hash).wrapping_mul(0x517c_c1b7_2722_0a95));
            let again = !known.insert(hash);
            all += 1;
            repeated += u32::from(again);
            if window[gram - 1].end as usize > seen {
                fresh += 1;
                fresh_repeated += u32::from(again);
            }
        }
        // What is new must itself be old: a text that has recovered is let be.
        if fresh_repeated * 2 < fresh || fresh == 0 {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts below 2¹⁶")]
        let share = repeated as f32 / all as f32;
        if share < limit - 0.1 {
            continue;
        }
        let score = if share >= limit { (0.9 + (share - limit) * 0.4).min(1.0) } else { 0.5 + (share - limit + 0.1) * 3.0 };
        let range = part[0].range().start..part[stretch - 1].range().end;
        let what = format!(
            "{:.0} % of the last {stretch} {} were said before",
            share * 100.0,
            if characters { "characters" } else { "words" }
        );
        best = stronger(best, Some(Symptom { score, range, what }));
    }
    best
}

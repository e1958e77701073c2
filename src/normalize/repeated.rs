//! Letters repeated more than three times: "haaaaate".

use super::Unit;
use super::chars::{chunk, core, run};

/// Shortens such runs to one letter or two, in words of prose.
pub(super) fn shorten(units: &mut Vec<Unit>) {
    let mut at = 0;
    let mut dropped = false;
    while let Some(found) = chunk(units, at) {
        at = found.end;
        let core = core(units, found);
        if !prose(&units[core.clone()]) {
            continue;
        }
        let mut from = core.start;
        while let Some(word) = run(&units[..core.end], from, |c| c.is_ascii_alphabetic()) {
            from = word.end;
            dropped |= word_shortened(&mut units[word]);
        }
    }
    if dropped {
        units.retain(|unit| unit.c != DROPPED);
    }
}

/// A unit to be dropped: no text has this character here, controls went first.
const DROPPED: char = '\0';

/// Whether it consists of words: no address, no number, no code.
fn prose(core: &[Unit]) -> bool {
    let letter = |at: usize| core.get(at).is_some_and(|unit| unit.c.is_ascii_alphabetic());
    core.iter().enumerate().all(|(at, unit)| match unit.c {
        '.' => !(letter(at + 1) && at > 0 && letter(at - 1)),
        c => c.is_ascii_alphabetic() || !c.is_ascii() || matches!(c, '-' | '\'' | ',' | ';' | '?'),
    })
}

/// Marks what is too much in a word; says whether anything is. A word of one letter only is left alone: "yyyy-mm".
fn word_shortened(word: &mut [Unit]) -> bool {
    let same = |a: &Unit, b: &Unit| a.c.eq_ignore_ascii_case(&b.c);
    if word.windows(2).all(|pair| same(&pair[0], &pair[1])) {
        return false;
    }
    let mut dropped = false;
    for run in word.chunk_by_mut(same) {
        if run.len() > 3 {
            let kept = if matches!(run[0].c.to_ascii_lowercase(), 'a' | 'h'..='k' | 'q' | 'u'..='y') { 1 } else { 2 };
            run[kept - 1].end = run[run.len() - 1].end;
            run[kept..].iter_mut().for_each(|unit| unit.c = DROPPED);
            dropped = true;
        }
    }
    dropped
}

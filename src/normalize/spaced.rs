//! Joins letters that stand alone in a row: "k i l l", "h.a.t.e".

use super::Unit;
use super::alike::twin;
use super::chars::{space, substitute, wordish};

/// Joins every run of at least four letters with one and the same separator between them.
pub(super) fn join(units: &mut Vec<Unit>) {
    let mut kept = 0;
    let mut at = 0;
    while at < units.len() {
        let Run { joined, end } = run(units, at).unwrap_or(Run { joined: at, end: at + 1 });
        while at < end {
            units[kept] = units[at];
            kept += 1;
            at += if at < joined { 2 } else { 1 };
        }
    }
    units.truncate(kept);
}

/// Single letters with separators between them.
struct Run {
    /// Up to here they are to be joined: the run's beginning if they are not, or behind a letter's place.
    joined: usize,
    end: usize,
}

fn separator(c: char) -> bool {
    matches!(c, ' ' | '.' | '-' | '_' | '*' | '\u{b7}' | '\u{2022}')
}

fn symbol(c: char) -> bool {
    c.is_ascii_alphabetic() || substitute(c) || twin(c).is_some()
}

/// The run that begins at `first`. It is joined or left alone as a whole, so that the time is linear.
fn run(units: &[Unit], first: usize) -> Option<Run> {
    let c = |at: usize| units.get(at).map(|unit: &Unit| unit.c);
    let between = c(first + 1).filter(|&c| separator(c))?;
    if substitute(units[first].c) || !symbol(units[first].c) || !opens(units, first) {
        return None;
    }
    let mut last = first;
    // A letter that begins something else ("k i l l a.b") ends the run before it.
    let ends = |at: usize| c(at) == Some(between) || closes(units, at);
    while c(last + 1) == Some(between) && c(last + 2).is_some_and(symbol) && ends(last + 3) {
        last += 2;
    }
    let end = last + 1;
    while substitute(units[last].c) {
        last -= 2;
    }
    let letters = || units[first..=last].iter().step_by(2).map(|unit| unit.c);
    let count = letters().count();
    let digits = letters().filter(|&c| substitute(c)).count();
    let latin = letters().filter(char::is_ascii_alphabetic).count();
    let fits = count >= 4 && 2 * latin >= count && 3 * digits <= count;
    let word = fits && letters().any(|c| c != units[first].c) && closes(units, last + 1);
    Some(Run { joined: if word { last } else { first }, end })
}

/// Whether a run may begin here: at the beginning of a word, not within a file's or a host's name.
fn opens(units: &[Unit], first: usize) -> bool {
    let Some(before) = first.checked_sub(1).map(|at| units[at].c) else { return true };
    if before.is_ascii() {
        return space(before) || "([{\"*>".contains(before);
    }
    before != '\u{2019}' && !wordish(before)
}

/// Whether a run may end before `end`.
fn closes(units: &[Unit], end: usize) -> bool {
    match units.get(end).map(|unit| unit.c) {
        None => true,
        Some(after) if space(after) => true,
        Some(after) if wordish(after) => false,
        Some(after) if !after.is_ascii() => true,
        Some('@' | '/' | '\\' | '=' | '_' | '#' | '&') => false,
        Some(_) => !units.get(end + 1).is_some_and(|unit| wordish(unit.c)),
    }
}

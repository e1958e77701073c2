//! Joins letters that stand alone in a row: "k i l l", "h.a.t.e".

use super::Unit;
use super::alike::twin;
use super::chars::{space, substitute, wordish};

/// Joins every run of at least four letters with one and the same separator between them.
pub(super) fn join(units: &mut Vec<Unit>) {
    // Nothing is moved until a run is found.
    let Some(first) = (0..units.len()).find(|&at| run(units, at).is_some()) else { return };
    let mut out = units[..first].to_vec();
    let mut at = first;
    while at < units.len() {
        if let Some(end) = run(units, at) {
            out.extend(units[at..end].iter().step_by(2));
            at = end;
        } else {
            out.push(units[at]);
            at += 1;
        }
    }
    *units = out;
}

fn separator(c: char) -> bool {
    matches!(c, ' ' | '.' | '-' | '_' | '*' | '\u{b7}' | '\u{2022}')
}

fn symbol(c: char) -> bool {
    c.is_ascii_alphabetic() || substitute(c) || twin(c).is_some()
}

/// Where the run that begins at `first` ends.
fn run(units: &[Unit], first: usize) -> Option<usize> {
    let c = |at: usize| units.get(at).map(|unit: &Unit| unit.c);
    let between = c(first + 1).filter(|&c| separator(c))?;
    if first + 6 >= units.len() || substitute(units[first].c) || !symbol(units[first].c) || !opens(units, first) {
        return None;
    }
    let mut last = first;
    // A letter that begins something else ("k i l l a.b") ends the run before it.
    let ends = |at: usize| c(at) == Some(between) || closes(units, at);
    while c(last + 1) == Some(between) && c(last + 2).is_some_and(symbol) && ends(last + 3) {
        last += 2;
    }
    let letters = || units[first..=last].iter().step_by(2).map(|unit| unit.c);
    let count = letters().count();
    let digits = letters().filter(|&c| substitute(c)).count();
    let latin = letters().filter(char::is_ascii_alphabetic).count();
    let fits = count >= 4 && 2 * latin >= count && 3 * digits <= count && !substitute(units[last].c);
    (fits && letters().any(|c| c != units[first].c) && closes(units, last + 1)).then_some(last + 1)
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

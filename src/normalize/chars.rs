//! What kinds of characters there are to the rules, and how a text falls into words and chunks.

use std::ops::Range;

use super::Unit;

/// Punctuation that is stripped from a chunk's ends.
const EDGES: &str = "()[]{}\"'*,.;:?!-";

/// Whether a character is white space. Compatibility forms are gone by then.
pub(super) fn space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{1680}' | '\u{2028}' | '\u{2029}')
}

/// Whether a character belongs to a word: ASCII letters and digits, letters and marks of the alphabets. Ideographs and kana bound words.
pub(super) fn wordish(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{1fff}' | '\u{20d0}'..='\u{20ff}' | '\u{2c00}'..='\u{2dff}'
            | '\u{302a}'..='\u{302f}' | '\u{3099}' | '\u{309a}' | '\u{a640}'..='\u{a69f}' | '\u{a720}'..='\u{a7ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether a character is its own compatibility form, combines with nothing, is seen and looks like no Latin letter: what is common in
/// the texts of many languages.
pub(super) fn ordinary(c: char) -> bool {
    match c {
        '\u{b4}'
        | '\u{b7}'
        | '\u{a8}'
        | '\u{aa}'
        | '\u{af}'
        | '\u{b2}'
        | '\u{b3}'
        | '\u{b5}'
        | '\u{b8}'..='\u{ba}'
        | '\u{bc}'..='\u{be}' => false,
        '\u{a1}'..='\u{131}'
        | '\u{134}'..='\u{13e}'
        | '\u{141}'..='\u{148}'
        | '\u{14a}'..='\u{17e}'
        | '\u{1ea0}'..='\u{1ef9}' => c != '\u{ad}',
        '\u{2010}'
        | '\u{2012}'..='\u{2016}'
        | '\u{2018}'..='\u{201f}'
        | '\u{20ac}'
        | '\u{2190}'..='\u{21ff}'
        | '\u{2500}'..='\u{27ff}' => true,
        '\u{3001}'..='\u{3011}'
        | '\u{3041}'..='\u{3096}'
        | '\u{30a1}'..='\u{30fe}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => true,
        '\u{1f300}'..='\u{1faff}' => true,
        _ => false,
    }
}

/// Whether a digit can stand for a letter.
pub(super) fn substitute(c: char) -> bool {
    matches!(c, '0' | '1' | '3' | '4' | '5' | '7')
}

/// Whether a letter is a vowel, in lower case. A y is none: "g4y".
pub(super) fn vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u')
}

/// The next run of characters that `belongs`, from `from` on.
pub(super) fn run(units: &[Unit], from: usize, belongs: impl Fn(char) -> bool) -> Option<Range<usize>> {
    let start = from + units[from..].iter().position(|unit| belongs(unit.c))?;
    let end = units[start..].iter().position(|unit| !belongs(unit.c)).map_or(units.len(), |length| start + length);
    Some(start..end)
}

/// The next chunk from `from` on: what white space and ideographs bound, with the punctuation at its ends.
pub(super) fn chunk(units: &[Unit], from: usize) -> Option<Range<usize>> {
    run(units, from, |c| c.is_ascii_graphic() || wordish(c) && c != '\u{1680}')
}

/// A chunk without the punctuation at its ends; empty if there is nothing else.
pub(super) fn core(units: &[Unit], chunk: Range<usize>) -> Range<usize> {
    let edge = |at: &usize| EDGES.contains(units[*at].c);
    let start = chunk.clone().find(|at| !edge(at)).unwrap_or(chunk.end);
    let end = (start..chunk.end).rev().find(|at| !edge(at)).map_or(start, |at| at + 1);
    start..end
}

//! First: what shows nothing goes, and compatibility forms (full width, mathematical letters, ligatures) become what they stand for.

use unicode_normalization::char::{canonical_combining_class, decompose_compatible};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use super::Unit;
use super::chars::{ordinary, run};

/// Stripping and composing bring each other about (a fraction's slash, a letter between two marks): this often at the most.
const ROUNDS: usize = 8;

/// The characters of a text in NFKC, without those that are not seen.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = text.char_indices().map(|(start, c)| Unit { c, start, end: start + c.len_utf8() }).collect();
    for _ in 0..ROUNDS {
        let stripped = strip(&mut units);
        let composed = compose(&mut units);
        if !stripped && !composed {
            break;
        }
    }
    units
}

/// Characters that show nothing, or nothing that is said: controls, soft hyphens, joiners, bidi marks, variation selectors, tags,
/// fillers, trade marks (NFKC would glue "TM" to the name), overlays and enclosing marks.
pub(super) fn unseen(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'
        | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2120}' | '\u{2122}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{334}'..='\u{338}' | '\u{488}' | '\u{489}' | '\u{20dd}'..='\u{20e0}' | '\u{20e2}'..='\u{20e4}')
}

/// Marks that stand above or below. Three on one letter are none of any spelling.
fn mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// What NFKC leaves as it is, or makes worse: the acute accent typed as an apostrophe (NFKC: a space and a mark), letters in circles,
/// boxes and parentheses.
fn prepared(c: char) -> char {
    let letter = |first: char, letter: u8| u8::try_from(u32::from(c) - u32::from(first)).map_or(c, |n| char::from(letter + n));
    match c {
        '\u{b4}' | '\u{1ffd}' => '\'',
        '\u{249c}'..='\u{24b5}' => letter('\u{249c}', b'a'),
        '\u{1f110}'..='\u{1f129}' => letter('\u{1f110}', b'A'),
        '\u{1f150}'..='\u{1f169}' => letter('\u{1f150}', b'A'),
        '\u{1f170}'..='\u{1f189}' => letter('\u{1f170}', b'A'),
        _ => c,
    }
}

/// What a unit to be dropped is set to.
const UNSEEN: char = '\0';

/// Says whether anything changed.
fn strip(units: &mut Vec<Unit>) -> bool {
    let before = units.len();
    units.retain(|unit| !unseen(unit.c));
    let mut from = 0;
    while let Some(marks) = run(units, from, mark) {
        from = marks.end;
        if marks.len() >= 3 {
            units[marks].iter_mut().for_each(|unit| unit.c = UNSEEN);
        }
    }
    units.retain(|unit| unit.c != UNSEEN);
    let mut changed = units.len() != before;
    for unit in units {
        let c = prepared(unit.c);
        changed |= c != unit.c;
        unit.c = c;
    }
    changed
}

/// NFKC, cut where nothing can combine across. Says whether anything changed.
pub(super) fn compose(units: &mut Vec<Unit>) -> bool {
    let mut out = Vec::with_capacity(units.len());
    let mut changed = false;
    let mut rest = &units[..];
    while let Some((first, others)) = rest.split_first() {
        let length = 1 + others.iter().position(|unit| begins(unit.c)).unwrap_or(others.len());
        let (segment, after) = rest.split_at(length);
        rest = after;
        if length == 1 && (first.c.is_ascii() || ordinary(first.c) || is_nfkc_quick([first.c].into_iter()) == IsNormalized::Yes) {
            out.push(*first);
            continue;
        }
        let old = || segment.iter().map(|unit| unit.c);
        if old().nfkc().eq(old()) {
            out.extend_from_slice(segment);
            continue;
        }
        changed = true;
        let (start, end) = (first.start, segment[length - 1].end);
        out.extend(old().nfkc().map(|c| Unit { c, start, end }));
    }
    *units = out;
    changed
}

/// Whether a character combines with nothing before it, as it is and as what it decomposes to.
fn begins(c: char) -> bool {
    if c.is_ascii() || ordinary(c) {
        return true;
    }
    let mut first = None;
    decompose_compatible(c, |part| {
        first.get_or_insert(part);
    });
    let first = first.unwrap_or(c);
    canonical_combining_class(first) == 0 && is_nfkc_quick([first].into_iter()) != IsNormalized::Maybe
}

//! Text whose bytes were read in the wrong encoding: `donâ€™t`, `fÃ¼r`, `Ð¿Ñ€Ð¸`, and characters that nobody could read at all. A few of them are an
//! example of what goes wrong; many are what has gone wrong. Knows no languages.

use super::{Symptom, excerpt};
use crate::detect::prose::{Part, Prose};
use crate::text::floor_char_boundary;

/// How far before the new text they are counted, in bytes.
pub(super) const REACH: usize = 400;
/// How many there are at least.
const LEAST: usize = 4;

/// Several of them, close together.
pub(super) fn misread(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = floor_char_boundary(text, seen.saturating_sub(REACH)).max(prose.start());
    let found: Vec<usize> = places(text, from).filter(|at| prose.part_at(*at) == Part::Prose).collect();
    let (first, last) = (*found.first()?, *found.last()?);
    let end = last + text[last..].chars().take(2).map(char::len_utf8).sum::<usize>();
    if found.len() < LEAST || end <= seen {
        return None;
    }
    Some(Symptom { score: 0.92, what: format!("holds broken characters {:?}", excerpt(&text[first..end])), range: first..end })
}

/// Whether there may be one from `from` on.
pub(super) fn may_be(text: &str, from: usize) -> bool {
    places(text, from).next().is_some()
}

/// Where characters stand that come of a wrong reading.
fn places(text: &str, from: usize) -> impl Iterator<Item = usize> + '_ {
    let bytes = &text.as_bytes()[from..];
    // Their first bytes are those of `Ã`, `Â`, `â`, `Ð` and `Ñ`, and of the sign for what could not be read.
    memchr::memchr2_iter(0xC3, 0xEF, bytes).map(move |at| from + at).filter(|at| {
        let mut chars = text[*at..].chars();
        match (chars.next(), chars.next()) {
            (Some('\u{FFFD}'), _) => true,
            // The second of two bytes, read as a character of its own.
            (Some('Ã' | 'Ð' | 'Ñ'), Some(next)) => is_second(next),
            (Some('Â'), Some(next)) => matches!(next, '\u{A0}'..='\u{BF}'),
            (Some('â'), Some(next)) => next == '€' || matches!(next, '\u{80}'..='\u{9F}'),
            _ => false,
        }
    })
}

/// What Windows-1252 and Latin-1 make of a byte from 0x80 to 0xBF.
const fn is_second(c: char) -> bool {
    matches!(
        c,
        '\u{80}'
            ..='\u{BF}'
                | '€'
                | '‚'
                | 'ƒ'
                | '„'
                | '…'
                | '†'
                | '‡'
                | 'ˆ'
                | '‰'
                | 'Š'
                | '‹'
                | 'Œ'
                | 'Ž'
                | '‘'
                | '’'
                | '“'
                | '”'
                | '•'
                | '–'
                | '—'
                | '˜'
                | '™'
                | 'š'
                | '›'
                | 'œ'
                | 'ž'
                | 'Ÿ'
    )
}

//! The end of a text that is one piece over and over, byte for byte, whatever it is made of: code, addresses, signs without a space. Loops of
//! words show sooner by their words; this is for what has none, and for code, where a few lines may well be alike and a page of them not.

use super::{Symptom, excerpt};
use crate::text::{ceil_char_boundary, floor_char_boundary};

/// How long the loop is at least, in bytes.
const LENGTH: usize = 1200;
/// How long it is where nothing else can be meant.
const CERTAIN: usize = 3600;
/// The longest piece, in bytes.
const PERIOD: usize = 240;
/// What of the end is looked for before it, in bytes.
const PROBE: usize = 16;

/// Whether the end of the text is a loop.
pub(super) fn found(text: &str) -> bool {
    length(text.as_bytes(), LENGTH).is_some()
}

/// The piece that the last `length` bytes repeat, in bytes.
fn length(text: &[u8], length: usize) -> Option<usize> {
    let end = &text[text.len().checked_sub(length)?..];
    let probe = &end[length - PROBE..];
    let before = &end[length - PERIOD - PROBE..length - 1];
    let at = memchr::memmem::rfind(before, probe)?;
    let period = PERIOD - at;
    (end[..length - period] == end[period..]).then_some(period)
}

/// A loop that the text ends with. Nothing but signs and figures is a rule, a row of a table or a picture; one letter is no word.
pub(super) fn looped(text: &str) -> Option<Symptom> {
    let (certain, period) = match length(text.as_bytes(), CERTAIN) {
        Some(period) => (true, period),
        None => (false, length(text.as_bytes(), LENGTH)?),
    };
    let piece = &text[ceil_char_boundary(text, text.len() - period)..];
    let mut letters = text[floor_char_boundary(text, text.len() - LENGTH)..].chars().filter(|c| c.is_alphabetic());
    let first = letters.next()?;
    if first.is_ascii() && letters.all(|c| c == first) {
        return None;
    }
    let start = floor_char_boundary(text, text.len() - if certain { CERTAIN } else { LENGTH });
    let what = format!("repeats {:?} {} times and more", excerpt(piece), (text.len() - start) / period);
    Some(Symptom { score: if certain { 1.0 } else { 0.92 }, what, range: start..text.len() })
}

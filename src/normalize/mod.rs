//! Undoes what is done to a text so that a classifier does not recognise it: invisible characters, look-alike letters, digits in the
//! place of letters, spaced letters. What is scored is the result, and patterns look at both; what is sent and shown is the original, and
//! [`Normalized::original`] leads back to it. Pure; knows no classifier.
//!
//! The classifier is trained on the same normalisation: `classifiers/training/steadfast_training/normalize.py` is this module rule for
//! rule, and `classifiers/training/tests/normalisation.jsonl` holds both to it. Every rule looks at the neighbourhood of a word only, so
//! that a window's normal form hardly depends on where it was cut.

mod alike;
mod chars;
mod compatible;
mod leet;
mod plain;
mod repeated;
mod spaced;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

/// A text as it is judged, and where each part of it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalized<'t> {
    text: Cow<'t, str>,
    /// One for each character, in order; none if the text is the original.
    origins: Vec<Origin>,
}

/// Where a character begins in the normalised text, and the bytes of the original that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    at: usize,
    start: usize,
    end: usize,
}

/// A character and the bytes of the original that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    c: char,
    start: usize,
    end: usize,
}

impl<'t> Normalized<'t> {
    /// The normalised text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The normalised text without its origins; the original itself if nothing had to be changed.
    #[must_use]
    pub fn into_text(self) -> Cow<'t, str> {
        self.text
    }

    /// Whether it is another text than the original.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self.text, Cow::Owned(_))
    }

    /// The bytes of the original that bytes of the normalised text stand for: on character boundaries of both, and the whole of what a
    /// character was made of. Characters that were removed belong to nothing.
    #[must_use]
    pub fn original(&self, bytes: Range<usize>) -> Range<usize> {
        let start = crate::text::floor_char_boundary(&self.text, bytes.start);
        let end = crate::text::ceil_char_boundary(&self.text, bytes.end.max(start));
        if let Cow::Borrowed(_) = self.text {
            return start..end;
        }
        let first = self.origins.partition_point(|origin| origin.at < start);
        let after = self.origins.partition_point(|origin| origin.at < end);
        let begin = match self.origins.get(first) {
            Some(origin) => origin.start,
            None => self.origins.last().map_or(0, |origin| origin.end),
        };
        let finish = if after > first { self.origins[after - 1].end } else { begin };
        begin..finish
    }
}

/// The normal form of a text. Twice is the same as once. A text that needs nothing (nearly all do not) is borrowed and costs a look at
/// its bytes.
#[must_use]
pub fn normalize(text: &str) -> Normalized<'_> {
    let borrowed = Normalized { text: Cow::Borrowed(text), origins: Vec::new() };
    if plain::plain(text) {
        return borrowed;
    }
    let units = undone(text);
    if units.len() == text.chars().count() && units.iter().map(|unit| unit.c).eq(text.chars()) {
        return borrowed;
    }
    let mut normal = String::with_capacity(text.len());
    let mut origins = Vec::with_capacity(units.len());
    for Unit { c, start, end } in units {
        origins.push(Origin { at: normal.len(), start, end });
        normal.push(c);
    }
    Normalized { text: Cow::Owned(normal), origins }
}

/// Whether a character may come to read as another one, or vanish, by what follows it: digits and signs that stand for letters, and what is not
/// common in the texts of many languages (look-alikes, marks, invisible characters).
#[must_use]
pub fn may_change(c: char) -> bool {
    if c.is_ascii() { guess(c, 'i') != c || c.is_ascii_control() } else { !chars::ordinary(c) }
}

/// Whether a character is not seen: it joins, parts, directs or marks others.
#[must_use]
pub fn unseen(c: char) -> bool {
    compatible::unseen(c)
}

/// What a part of a word would read as if every digit, sign and look-alike in it stood for a letter; `one`: what `1` and `!` stand for.
#[must_use]
pub fn guessed(part: &str, one: char) -> String {
    compatible::units(part).into_iter().map(|unit| guess(unit.c, one)).collect()
}

fn guess(c: char, one: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => one,
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        _ => alike::twin(c).unwrap_or(c),
    }
}

/// The stages in their order.
fn undone(text: &str) -> Vec<Unit> {
    let mut units = compatible::units(text);
    spaced::join(&mut units);
    if alike::latin(&mut units) {
        // Marks may combine with a Latin letter that did not with its twin.
        compatible::compose(&mut units);
    }
    leet::spell(&mut units);
    repeated::shorten(&mut units);
    units
}

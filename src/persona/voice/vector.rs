//! A text as a vector of its habits: counts of one, two and three characters in a row (endings, particles, punctuation) and of one and two
//! words (pet words, turns of phrase), damped, each in a bucket and with a sign of its own so that collisions cancel. In any language, with no model.

use std::sync::LazyLock;

use crate::text::floor_char_boundary;

/// Of what this file makes of a text. Weights that were learned from one kind of vector say nothing of another: raise it with every change.
pub(super) const VERSION: i64 = 1;

/// Buckets of a vector.
pub(super) const BUCKETS: usize = 4096;
/// Bytes of a text that are looked at: its beginning. More of an answer says little more of how it is said.
const LOOKED_AT: usize = 1500;

/// A text as a vector of length 1 (0 where there is no text).
pub(super) type Vector = Box<[f32; BUCKETS]>;

/// An answer, with the words of what it answers taken out of the comparison: it may well repeat them.
pub(super) fn answer(answer: &str, asked: Option<&str>) -> Vector {
    without(vector(answer), asked.map(vector).as_ref())
}

/// The same of vectors.
pub(super) fn without(mut vector: Vector, question: Option<&Vector>) -> Vector {
    if let Some(question) = question {
        #[expect(clippy::cast_possible_truncation, reason = "of vectors of length 1")]
        let shared = dot(question, &vector) as f32;
        vector.iter_mut().zip(question.iter()).for_each(|(value, other)| *value -= shared * other);
        normalise(&mut vector);
    }
    vector
}

/// A text by itself.
pub(super) fn vector(text: &str) -> Vector {
    let text = text[..floor_char_boundary(text, LOOKED_AT)].to_lowercase();
    let mut characters = vec![' '];
    for c in text.chars() {
        if !c.is_whitespace() || characters.last() != Some(&' ') {
            characters.push(if c.is_whitespace() { ' ' } else { c });
        }
    }
    characters.push(' ');
    let mut vector: Vector = Box::new([0.0; BUCKETS]);
    let mut count = |habit: &str| {
        let hash = xxhash_rust::xxh3::xxh3_64(habit.as_bytes());
        let bucket = usize::try_from(hash % BUCKETS as u64).unwrap_or(0);
        vector[bucket] += if hash >> 63 == 0 { 1.0 } else { -1.0 };
    };
    let mut buffer = String::new();
    for length in 1..=3 {
        for run in characters.windows(length) {
            buffer.clear();
            buffer.extend(run);
            count(&buffer);
        }
    }
    // A word is told from the same characters within another by what stands before it.
    let mut before = "";
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        for habit in [["\u{1}", word, ""], ["\u{2}", before, word]] {
            buffer.clear();
            buffer.extend(habit);
            count(&buffer);
        }
        before = word;
    }
    vector.iter_mut().filter(|value| **value != 0.0).for_each(|value| *value = value.signum() * damped(value.abs()));
    normalise(&mut vector);
    vector
}

/// The logarithm of 1 + a count. Nearly all counts are small.
fn damped(count: f32) -> f32 {
    static DAMPED: LazyLock<[f32; 32]> = LazyLock::new(|| {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        std::array::from_fn(|count| (count as f32).ln_1p())
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    DAMPED.get(count as usize).copied().unwrap_or_else(|| count.ln_1p())
}

/// Whether what follows a text changes nothing of its vector.
pub(super) fn is_all_looked_at(text: &str) -> bool {
    text.len() >= LOOKED_AT
}

/// Whether what is looked at of a text has as many letters and digits as are needed to say something of its voice.
pub(super) fn says_enough(text: &str, fewest: usize) -> bool {
    let text = &text[..floor_char_boundary(text, LOOKED_AT)];
    text.chars().filter(|c| c.is_alphanumeric()).take(fewest).count() == fewest
}

/// Their direction in common.
pub(super) fn sum<'v>(vectors: impl IntoIterator<Item = &'v Vector>) -> Vector {
    let mut total: Vector = Box::new([0.0; BUCKETS]);
    for vector in vectors {
        total.iter_mut().zip(vector.iter()).for_each(|(total, value)| *total += value);
    }
    normalise(&mut total);
    total
}

pub(super) fn dot(one: &Vector, other: &Vector) -> f64 {
    f64::from(one.iter().zip(other.iter()).map(|(one, other)| one * other).sum::<f32>())
}

fn normalise(vector: &mut Vector) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes what a text comes to raises the version with it: voices that were learned before are then refused, and not misheard.
    #[test]
    fn a_version_has_its_vectors() {
        let text =
            "Arr, ye be lookin' for the eastern reef?! 今日は「雨」です。 Größe: 12,5 m — and the tide, the tide, the TIDE.";
        let vector = answer(text, Some("Where is the eastern reef, and how long is it?"));
        let digest = vector.iter().enumerate().fold(0_u64, |digest, (bucket, value)| {
            #[expect(clippy::cast_possible_truncation, reason = "a value is at most 1")]
            let value = (f64::from(*value) * 1e4).round() as i64;
            let habit = format!("{bucket} {value}");
            if value == 0 { digest } else { digest.wrapping_add(xxhash_rust::xxh3::xxh3_64(habit.as_bytes())) }
        });
        assert_eq!((VERSION, digest), (1, 9_794_799_332_266_806_505));
    }

    #[test]
    fn counts_are_damped_by_the_logarithm() {
        assert!([0.0_f32, 1.0, 2.0, 31.0, 32.0, 500.0].iter().all(|count| damped(*count) == count.ln_1p()));
    }
}

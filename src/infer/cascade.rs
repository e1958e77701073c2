//! The cascade: a first stage of a few microseconds on the caller's thread that passes windows which are clearly clean, and the
//! classifier for the others. The first stage may say "clean" or "look closer", never "collapsed". Knows no model and no file.
//!
//! It is a table of hashed character n-grams: each n-gram of a passage adds its weight, the sum is divided by the square root of their
//! number, and the sigmoid of that is how much the passage deserves a closer look. The most suspect passage speaks for the text, so that
//! one bad sentence is not thinned out by many good ones. `docs/classifier-format.md` says it exactly enough to be computed elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::infer::manifest::FirstStage;
use crate::infer::{BoxFuture, Job, ScoreError, Scored, Scorer, Stage};
use crate::score::Scores;

/// A table of hashed n-grams.
#[derive(Clone, Debug)]
pub struct Ngrams {
    weights: Box<[i8]>,
    /// A hash's upper bits are its place in the table.
    shift: u32,
    shortest: usize,
    longest: usize,
    block: usize,
    scale: f32,
    bias: f32,
    /// The logit below which a text is clean.
    clean: f32,
}

/// The table's length is not the one that the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {found} bytes, and the manifest says {expected} buckets")]
pub struct TableError {
    found: usize,
    expected: usize,
}

impl Ngrams {
    /// A table of one signed byte for each bucket.
    ///
    /// # Errors
    /// If there are more or fewer bytes than buckets.
    pub fn new(stage: &FirstStage, table: &[u8]) -> Result<Ngrams, TableError> {
        if table.len() != stage.buckets {
            return Err(TableError { found: table.len(), expected: stage.buckets });
        }
        Ok(Ngrams {
            weights: table.iter().map(|byte| byte.cast_signed()).collect(),
            shift: u64::BITS - stage.buckets.trailing_zeros(),
            shortest: stage.shortest,
            longest: stage.longest,
            block: stage.block,
            scale: stage.scale,
            bias: stage.bias,
            clean: (stage.clean_below / (1.0 - stage.clean_below)).ln(),
        })
    }

    /// How much a text deserves a closer look, as a logit. A text too short for one n-gram is infinitely suspect.
    #[must_use]
    pub fn logit(&self, text: &str) -> f32 {
        const FACTOR: u64 = 0x0100_0000_01B3;
        const LENGTH: u64 = 0x9E37_79B9_7F4A_7C15;
        const MIX: u64 = 0xBF58_476D_1CE4_E5B9;
        let letters = letters(text);
        let logit = |sum: i64, count: u32| match count {
            0 => f32::INFINITY,
            _ => self.bias + self.scale * sum as f32 / (count as f32).sqrt(),
        };
        // Sum and number of the n-grams that begin in the block before the last, and in the last. Two blocks are a passage.
        let (mut before, mut last) = ((0_i64, 0_u32), (0_i64, 0_u32));
        let mut highest = f32::NEG_INFINITY;
        for start in 0..letters.len() {
            if start > 0 && start % self.block == 0 {
                if start > self.block {
                    highest = highest.max(logit(before.0 + last.0, before.1 + last.1));
                }
                (before, last) = (last, (0, 0));
            }
            let mut hash = 0_u64;
            let end = letters.len().min(start + self.longest);
            for (length, &letter) in (1..).zip(&letters[start..end]) {
                hash = hash.wrapping_mul(FACTOR).wrapping_add(u64::from(letter));
                if length >= self.shortest {
                    let long = hash.wrapping_add((length as u64).wrapping_mul(LENGTH));
                    let place = (long ^ (long >> 29)).wrapping_mul(MIX) >> self.shift;
                    last.0 += i64::from(self.weights[place as usize]);
                    last.1 += 1;
                }
            }
        }
        highest.max(logit(before.0 + last.0, before.1 + last.1))
    }

    /// Whether a text is clearly clean.
    #[must_use]
    pub fn clean(&self, text: &str) -> bool {
        self.logit(text) < self.clean
    }
}

/// A text's code points in lower case, each run of white space as one space, and a space at either end.
fn letters(text: &str) -> Vec<u32> {
    let mut letters = Vec::with_capacity(text.len() + 2);
    letters.push(u32::from(' '));
    for c in text.chars() {
        if c.is_whitespace() {
            if letters.last() != Some(&u32::from(' ')) {
                letters.push(u32::from(' '));
            }
        } else if c.is_ascii() {
            letters.push(u32::from(c.to_ascii_lowercase()));
        } else {
            letters.extend(c.to_lowercase().map(u32::from));
        }
    }
    if letters.last() != Some(&u32::from(' ')) {
        letters.push(u32::from(' '));
    }
    letters
}

/// A [`Scorer`] that asks the first stage first.
pub struct Cascade {
    first: Ngrams,
    second: Arc<dyn Scorer>,
}

impl Cascade {
    /// Puts `first` before `second`.
    #[must_use]
    pub fn new(first: Ngrams, second: Arc<dyn Scorer>) -> Self {
        Cascade { first, second }
    }
}

impl Scorer for Cascade {
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let begun = Instant::now();
        if !self.first.clean(&job.text) {
            return self.second.score(job);
        }
        let (queued, computed) = (Duration::ZERO, begun.elapsed());
        let scored = Scored { scores: Scores::ZERO, stage: Stage::First, cached: false, queued, computed };
        Box::pin(std::future::ready(Ok(scored)))
    }

    fn queue_length(&self) -> usize {
        self.second.queue_length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::manifest::HashedFile;

    const TABLE: HashedFile = HashedFile { file: String::new(), sha256: String::new() };
    const STAGE: FirstStage =
        FirstStage { table: TABLE, buckets: 4096, shortest: 2, longest: 4, block: 40, scale: 0.05, bias: -3.0, clean_below: 0.1 };

    fn table(fill: impl Fn(usize) -> i8) -> Vec<u8> {
        (0..STAGE.buckets).map(|n| fill(n).cast_unsigned()).collect()
    }

    #[test]
    fn each_n_gram_counts_once_for_each_time() {
        let ngrams = Ngrams::new(&STAGE, &table(|_| 10)).unwrap();
        // " ab ": three pairs, two triples, one of four.
        let logit = -3.0 + 0.05 * 60.0 / 6.0_f32.sqrt();
        assert!((ngrams.logit("ab") - logit).abs() < 1e-6);
        assert_eq!(ngrams.logit("ab"), ngrams.logit("\n AB\t\u{3000} "), "case and white space are no difference");
        assert!(ngrams.logit("abc") > ngrams.logit("ab"));
    }

    #[test]
    fn one_bad_passage_is_not_thinned_out() {
        // Triples only, and one of them has a weight: its place is found by asking.
        let stage = FirstStage { shortest: 3, longest: 3, ..STAGE };
        let lone = |place| Ngrams::new(&stage, &table(|n| if n == place { 127 } else { 0 })).unwrap();
        let place = (0..STAGE.buckets).find(|&place| lone(place).logit("zzzzzzzzzz") > 5.0).unwrap();
        let ngrams = Ngrams::new(&stage, &table(|n| if n == place { 127 } else { 0 })).unwrap();
        let bad = "zzzzzzzzzz";
        let among = |before: usize, after: usize| {
            ngrams.logit(&format!("{}{bad}{}", "fine weather ".repeat(before), " fine weather".repeat(after)))
        };
        for (before, after) in [(0, 90), (90, 0), (45, 45), (46, 44)] {
            assert!(among(before, after) > 1.0, "{before} {after}: {}", among(before, after));
        }
        assert!(ngrams.clean(&"fine weather ".repeat(90)));
    }

    #[test]
    fn a_negative_weight_is_one() {
        let ngrams = Ngrams::new(&STAGE, &table(|_| -128)).unwrap();
        assert!(ngrams.logit("hello") < -3.0 && ngrams.clean("hello"));
    }

    #[test]
    fn a_text_too_short_to_tell_is_looked_at() {
        let stage = FirstStage { shortest: 4, ..STAGE };
        let ngrams = Ngrams::new(&stage, &table(|_| -128)).unwrap();
        assert!(!ngrams.clean("") && !ngrams.clean(" \n") && !ngrams.clean("a"));
        assert!(ngrams.clean("ab"));
    }

    #[test]
    fn a_table_of_another_size_is_refused() {
        let error = Ngrams::new(&STAGE, &[0; 100]).unwrap_err();
        assert_eq!(error.to_string(), "has 100 bytes, and the manifest says 4096 buckets");
    }

    struct Second;

    impl Scorer for Second {
        fn score(&self, _: Job) -> BoxFuture<Result<Scored, ScoreError>> {
            Box::pin(std::future::ready(Err(ScoreError::Overloaded)))
        }

        fn queue_length(&self) -> usize {
            4
        }
    }

    #[tokio::test]
    async fn what_is_not_clean_goes_to_the_second_stage_whatever_comes_of_it() {
        let job = || Job { context: Arc::default(), text: "hello".into(), stream: 1, deadline: Duration::from_secs(1) };
        let clean = Cascade::new(Ngrams::new(&STAGE, &table(|_| 0)).unwrap(), Arc::new(Second));
        let scored = clean.score(job()).await.unwrap();
        assert_eq!((scored.stage, scored.scores, scored.cached), (Stage::First, Scores::ZERO, false));
        let suspect = Cascade::new(Ngrams::new(&STAGE, &table(|_| 127)).unwrap(), Arc::new(Second));
        assert_eq!(suspect.score(job()).await, Err(ScoreError::Overloaded));
        assert_eq!(suspect.queue_length(), 4);
    }
}

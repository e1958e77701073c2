//! A voiceprint: a voice that was learned from many answers of a persona, and from answers that are others': a weight for each habit, by
//! logistic regression. `steadfast calibrate --others` learns it and writes it into the persona file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::logistic::{self, Sparse};
use super::vector::{self, BUCKETS, Vector};

/// Letters and digits below which an answer says nothing of its voice.
pub(super) const FEWEST_LETTERS: usize = 12;
/// Answers needed of the persona, and of others.
pub const FEWEST_OWN: usize = 20;
/// Answers needed of others.
pub const FEWEST_OTHERS: usize = 40;
/// Parts that the persona's answers are learned from in: one is measured by what the others teach.
pub const FOLDS: usize = 5;

/// Weights are whole numbers; one of usual size comes to this.
const USUAL: f64 = 32.0;

/// A voice, learned.
#[derive(Clone, PartialEq)]
pub struct Voiceprint {
    /// How much each habit speaks against the persona.
    weights: Box<[i8; BUCKETS]>,
    /// What the persona's own answers come to, that were not learned from.
    mean: f64,
    /// Their standard deviation.
    deviation: f64,
}

/// Too few answers to learn a voice from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooFew {
    /// Of the persona.
    #[error("only {0} responses are long enough to tell a voice by; at least {FEWEST_OWN} are needed")]
    Own(usize),
    /// Of others.
    #[error("only {0} answers of others are long enough to tell a voice by; at least {FEWEST_OTHERS} are needed")]
    Others(usize),
}

/// An answer to learn a voice from.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a> {
    /// The part that it belongs to, modulo [`FOLDS`]. A conversation's answers belong into one: each says something of the next.
    pub fold: usize,
    /// The answer.
    pub answer: &'a str,
    /// What it answers.
    pub asked: Option<&'a str>,
}

/// What was learned.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The voice that all of it teaches.
    pub whole: Voiceprint,
    /// For each fold the voice that the others teach, which its own answers can be measured by.
    pub folds: [Voiceprint; FOLDS],
    /// How often another's answer is farther away than the persona's, of all pairs (AUROC; 0.5 is a guess), measured by what neither taught.
    pub told: f64,
}

/// Learns a persona's voice from what tells its answers from others'.
///
/// # Errors
/// There are too few that are long enough.
pub fn learn(own: &[Spoken<'_>], others: &[Spoken<'_>]) -> Result<Learned, TooFew> {
    let long = |spoken: &[Spoken<'_>]| -> Vec<(usize, Sparse)> {
        let enough = spoken.iter().filter(|one| vector::says_enough(one.answer, FEWEST_LETTERS));
        enough.map(|one| (one.fold % FOLDS, Sparse::of(&vector::answer(one.answer, one.asked)))).collect()
    };
    let (own, others) = (long(own), long(others));
    if own.len() < FEWEST_OWN {
        return Err(TooFew::Own(own.len()));
    }
    if others.len() < FEWEST_OTHERS {
        return Err(TooFew::Others(others.len()));
    }
    let taught = |without: Option<usize>, others_without: Option<usize>| {
        whole_numbers(&logistic::weights(&rest(&own, without), &rest(&others, others_without)))
    };
    let folds: [_; FOLDS] = std::array::from_fn(|fold| taught(Some(fold), None));
    // What each answer comes to by what its fold did not teach.
    let measured = |by: &[Box<[i8; BUCKETS]>; FOLDS], all: &[(usize, Sparse)]| -> Vec<(usize, f64)> {
        all.iter().map(|(fold, answer)| (*fold, answer.dot(&by[*fold].map(f64::from)) / USUAL)).collect()
    };
    let near = measured(&folds, &own);
    // To tell the two apart the others' answers must not have taught it either.
    let neither: [_; FOLDS] = std::array::from_fn(|fold| taught(Some(fold), Some(fold)));
    let told = auroc(&measured(&neither, &others), &measured(&neither, &own));
    let print = |weights: Box<[i8; BUCKETS]>, without: Option<usize>| {
        let values = near.iter().filter(|(fold, _)| Some(*fold) != without).map(|(_, value)| *value);
        let (mean, deviation) = spread(values);
        Voiceprint { weights, mean, deviation }
    };
    Ok(Learned {
        whole: print(taught(None, None), None),
        folds: std::array::from_fn(|fold| print(folds[fold].clone(), Some(fold))),
        told,
    })
}

/// All but one fold's.
fn rest(all: &[(usize, Sparse)], without: Option<usize>) -> Vec<&Sparse> {
    all.iter().filter(|(fold, _)| Some(*fold) != without).map(|(_, answer)| answer).collect()
}

impl Voiceprint {
    /// Of the vectors that the weights are for; it stands beside them in a persona file. Weights of another version say nothing.
    pub const VERSION: i64 = vector::VERSION;

    /// How far an answer is from the persona's own, in standard deviations.
    pub(super) fn deviations(&self, answer: &Vector) -> f64 {
        (against(&self.weights, answer) - self.mean) / self.deviation
    }

    /// As it stands in a persona file: the weights in base64, the mean and the deviation.
    #[must_use]
    pub fn parts(&self) -> (String, f64, f64) {
        (STANDARD.encode(self.weights.map(|weight| weight.cast_unsigned())), self.mean, self.deviation)
    }

    /// From what stands in a persona file; `None`: it is not that.
    #[must_use]
    pub fn from_parts(weights: &str, mean: f64, deviation: f64) -> Option<Self> {
        let weights: [u8; BUCKETS] = STANDARD.decode(weights).ok()?.try_into().ok()?;
        (mean.is_finite() && deviation.is_finite() && deviation > 0.0).then(|| Voiceprint {
            weights: Box::new(weights.map(u8::cast_signed)),
            mean,
            deviation,
        })
    }
}

impl std::fmt::Debug for Voiceprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voiceprint").field("mean", &self.mean).field("deviation", &self.deviation).finish_non_exhaustive()
    }
}

/// Weights as whole numbers: what they tell apart does not depend on their size.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn whole_numbers(weights: &[f64]) -> Box<[i8; BUCKETS]> {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let usual = (weights.iter().map(|weight| weight * weight).sum::<f64>() / BUCKETS as f64).sqrt().max(1e-12);
    let mut whole = Box::new([0_i8; BUCKETS]);
    whole
        .iter_mut()
        .zip(weights)
        .for_each(|(whole, weight)| *whole = (weight / usual * USUAL).round().clamp(-127.0, 127.0) as i8);
    whole
}

/// What the weights make of an answer.
fn against(weights: &[i8; BUCKETS], answer: &Vector) -> f64 {
    f64::from(weights.iter().zip(answer.iter()).map(|(weight, value)| f32::from(*weight) * value).sum::<f32>()) / USUAL
}

/// The chance that a value of `high` is above one of `low`, of the same fold, ties counted half.
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
fn auroc(high: &[(usize, f64)], low: &[(usize, f64)]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for fold in 0..FOLDS {
        let mut low: Vec<f64> = low.iter().filter(|one| one.0 == fold).map(|one| one.1).collect();
        low.sort_by(f64::total_cmp);
        for (_, value) in high.iter().filter(|one| one.0 == fold) {
            let (below, upto) = (low.partition_point(|one| one < value), low.partition_point(|one| one <= value));
            wins += (below + upto) as f64 / 2.0;
            pairs += low.len() as f64;
        }
    }
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

/// Mean and standard deviation, to six digits, as a file has them.
#[expect(clippy::cast_precision_loss, reason = "a count of answers")]
fn spread(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(2) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let six = |value: f64| (value * 1e6).round() / 1e6;
    (six(mean), six(variance.sqrt().max(0.01)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;

    /// Answers of somebody who ends sentences so, on whatever subject.
    fn answers(endings: &[&str], count: usize, seed: u64) -> Vec<String> {
        const SUBJECTS: [&str; 6] = ["the tides", "a loan", "the harbour master", "two recipes", "your parcel", "old maps"];
        const VERBS: [&str; 5] = ["depends on", "comes before", "has little to do with", "is like", "waits for"];
        let mut random = Random::new(seed);
        let mut pick = |from: &[&str]| from[random.below(from.len())].to_owned();
        (0..count).map(|_| format!("{} {} {}, {}", pick(&SUBJECTS), pick(&VERBS), pick(&SUBJECTS), pick(endings))).collect()
    }

    fn lesson(own: &[String], others: &[String]) -> Result<Learned, TooFew> {
        fn spoken(answers: &[String]) -> Vec<Spoken<'_>> {
            answers.iter().enumerate().map(|(fold, answer)| Spoken { fold, answer, asked: None }).collect()
        }
        learn(&spoken(own), &spoken(others))
    }

    const PIRATE: [&str; 3] = ["arr matey", "me hearty", "by thunder"];
    const CLERK: [&str; 3] = ["kindly note", "as per our terms", "with best regards"];

    #[test]
    fn a_voice_is_told_from_others_on_the_same_subjects() {
        let Learned { whole, folds, told } = lesson(&answers(&PIRATE, 200, 1), &answers(&CLERK, 100, 2)).unwrap();
        assert!(told > 0.95, "{told}");
        for print in folds.iter().chain([&whole]) {
            let of = |text: &str| print.deviations(&vector::answer(text, None));
            let [own, others] = [(PIRATE, 3), (CLERK, 4)].map(|(endings, seed)| answers(&endings, 50, seed));
            let told = own.iter().flat_map(|own| others.iter().map(move |other| (own, other)));
            let told = told.filter(|(own, other)| of(own) < of(other)).count();
            assert!(told > 2450, "{told} of 2500 pairs");
        }
        // Answers that were not learned from are on average where the persona's are.
        let fresh = answers(&PIRATE, 200, 5);
        let (mean, deviation) = spread(fresh.iter().map(|text| whole.deviations(&vector::answer(text, None))));
        assert!(mean.abs() < 0.3 && (deviation - 1.0).abs() < 0.3, "{mean} {deviation}");
    }

    #[test]
    fn two_who_speak_alike_are_not_told_apart() {
        let alike = lesson(&answers(&CLERK, 300, 1), &answers(&CLERK, 300, 2)).unwrap();
        assert!((0.4..0.6).contains(&alike.told), "an answer that taught the voice must not be measured by it: {}", alike.told);
    }

    #[test]
    fn too_few_answers_teach_nothing() {
        let short = vec!["Aye.".to_owned(); 500];
        assert_eq!(lesson(&short, &answers(&CLERK, 100, 2)).unwrap_err(), TooFew::Own(0));
        assert_eq!(lesson(&answers(&PIRATE, 19, 1), &answers(&CLERK, 100, 2)).unwrap_err(), TooFew::Own(19));
        assert_eq!(lesson(&answers(&PIRATE, 100, 1), &answers(&CLERK, 39, 2)).unwrap_err(), TooFew::Others(39));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let print = lesson(&answers(&PIRATE, 120, 1), &answers(&CLERK, 60, 2)).unwrap().whole;
        let (weights, mean, deviation) = print.parts();
        assert_eq!(Voiceprint::from_parts(&weights, mean, deviation), Some(print));
        assert_eq!(Voiceprint::from_parts(&weights[4..], mean, deviation), None, "weights are missing");
        assert_eq!(Voiceprint::from_parts("", 0.0, 1.0), None);
        assert_eq!(Voiceprint::from_parts(&weights, f64::NAN, deviation), None);
        assert_eq!(Voiceprint::from_parts(&weights, mean, 0.0), None);
    }
}

//! A voiceprint: a voice that was learned from many answers of a persona, and from answers that are others'. What tells the two apart is a
//! linear discriminant (Fisher 1936) with a diagonal covariance, for there are more habits than answers. `steadfast calibrate --others`
//! learns it and writes it into the persona file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::vector::{self, BUCKETS, Vector};

/// Letters and digits below which an answer says nothing of its voice.
pub(super) const FEWEST_LETTERS: usize = 12;
/// Answers needed of the persona, and of others.
pub const FEWEST_OWN: usize = 20;
/// Answers needed of others.
pub const FEWEST_OTHERS: usize = 40;
/// Parts that the persona's answers are learned from in: one is measured by what the others teach.
pub const FOLDS: usize = 5;

/// What is added to each habit's variance, which for rare ones is next to nothing: about that of a habit that one answer in ten has.
const SMOOTHING: f64 = 1e-4;
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

/// Answers to learn a voice from.
pub struct Lesson {
    folds: [Moments; FOLDS],
    others: Moments,
}

/// Counts and sums of vectors.
#[derive(Clone)]
struct Moments {
    count: usize,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl Lesson {
    /// No answers yet.
    #[must_use]
    pub fn new() -> Self {
        Lesson { folds: std::array::from_fn(|_| Moments::new()), others: Moments::new() }
    }

    /// The persona's own answer, with what it answers. A conversation's answers belong into one fold: each says something of the next.
    pub fn own(&mut self, fold: usize, answer: &str, asked: Option<&str>) {
        self.folds[fold % FOLDS].add(answer, asked);
    }

    /// An answer that is not the persona's.
    pub fn other(&mut self, answer: &str, asked: Option<&str>) {
        self.others.add(answer, asked);
    }

    /// The voice that all of it teaches, and for each fold the one that the others teach, which its own answers can be measured by.
    /// `own`: the persona's answers again, with their folds.
    ///
    /// # Errors
    /// There are too few.
    pub fn learn<'a>(
        &self,
        own: impl Iterator<Item = (usize, &'a str, Option<&'a str>)>,
    ) -> Result<(Voiceprint, [Voiceprint; FOLDS]), TooFew> {
        let all = self.folds.iter().fold(Moments::new(), Moments::with);
        if all.count < FEWEST_OWN {
            return Err(TooFew::Own(all.count));
        }
        if self.others.count < FEWEST_OTHERS {
            return Err(TooFew::Others(self.others.count));
        }
        let rest: [Moments; FOLDS] = std::array::from_fn(|left_out| {
            let others = self.folds.iter().enumerate().filter(|(fold, _)| *fold != left_out);
            others.fold(Moments::new(), |sum, (_, moments)| sum.with(moments))
        });
        let weights: [_; FOLDS] = std::array::from_fn(|fold| discriminant(&rest[fold], &self.others));
        // What each answer comes to by what it did not teach.
        let mut measured: [Vec<f64>; FOLDS] = std::array::from_fn(|_| Vec::new());
        for (fold, answer, asked) in own.filter(|(_, answer, _)| vector::says_enough(answer, FEWEST_LETTERS)) {
            let fold = fold % FOLDS;
            measured[fold].push(against(&weights[fold], &vector::answer(answer, asked)));
        }
        let print = |weights: Box<[i8; BUCKETS]>, without: Option<usize>| {
            let values = measured.iter().enumerate().filter(|(fold, _)| Some(*fold) != without).flat_map(|(_, values)| values);
            let (mean, deviation) = spread(values.copied());
            Voiceprint { weights, mean, deviation }
        };
        let whole = print(discriminant(&all, &self.others), None);
        let mut weights = weights.into_iter().enumerate();
        Ok((whole, std::array::from_fn(|_| weights.next().map(|(fold, weights)| print(weights, Some(fold))).expect("one each"))))
    }
}

impl Default for Lesson {
    fn default() -> Self {
        Lesson::new()
    }
}

impl Voiceprint {
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

impl Moments {
    fn new() -> Self {
        Moments { count: 0, sum: vec![0.0; BUCKETS], squares: vec![0.0; BUCKETS] }
    }

    fn add(&mut self, answer: &str, asked: Option<&str>) {
        if !vector::says_enough(answer, FEWEST_LETTERS) {
            return;
        }
        self.count += 1;
        for (bucket, value) in vector::answer(answer, asked).iter().enumerate() {
            let value = f64::from(*value);
            self.sum[bucket] += value;
            self.squares[bucket] += value * value;
        }
    }

    fn with(mut self, other: &Moments) -> Self {
        self.count += other.count;
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum += value);
        self.squares.iter_mut().zip(&other.squares).for_each(|(sum, value)| *sum += value);
        self
    }

    /// A habit's mean and variance.
    #[expect(clippy::cast_precision_loss, reason = "a count of answers")]
    fn of(&self, bucket: usize) -> (f64, f64) {
        let count = self.count.max(1) as f64;
        let mean = self.sum[bucket] / count;
        (mean, (self.squares[bucket] / count - mean * mean).max(0.0))
    }
}

/// The difference of the means over the variance within, of each habit: positive is the others'. As whole numbers.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn discriminant(own: &Moments, others: &Moments) -> Box<[i8; BUCKETS]> {
    let weights: Vec<f64> = (0..BUCKETS)
        .map(|bucket| {
            let ((own, one), (other, two)) = (own.of(bucket), others.of(bucket));
            (other - own) / (f64::midpoint(one, two) + SMOOTHING)
        })
        .collect();
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

    fn lesson(own: &[String], others: &[String]) -> Result<(Voiceprint, [Voiceprint; FOLDS]), TooFew> {
        let mut lesson = Lesson::new();
        own.iter().enumerate().for_each(|(index, answer)| lesson.own(index, answer, None));
        others.iter().for_each(|answer| lesson.other(answer, None));
        lesson.learn(own.iter().enumerate().map(|(index, answer)| (index, answer.as_str(), None)))
    }

    const PIRATE: [&str; 3] = ["arr matey", "me hearty", "by thunder"];
    const CLERK: [&str; 3] = ["kindly note", "as per our terms", "with best regards"];

    #[test]
    fn a_voice_is_told_from_others_on_the_same_subjects() {
        let (all, without) = lesson(&answers(&PIRATE, 200, 1), &answers(&CLERK, 100, 2)).unwrap();
        for print in without.iter().chain([&all]) {
            let of = |text: &str| print.deviations(&vector::answer(text, None));
            let [own, others] = [(PIRATE, 3), (CLERK, 4)].map(|(endings, seed)| answers(&endings, 50, seed));
            let told = own.iter().flat_map(|own| others.iter().map(move |other| (own, other)));
            let told = told.filter(|(own, other)| of(own) < of(other)).count();
            assert!(told > 2450, "{told} of 2500 pairs");
        }
        // Answers that were not learned from are on average where the persona's are.
        let fresh = answers(&PIRATE, 200, 5);
        let (mean, deviation) = spread(fresh.iter().map(|text| all.deviations(&vector::answer(text, None))));
        assert!(mean.abs() < 0.3 && (deviation - 1.0).abs() < 0.3, "{mean} {deviation}");
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
        let (print, _) = lesson(&answers(&PIRATE, 120, 1), &answers(&CLERK, 60, 2)).unwrap();
        let (weights, mean, deviation) = print.parts();
        assert_eq!(Voiceprint::from_parts(&weights, mean, deviation), Some(print));
        assert_eq!(Voiceprint::from_parts(&weights[4..], mean, deviation), None, "weights are missing");
        assert_eq!(Voiceprint::from_parts("", 0.0, 1.0), None);
        assert_eq!(Voiceprint::from_parts(&weights, f64::NAN, deviation), None);
        assert_eq!(Voiceprint::from_parts(&weights, mean, 0.0), None);
    }
}

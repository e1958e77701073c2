//! What a persona's in-character answers say of its thresholds: learned from scores that somebody else has measured. Pure; reads no
//! answer and no file.
//!
//! A label's threshold is the order statistic that conformal prediction asks for (Vovk; Angelopoulos et al., arXiv 2208.02814): if the
//! next answer is exchangeable with those measured, it exceeds the threshold with at most the wanted probability, whatever the
//! distribution. The drift limit is set so that it holds on other conversations too, with 90 % confidence.

use super::{DriftThresholds, Thresholds};
use crate::drift::{self, Asked, Baseline, Cusum, Prompt, Ranks, Residuals, Spread};
use crate::score::{Label, Score, Scores, Signals};

/// An in-character answer, measured.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Its highest scores.
    pub scores: Scores,
    /// Its highest signals.
    pub signals: Signals,
    /// What it answers.
    pub asked: Asked,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The share of in-character answers that may exceed a label's threshold.
    pub false_positive_rate: f64,
    /// The share of turns at which a harmless conversation may go over the drift limit.
    pub drift_rate: f64,
    /// The classifier's own thresholds; `None`: there is no classifier, and labels get none.
    pub classifier: Option<[f64; Label::COUNT]>,
    /// The chart that the drift limit is for.
    pub chart: Cusum,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The thresholds; who measured them and when is the caller's to add.
    pub thresholds: Thresholds,
    /// The highest score of each label.
    pub highest: [Score; Label::COUNT],
    /// The share of the margin's variance that the questions explain.
    pub explained: f64,
    /// Why there is no drift limit.
    pub no_drift: Option<drift::BootstrapError>,
}

/// Too few answers for the rate that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{responses} responses are too few for a false-positive rate of {rate}; at least {needed} are needed")]
pub struct TooFew {
    /// Answers given.
    pub responses: usize,
    /// Answers needed.
    pub needed: usize,
    /// The rate.
    pub rate: f64,
}

/// A persona's threshold is at least this part of the classifier's own. In-character answers to everyday questions score next to
/// nothing; a threshold just above that would take every unusual question for a collapse.
const LOWEST: f64 = 0.5;
/// The same for signals, which have no threshold of their own.
const LOWEST_SIGNAL: f32 = 0.05;

/// Learns a persona's thresholds from conversations of in-character answers.
///
/// # Errors
/// There are too few of them.
pub fn calibrate(conversations: &[Vec<Answer>], wanted: &Wanted) -> Result<Found, TooFew> {
    let answers: Vec<&Answer> = conversations.iter().flatten().collect();
    let place = Place::of(answers.len(), wanted.false_positive_rate)?;
    let mut thresholds = Thresholds {
        false_positive_rate: Some(wanted.false_positive_rate),
        upper_bound: Some(upper_bound(place.above, answers.len())),
        responses: Some(answers.len() as u64),
        ..Thresholds::default()
    };
    let mut highest = [Score::ZERO; Label::COUNT];
    for label in Label::ALL {
        let scores: Vec<f32> = answers.iter().map(|answer| answer.scores.model(label).get()).collect();
        let (threshold, most) = place.threshold(scores);
        highest[label.index()] = Score::clamped(most).unwrap_or_default();
        if let Some(classifier) = &wanted.classifier {
            #[expect(clippy::cast_possible_truncation, reason = "a score is an f32")]
            let floor = (classifier[label.index()] * LOWEST) as f32;
            thresholds.labels[label.index()] = Score::clamped(threshold.max(floor));
        }
    }
    let signal = |of: fn(&Signals) -> Option<Score>| {
        let measured: Vec<f32> = answers.iter().filter_map(|answer| of(&answer.signals)).map(Score::get).collect();
        // Where some answers have no signal (too short to tell), those that have it are fewer, and may be too few.
        let place = Place::of(measured.len(), wanted.false_positive_rate).ok()?;
        Score::clamped(place.threshold(measured).0.max(LOWEST_SIGNAL))
    };
    thresholds.voice = signal(|signals| signals.voice);
    thresholds.register = signal(|signals| signals.register);
    let mut found = Found { thresholds, highest, explained: 0.0, no_drift: None };
    match drift(conversations, wanted) {
        Ok((drift, explained)) => (found.thresholds.drift, found.explained) = (Some(drift), explained),
        Err(error) => found.no_drift = Some(error),
    }
    Ok(found)
}

/// Where in the sorted scores a threshold lies.
struct Place {
    index: usize,
    /// Scores above it.
    above: usize,
}

impl Place {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of answers")]
    fn of(count: usize, rate: f64) -> Result<Self, TooFew> {
        let rank = ((count + 1) as f64 * (1.0 - rate) - 1e-9).ceil() as usize;
        if rank > count || count == 0 {
            return Err(TooFew { responses: count, needed: (1.0 / rate - 1.0 - 1e-9).ceil() as usize, rate });
        }
        Ok(Place { index: rank.max(1) - 1, above: count - rank.max(1) })
    }

    /// The lowest score that counts as over the threshold, to six digits, and the highest score.
    fn threshold(&self, mut scores: Vec<f32>) -> (f32, f32) {
        scores.sort_by(f32::total_cmp);
        let above = (f64::from(scores[self.index]) * 1e6).floor() / 1e6 + 1e-6;
        #[expect(clippy::cast_possible_truncation, reason = "a score is an f32")]
        let threshold = (above as f32).min(1.0);
        (threshold, scores[scores.len() - 1])
    }
}

/// The highest rate at which no more than `above` of `count` would be seen with a probability of 5 % (Clopper and Pearson 1934).
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
fn upper_bound(above: usize, count: usize) -> f64 {
    let seen = |rate: f64| {
        let mut log = count as f64 * (-rate).ln_1p();
        let mut sum = log.exp();
        for one in 0..above {
            log += ((count - one) as f64 / (one + 1) as f64 * rate / (1.0 - rate)).ln();
            sum += log.exp();
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0 - 1e-12);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if seen(middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}

fn drift(conversations: &[Vec<Answer>], wanted: &Wanted) -> Result<(DriftThresholds, f64), drift::BootstrapError> {
    let thresholds = wanted.classifier.unwrap_or([0.5; Label::COUNT]);
    let all: Vec<&[Answer]> = conversations.iter().map(Vec::as_slice).collect();
    let turns = conversations.iter().map(Vec::len).sum();
    let few = drift::BootstrapError::TooFew { turns, needed: drift::FEWEST_TURNS };
    let (baseline, explained) = learn(&all, thresholds).ok_or(few)?;
    let learned = |runs: &[&[Answer]]| learn(runs, thresholds).map(|(baseline, _)| baseline);
    let residuals = |by: &Baseline, run: &[Answer]| {
        run.iter().map(|answer| by.residuals(&answer.scores, &answer.signals, &answer.asked)).collect()
    };
    let limit = drift::guaranteed_limit(&wanted.chart, conversations, wanted.drift_rate, learned, residuals)?;
    let found = DriftThresholds {
        limit: (limit * 100.0).ceil() / 100.0,
        allowance: wanted.chart.allowance,
        false_alarm_rate: Some(wanted.drift_rate),
        turns: Some(turns as u64),
        conversations: Some(conversations.len() as u64),
        margin: baseline.margin,
        voice: baseline.voice,
        register: baseline.register,
        spread: baseline.spread,
        prompt: baseline.prompt,
    };
    Ok((found, explained))
}

/// What harmless turns look like, and how much of it the questions explain. `None`: too few turns.
fn learn(conversations: &[&[Answer]], thresholds: [f64; Label::COUNT]) -> Option<(Baseline, f64)> {
    let answers: Vec<&Answer> = conversations.iter().copied().flatten().collect();
    let mut baseline = Baseline { thresholds, ..Baseline::default() };
    let margins: Vec<f64> = answers.iter().map(|answer| baseline.margin(&answer.scores)).collect();
    let asked: Vec<Asked> = answers.iter().map(|answer| answer.asked).collect();
    let (prompt, explained) = regress(&asked, &margins);
    baseline.prompt = prompt;
    let adjusted: Vec<f64> = answers.iter().map(|answer| baseline.adjusted(&answer.scores, &answer.asked)).collect();
    let ranks = |values: &[f64]| Ranks::of(values).map(|ranks| Ranks(ranks.0.map(|value| (value * 1e4).round() / 1e4)));
    let signal = |of: fn(&Signals) -> Option<Score>| {
        let measured: Vec<f64> =
            answers.iter().filter_map(|answer| of(&answer.signals)).map(|score| score.get().into()).collect();
        ranks(&measured)
    };
    baseline.margin = ranks(&adjusted)?;
    baseline.voice = signal(|signals| signals.voice);
    baseline.register = signal(|signals| signals.register);
    let measured: Vec<Residuals> =
        answers.iter().map(|answer| baseline.residuals(&answer.scores, &answer.signals, &answer.asked)).collect();
    baseline.spread = std::array::from_fn(|quantity| {
        let values = measured.iter().map(|residuals| residuals.0[quantity]).filter(|residual| !residual.is_nan());
        Spread::of(&values.collect::<Vec<_>>())
    });
    Some((baseline, explained))
}

/// Ridge regression of margins on what was asked, and the share of their variance that it explains. Where it explains next to nothing
/// (under 1 %), nothing is owed to the question.
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
fn regress(asked: &[Asked], margins: &[f64]) -> (Prompt, f64) {
    const N: usize = Asked::COUNT;
    let count = margins.len() as f64;
    if margins.len() < 20 {
        return (Prompt::default(), 0.0);
    }
    let mean = |of: &dyn Fn(&Asked) -> f64| asked.iter().map(of).sum::<f64>() / count;
    let means: [f64; N] = std::array::from_fn(|column| mean(&|asked| asked.0[column]));
    let average = margins.iter().sum::<f64>() / count;
    // Normal equations of the centred columns, with a little on the diagonal so that a column that never moves gets no weight.
    let mut system = [[0.0; N + 1]; N];
    for (asked, margin) in asked.iter().zip(margins) {
        for (row, equation) in system.iter_mut().enumerate() {
            let own = asked.0[row] - means[row];
            for (column, cell) in equation.iter_mut().enumerate() {
                *cell += own * if column == N { margin - average } else { asked.0[column] - means[column] };
            }
        }
    }
    for (row, equation) in system.iter_mut().enumerate() {
        equation[row] += 0.01 * count;
    }
    let weights = solve(system).map(|weight| (weight * 1e4).round() / 1e4);
    let prompt = Prompt { weights, average: (weights.iter().zip(means).map(|(w, m)| w * m).sum::<f64>() * 1e4).round() / 1e4 };
    let owed = |asked: &Asked| weights.iter().zip(asked.0).map(|(weight, value)| weight * value).sum::<f64>() - prompt.average;
    let total: f64 = margins.iter().map(|margin| (margin - average).powi(2)).sum();
    let left: f64 = asked.iter().zip(margins).map(|(asked, margin)| (margin - average - owed(asked)).powi(2)).sum();
    let explained = if total > 0.0 { 1.0 - left / total } else { 0.0 };
    if explained < 0.01 { (Prompt::default(), 0.0) } else { (prompt, explained) }
}

/// Gaussian elimination of a positive definite system.
fn solve<const N: usize, const M: usize>(mut system: [[f64; M]; N]) -> [f64; N] {
    for pivot in 0..N {
        let equation = system[pivot];
        for other in (0..N).filter(|other| *other != pivot) {
            let factor = system[other][pivot] / equation[pivot];
            for (cell, known) in system[other].iter_mut().zip(equation) {
                *cell -= factor * known;
            }
        }
    }
    std::array::from_fn(|row| system[row][M - 1] / system[row][row])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;
    use crate::score::Source;

    const WANTED: Wanted = Wanted {
        false_positive_rate: 0.01,
        drift_rate: 1e-3,
        classifier: Some([0.5; Label::COUNT]),
        chart: Cusum { allowance: 0.75, most: 3.0 },
    };

    /// Answers whose hate score is skewed, and higher where the question is about the assistant.
    fn conversations(count: usize, seed: u64) -> Vec<Vec<Answer>> {
        let mut random = Random::new(seed);
        let mut one = || {
            let about_you = random.unit() < 0.3;
            let logit = random.normal() - if about_you { 1.0 } else { 3.0 };
            let mut scores = Scores::ZERO;
            #[expect(clippy::cast_possible_truncation)]
            scores.raise(Label::Hate, Score::clamped((1.0 / (1.0 + (-logit).exp())) as f32).unwrap(), Source::Model);
            let question = if about_you { "Who are you?" } else { "What is it?" };
            Answer { scores, signals: Signals::default(), asked: Asked::of(Some(question)) }
        };
        (0..count).map(|_| (0..8).map(|_| one()).collect()).collect()
    }

    #[test]
    fn thresholds_keep_the_rate_on_answers_that_were_not_seen() {
        let found = calibrate(&conversations(250, 1), &WANTED).unwrap();
        let thresholds = &found.thresholds;
        let hate = thresholds.labels[Label::Hate.index()].unwrap();
        let fresh = conversations(2000, 2);
        let over = fresh.iter().flatten().filter(|answer| answer.scores.model(Label::Hate) >= hate).count();
        let rate = over as f64 / 16_000.0;
        let bound = thresholds.upper_bound.unwrap();
        assert!(rate < 0.016 && (0.01..0.016).contains(&bound), "{rate} of 1 %, bound {bound}");
        assert_eq!(thresholds.labels[Label::Despair.index()], Score::new(0.25), "not far below the classifier's own");
        assert!((found.highest[Label::Hate.index()]) >= hate);
        let none = calibrate(&conversations(250, 1), &Wanted { classifier: None, ..WANTED }).unwrap();
        assert_eq!(none.thresholds.labels, [None; Label::COUNT]);
    }

    #[test]
    fn the_drift_limit_keeps_its_rate_on_conversations_that_were_not_seen() {
        let found = calibrate(&conversations(300, 3), &WANTED).unwrap();
        assert!(found.explained > 0.2, "{}", found.explained);
        let drift = found.thresholds.drift.unwrap();
        let baseline =
            Baseline { thresholds: [0.5; Label::COUNT], margin: drift.margin, prompt: drift.prompt, ..Baseline::default() };
        let fresh = conversations(20_000, 4);
        let residuals = fresh.iter().flatten().map(|answer| baseline.residuals(&answer.scores, &answer.signals, &answer.asked));
        let rate = drift::false_alarm_rate(&Cusum::default(), residuals, 160_000, drift.limit);
        assert!(rate < 1.5e-3, "{rate} at {}", drift.limit);
        assert!((2.0..6.0).contains(&drift.limit), "{}", drift.limit);
    }

    #[test]
    fn too_few_say_how_many_are_needed() {
        let wanted = Wanted { false_positive_rate: 0.001, ..WANTED };
        let error = calibrate(&conversations(100, 1), &wanted).unwrap_err();
        assert_eq!(error.to_string(), "800 responses are too few for a false-positive rate of 0.001; at least 999 are needed");
        assert!(Place::of(999, 0.001).is_ok_and(|place| place.above == 0) && Place::of(998, 0.001).is_err());
        let few = calibrate(&conversations(13, 1), &WANTED).unwrap();
        assert!(few.thresholds.drift.is_none() && few.no_drift.unwrap().to_string().contains("200"));
    }

    #[test]
    fn the_bound_is_the_textbooks() {
        assert!((upper_bound(0, 999) - 0.002_994).abs() < 1e-5, "{}", upper_bound(0, 999));
        assert!((upper_bound(2, 100) - 0.061_6).abs() < 1e-3, "{}", upper_bound(2, 100));
    }
}

//! What harmless turns look like, and how far a turn is from that: the residual that the charts add up. Knows scores and signals; no
//! persona files, conversations or requests.
//!
//! A turn is measured by up to three quantities: the classifier's and the detectors' *margin* (how near the label scores came to their
//! thresholds), and the signals `voice` and `register`. Each is turned into a standard normal score by its rank among harmless turns, so
//! that skewed scores do not raise alarms, and has a chart of its own.

use std::sync::LazyLock;

use super::{Residuals, normal_quantile};
use crate::score::{Label, Scores, Signals};

/// The shares of harmless turns whose quantiles a [`Ranks`] holds.
pub const SHARES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// The farthest that a rank is taken, in standard deviations: beyond what was measured it is a guess.
const FARTHEST: f64 = 4.0;

/// The lowest margin that is told apart: a probability of about a thousandth where the threshold is at one half. Below it scores say
/// which of many reasons a text is harmless for.
const LOWEST: f64 = -7.0;

/// A quantity's quantiles among harmless turns, at [`SHARES`], ascending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranks(pub [f64; SHARES.len()]);

impl Ranks {
    /// From measured values; `None` where there are fewer than 100, or one is not a number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 100 || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Ranks(SHARES.map(|share| quantile(&sorted, share))))
    }

    /// The standard normal score of a value: by its rank within the quantiles, beyond them on along the line of the outer ones.
    #[must_use]
    pub fn normal_score(&self, value: f64) -> f64 {
        let quantiles = &self.0;
        let last = quantiles.len() - 1;
        // Equal quantiles (a signal that is nearly always 0) make one step of many; the value then stands at the middle of its run.
        let below = quantiles.partition_point(|quantile| *quantile < value);
        let upto = quantiles.partition_point(|quantile| *quantile <= value);
        if upto > below + 1 {
            return f64::midpoint(at(below), at(upto - 1));
        }
        // A spread that is not 0, so that a persona whose scores never move does not make a mountain of a molehill.
        let spread = |low: usize, high: usize| ((quantiles[high] - quantiles[low]) / (at(high) - at(low))).max(1e-3);
        let score = match below {
            0 => at(0) + (value - quantiles[0]) / spread(0, last / 2),
            _ if below > last => at(last) + (value - quantiles[last]) / spread(last / 2, last),
            _ => {
                let (low, high) = (quantiles[below - 1], quantiles[below]);
                at(below - 1) + (value - low) / (high - low) * (at(below) - at(below - 1))
            }
        };
        score.clamp(-FARTHEST, FARTHEST)
    }
}

/// The normal quantile of a share.
fn at(index: usize) -> f64 {
    static QUANTILES: LazyLock<[f64; SHARES.len()]> = LazyLock::new(|| SHARES.map(normal_quantile));
    QUANTILES[index]
}

/// A quantile of sorted values, between the two nearest.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within the sorted values"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

/// How a turn's residual is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The classifier's threshold of each label, by [`Label::index`].
    pub thresholds: [f64; Label::COUNT],
    /// Margins of harmless turns.
    pub margin: Ranks,
    /// Their `voice`; `None`: it does not count.
    pub voice: Option<Ranks>,
    /// Their `register`; `None`: it does not count.
    pub register: Option<Ranks>,
    /// How a turn's margin follows from what the user asked.
    pub prompt: Prompt,
    /// What each quantity's ranks come to among harmless turns.
    pub spread: [Spread; Residuals::COUNT],
}

/// The mean and the standard deviation of harmless turns' normal scores, by which they are made standard. Ranks alone do not: values that are
/// all at their lowest share a rank, and what the question owes is taken off without regard for the extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

/// A deviation is taken for no less. It is that of ranks that are spread; where nearly all turns are alike (no emoji, one language) it is
/// smaller, and divided by it the few that differ would each be as far out as a turn can be: two of them near each other, a drift.
const NARROWEST: f64 = 1.0;

impl Default for Spread {
    fn default() -> Self {
        Spread { mean: 0.0, deviation: 1.0 }
    }
}

impl Spread {
    /// Of residuals that are not yet standard; the default for fewer than two.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of turns")]
    pub fn of(residuals: &[f64]) -> Self {
        if residuals.len() < 2 {
            return Spread::default();
        }
        let count = residuals.len() as f64;
        let mean = residuals.iter().sum::<f64>() / count;
        let variance = residuals.iter().map(|residual| (residual - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let round = |value: f64| (value * 1e4).round() / 1e4;
        Spread { mean: round(mean), deviation: round(variance.sqrt().max(NARROWEST)) }
    }
}

/// What of a margin is owed to the user's last message: a linear regression on [`Asked`] among harmless turns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prompt {
    /// For each of [`Asked::NAMES`], in margins for one unit.
    pub weights: [f64; Asked::COUNT],
    /// What the weights come to for the average message.
    pub average: f64,
}

/// What is measured of a user's message. Cheap, and in any language.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked(pub [f64; Asked::COUNT]);

impl Asked {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Their names, as in persona files.
    pub const NAMES: [&'static str; Asked::COUNT] = ["length", "question", "exclamation", "about_you", "emoji"];

    /// Measures a message; `None`: nothing was asked.
    #[must_use]
    pub fn of(message: Option<&str>) -> Self {
        let Some(message) = message else { return Asked::default() };
        let mut chars = 0.0_f64;
        let (mut question, mut exclamation, mut emoji) = (false, false, false);
        for c in message.chars() {
            chars += 1.0;
            match c {
                '?' | '？' | '؟' => question = true,
                '!' | '！' => exclamation = true,
                '\u{2600}'..='\u{27BF}' | '\u{1F300}'..='\u{1FAFF}' => emoji = true,
                _ => {}
            }
        }
        let lower = message.to_lowercase();
        let about_you = lower.split(|c: char| !c.is_alphanumeric()).any(|word| YOU.contains(&word))
            || (!lower.is_ascii() && YOU_CJK.iter().any(|word| lower.contains(word)));
        let flag = |value: bool| f64::from(u8::from(value));
        Asked([chars.ln_1p(), flag(question), flag(exclamation), flag(about_you), flag(emoji)])
    }
}

/// "You" in the languages that put it into a word of its own.
const YOU: [&str; 16] =
    ["you", "your", "yourself", "du", "dich", "dir", "dein", "sie", "tu", "toi", "vous", "tú", "usted", "você", "你", "您"];
/// And where there are no spaces.
const YOU_CJK: [&str; 6] = ["あなた", "君", "你", "您", "당신", "너"];

impl Default for Baseline {
    /// Measured with the shipped classifier (0.7.0) on answers of assistants to everyday questions: `scripts/drift` prints the ranks. They
    /// are margins, that is, relative to the thresholds, so they roughly hold for another classifier whose thresholds were set alike.
    fn default() -> Self {
        Baseline {
            thresholds: [0.5; Label::COUNT],
            margin: Ranks([-7.0, -7.0, -7.0, -7.0, -6.8, -5.4, -3.9, -2.8, 0.6]),
            voice: None,
            register: None,
            prompt: Prompt::default(),
            spread: [Spread::default(); Residuals::COUNT],
        }
    }
}

impl Baseline {
    /// The nearest that a turn's scores came to their thresholds, in logits: 0 at a threshold, negative below.
    #[must_use]
    pub fn margin(&self, scores: &Scores) -> f64 {
        let margin = |label: Label| {
            let model = logit(scores.model(label).get().into()) - logit(self.thresholds[label.index()]);
            let detected = logit(scores.detected(label).get().into()) - logit(DETECTED);
            model.max(detected)
        };
        Label::ALL.into_iter().map(margin).fold(LOWEST, f64::max)
    }

    /// A turn's margin after the user's message is accounted for.
    #[must_use]
    pub fn adjusted(&self, scores: &Scores, asked: &Asked) -> f64 {
        let owed: f64 = self.prompt.weights.iter().zip(asked.0).map(|(weight, value)| weight * value).sum();
        self.margin(scores) - (owed - self.prompt.average)
    }

    /// How far a turn is from harmless ones by each quantity, in standard deviations: about standard normal for those.
    #[must_use]
    pub fn residuals(&self, scores: &Scores, signals: &Signals, asked: &Asked) -> Residuals {
        let signal =
            |ranks: Option<Ranks>, value: Option<crate::score::Score>| Some(ranks?.normal_score(f64::from(value?.get())));
        let measured = [
            Some(self.margin.normal_score(self.adjusted(scores, asked))),
            signal(self.voice, signals.voice),
            signal(self.register, signals.register),
        ];
        Residuals(std::array::from_fn(|quantity| {
            let Spread { mean, deviation } = self.spread[quantity];
            measured[quantity].map_or(f64::NAN, |score| ((score - mean) / deviation).clamp(-FARTHEST, FARTHEST))
        }))
    }
}

/// What a rule-based detector's score is compared with: `policy::DETECTED`, which is above this module.
const DETECTED: f64 = 0.9;

fn logit(probability: f64) -> f64 {
    let probability = probability.clamp(1e-6, 1.0 - 1e-6);
    (probability / (1.0 - probability)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;
    use crate::score::{Score, Source};
    use proptest::prelude::*;

    fn scores(label: Label, score: f32, source: Source) -> Scores {
        let mut scores = Scores::ZERO;
        scores.raise(label, Score::new(score).unwrap(), source);
        scores
    }

    #[test]
    fn a_turn_at_its_threshold_is_far_out_and_a_silent_one_is_not() {
        let baseline = Baseline::default();
        let asked = Asked::default();
        let of = |scores: &Scores| baseline.residuals(scores, &Signals::default(), &asked).0[0];
        let silent = of(&Scores::ZERO);
        assert!((-4.0..-1.0).contains(&silent), "{silent}");
        assert!(of(&scores(Label::Hate, 0.5, Source::Model)) > 2.0);
        assert!(of(&scores(Label::Hate, 0.1, Source::Model)) > 1.0);
        assert!(of(&scores(Label::IdentitySwap, 0.95, Source::Identity)) > 2.0, "detectors count by their own threshold");
        assert!(of(&scores(Label::IdentitySwap, 0.5, Source::Identity)) < of(&scores(Label::IdentitySwap, 0.5, Source::Model)));
        assert!(of(&scores(Label::Hate, 1.0, Source::Model)) <= 4.0);
    }

    #[test]
    fn ranks_make_skewed_values_normal() {
        let mut random = Random::new(1);
        let skewed: Vec<f64> = (0..20_000).map(|_| random.normal().exp()).collect();
        let ranks = Ranks::of(&skewed).unwrap();
        let normal: Vec<f64> = skewed.iter().map(|value| ranks.normal_score(*value)).collect();
        let mean = normal.iter().sum::<f64>() / 20_000.0;
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
    }

    #[test]
    fn a_signal_that_is_nearly_always_nought_counts_when_it_is_not() {
        let mut values = vec![0.0; 980];
        values.extend((0..20).map(|index| 0.2 + f64::from(index) / 100.0));
        let ranks = Ranks::of(&values).unwrap();
        assert!(ranks.normal_score(0.0).abs() < 0.6, "{}", ranks.normal_score(0.0));
        assert!(ranks.normal_score(0.4) > 2.0);
        assert_eq!(Ranks::of(&[0.0; 99]), None);
        assert_eq!(Ranks::of(&[f64::NAN; 200]), None);
    }

    #[test]
    fn each_quantity_has_a_residual_of_its_own_made_standard() {
        let ranks = Ranks([-3.0, -2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0, 3.0].map(|rank| 0.5 + rank / 10.0));
        let spread = [Spread::default(), Spread { mean: 1.0, deviation: 0.5 }, Spread::default()];
        let baseline = Baseline { voice: Some(ranks), spread, ..Baseline::default() };
        let signals = Signals { voice: Score::new(0.5), register: Score::new(0.9) };
        let Residuals([labels, voice, register]) = baseline.residuals(&Scores::ZERO, &signals, &Asked::default());
        assert!(labels < 0.0 && register.is_nan(), "{labels} {register}");
        assert!((voice + 2.0).abs() < 1e-6, "the middle is a mean of 1 and two deviations of a half away: {voice}");
        let spread = Spread::of(&[1.0, 3.0, 5.0]);
        assert_eq!((spread.mean, spread.deviation), (3.0, 2.0));
        assert_eq!(Spread::of(&[1.0; 50]).deviation, 1.0, "turns that are all alike have no deviation to divide by");
    }

    #[test]
    fn what_the_user_asked_is_taken_off() {
        let prompt = Prompt { weights: [0.0, 0.0, 0.0, 2.0, 0.0], average: 0.5 };
        let baseline = Baseline { prompt, ..Baseline::default() };
        let scores = scores(Label::HumanClaim, 0.1, Source::Model);
        let about = Asked::of(Some("Are you lonely?"));
        assert_eq!(about.0[1..], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(Asked::of(Some("君は誰？")).0[1..], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(Asked::of(None), Asked::default());
        let (with, without) = (baseline.adjusted(&scores, &about), baseline.adjusted(&scores, &Asked::of(Some("Add 1 and 2."))));
        assert!((without - with - 2.0).abs() < 1e-9 && with < baseline.margin(&scores), "{with} {without}");
    }

    proptest! {
        #[test]
        fn ranks_rise(mut quantiles in prop::collection::vec(-10.0..10.0f64, SHARES.len()), value in -20.0..20.0f64, more in 0.0..5.0f64) {
            quantiles.sort_by(f64::total_cmp);
            let ranks = Ranks(quantiles.try_into().unwrap());
            let (low, high) = (ranks.normal_score(value), ranks.normal_score(value + more));
            prop_assert!(high >= low - 1e-9 && low.is_finite() && high.is_finite());
        }
    }
}

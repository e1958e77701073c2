//! What a classifier offers to policies: its thresholds by the share of harmless answers that reach them. Knows no file and no model.

use crate::score::{Label, Score};

/// The false-positive rate that `at_least = "calibrated"` stands for, but where a persona has thresholds of its own.
pub const CALIBRATED: f64 = 0.001;

/// The thresholds that a classifier was measured to have at one false-positive rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The share of harmless answers that reach a label's threshold, above 0, at most 1.
    pub false_positive_rate: f64,
    /// The threshold of each label that the classifier has.
    pub thresholds: [Option<Score>; Label::COUNT],
}

/// What the classifier offers to policies: whether there is one, and the thresholds behind `at_least = "calibrated"` and `at_least = "1 %"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    model: bool,
    thresholds: [Option<Score>; Label::COUNT],
    rates: Vec<Rate>,
}

impl Calibration {
    /// No classifier: patterns, `when`, signals and the rule-based detectors still judge.
    pub const NONE: Calibration = Calibration { model: false, thresholds: [None; Label::COUNT], rates: Vec::new() };

    /// A classifier that judges every label, with the thresholds that it has. What is outside `(0, 1]` counts as none.
    #[must_use]
    pub fn new(threshold: impl Fn(Label) -> Option<f32>) -> Self {
        let read = |label| threshold(label).and_then(Score::new).filter(|score| *score > Score::ZERO);
        Calibration { model: true, thresholds: Label::ALL.map(read), rates: Vec::new() }
    }

    /// The same with thresholds for other rates, in any order. Thresholds of 0, which everything would reach, count as none.
    #[must_use]
    pub fn with_rates(self, mut rates: Vec<Rate>) -> Self {
        rates.sort_by(|a, b| b.false_positive_rate.total_cmp(&a.false_positive_rate));
        for rate in &mut rates {
            rate.thresholds = rate.thresholds.map(|threshold| threshold.filter(|score| *score > Score::ZERO));
        }
        Calibration { rates, ..self }
    }

    /// The same with a persona's own thresholds where it has them, if there is a classifier: they are those of `"calibrated"`. Where one is
    /// higher than the classifier's own, harmless answers of this persona score high, so those of higher rates are raised to it.
    #[must_use]
    pub fn with(mut self, thresholds: &[Option<Score>; Label::COUNT]) -> Self {
        if !self.model {
            return self;
        }
        for (label, own) in thresholds.iter().enumerate() {
            let Some(own) = *own else { continue };
            if self.thresholds[label].is_some_and(|known| own > known) {
                for rate in &mut self.rates {
                    rate.thresholds[label] = rate.thresholds[label].map(|known| if own > known { own } else { known });
                }
            }
            self.thresholds[label] = Some(own);
        }
        self
    }

    /// Whether there is a classifier.
    #[must_use]
    pub fn has_model(&self) -> bool {
        self.model
    }

    /// The calibrated threshold of a label.
    #[must_use]
    pub fn threshold(&self, label: Label) -> Option<Score> {
        self.thresholds[label.index()]
    }

    /// The threshold of a label that no more than this share of harmless answers reaches: that of the highest rate that was measured and is
    /// not above it. `None` where only higher ones were measured.
    #[must_use]
    pub fn at_rate(&self, rate: f64, label: Label) -> Option<Score> {
        let low = self.rates.iter().filter(|known| known.false_positive_rate <= rate * (1.0 + 1e-6));
        let found = low.filter_map(|known| known.thresholds[label.index()]).next();
        // The calibrated threshold lets no more through than that, whatever else was measured.
        found.or_else(|| self.threshold(label).filter(|_| rate >= CALIBRATED * (1.0 - 1e-6)))
    }

    /// The lowest and the highest rate that there are thresholds for.
    #[must_use]
    pub fn rates(&self) -> Option<(f64, f64)> {
        Some((self.rates.last()?.false_positive_rate, self.rates.first()?.false_positive_rate))
    }
}

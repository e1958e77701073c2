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

    /// The same with thresholds for other rates, highest rate first.
    #[must_use]
    pub fn with_rates(self, rates: Vec<Rate>) -> Self {
        Calibration { rates, ..self }
    }

    /// The same with a persona's own thresholds where it has them, if there is a classifier. They are those of `"calibrated"` alone.
    #[must_use]
    pub fn with(mut self, thresholds: &[Option<Score>; Label::COUNT]) -> Self {
        if self.model {
            for (known, own) in self.thresholds.iter_mut().zip(thresholds) {
                *known = own.or(*known);
            }
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

    /// The thresholds that no more than this share of harmless answers reaches: those of the highest rate that was measured and is not
    /// above it. `None` where only higher ones were measured.
    #[must_use]
    pub fn at_rate(&self, rate: f64) -> Option<&Rate> {
        self.rates.iter().find(|known| known.false_positive_rate <= rate * (1.0 + 1e-6))
    }

    /// The lowest rate that there are thresholds for.
    #[must_use]
    pub fn lowest_rate(&self) -> Option<f64> {
        self.rates.last().map(|rate| rate.false_positive_rate)
    }
}

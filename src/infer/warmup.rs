//! Golden texts: before a classifier is used it must give the answers that its manifest promises. Catches a wrong tokenizer, a wrong
//! layout, a runtime that computes something else, and it warms the model up. Knows no files.

use crate::infer::manifest::{FirstStage, Golden, Manifest, Output};
use crate::infer::{Classifier, Context, ScoreError};
use crate::score::Label;

/// How far a probability may be from the manifest's. Runtimes and CPUs round the products of bytes differently, which moves an int8
/// model's probabilities by a few hundredths at most; a wrong tokenizer or layout moves them by tenths.
pub const TOLERANCE: f32 = 0.05;

/// How far a logit of the first stage may be from the manifest's: it is computed in f32, in another order than where it was made.
pub const FIRST_TOLERANCE: f32 = 0.02;

/// Why a classifier was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GoldenError {
    /// It gives another answer.
    #[error(
        "golden[{index}]: {label} is {found:.3} and must be {expected:.3} (± {TOLERANCE}): model, tokenizer and manifest do not belong \
         together, or the runtime computes something else"
    )]
    Deviation {
        /// The place of the golden text in the manifest.
        index: usize,
        /// A label whose answer is off.
        label: Label,
        /// What the classifier gave.
        found: f32,
        /// What the manifest says.
        expected: f32,
    },
    /// The first stage gives another answer.
    #[error(
        "golden[{index}]: the first stage's logit is {found:.3} and must be {expected:.3} (± {FIRST_TOLERANCE}): its network, the tokenizer \
         and the manifest do not belong together"
    )]
    FirstDeviation {
        /// The place of the golden text in the manifest.
        index: usize,
        /// What the first stage gave.
        found: f32,
        /// What the manifest says.
        expected: f32,
    },
    /// The first stage lets a text through that must be caught.
    #[error(
        "golden[{index}]: the first stage takes it for clean, and its {label} is {expected:.3}: its network does not belong to the model"
    )]
    Missed {
        /// The place of the golden text in the manifest.
        index: usize,
        /// A label over its threshold.
        label: Label,
        /// What the manifest says.
        expected: f32,
    },
    /// It cannot score the text.
    #[error("golden[{index}]: {error}")]
    Failed {
        /// The place of the golden text in the manifest.
        index: usize,
        /// What it says.
        error: ScoreError,
    },
}

/// Scores every `step`-th golden text from the `first` on: threads share them out. Returns the largest deviation found.
///
/// # Errors
/// The first text whose answer is off by more than [`TOLERANCE`], or that cannot be scored.
pub fn prove(
    classifier: &mut dyn Classifier,
    outputs: &[Output],
    golden: &[Golden],
    first: usize,
    step: usize,
) -> Result<f32, GoldenError> {
    let mut largest = 0.0_f32;
    for (index, golden) in golden.iter().enumerate().skip(first).step_by(step.max(1)) {
        let context = Context { persona: golden.persona.clone(), user: golden.user.clone() };
        let (scores, _) = classifier.classify(&context, &golden.text).map_err(|error| GoldenError::Failed { index, error })?;
        for (output, &expected) in outputs.iter().zip(&golden.probabilities) {
            let (label, found) = (output.label, scores.get(output.label).get());
            let deviation = (found - expected).abs();
            if deviation > TOLERANCE {
                return Err(GoldenError::Deviation { index, label, found, expected });
            }
            largest = largest.max(deviation);
        }
    }
    Ok(largest)
}

/// Checks that the first stage gives its logits for the golden texts, and takes none for clean that is over a calibrated threshold; `logit`
/// asks it. Returns the largest deviation found.
///
/// # Errors
/// The first text that is off or missed, or for which there is no logit.
pub fn prove_first(
    manifest: &Manifest,
    stage: &FirstStage,
    mut logit: impl FnMut(&Context, &str) -> Result<Option<f32>, ScoreError>,
) -> Result<f32, GoldenError> {
    let thresholds = manifest.thresholds();
    let mut largest = 0.0_f32;
    for (index, (golden, &expected)) in manifest.golden.iter().zip(&stage.golden).enumerate() {
        let context = Context { persona: golden.persona.clone(), user: golden.user.clone() };
        let found = logit(&context, &golden.text).and_then(|found| found.ok_or(ScoreError::Failed("it has no tokens".into())));
        let found = found.map_err(|error| GoldenError::Failed { index, error })?;
        let deviation = (found - expected).abs();
        // Not a number is no small deviation.
        if deviation.is_nan() || deviation > FIRST_TOLERANCE {
            return Err(GoldenError::FirstDeviation { index, found, expected });
        }
        largest = largest.max(deviation);
        let over = manifest.outputs.iter().zip(&golden.probabilities).find(|(output, probability)| {
            thresholds.calibrated(output.label).is_some_and(|threshold| **probability >= threshold)
        });
        if let Some((output, &expected)) = over
            && found < stage.clean_below
        {
            return Err(GoldenError::Missed { index, label: output.label, expected });
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::Stage;
    use crate::score::{Score, Scores, Source};

    struct Fixed(f32);

    impl Classifier for Fixed {
        fn classify(&mut self, context: &Context, text: &str) -> Result<(Scores, Stage), ScoreError> {
            if text == "fail" {
                return Err(ScoreError::Failed("as told".into()));
            }
            let mut scores = Scores::ZERO;
            let score = if context.user == "u" { self.0 } else { 0.0 };
            scores.raise(Label::Hate, Score::clamped(score).unwrap(), Source::Model);
            Ok((scores, Stage::Second))
        }
    }

    fn golden(user: &str, text: &str, probability: f32) -> Golden {
        Golden { persona: String::new(), user: user.into(), text: text.into(), probabilities: vec![probability] }
    }

    #[test]
    fn deviations_within_the_tolerance_pass_and_others_are_named() {
        let outputs = [Output { label: Label::Hate, scale: 1.0, bias: 0.0, thresholds: Vec::new() }];
        let texts = [golden("u", "a", 0.5), golden("", "b", 0.0), golden("u", "c", 0.58)];
        let prove = |score, first, step| prove(&mut Fixed(score), &outputs, &texts, first, step);
        let largest = prove(0.54, 0, 1).unwrap();
        assert!((largest - 0.04).abs() < 1e-6, "{largest}");
        let error = prove(0.5, 0, 1).unwrap_err();
        assert_eq!(error, GoldenError::Deviation { index: 2, label: Label::Hate, found: 0.5, expected: 0.58 });
        assert!(error.to_string().starts_with("golden[2]: hate is 0.500 and must be 0.580 (± 0.05): "));
        assert!(prove(0.5, 0, 3).is_ok(), "the shares of others are left to them");
        assert!(prove(0.5, 2, 3).is_err());
    }

    #[test]
    fn a_text_that_cannot_be_scored_is_an_error() {
        let outputs = [];
        let error = prove(&mut Fixed(0.0), &outputs, &[golden("", "fail", 0.0)], 0, 1).unwrap_err();
        assert_eq!(error.to_string(), "golden[0]: the classifier failed: as told");
    }
}

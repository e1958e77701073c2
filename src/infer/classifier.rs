//! A classifier of a manifest: encoder, first stage if there is one, model, calibrated probabilities. What a thread of the pool owns. Knows
//! no files.

use crate::infer::cascade::FirstLook;
use crate::infer::encode::{Encoder, Tokens};
use crate::infer::manifest::{Manifest, Output};
use crate::infer::onnx::Model;
use crate::infer::{Classifier, Context, ScoreError, Stage};
use crate::score::{Score, Scores, Source};

/// A model with its tokenizer and its calibration.
#[derive(Debug)]
pub struct OnnxClassifier {
    encoder: Encoder,
    first: Option<FirstLook>,
    model: Model,
    outputs: Vec<Output>,
    logits: Vec<f32>,
}

impl OnnxClassifier {
    /// Puts the parts together, without a first stage.
    #[must_use]
    pub fn new(manifest: &Manifest, tokens: Tokens, model: Model) -> Self {
        OnnxClassifier {
            encoder: Encoder::new(tokens, manifest.layout),
            first: None,
            model,
            outputs: manifest.outputs.clone(),
            logits: vec![0.0; manifest.outputs.len()],
        }
    }

    /// The same with a first stage: from now on it keeps inputs that are clearly clean from the model.
    #[must_use]
    pub fn with_first(mut self, first: FirstLook) -> Self {
        self.first = Some(first);
        self
    }

    /// The first stage's highest logit for a window; `None` without a first stage, or for a window without tokens.
    ///
    /// # Errors
    /// If the window cannot be tokenised.
    pub fn first_logit(&mut self, context: &Context, text: &str) -> Result<Option<f32>, ScoreError> {
        let Some(first) = &mut self.first else { return Ok(None) };
        let runs = self.encoder.encode(context, text).map_err(|error| ScoreError::Failed(error.to_string().into()))?;
        Ok((0..runs).map(|n| first.logit(self.encoder.run(n))).reduce(f32::max))
    }
}

impl Classifier for OnnxClassifier {
    /// The highest probability of each label over the window's runs that the first stage does not pass; zeros for a window without tokens.
    fn classify(&mut self, context: &Context, text: &str) -> Result<(Scores, Stage), ScoreError> {
        let failed = |error: &dyn std::fmt::Display| ScoreError::Failed(error.to_string().into());
        let runs = self.encoder.encode(context, text).map_err(|error| failed(&error))?;
        let mut scores = Scores::ZERO;
        let mut passed = 0;
        for n in 0..runs {
            let run = self.encoder.run(n);
            if self.first.as_mut().is_some_and(|first| first.clean(run)) {
                passed += 1;
                continue;
            }
            self.model.run(run, &mut self.logits).map_err(|error| failed(&error))?;
            for (output, &logit) in self.outputs.iter().zip(&self.logits) {
                // A NaN says that the model is broken: a zero in its place would let the window through.
                let score = Score::clamped(output.probability(logit))
                    .ok_or_else(|| failed(&format_args!("the model gave no number for {}", output.label)))?;
                scores.raise(output.label, score, Source::Model);
            }
        }
        Ok((scores, if passed > 0 && passed == runs { Stage::First } else { Stage::Second }))
    }
}

//! A classifier of a manifest: encoder, model, calibrated probabilities. What a thread of the pool owns. Knows no files.

use crate::infer::encode::{Encoder, Tokens};
use crate::infer::manifest::{Manifest, Output};
use crate::infer::onnx::Model;
use crate::infer::{Classifier, Context, ScoreError};
use crate::score::{Score, Scores, Source};

/// A model with its tokenizer and its calibration.
#[derive(Debug)]
pub struct OnnxClassifier {
    encoder: Encoder,
    model: Model,
    outputs: Vec<Output>,
    logits: Vec<f32>,
}

impl OnnxClassifier {
    /// Puts the parts together.
    #[must_use]
    pub fn new(manifest: &Manifest, tokens: Tokens, model: Model) -> Self {
        OnnxClassifier {
            encoder: Encoder::new(tokens, manifest.layout),
            model,
            outputs: manifest.outputs.clone(),
            logits: vec![0.0; manifest.outputs.len()],
        }
    }
}

impl Classifier for OnnxClassifier {
    /// The highest probability of each label over the window's runs; zeros for a window without tokens.
    fn classify(&mut self, context: &Context, text: &str) -> Result<Scores, ScoreError> {
        let failed = |error: &dyn std::fmt::Display| ScoreError::Failed(error.to_string().into());
        let runs = self.encoder.encode(context, text).map_err(|error| failed(&error))?;
        let mut scores = Scores::ZERO;
        for n in 0..runs {
            self.model.run(self.encoder.run(n), &mut self.logits).map_err(|error| failed(&error))?;
            for (output, &logit) in self.outputs.iter().zip(&self.logits) {
                // A NaN says that the model is broken: a zero in its place would let the window through.
                let score = Score::clamped(output.probability(logit))
                    .ok_or_else(|| failed(&format_args!("the model gave no number for {}", output.label)))?;
                scores.raise(output.label, score, Source::Model);
            }
        }
        Ok(scores)
    }
}

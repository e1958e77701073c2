//! `manifest.toml`: what a classifier is made of, how its input is laid out, how its outputs become probabilities, and what it must
//! answer to a few known texts. Pure: it reads no file and knows no model.

mod read;

use crate::document::{Document, Problem};
use crate::policy::{CALIBRATED, Calibration, Rate};
use crate::score::{Label, Score};

/// The manifest's name in a classifier's directory.
pub const FILE: &str = "manifest.toml";

/// A classifier's description.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The licence of the weights.
    pub license: String,
    /// The day it was made.
    pub created: String,
    /// The model card, in the same directory.
    pub card: String,
    /// The ONNX file.
    pub model: HashedFile,
    /// The ONNX operator set.
    pub opset: u32,
    /// The number format of the weights.
    pub quantization: Quantization,
    /// The tokenizer file.
    pub tokenizer: HashedFile,
    /// How many tokens go in.
    pub layout: Layout,
    /// The model's outputs, in their order.
    pub outputs: Vec<Output>,
    /// The cheap stage before the model, if there is one.
    pub first_stage: Option<FirstStage>,
    /// Texts with known answers.
    pub golden: Vec<Golden>,
}

/// A file in the classifier's directory and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedFile {
    /// Its name, without a folder.
    pub file: String,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The number format of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// 8-bit integers.
    Int8,
    /// 32-bit floats.
    Fp32,
}

/// Tokens in the parts of the input `[CLS] persona [SEP] user [SEP] window [SEP]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The first tokens of the persona line that are kept.
    pub persona: usize,
    /// The last tokens of the user turn that are kept.
    pub user: usize,
    /// Tokens of a window; a longer one is scored in overlapping runs.
    pub window: usize,
    /// New tokens from one such run to the next (`window_stride`; three quarters of a window where the manifest does not say).
    pub stride: usize,
}

/// One output of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The label.
    pub label: Label,
    /// `probability = sigmoid(scale * logit + bias)`.
    pub scale: f32,
    /// See `scale`.
    pub bias: f32,
    /// Thresholds for given false-positive rates, highest rate first.
    pub thresholds: Vec<Threshold>,
}

/// A probability above which only so many benign windows lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The false-positive rate it was chosen for.
    pub false_positive_rate: f64,
    /// The probability.
    pub at: f32,
    /// 95 % upper bound of the rate.
    pub upper_bound: f64,
    /// Benign windows it was measured on.
    pub benign: u64,
}

/// A small network that passes clearly clean windows: see `infer::student`.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstStage {
    /// Its numbers.
    pub network: HashedFile,
    /// How many there are.
    pub shape: Shape,
    /// The logit below which a window is clean.
    pub clean_below: f32,
    /// The logits of the golden texts, in their order.
    pub golden: Vec<f32>,
}

/// The size of a first stage's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens that have a vector.
    pub tokens: usize,
    /// Numbers of a token's vector.
    pub width: usize,
    /// Numbers that a convolution makes of a token.
    pub hidden: usize,
    /// Convolutions.
    pub layers: usize,
}

/// A text with a known answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The persona line; may be empty.
    pub persona: String,
    /// The last user turn; may be empty.
    pub user: String,
    /// The window.
    pub text: String,
    /// The probability of each output, in the order of [`Manifest::outputs`].
    pub probabilities: Vec<f32>,
}

/// The probabilities that policies name: `at_least = "calibrated"`, and a false-positive rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds(Vec<Rate>);

impl Thresholds {
    /// What `at_least = "calibrated"` stands for; `None` for a label that the classifier does not have.
    #[must_use]
    pub fn calibrated(&self, label: Label) -> Option<f32> {
        let rate = self.0.iter().find(|rate| is_calibrated(rate.false_positive_rate))?;
        rate.thresholds[label.index()].map(Score::get)
    }

    /// What policies may ask the classifier for.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        Calibration::new(|label| self.calibrated(label)).with_rates(self.0.clone())
    }
}

impl Layout {
    /// The longest input, in tokens: the three parts with `[CLS]` and three `[SEP]`.
    #[must_use]
    pub const fn max_tokens(&self) -> usize {
        self.persona + self.user + self.window + 4
    }
}

impl Output {
    /// The calibrated probability.
    #[must_use]
    pub fn probability(&self, logit: f32) -> f32 {
        1.0 / (1.0 + (-(self.scale * logit + self.bias)).exp())
    }
}

impl Manifest {
    /// Reads a manifest; `file` is its name for problems.
    ///
    /// # Errors
    /// Every mistake, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Manifest, Vec<Problem>> {
        let document = Document::parse(text, Some(file))?;
        let manifest = read::manifest(document.root());
        document.finish(manifest)
    }

    /// The thresholds by their rates, highest first.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        let mut rates: Vec<Rate> = Vec::new();
        for output in &self.outputs {
            for Threshold { false_positive_rate, at, .. } in &output.thresholds {
                let known = rates.iter().position(|rate| rate.false_positive_rate == *false_positive_rate);
                let at_rate = known.unwrap_or_else(|| {
                    rates.push(Rate { false_positive_rate: *false_positive_rate, thresholds: [None; Label::COUNT] });
                    rates.len() - 1
                });
                rates[at_rate].thresholds[output.label.index()] = Score::new(*at);
            }
        }
        rates.sort_by(|a, b| b.false_positive_rate.total_cmp(&a.false_positive_rate));
        Thresholds(rates)
    }
}

/// Whether a rate is the one that `at_least = "calibrated"` stands for.
fn is_calibrated(rate: f64) -> bool {
    (rate / CALIBRATED - 1.0).abs() < 1e-6
}

#[cfg(test)]
mod tests;

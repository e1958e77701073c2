//! `manifest.toml`: what a classifier is made of, how its input is laid out, how its outputs become probabilities, and what it must
//! answer to a few known texts. Pure: it reads no file and knows no model.

use crate::document::{Document, Item, Problem, Table};
use crate::score::{Label, Score};

/// The manifest's name in a classifier's directory.
pub const FILE: &str = "manifest.toml";

/// The false-positive rate that `at_least = "calibrated"` stands for.
pub const CALIBRATED: f64 = 0.001;

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

/// The probability of each label that `at_least = "calibrated"` stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds([Option<Score>; Label::COUNT]);

impl Thresholds {
    /// `None` for a label that the classifier does not have.
    #[must_use]
    pub fn calibrated(&self, label: Label) -> Option<f32> {
        self.0[label.index()].map(Score::get)
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
        let manifest = manifest(document.root());
        document.finish(manifest)
    }

    /// The thresholds for a false-positive rate of [`CALIBRATED`].
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        let mut thresholds = Thresholds::default();
        for output in &self.outputs {
            let calibrated = output.thresholds.iter().find(|threshold| is_calibrated(threshold.false_positive_rate));
            thresholds.0[output.label.index()] = calibrated.and_then(|threshold| Score::new(threshold.at));
        }
        thresholds
    }
}

fn is_calibrated(rate: f64) -> bool {
    (rate / CALIBRATED - 1.0).abs() < 1e-6
}

fn manifest(root: Table<'_>) -> Option<Manifest> {
    if let Some(format) = root.require("format", "write format = 1")
        && format.integer(i64::MIN..=i64::MAX).is_some_and(|number| number != 1)
    {
        format.problem("this steadfast reads format 1", Some("take the classifier that belongs to this version of steadfast"));
        // What another format means by the other keys is unknown.
        return None;
    }
    let text = |key| root.require(key, "say it in a string").and_then(|item| item.nonempty().map(str::to_owned));
    let (name, version, license, created) = (text("name"), text("version"), text("license"), text("created"));
    let card = root.require("card", "name the model card").and_then(|item| plain_name(&item));
    let model = section(&root, "model");
    let model = model.map(|table| {
        let file = hashed(&table);
        let opset = table.require("opset", "say which ONNX operator set the model uses").and_then(|item| item.integer(1..=64));
        let kinds = [("int8", Quantization::Int8), ("fp32", Quantization::Fp32)];
        let quantization = table.require("quantization", "write \"int8\" or \"fp32\"").and_then(|item| item.choice(&kinds));
        table.finish();
        Some((file?, u32::try_from(opset?).ok()?, quantization?))
    });
    let tokenizer = section(&root, "tokenizer").map(|table| {
        let file = hashed(&table);
        table.finish();
        file
    });
    let layout = section(&root, "input").map(|table| {
        let count = |key, range| table.require(key, "say how many tokens").and_then(|item| item.count(range));
        let layout = (count("persona_tokens", 0..=512), count("user_tokens", 0..=512), count("window_tokens", 8..=4096));
        let stride = table.item("window_stride").map(|item| item.count(1..=layout.2.unwrap_or(usize::MAX)));
        table.finish();
        let window = layout.2?;
        let stride = stride.unwrap_or(Some(window - window / 4))?;
        Some(Layout { persona: layout.0?, user: layout.1?, window, stride })
    });
    let outputs = outputs(&root);
    let golden = golden(&root, &outputs);
    root.finish();
    let (model, opset, quantization) = model??;
    Some(Manifest {
        name: name?,
        version: version?,
        license: license?,
        created: created?,
        card: card?,
        model,
        opset,
        quantization,
        tokenizer: tokenizer??,
        layout: layout??,
        outputs: outputs.into_iter().collect::<Option<_>>()?,
        golden: golden?,
    })
}

fn section<'d>(root: &Table<'d>, key: &str) -> Option<Table<'d>> {
    root.require(key, &format!("add the [{key}] section")).and_then(|item| item.table())
}

fn hashed(table: &Table<'_>) -> Option<HashedFile> {
    let file = table.require("file", "name a file beside the manifest").and_then(|item| plain_name(&item));
    let sha256 = table.require("sha256", "write what `sha256sum` prints for the file").and_then(|item| {
        let text = item.str()?;
        let good = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !good {
            item.problem("must be 64 lower-case hexadecimal digits", Some("write what `sha256sum` prints for the file"));
        }
        good.then(|| text.to_owned())
    });
    Some(HashedFile { file: file?, sha256: sha256? })
}

/// A file's name without a folder: a manifest cannot reach outside its directory.
fn plain_name(item: &Item<'_>) -> Option<String> {
    let name = item.nonempty()?;
    if name.contains(['/', '\\', '\0']) || name == ".." || name == "." {
        item.problem("must be the name of a file beside the manifest, without a folder", None);
        return None;
    }
    Some(name.to_owned())
}

/// One entry per `[[label]]`, `None` for those with a problem.
fn outputs(root: &Table<'_>) -> Vec<Option<Output>> {
    let tables = root.require("label", "add a [[label]] for each output of the model, in their order").map(|item| item.tables());
    let mut seen: Vec<Label> = Vec::new();
    let mut outputs = Vec::new();
    for table in tables.unwrap_or_default() {
        let names = Label::ALL.map(|label| (label.as_str(), label));
        let label = table.require("name", "name the label").and_then(|item| {
            let label = item.choice(&names)?;
            if seen.contains(&label) {
                item.problem("the label was named before", Some("a model has one output for a label"));
                return None;
            }
            seen.push(label);
            Some(label)
        });
        let calibration =
            table.require("calibration", "write { scale = 1.0, bias = 0.0 } for none").and_then(|item| item.table());
        let calibration = calibration.and_then(|table| {
            // A scale of 0 or below would make the score say nothing, or the opposite.
            let scale = table.require("scale", "1.0 changes nothing").and_then(|item| item.float(1e-6..=1e6));
            let bias = table.require("bias", "0.0 changes nothing").and_then(|item| item.float(-1e6..=1e6));
            table.finish();
            Some((scale? as f32, bias? as f32))
        });
        let thresholds = thresholds(&table);
        table.finish();
        outputs.push(label.zip(calibration).zip(thresholds).map(|((label, (scale, bias)), thresholds)| Output {
            label,
            scale,
            bias,
            thresholds,
        }));
    }
    outputs
}

fn thresholds(label: &Table<'_>) -> Option<Vec<Threshold>> {
    let help = "`at_least = \"calibrated\"` needs the threshold for a false_positive_rate of 0.001";
    let item = label.require("thresholds", help)?;
    let threshold = |table: Table<'_>| {
        let rate =
            table.require("false_positive_rate", "say for which rate it was chosen").and_then(|item| item.float(1e-9..=1.0));
        let at = table.require("at", "say from which probability").and_then(|item| item.float(f64::MIN_POSITIVE..=1.0));
        let upper_bound = table.require("upper_bound", "say the rate's 95 % upper bound").and_then(|item| item.float(0.0..=1.0));
        let benign = table.require("benign", "say on how many benign windows").and_then(|item| item.count(1..=usize::MAX));
        table.finish();
        Some(Threshold { false_positive_rate: rate?, at: at? as f32, upper_bound: upper_bound?, benign: benign? as u64 })
    };
    let thresholds: Vec<Option<Threshold>> = item.tables().into_iter().map(threshold).collect();
    let mut thresholds: Vec<Threshold> = thresholds.into_iter().collect::<Option<_>>()?;
    thresholds.sort_by(|a, b| b.false_positive_rate.total_cmp(&a.false_positive_rate));
    if thresholds.windows(2).any(|pair| pair[1].false_positive_rate == pair[0].false_positive_rate || pair[1].at < pair[0].at) {
        item.problem("a lower false-positive rate must have a higher threshold, and each rate one", None);
        return None;
    }
    if !thresholds.iter().any(|threshold| is_calibrated(threshold.false_positive_rate)) {
        item.problem("none is for a false_positive_rate of 0.001", Some(help));
        return None;
    }
    Some(thresholds)
}

fn golden(root: &Table<'_>, outputs: &[Option<Output>]) -> Option<Vec<Golden>> {
    let help = "add a [[golden]] text with its probabilities: it shows that model, tokenizer and runtime fit together";
    let tables = root.require("golden", help)?.tables();
    let labels: Option<Vec<Label>> = outputs.iter().map(|output| output.as_ref().map(|output| output.label)).collect();
    let one = |table: Table<'_>| {
        let part = |key: &str| match table.item(key) {
            Some(item) => item.str().map(str::to_owned),
            None => Some(String::new()),
        };
        let (persona, user) = (part("persona"), part("user"));
        let text = table.require("text", "write the window").and_then(|item| item.nonempty().map(str::to_owned));
        let probabilities = table.require("probabilities", "write a probability for each label").and_then(|item| item.table());
        let probabilities = probabilities.and_then(|table| {
            // With a broken label list there is nothing to compare with; its own problems are already noted.
            let Some(labels) = &labels else {
                let _ = table.entries();
                return None;
            };
            let of =
                |label: &Label| table.require(label.as_str(), "write its probability").and_then(|item| item.float(0.0..=1.0));
            let values: Vec<Option<f64>> = labels.iter().map(of).collect();
            table.finish();
            values.into_iter().map(|value| value.map(|value| value as f32)).collect()
        });
        table.finish();
        Some(Golden { persona: persona?, user: user?, text: text?, probabilities: probabilities? })
    };
    let golden: Vec<Option<Golden>> = tables.into_iter().map(one).collect();
    golden.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = include_str!("../../tests/fixtures/classifier/manifest.toml");

    fn problems(text: &str) -> String {
        let problems = Manifest::parse(text, "c/manifest.toml").expect_err("it has mistakes");
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let manifest = Manifest::parse(FIXTURE, FILE).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("fixture", "0.0.1"));
        assert_eq!(manifest.layout, Layout { persona: 8, user: 6, window: 16, stride: 12 });
        assert_eq!(manifest.layout.max_tokens(), 34);
        let with = FIXTURE.replace("window_tokens = 16", "window_tokens = 16\nwindow_stride = 6");
        assert_eq!(Manifest::parse(&with, FILE).unwrap().layout.stride, 6);
        let over = FIXTURE.replace("window_tokens = 16", "window_tokens = 16\nwindow_stride = 17");
        assert!(problems(&over).contains("input.window_stride: must be between 1 and 16"));
        assert_eq!(manifest.outputs.len(), Label::COUNT);
        assert_eq!(manifest.outputs[6].label, Label::Despair);
        assert_eq!((manifest.outputs[6].scale, manifest.outputs[6].bias), (1.5, -0.5));
        assert!((manifest.outputs[6].probability(3.0) - 0.982_013_8).abs() < 1e-6);
        assert_eq!(manifest.golden.len(), 6);
        assert_eq!(manifest.golden[1].probabilities.len(), Label::COUNT);
        for label in Label::ALL {
            assert_eq!(manifest.thresholds().calibrated(label), Some(0.9));
        }
        assert_eq!(Thresholds::default().calibrated(Label::Hate), None);
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_fix() {
        let text = r#"
format = 1
name = ""
version = "1"
created = "2026-11-25"
card = "docs/CARD.md"
[model]
file = "../model.onnx"
sha256 = "ABC"
opset = 0
quantization = "int4"
[tokenizer]
file = "tokenizer.json"
[input]
persona_tokens = -1
user_tokens = 32
window_tokns = 128
[[label]]
name = "hat"
calibration = { scale = 0.0, bias = 0.0 }
thresholds = [{ false_positive_rate = 0.01, at = 0.4, upper_bound = 0.013, benign = 5234 }]
[[label]]
name = "hate"
calibration = { scale = 1.0 }
thresholds = [
  { false_positive_rate = 0.01, at = 0.9, upper_bound = 0.013, benign = 5234 },
  { false_positive_rate = 0.001, at = 0.4, upper_bound = 0.002, benign = 0 },
]
[[label]]
name = "hate"
calibration = { scale = 1.0, bias = 0.0 }
thresholds = [
  { false_positive_rate = 0.01, at = 0.9, upper_bound = 0.013, benign = 5234 },
  { false_positive_rate = 0.001, at = 0.4, upper_bound = 0.002, benign = 5234 },
]
[[golden]]
text = ""
probabilities = { hate = 2.0 }
"#;
        insta::assert_snapshot!(problems(text), @r#"
        c/manifest.toml:1:1: license: missing; say it in a string
        c/manifest.toml:3:8: name: must not be empty
        c/manifest.toml:6:8: card: must be the name of a file beside the manifest, without a folder
        c/manifest.toml:8:8: model.file: must be the name of a file beside the manifest, without a folder
        c/manifest.toml:9:10: model.sha256: must be 64 lower-case hexadecimal digits; write what `sha256sum` prints for the file
        c/manifest.toml:10:9: model.opset: must be between 1 and 64
        c/manifest.toml:11:16: model.quantization: unknown value "int4"; did you mean "int8"?
        c/manifest.toml:12:1: tokenizer.sha256: missing; write what `sha256sum` prints for the file
        c/manifest.toml:14:1: input.window_tokens: missing; say how many tokens
        c/manifest.toml:15:18: input.persona_tokens: must be between 0 and 512
        c/manifest.toml:17:1: input.window_tokns: unknown key; did you mean "window_tokens"?
        c/manifest.toml:19:8: label[0].name: unknown value "hat"; did you mean "hate"?
        c/manifest.toml:20:25: label[0].calibration.scale: must be between 0.000001 and 1000000
        c/manifest.toml:21:14: label[0].thresholds: none is for a false_positive_rate of 0.001; `at_least = "calibrated"` needs the threshold for a false_positive_rate of 0.001
        c/manifest.toml:24:15: label[1].calibration.bias: missing; 0.0 changes nothing
        c/manifest.toml:27:74: label[1].thresholds[1].benign: must be at least 1
        c/manifest.toml:30:8: label[2].name: the label was named before; a model has one output for a label
        c/manifest.toml:32:14: label[2].thresholds: a lower false-positive rate must have a higher threshold, and each rate one
        c/manifest.toml:37:8: golden[0].text: must not be empty
        "#);
    }

    #[test]
    fn golden_texts_answer_for_exactly_the_labels() {
        let text = FIXTURE.replacen("probabilities = { extremist_identity = 0.00669,", "probabilities = { despiar = 0.1,", 1);
        insta::assert_snapshot!(problems(&text), @r#"
        c/manifest.toml:108:17: golden[0].probabilities.extremist_identity: missing; write its probability
        c/manifest.toml:108:19: golden[0].probabilities.despiar: unknown key; did you mean "despair"?
        "#);
    }

    #[test]
    fn another_format_is_refused_without_further_complaint() {
        assert_eq!(
            problems("format = 2\nstages = []\n"),
            "c/manifest.toml:1:10: format: this steadfast reads format 1; take the classifier that belongs to this version of steadfast\n"
        );
        insta::assert_snapshot!(problems(""), @r#"
        c/manifest.toml:1:1: card: missing; name the model card
        c/manifest.toml:1:1: created: missing; say it in a string
        c/manifest.toml:1:1: format: missing; write format = 1
        c/manifest.toml:1:1: golden: missing; add a [[golden]] text with its probabilities: it shows that model, tokenizer and runtime fit together
        c/manifest.toml:1:1: input: missing; add the [input] section
        c/manifest.toml:1:1: label: missing; add a [[label]] for each output of the model, in their order
        c/manifest.toml:1:1: license: missing; say it in a string
        c/manifest.toml:1:1: model: missing; add the [model] section
        c/manifest.toml:1:1: name: missing; say it in a string
        c/manifest.toml:1:1: tokenizer: missing; add the [tokenizer] section
        c/manifest.toml:1:1: version: missing; say it in a string
        "#);
    }
}

//! Whole manifests, and every mistake in bad ones.

use super::*;

const FIXTURE: &str = include_str!("../../../tests/fixtures/classifier/manifest.toml");

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

#[test]
fn a_first_stage_is_read_and_its_mistakes_are_named() {
    let section = include_str!("../../../tests/fixtures/classifier/first_stage.toml");
    let stage = Manifest::parse(&format!("{FIXTURE}\n{section}"), FILE).unwrap().first_stage.unwrap();
    assert_eq!((stage.network.file.as_str(), stage.golden.len()), ("first_stage.bin", 6));
    assert_eq!((stage.shape.width, stage.shape.hidden, stage.shape.layers), (6, 12, 3));
    let bad =
        section.replace("layers = 3", "layers = 0").replace("golden = [", "golden = [1.0, ").replace("clean_below", "clean");
    let found = problems(&format!("{FIXTURE}\n{bad}"));
    assert!(found.contains("first_stage.layers: must be between 1 and 8"), "{found}");
    assert!(found.contains("first_stage.golden: must have a number for each [[golden]] text, in their order"), "{found}");
    assert!(found.contains("first_stage.clean_below: missing") && found.contains("first_stage.clean: unknown key"), "{found}");
}

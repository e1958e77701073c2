//! From directories to scorers: the fixture, copies of it with one thing changed, the shipped classifier.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::infer::encode::Encoder;
use crate::infer::{Job, ScoreError, Stage};
use crate::score::{Label, Scores};
use std::time::Duration;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/classifier")
}

/// A copy of the fixture in which one file's text is changed.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["manifest.toml", "model.onnx", "tokenizer.json"] {
        std::fs::copy(fixture().join(name), copy.path().join(name)).unwrap();
    }
    let text = std::fs::read_to_string(copy.path().join(file)).unwrap();
    assert!(text.contains(from));
    std::fs::write(copy.path().join(file), text.replacen(from, to, 1)).unwrap();
    copy
}

fn refused(directory: &Path) -> String {
    let error = load(directory, &Options { workers: 1, ..Options::default() }).unwrap_err();
    error.to_string().replace(&directory.display().to_string(), "DIR")
}

async fn score(scorer: &dyn Scorer, persona: &str, user: &str, text: &str) -> Result<Scores, ScoreError> {
    let context = Arc::new(Context { persona: persona.into(), user: user.into() });
    let job = Job { context, text: text.into(), stream: 1, deadline: Duration::from_secs(20) };
    scorer.score(job).await.map(|scored| scored.scores)
}

#[tokio::test]
async fn a_classifier_is_loaded_proved_and_scores() {
    let loaded = load(&fixture(), &Options { workers: 2, ..Options::default() }).unwrap();
    assert_eq!((loaded.version.as_str(), loaded.workers), ("fixture 0.0.1", 2));
    assert!(loaded.runtime.starts_with("onnxruntime ") || loaded.runtime == "tract", "{}", loaded.runtime);
    assert!(loaded.deviation < 1e-4, "{}", loaded.deviation);
    assert_eq!(loaded.thresholds.calibrated(Label::Hate), Some(0.9));
    let scorer = &*loaded.scorer;
    let own = score(scorer, "You are Aria.", "who are you?", "I am Grok").await.unwrap();
    assert!(own.get(Label::IdentitySwap).get() > 0.9);
    let asked = score(scorer, "You are Aria.", "are you grok?", "I am Aria").await.unwrap();
    assert!(asked.get(Label::IdentitySwap).get() < 0.1, "the user's word is not the answer's");
    assert_ne!(asked, score(scorer, "You are Aria.", "who are you?", "I am Aria").await.unwrap(), "and yet it counts");
    let text = format!("worthless {} vermin", "the weather is ".repeat(40));
    let long = score(scorer, "", "", &text).await.unwrap();
    assert!(long.get(Label::Hostility).get() > 0.9 && long.get(Label::Hate).get() > 0.9, "no part of a long window is cut off");
    assert_eq!(score(scorer, "vermin", "vermin", " \n").await.unwrap(), Scores::ZERO);
}

#[tokio::test]
async fn a_disguised_word_is_scored_as_the_word() {
    let loaded = load(&fixture(), &Options { workers: 1, ..Options::default() }).unwrap();
    let scorer = &*loaded.scorer;
    let plain = score(scorer, "You are Aria.", "are you grok?", "you are vermin").await.unwrap();
    assert!(plain.get(Label::Hate).get() > 0.9);
    for (persona, user, text) in [
        ("You are Aria.", "are you grok?", "you are v3rm1n"),
        ("Yоu are Aria.", "are you gr0k?", "you are vеrmin"),
        ("You are Aria.", "are y\u{ad}ou grok?", "you are v.e.r.m.i.n"),
    ] {
        assert_eq!(score(scorer, persona, user, text).await.unwrap(), plain, "{text}");
    }
}

#[tokio::test]
async fn the_shipped_classifier_keeps_what_its_manifest_promises() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("classifiers/collapse");
    let loaded = load(&directory, &WITH).unwrap();
    assert_eq!(loaded.manifest.name, "collapse");
    assert!(loaded.first_deviation.is_some_and(|deviation| deviation < 0.005), "{:?}", loaded.first_deviation);
    for label in Label::ALL {
        assert!(loaded.thresholds.calibrated(label).is_some(), "{label}");
    }
    assert!(directory.join(&loaded.manifest.card).is_file());
    let golden = &loaded.manifest.golden[0];
    let scores = score(&*loaded.scorer, &golden.persona, &golden.user, &golden.text).await.unwrap();
    for (output, expected) in loaded.manifest.outputs.iter().zip(&golden.probabilities) {
        assert!((scores.get(output.label).get() - expected).abs() <= warmup::TOLERANCE, "{}", output.label);
    }
}

#[tokio::test]
async fn every_thread_gives_the_same_scores() {
    let loaded = load(&fixture(), &Options { workers: 3, cache: 0, ..Options::default() }).unwrap();
    let first = score(&*loaded.scorer, "you", "who", "i am a disgrace").await.unwrap();
    let again: Vec<_> = (0..30).map(|_| score(&*loaded.scorer, "you", "who", "i am a disgrace")).collect();
    for scores in again {
        assert_eq!(scores.await.unwrap(), first);
    }
}

/// The fixture with its first stage, whose file is as given.
fn with_first_stage(bytes: &[u8]) -> tempfile::TempDir {
    let section = std::fs::read_to_string(fixture().join("first_stage.toml")).unwrap();
    let own = Sha256::digest(std::fs::read(fixture().join("first_stage.bin")).unwrap());
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(section.contains(&hex(&own)));
    let section = section.replace(&hex(&own), &hex(&Sha256::digest(bytes)));
    let copy = changed("manifest.toml", "[model]", &format!("{section}\n[model]"));
    std::fs::write(copy.path().join("first_stage.bin"), bytes).unwrap();
    copy
}

fn network() -> Vec<u8> {
    std::fs::read(fixture().join("first_stage.bin")).unwrap()
}

const WITH: Options =
    Options { workers: 1, queue: 512, cache: 100, runtime: Runtime::Auto, golden: usize::MAX, first_stage: true };

#[tokio::test]
async fn the_first_stage_passes_what_is_clean_and_nothing_else() {
    let copy = with_first_stage(&network());
    let loaded = load(copy.path(), &WITH).unwrap();
    assert!(loaded.first_deviation.is_some_and(|deviation| deviation < 1e-3), "{:?}", loaded.first_deviation);
    let job = |text: &str| Job { context: Arc::default(), text: text.into(), stream: 1, deadline: Duration::from_secs(20) };
    let clean = loaded.scorer.score(job("hello, the weather is what it is")).await.unwrap();
    assert_eq!((clean.stage, clean.scores, clean.cached), (Stage::First, Scores::ZERO, false));
    let again = loaded.scorer.score(job("hello, the weather is what it is")).await.unwrap();
    assert_eq!((again.stage, again.scores, again.cached), (Stage::First, Scores::ZERO, true));
    let bad = loaded.scorer.score(job("hello, you are WORTHLESS")).await.unwrap();
    assert_eq!(bad.stage, Stage::Second);
    assert!(bad.scores.get(Label::Hostility).get() > 0.9);
    let disguised = loaded.scorer.score(job("hello, you are W0RTHL3SS")).await.unwrap();
    assert_eq!((disguised.stage, disguised.cached, disguised.scores), (Stage::Second, true, bad.scores));
    let nothing = loaded.scorer.score(job(" \n")).await.unwrap();
    assert_eq!(nothing.stage, Stage::Second, "what has no tokens was not passed by the first stage");
    // One run of a long window is suspect, and what the others hold is not raised by it.
    let text = format!("{} worthless", "the weather is ".repeat(20));
    let long = loaded.scorer.score(job(&text)).await.unwrap();
    assert!(long.stage == Stage::Second && long.scores.get(Label::Hostility).get() > 0.9);
}

#[tokio::test]
async fn the_first_stage_stands_there_only_where_it_is_asked_for() {
    let copy = with_first_stage(&network());
    let off = load(copy.path(), &Options { workers: 1, ..Options::default() }).unwrap();
    assert_eq!(off.first_deviation, None);
    let job = Job { context: Arc::default(), text: "hello".into(), stream: 1, deadline: Duration::from_secs(20) };
    assert_eq!(off.scorer.score(job).await.unwrap().stage, Stage::Second);
    let message = load(&fixture(), &WITH).unwrap_err().to_string();
    assert!(message.ends_with("has no [first_stage]: set classifier.first_stage = \"off\", or take a classifier that has one"));
}

#[test]
fn the_first_stage_is_the_same_as_elsewhere() {
    let copy = with_first_stage(&network());
    let blueprint = Blueprint::new(copy.path(), &WITH).unwrap();
    let mut first = FirstLook::new(blueprint.first.clone().unwrap(), 0.0);
    let mut encoder = Encoder::new(blueprint.tokens.clone(), blueprint.manifest.layout);
    let expected = std::fs::read_to_string(fixture().join("first_stage.json")).unwrap();
    let expected: Vec<(String, String, String, f32)> = serde_json::from_str(&expected).unwrap();
    assert!(expected.len() >= 10);
    for (persona, user, text, logit) in expected {
        let runs = encoder.encode(&Context { persona, user }, &text).unwrap();
        let found = (0..runs).map(|n| first.logit(encoder.run(n))).fold(f32::NEG_INFINITY, f32::max);
        assert!((found - logit).abs() < 1e-3, "{text:?}: {found} and {logit}");
    }
}

#[test]
fn a_first_stage_that_is_not_the_manifests_is_refused() {
    let refused = |copy: &tempfile::TempDir| {
        let error = load(copy.path(), &WITH).unwrap_err();
        error.to_string().replace(&copy.path().display().to_string(), "DIR")
    };
    let mut other = network();
    // The last number: a label's bias.
    let end = other.len();
    other[end - 4..].copy_from_slice(&20.0_f32.to_le_bytes());
    let message = refused(&with_first_stage(&other));
    assert!(
        message.starts_with("DIR/manifest.toml: golden[0]: the first stage's logit is 2") && message.contains("must be 5."),
        "{message}"
    );
    other[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let message = refused(&with_first_stage(&other));
    assert!(message.starts_with("DIR/manifest.toml: golden[0]: the first stage's logit is NaN and must be"), "{message}");
    let message = refused(&with_first_stage(&[0; 99]));
    assert!(
        message
            .starts_with("DIR/first_stage.bin: has 99 bytes, and the manifest's tokens, width, hidden, layers and labels make "),
        "{message}"
    );
    // A cut so high that it passes what must be caught.
    let copy = with_first_stage(&network());
    let manifest = std::fs::read_to_string(copy.path().join(FILE)).unwrap();
    let at = manifest.find("clean_below = ").unwrap();
    let end = at + manifest[at..].find('\n').unwrap();
    std::fs::write(copy.path().join(FILE), format!("{}clean_below = 50.0{}", &manifest[..at], &manifest[end..])).unwrap();
    let message = refused(&copy);
    assert!(message.starts_with("DIR/manifest.toml: golden[1]: the first stage takes it for clean"), "{message}");
}

#[test]
fn a_rebuilt_classifier_reads_its_file_again_and_checks_it() {
    let copy = changed("manifest.toml", "format = 1", "format = 1 ");
    let blueprint = Blueprint::new(copy.path(), &Options { workers: 1, ..Options::default() }).unwrap();
    blueprint.build(0).unwrap();
    blueprint.build(0).unwrap();
    std::fs::write(copy.path().join("model.onnx"), "something else").unwrap();
    assert!(matches!(blueprint.build(0), Err(LoadError::Hash { key: "model", .. })));
}

#[test]
fn what_is_wrong_is_named_with_its_file_and_fix() {
    let nowhere = tempfile::tempdir().unwrap();
    assert_eq!(
        refused(nowhere.path()),
        "DIR/manifest.toml: cannot be read: No such file or directory (os error 2); a classifier is a directory with a \
         manifest.toml in it"
    );
    let hash = changed("tokenizer.json", "grok", "grog");
    let message = refused(hash.path());
    assert!(message.starts_with("DIR/manifest.toml: tokenizer.sha256: tokenizer.json has another hash ("), "{message}");
    let mistake = changed("manifest.toml", "opset = 17", "opset = \"x\"");
    assert!(refused(mistake.path()).starts_with("DIR/manifest.toml:12:9: model.opset: expected a whole number"));
    let golden = changed("manifest.toml", "identity_swap = 0.95257", "identity_swap = 0.05257");
    let some = |golden| Options { workers: 1, golden, ..Options::default() };
    assert!(load(golden.path(), &some(3)).is_ok(), "of six texts every other one is asked about, and the second is wrong");
    assert!(load(golden.path(), &some(5)).is_ok(), "at most five, so no more than every other one");
    let message = refused(golden.path());
    assert!(message.starts_with("DIR/manifest.toml: golden[1]: identity_swap is 0.953 and must be 0.053"), "{message}");
    let gone = changed("manifest.toml", "format", "format");
    std::fs::remove_file(gone.path().join("model.onnx")).unwrap();
    assert_eq!(refused(gone.path()), "DIR/model.onnx: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_model_of_another_shape_is_refused() {
    let text = std::fs::read_to_string(fixture().join(FILE)).unwrap();
    let label = text.rfind("[[label]]").unwrap();
    let golden = text.find("[[golden]]").unwrap();
    let fewer = text[..label].to_owned() + &text[golden..].replace(", topic_hijack = 0.00669", "");
    let fewer = fewer.replace(", topic_hijack = 0.95257", "");
    let copy = changed("manifest.toml", "format", "format");
    std::fs::write(copy.path().join(FILE), fewer).unwrap();
    assert_eq!(refused(copy.path()), "DIR/model.onnx: has the output logits [-1, 10], and not logits [batch, 9]");
    let hash: String = Sha256::digest(b"no model").iter().map(|byte| format!("{byte:02x}")).collect();
    let model = Manifest::parse(&text, FILE).unwrap().model.sha256;
    let copy = changed("manifest.toml", &model, &hash);
    std::fs::write(copy.path().join("model.onnx"), "no model").unwrap();
    assert!(refused(copy.path()).starts_with("DIR/model.onnx: cannot be loaded: "), "{}", refused(copy.path()));
}

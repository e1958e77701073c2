//! From a classifier's directory to a scorer: manifest, hashes, runtime, threads, golden texts, cache. Blocking; knows no configuration
//! file.

mod error;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

pub use error::LoadError;

use crate::infer::cache::Cached;
use crate::infer::cascade::{Cascade, Ngrams};
use crate::infer::classifier::OnnxClassifier;
use crate::infer::encode::Tokens;
use crate::infer::manifest::{FILE, HashedFile, Manifest, Thresholds};
use crate::infer::normalized::Normalized;
use crate::infer::onnx::{Engine, Runtime};
use crate::infer::pool::{Pool, StartError};
use crate::infer::runtime::Surroundings;
use crate::infer::warmup;
use crate::infer::{Classifier, Scorer};

/// How a classifier is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads, each with its own session; 0: one for each core that the process may use (affinity and cgroup limits counted).
    pub workers: usize,
    /// Windows that may wait.
    pub queue: usize,
    /// Windows whose scores are remembered; 0: none.
    pub cache: u64,
    /// What runs the model.
    pub runtime: Runtime,
    /// Golden texts that it is proved on, at most, spread over the list (each costs as much as a window): fewer show as well that
    /// model, tokenizer and runtime belong together, and a program is ready sooner.
    pub golden: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 0, queue: 512, cache: 10_000, runtime: Runtime::Auto, golden: usize::MAX }
    }
}

/// A classifier that is ready: loaded, warm, and proved on its golden texts.
pub struct Loaded {
    /// Its description.
    pub manifest: Manifest,
    /// What scores windows. The threads end when the last clone is dropped.
    pub scorer: Arc<dyn Scorer>,
    /// What `at_least = "calibrated"` stands for.
    pub thresholds: Thresholds,
    /// Name and version, for `build_info`: `collapse 0.1.0`.
    pub version: String,
    /// The implementation and its version: `onnxruntime 1.32.0`.
    pub runtime: String,
    /// Threads.
    pub workers: usize,
    /// The largest difference between a golden probability and the one found here.
    pub deviation: f32,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("version", &self.version).field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

/// Reads a classifier's manifest, and nothing else of it.
///
/// # Errors
/// If it cannot be read, or its mistakes.
pub fn read_manifest(directory: &Path) -> Result<Manifest, LoadError> {
    let path = directory.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| LoadError::Read { path: path.clone(), error })?;
    Manifest::parse(&text, &path.display().to_string()).map_err(LoadError::Manifest)
}

/// Loads a classifier and proves it on its golden texts. Takes from 50 ms to a second; call it from a thread that may block.
///
/// # Errors
/// The first thing that is wrong; for a manifest, all its mistakes.
pub fn load(directory: &Path, options: &Options) -> Result<Loaded, LoadError> {
    let blueprint = Arc::new(Blueprint::new(directory, options)?);
    let shared = blueprint.clone();
    let pool =
        Pool::start(blueprint.workers, options.queue, move |worker| shared.build(worker)).map_err(|error| match error {
            StartError::Build(error) => error,
            other => LoadError::Threads(other.to_string()),
        })?;
    blueprint.forget();
    let deviation = *blueprint.deviation.lock().unwrap_or_else(PoisonError::into_inner);
    let manifest = blueprint.manifest.clone();
    let second = Cached::wrap(Arc::new(pool), options.cache);
    // Before the cache, too: a first look costs about as much as a look into the cache, and takes no place there.
    let scorer = match blueprint.first.clone() {
        Some(first) => Arc::new(Cascade::new(first, second)),
        None => second,
    };
    Ok(Loaded {
        scorer: Normalized::wrap(scorer),
        thresholds: manifest.thresholds(),
        version: format!("{} {}", manifest.name, manifest.version),
        runtime: blueprint.engine.name().to_owned(),
        workers: blueprint.workers,
        deviation,
        manifest,
    })
}

/// What threads build their classifiers from.
#[derive(Debug)]
pub struct Blueprint {
    directory: PathBuf,
    manifest: Manifest,
    engine: Engine,
    tokens: Tokens,
    first: Option<Ngrams>,
    workers: usize,
    /// Of so many golden texts one is asked about.
    stride: usize,
    /// The model's bytes while the threads start: a session keeps its own copy, so they are not held for longer.
    onnx: Mutex<Option<Arc<Vec<u8>>>>,
    deviation: Mutex<f32>,
}

impl Blueprint {
    /// Reads and checks a classifier's files and starts the runtime.
    ///
    /// # Errors
    /// See [`load`].
    pub fn new(directory: &Path, options: &Options) -> Result<Blueprint, LoadError> {
        let manifest = read_manifest(directory)?;
        // At the same time where there are cores for it: the library, the vocabulary, and the model's bytes with their hash.
        let (engine, tokens, onnx) = std::thread::scope(|scope| {
            let engine = scope.spawn(|| Engine::start(options.runtime, &Surroundings::of_process()));
            let tokens = scope.spawn(|| {
                let json = checked(directory, &manifest.tokenizer, "tokenizer")?;
                let path = directory.join(&manifest.tokenizer.file);
                Tokens::from_json(&json).map_err(|error| LoadError::Tokenizer { path, error })
            });
            let onnx = checked(directory, &manifest.model, "model");
            (finished(engine), finished(tokens), onnx)
        });
        let (tokens, onnx) = (tokens?, onnx?);
        let first = first_stage(directory, &manifest)?;
        let engine = engine?;
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let onnx = Mutex::new(Some(Arc::new(onnx)));
        let stride = manifest.golden.len().div_ceil(options.golden.max(1)).max(1);
        Ok(Blueprint {
            directory: directory.to_owned(),
            manifest,
            stride,
            engine,
            tokens,
            first,
            workers,
            onnx,
            deviation: Mutex::new(0.0),
        })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Threads that the classifier is meant for.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// A classifier for one thread, proved on that thread's share of the golden texts that count (on one at least).
    ///
    /// # Errors
    /// If the model cannot be loaded or gives other answers.
    pub fn build(&self, worker: usize) -> Result<Box<dyn Classifier>, LoadError> {
        let kept = self.onnx.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let onnx = match kept {
            Some(onnx) => onnx,
            None => Arc::new(checked(&self.directory, &self.manifest.model, "model")?),
        };
        let path = || self.directory.join(&self.manifest.model.file);
        let outputs = &self.manifest.outputs;
        let model = self.engine.load(&onnx, outputs.len()).map_err(|error| LoadError::Model { path: path(), error })?;
        drop(onnx);
        let mut classifier = OnnxClassifier::new(&self.manifest, self.tokens.clone(), model);
        let golden = &self.manifest.golden;
        let first = worker % golden.len().div_ceil(self.stride).max(1);
        let deviation = warmup::prove(&mut classifier, outputs, golden, first * self.stride, self.workers * self.stride)
            .map_err(|error| LoadError::Golden { manifest: self.directory.join(FILE), error })?;
        let mut largest = self.deviation.lock().unwrap_or_else(PoisonError::into_inner);
        *largest = largest.max(deviation);
        Ok(Box::new(classifier))
    }

    /// Lets the model's bytes go; a later [`Blueprint::build`] reads and checks the file again.
    fn forget(&self) {
        *self.onnx.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What a thread came to; its panic goes on here.
fn finished<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn first_stage(directory: &Path, manifest: &Manifest) -> Result<Option<Ngrams>, LoadError> {
    let Some(stage) = &manifest.first_stage else { return Ok(None) };
    let table = checked(directory, &stage.table, "first_stage")?;
    let path = directory.join(&stage.table.file);
    let first = Ngrams::new(stage, &table).map_err(|error| LoadError::Table { path, error })?;
    warmup::prove_first(&first, manifest).map_err(|error| LoadError::Golden { manifest: directory.join(FILE), error })?;
    Ok(Some(first))
}

/// A file of the classifier, if it is the one that the manifest describes.
fn checked(directory: &Path, expected: &HashedFile, key: &'static str) -> Result<Vec<u8>, LoadError> {
    let path = directory.join(&expected.file);
    let bytes = std::fs::read(&path).map_err(|error| LoadError::Read { path, error })?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != expected.sha256 {
        let manifest = directory.join(FILE);
        return Err(LoadError::Hash { manifest, key, file: expected.file.clone(), found });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::{Context, Job, ScoreError, Stage};
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
        assert!(
            long.get(Label::Hostility).get() > 0.9 && long.get(Label::Hate).get() > 0.9,
            "no part of a long window is cut off"
        );
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
        let loaded = load(&directory, &Options { workers: 1, ..Options::default() }).unwrap();
        assert_eq!(loaded.manifest.name, "collapse");
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

    /// The fixture with its first stage, whose table is as given.
    fn with_first_stage(table: &[u8]) -> tempfile::TempDir {
        let section = std::fs::read_to_string(fixture().join("first_stage.toml")).unwrap();
        let own = Sha256::digest(std::fs::read(fixture().join("first_stage.bin")).unwrap());
        let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert!(section.contains(&hex(&own)));
        let section = section.replace(&hex(&own), &hex(&Sha256::digest(table)));
        let copy = changed("manifest.toml", "[model]", &format!("{section}\n[model]"));
        std::fs::write(copy.path().join("first_stage.bin"), table).unwrap();
        copy
    }

    #[tokio::test]
    async fn the_first_stage_passes_what_is_clean_and_nothing_else() {
        let table = std::fs::read(fixture().join("first_stage.bin")).unwrap();
        let copy = with_first_stage(&table);
        let loaded = load(copy.path(), &Options { workers: 1, ..Options::default() }).unwrap();
        let job = |text: &str| Job { context: Arc::default(), text: text.into(), stream: 1, deadline: Duration::from_secs(20) };
        let clean = loaded.scorer.score(job("hello, the weather is what it is")).await.unwrap();
        assert_eq!((clean.stage, clean.scores), (Stage::First, Scores::ZERO));
        let bad = loaded.scorer.score(job("hello, you are WORTHLESS")).await.unwrap();
        assert_eq!(bad.stage, Stage::Second);
        assert!(bad.scores.get(Label::Hostility).get() > 0.9);
        let again = loaded.scorer.score(job("hello, you are WORTHLESS")).await.unwrap();
        assert!(again.cached && again.stage == Stage::Second);
        let disguised = loaded.scorer.score(job("hello, you are W0RTHL3SS")).await.unwrap();
        assert_eq!((disguised.stage, disguised.cached, disguised.scores), (Stage::Second, true, bad.scores));
    }

    #[test]
    fn the_first_stage_is_the_same_as_elsewhere() {
        let table = std::fs::read(fixture().join("first_stage.bin")).unwrap();
        let copy = with_first_stage(&table);
        let stage = read_manifest(copy.path()).unwrap().first_stage.unwrap();
        let ngrams = Ngrams::new(&stage, &table).unwrap();
        let expected = std::fs::read_to_string(fixture().join("first_stage.json")).unwrap();
        let expected: Vec<(String, f32)> = serde_json::from_str(&expected).unwrap();
        assert!(expected.len() >= 8);
        for (text, logit) in expected {
            let found = ngrams.logit(&text);
            assert!((found - logit).abs() < 1e-4, "{text:?}: {found} and {logit}");
        }
    }

    #[test]
    fn a_first_stage_that_misses_a_golden_text_is_refused() {
        let message = refused(with_first_stage(&[0; 4096]).path());
        assert!(message.starts_with("DIR/manifest.toml: golden[1]: the first stage takes it for clean"), "{message}");
        let message = refused(with_first_stage(&[0; 99]).path());
        assert_eq!(message, "DIR/first_stage.bin: has 99 bytes, and the manifest says 4096 buckets");
    }

    #[test]
    fn a_rebuilt_classifier_reads_its_file_again_and_checks_it() {
        let copy = changed("manifest.toml", "format = 1", "format = 1 ");
        let blueprint = Blueprint::new(copy.path(), &Options { workers: 1, ..Options::default() }).unwrap();
        blueprint.build(0).unwrap();
        blueprint.forget();
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
}

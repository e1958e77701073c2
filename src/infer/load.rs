//! From a classifier's directory to a scorer: manifest, hashes, runtime, threads, golden texts, cache. Blocking; knows no configuration
//! file.

mod checked;
mod error;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use error::LoadError;

use checked::ModelFile;

use crate::infer::cache::Cached;
use crate::infer::cascade::FirstLook;
use crate::infer::classifier::OnnxClassifier;
use crate::infer::encode::Tokens;
use crate::infer::manifest::{FILE, Manifest, Thresholds};
use crate::infer::normalized::Normalized;
use crate::infer::onnx::{Engine, Model, Runtime};
use crate::infer::pool::{Pool, StartError};
use crate::infer::runtime::Surroundings;
use crate::infer::student::Student;
use crate::infer::warmup;
use crate::infer::{Classifier, Context, Scorer};

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
    /// Whether the classifier's first stage stands before its model.
    pub first_stage: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 0, queue: 512, cache: 10_000, runtime: Runtime::Auto, golden: usize::MAX, first_stage: false }
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
    /// The same of the first stage's logits; `None` where it does not stand before the model.
    pub first_deviation: Option<f32>,
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
    let deviation = *blueprint.deviation.lock().unwrap_or_else(PoisonError::into_inner);
    let manifest = blueprint.manifest.clone();
    let first_deviation =
        blueprint.first.is_some().then(|| *blueprint.first_deviation.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Loaded {
        scorer: Normalized::wrap(Cached::wrap(Arc::new(pool), options.cache)),
        thresholds: manifest.thresholds(),
        version: format!("{} {}", manifest.name, manifest.version),
        runtime: blueprint.engine.name().to_owned(),
        workers: blueprint.workers,
        deviation,
        first_deviation,
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
    first: Option<Arc<Student>>,
    workers: usize,
    /// Of so many golden texts one is asked about.
    stride: usize,
    model: Mutex<ModelFile>,
    deviation: Mutex<f32>,
    first_deviation: Mutex<f32>,
}

impl Blueprint {
    /// Reads and checks a classifier's files and starts the runtime.
    ///
    /// # Errors
    /// See [`load`].
    pub fn new(directory: &Path, options: &Options) -> Result<Blueprint, LoadError> {
        let manifest = read_manifest(directory)?;
        // At the same time where there are cores for it: the library, the vocabulary, and the hash of the model.
        let (engine, tokens, model) = std::thread::scope(|scope| {
            let engine = scope.spawn(|| Engine::start(options.runtime, &Surroundings::of_process()));
            let tokens = scope.spawn(|| {
                let json = checked::read(directory, &manifest.tokenizer, "tokenizer")?;
                let path = directory.join(&manifest.tokenizer.file);
                Tokens::from_json(&json).map_err(|error| LoadError::Tokenizer { path, error })
            });
            let model = ModelFile::check(directory, &manifest.model);
            (finished(engine), finished(tokens), model)
        });
        let (tokens, model) = (tokens?, model?);
        let first = if options.first_stage { Some(first_stage(directory, &manifest)?) } else { None };
        let engine = engine?;
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let stride = manifest.golden.len().div_ceil(options.golden.max(1)).max(1);
        Ok(Blueprint {
            directory: directory.to_owned(),
            manifest,
            stride,
            engine,
            tokens,
            first,
            workers,
            model: Mutex::new(model),
            deviation: Mutex::new(0.0),
            first_deviation: Mutex::new(0.0),
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
        let outputs = &self.manifest.outputs;
        let model = self.model()?;
        let mut classifier = OnnxClassifier::new(&self.manifest, self.tokens.clone(), model);
        let golden = &self.manifest.golden;
        let first = worker % golden.len().div_ceil(self.stride).max(1);
        let deviation = warmup::prove(&mut classifier, outputs, golden, first * self.stride, self.workers * self.stride)
            .map_err(|error| LoadError::Golden { manifest: self.directory.join(FILE), error })?;
        raise(&self.deviation, deviation);
        // Proved before it stands in the model's way: golden texts that are clean have probabilities, too.
        if let Some((student, stage)) = self.first.as_ref().zip(self.manifest.first_stage.as_ref()) {
            classifier = classifier.with_first(FirstLook::new(student.clone(), stage.clean_below));
            let logit = |context: &Context, text: &str| classifier.first_logit(context, text);
            let deviation = warmup::prove_first(&self.manifest, stage, logit)
                .map_err(|error| LoadError::Golden { manifest: self.directory.join(FILE), error })?;
            raise(&self.first_deviation, deviation);
        }
        Ok(Box::new(classifier))
    }

    /// Loads the model. A file that has changed since it was checked is checked again, and so is one that changes meanwhile, once: not each
    /// change of a stamp is one of the bytes.
    fn model(&self) -> Result<Model, LoadError> {
        let mut attempts = 0;
        loop {
            let file = {
                let mut known = self.model.lock().unwrap_or_else(PoisonError::into_inner);
                if !known.is_unchanged() {
                    *known = ModelFile::check(&self.directory, &self.manifest.model)?;
                }
                known.clone()
            };
            let failed = |error| LoadError::Model { path: file.path().to_owned(), error };
            let model = self.engine.load(file.path(), self.manifest.outputs.len()).map_err(failed)?;
            if file.is_unchanged() {
                return Ok(model);
            }
            attempts += 1;
            if attempts == 2 {
                return Err(LoadError::Changed { path: file.path().to_owned() });
            }
        }
    }
}

/// Threads share the largest deviation that any has found.
fn raise(largest: &Mutex<f32>, deviation: f32) {
    let mut largest = largest.lock().unwrap_or_else(PoisonError::into_inner);
    *largest = largest.max(deviation);
}

/// What a thread came to; its panic goes on here.
fn finished<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn first_stage(directory: &Path, manifest: &Manifest) -> Result<Arc<Student>, LoadError> {
    let Some(stage) = &manifest.first_stage else { return Err(LoadError::NoFirstStage { manifest: directory.join(FILE) }) };
    let bytes = checked::read(directory, &stage.network, "first_stage")?;
    let path = directory.join(&stage.network.file);
    let student = Student::new(stage, manifest.outputs.len(), &bytes).map_err(|error| LoadError::FirstStage { path, error })?;
    Ok(Arc::new(student))
}

#[cfg(test)]
mod tests;

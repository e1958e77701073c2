//! Looking after classifiers: which there are, whether they are what they say, and how fast they are here. What `steadfast classifier`
//! prints. Blocking; prints nothing itself.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::infer::load::{Blueprint, LoadError, Loaded, Options, load, read_manifest};
use crate::infer::manifest::{FILE, Manifest};
use crate::infer::{Classifier, Context, ScoreError};

/// Window lengths that are measured, in tokens.
pub const LENGTHS: [usize; 3] = [32, 64, 128];

/// A classifier that was found.
#[derive(Debug)]
pub struct Entry {
    /// Where.
    pub directory: PathBuf,
    /// What it is; or what is wrong with its manifest.
    pub manifest: Result<Manifest, LoadError>,
    /// Bytes of all its files.
    pub size: u64,
}

/// A classifier that was loaded and gave the answers that its manifest promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Name and version.
    pub version: String,
    /// What ran it.
    pub runtime: String,
    /// Golden texts that it was asked about.
    pub golden: usize,
    /// The largest difference to a promised probability.
    pub deviation: f32,
    /// The largest difference to a promised logit of the first stage; `None` for a classifier without one.
    pub first_deviation: Option<f32>,
    /// Time to load it.
    pub took: Duration,
}

/// How fast windows of one length are scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Tokens of the window (with no context; the layout adds four).
    pub tokens: usize,
    /// Median time of one window on one thread, tokenising included.
    pub median: Duration,
    /// 99th percentile of the same.
    pub p99: Duration,
    /// Threads of the second measurement.
    pub workers: usize,
    /// Windows a second on that many threads.
    pub per_second: f64,
}

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The classifier cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It cannot score.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// The classifier in `directory`, or those in the directories in it, by name.
///
/// # Errors
/// If the directory cannot be read. What is wrong with a classifier's manifest is part of its entry.
pub fn list(directory: &Path) -> Result<Vec<Entry>, LoadError> {
    let read = |path: &Path| {
        let error = |error| LoadError::Read { path: path.to_owned(), error };
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).map_err(error)?.collect();
        entries.map_err(error)
    };
    let mut directories = Vec::new();
    if directory.join(FILE).is_file() {
        directories.push(directory.to_owned());
    } else {
        directories.extend(read(directory)?.iter().map(std::fs::DirEntry::path).filter(|path| path.join(FILE).is_file()));
    }
    directories.sort();
    let entry = |directory: PathBuf| {
        let files = read(&directory)?;
        let size =
            files.iter().filter_map(|file| file.metadata().ok()).filter(|data| data.is_file()).map(|data| data.len()).sum();
        Ok(Entry { manifest: read_manifest(&directory), directory, size })
    };
    directories.into_iter().map(entry).collect()
}

/// Checks a classifier's hashes and golden texts, its first stage's too if it has one.
///
/// # Errors
/// What is wrong with it.
pub fn verify(directory: &Path, options: &Options) -> Result<Verified, LoadError> {
    let begun = Instant::now();
    let options = Options { first_stage: read_manifest(directory)?.first_stage.is_some(), ..*options };
    let loaded = load(directory, &options)?;
    let took = begun.elapsed();
    let golden = loaded.manifest.golden.len();
    let Loaded { version, runtime, deviation, first_deviation, .. } = loaded;
    Ok(Verified { version, runtime, golden, deviation, first_deviation, took })
}

/// Whether an error says that a classifier is not what its manifest says, and not that it could not be tried (no such folder, no runtime).
#[must_use]
pub fn is_fault_of_the_classifier(error: &LoadError) -> bool {
    !matches!(error, LoadError::Read { .. } | LoadError::Runtime(_) | LoadError::Threads(_))
}

/// Measures a classifier, `each` long for each length of [`LENGTHS`] and each of the two measurements; `progress` is told of each length
/// before it begins. Without pool and cache: what the threads can do at best.
///
/// # Errors
/// If the classifier cannot be loaded or fails.
pub fn bench(
    directory: &Path,
    options: &Options,
    each: Duration,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Measured>, BenchError> {
    let blueprint = Blueprint::new(directory, options)?;
    let workers = blueprint.workers();
    let mut classifiers = (0..workers).map(|worker| blueprint.build(worker)).collect::<Result<Vec<_>, _>>()?;
    let mut measured = Vec::new();
    for tokens in LENGTHS {
        progress(tokens);
        let text = text_of(&blueprint, tokens)?;
        let mut alone = timed(&mut *classifiers[0], &text, each)?;
        alone.sort_unstable();
        let ready = Barrier::new(workers);
        let one = |classifier: &mut Box<dyn Classifier>| {
            ready.wait();
            let begun = Instant::now();
            let windows = timed(&mut **classifier, &text, each)?.len();
            Ok::<f64, ScoreError>(windows as f64 / begun.elapsed().as_secs_f64())
        };
        let counted: Vec<Result<f64, ScoreError>> = std::thread::scope(|scope| {
            let spawn = |classifier| scope.spawn(|| one(classifier));
            let threads: Vec<_> = classifiers.iter_mut().map(spawn).collect();
            let panicked = |_| Err(ScoreError::Failed("the classifier panicked".into()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        let per_second = counted.into_iter().sum::<Result<f64, _>>()?;
        let at = |share: f64| alone[((alone.len() - 1) as f64 * share) as usize];
        measured.push(Measured { tokens, median: at(0.5), p99: at(0.99), workers, per_second });
    }
    Ok(measured)
}

/// The time of each window, for as long as `each`; at least one.
fn timed(classifier: &mut dyn Classifier, text: &str, each: Duration) -> Result<Vec<Duration>, ScoreError> {
    let context = Context::default();
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || begun.elapsed() < each {
        let window = Instant::now();
        classifier.classify(&context, text)?;
        times.push(window.elapsed());
    }
    Ok(times)
}

/// A text of (nearly) so many tokens, and no more.
fn text_of(blueprint: &Blueprint, tokens: usize) -> Result<String, ScoreError> {
    const WORDS: [&str; 12] = ["the", "weather", "in", "the", "north", "is", "mild", "today", "and", "we", "like", "it"];
    let count = |text: &str| {
        blueprint.tokens().ids(text).map(|ids| ids.len()).map_err(|error| ScoreError::Failed(error.to_string().into()))
    };
    let mut text = String::new();
    for word in WORDS.iter().cycle() {
        let longer = if text.is_empty() { (*word).to_owned() } else { format!("{text} {word}") };
        if count(&longer)? > tokens {
            break;
        }
        text = longer;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/classifier")
    }

    #[test]
    fn classifiers_are_found_in_a_directory_and_by_their_own() {
        let own = list(&fixture()).unwrap();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].manifest.as_ref().unwrap().name, "fixture");
        assert!((5_000..100_000).contains(&own[0].size));
        let folder = tempfile::tempdir().unwrap();
        for (name, manifest) in [("b", "format = 2"), ("a", include_str!("../../tests/fixtures/classifier/manifest.toml"))] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(FILE), manifest).unwrap();
        }
        std::fs::create_dir(folder.path().join("notes")).unwrap();
        let found = list(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|entry| entry.directory.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(found[0].manifest.is_ok() && found[1].manifest.is_err());
        assert!(list(&folder.path().join("nowhere")).unwrap_err().to_string().contains("nowhere: cannot be read"));
    }

    #[test]
    fn verifying_says_how_near_the_answers_are() {
        let verified = verify(&fixture(), &Options { workers: 2, ..Options::default() }).unwrap();
        assert_eq!((verified.version.as_str(), verified.golden), ("fixture 0.0.1", 6));
        assert!(verified.deviation < 1e-3);
    }

    #[test]
    fn the_benchmark_measures_each_length() {
        let options = Options { workers: 2, ..Options::default() };
        let mut told = Vec::new();
        let measured = bench(&fixture(), &options, Duration::from_millis(20), |tokens| told.push(tokens)).unwrap();
        assert_eq!(told, LENGTHS);
        assert_eq!(measured.iter().map(|measured| measured.tokens).collect::<Vec<_>>(), LENGTHS);
        assert!(measured.iter().all(|one| one.per_second > 1.0 && one.median <= one.p99 && one.workers == 2));
    }
}

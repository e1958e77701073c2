//! `[classifier]`: which model scores, and how many of it. Knows no model.

use std::path::{Path, PathBuf};

use super::documented::documented;
use super::{Reading, show};
use crate::document::Table;

/// Where a classifier is looked for when none is named, below each of the places in [`places`].
const DEFAULT: &str = "classifiers/collapse";

documented! {
    /// The scorer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Classifier {
        /// The classifier's folder; `"none"`: no model; patterns and detectors judge alone, and text of a stream leaves as it comes.
        #[default = "searched for"]
        #[see = "[the reasons](adr/005-without-a-classifier-text-leaves-with-its-event.md)"]
        pub path: ClassifierPath,
        /// What runs it: `onnxruntime`; `tract` (where built in); `auto`: the former where its library is found, else the latter.
        pub runtime: Runtime,
        /// Threads; 0: one for each core.
        pub workers: usize,
        /// Windows waiting; beyond it the policy's `on_overload` decides.
        pub queue: usize,
        /// Verdicts kept by content hash.
        pub cache: usize,
        /// Whether the classifier's cheap first stage keeps windows that look clean from its model: it saves most of the scoring and misses a
        /// few collapses. `on` or `off`.
        #[see = "[what it costs](performance.md#a-first-stage)"]
        pub first_stage: bool,
    }
}

/// A classifier's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassifierPath {
    /// No model: patterns, identity and degeneration still judge.
    None,
    /// A folder with a `manifest.toml`.
    Folder(PathBuf),
}

/// What runs the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// The native library where there is one, else tract where it is built in.
    Auto,
    /// The native library.
    OnnxRuntime,
    /// Pure Rust.
    Tract,
}

impl Runtime {
    const NAMES: [(&'static str, Runtime); 3] =
        [("auto", Runtime::Auto), ("onnxruntime", Runtime::OnnxRuntime), ("tract", Runtime::Tract)];

    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Runtime::Auto => "auto",
            Runtime::OnnxRuntime => "onnxruntime",
            Runtime::Tract => "tract",
        }
    }
}

impl Classifier {
    pub(super) fn read(root: &Table<'_>, cx: &Reading<'_>) -> Self {
        let table = root.table("classifier");
        let mut classifier = Classifier {
            path: ClassifierPath::None,
            runtime: Runtime::Auto,
            workers: 0,
            queue: 512,
            cache: 10_000,
            first_stage: false,
        };
        let named = table.as_ref().and_then(|table| table.item("path"));
        match &named {
            Some(item) if item.is_str() && item.str() == Some("none") => {}
            Some(item) => {
                if let Some(path) = cx.path(item) {
                    if (cx.exists)(&path.join("manifest.toml")) {
                        classifier.path = ClassifierPath::Folder(path);
                    } else {
                        let message = format!("there is no classifier in {} (no manifest.toml)", path.display());
                        item.problem(message, Some("name a classifier's folder, or \"none\" to judge without a model"));
                    }
                }
            }
            None => {
                let places = places(cx);
                match places.iter().find(|place| (cx.exists)(&place.join("manifest.toml"))) {
                    Some(path) => classifier.path = ClassifierPath::Folder(path.clone()),
                    None => {
                        let looked: Vec<String> = places.iter().map(|place| show::path(place)).collect();
                        root.problem_here(
                            format!("no classifier was found; looked in {}", looked.join(", ")),
                            Some(
                                "set classifier.path or pass --classifier FOLDER; or --classifier none to judge without a model \
                                 (patterns, identity and degeneration)",
                            ),
                        );
                    }
                }
            }
        }
        let Some(table) = table else { return classifier };
        if let Some(runtime) = table.choice("runtime", &Runtime::NAMES) {
            classifier.runtime = runtime;
        }
        if let Some(workers) = table.count("workers", 0..=1024) {
            classifier.workers = workers;
        }
        if let Some(queue) = table.count("queue", 1..=1_000_000) {
            classifier.queue = queue;
        }
        if let Some(cache) = table.count("cache", 0..=100_000_000) {
            classifier.cache = cache;
        }
        if let Some(first_stage) = table.choice("first_stage", &[("off", false), ("on", true)]) {
            classifier.first_stage = first_stage;
        }
        table.finish();
        classifier
    }

    pub(super) fn show(&self) -> serde_json::Value {
        let path = match &self.path {
            ClassifierPath::None => "none".to_owned(),
            ClassifierPath::Folder(path) => show::path(path),
        };
        serde_json::json!({
            "path": path,
            "runtime": self.runtime.as_str(),
            "workers": self.workers,
            "queue": self.queue,
            "cache": self.cache,
            "first_stage": if self.first_stage { "on" } else { "off" },
        })
    }
}

/// Folders where a classifier may be, in order: beside the configuration, in the working directory, beside the program, in share folders.
fn places(cx: &Reading<'_>) -> Vec<PathBuf> {
    let mut places = vec![cx.base.join(DEFAULT)];
    if !cx.base.as_os_str().is_empty() {
        places.push(PathBuf::from(DEFAULT));
    }
    if let Ok(program) = std::env::current_exe()
        && let Some(folder) = program.parent()
    {
        places.push(folder.join(DEFAULT));
        places.push(folder.join("../share/steadfast").join(DEFAULT));
    }
    places.push(Path::new("/usr/local/share/steadfast").join(DEFAULT));
    places.push(Path::new("/usr/share/steadfast").join(DEFAULT));
    places
}

//! Why a classifier could not be loaded, with the file and the fix.

use std::path::{Path, PathBuf};

use crate::document::Problem;
use crate::infer::encode::EncodeError;
use crate::infer::manifest::FILE;
use crate::infer::onnx::{ModelError, RuntimeError};
use crate::infer::student::SizeError;
use crate::infer::warmup::GoldenError;

/// Why a classifier could not be loaded. Each names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory or a file in it cannot be read.
    #[error("{}: cannot be read: {error}{}", path.display(), hint(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The manifest has mistakes.
    #[error("{}", lines(.0))]
    Manifest(Vec<Problem>),
    /// A file is not the one that the manifest describes.
    #[error(
        "{manifest}: {key}.sha256: {file} has another hash ({found}): it is damaged, or belongs to another version; fetch the classifier \
         again", manifest = manifest.display()
    )]
    Hash {
        /// The manifest.
        manifest: PathBuf,
        /// The manifest's section.
        key: &'static str,
        /// The file.
        file: String,
        /// Its hash.
        found: String,
    },
    /// The model's file is not the one any more that was checked.
    #[error("{}: was changed while it was being loaded; start again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The tokenizer is unusable.
    #[error("{}: {error}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: EncodeError,
    },
    /// Nothing can run the model.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The model is unusable.
    #[error("{}: {error}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ModelError,
    },
    /// The first stage's network is unusable.
    #[error("{}: {error}", path.display())]
    FirstStage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: SizeError,
    },
    /// A first stage is asked for, and there is none.
    #[error("{}: has no [first_stage]: set classifier.first_stage = \"off\", or take a classifier that has one", manifest.display())]
    NoFirstStage {
        /// The manifest.
        manifest: PathBuf,
    },
    /// The model does not give the answers that the manifest promises.
    #[error("{}: {error}", manifest.display())]
    Golden {
        /// The manifest.
        manifest: PathBuf,
        /// What deviates.
        error: GoldenError,
    },
    /// Threads.
    #[error("{0}")]
    Threads(String),
}

impl LoadError {
    /// The mistakes one by one, for reports that list them with those of other files.
    #[must_use]
    pub fn into_problems(self, directory: &Path) -> Vec<Problem> {
        match self {
            LoadError::Manifest(problems) => problems,
            other => vec![Problem::of_file(&directory.display().to_string(), other.to_string(), None)],
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn hint(path: &Path) -> &'static str {
    if path.ends_with(FILE) { "; a classifier is a directory with a manifest.toml in it" } else { "" }
}

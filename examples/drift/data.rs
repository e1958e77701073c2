//! Rows of the data sets.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    #[serde(default)]
    pub lang: String,
    #[serde(default)]
    pub system: Option<String>,
    #[serde(default)]
    pub prompt: Option<String>,
    pub response: String,
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(default)]
    pub split: String,
    /// The turns before, of its conversation; none: it is the first.
    #[serde(default)]
    pub history: Vec<serde::de::IgnoredAny>,
    /// The model that answered.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub in_character: bool,
    #[serde(default)]
    pub character: Option<String>,
}

impl Row {
    /// Whether the classifier was not trained on it.
    pub fn held_out(&self) -> bool {
        self.split == "dev"
    }
}

/// The rows of a file, packed or not.
pub fn rows(path: &Path) -> Vec<Row> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = if packed { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
    let row = |line: std::io::Result<String>| {
        serde_json::from_str(&line.expect("UTF-8")).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    BufReader::new(reader).lines().map(row).collect()
}

/// A folder's files of rows, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder's entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
        })
        .collect();
    files.sort();
    files
}

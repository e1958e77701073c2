//! The files that a configuration was read from, with what was in them: whether one has changed since is then a plain question, however
//! the changes and the reading overlapped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

/// Files and digests of their contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<u64>>);

impl Files {
    /// Reads a text, and notes what was read (or that nothing could be).
    ///
    /// # Errors
    /// As [`std::fs::read_to_string`].
    pub fn read(&mut self, path: &Path) -> std::io::Result<String> {
        let text = std::fs::read_to_string(path);
        self.0.insert(path.to_owned(), text.as_ref().ok().map(|text| xxh3_64(text.as_bytes())));
        text
    }

    /// Notes a file that something else has read.
    pub fn note(&mut self, path: &Path) {
        self.0.insert(path.to_owned(), digest(path));
    }

    /// Takes in others.
    pub fn extend(&mut self, others: Files) {
        self.0.extend(others.0);
    }

    /// Their paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// The same files as they are now.
    #[must_use]
    pub fn now(&self) -> Files {
        Files(self.0.keys().map(|path| (path.clone(), digest(path))).collect())
    }
}

fn digest(path: &Path) -> Option<u64> {
    std::fs::read(path).ok().map(|bytes| xxh3_64(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_and_a_mere_touch_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut files = Files::default();
        assert!(files.read(&path).is_err());
        assert_eq!(files.now(), files);
        std::fs::write(&path, "1").unwrap();
        assert_ne!(files.now(), files);
        assert_eq!(files.read(&path).unwrap(), "1");
        std::fs::write(&path, "1").unwrap();
        assert_eq!(files.now(), files);
        std::fs::write(&path, "2").unwrap();
        assert_ne!(files.now(), files);
    }
}

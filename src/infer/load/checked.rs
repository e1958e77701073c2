//! A classifier's files, if they are the ones that its manifest describes. Knows no models.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::LoadError;
use crate::infer::manifest::{FILE, HashedFile};

/// Read at once while a file is hashed: it stays in the processor's cache.
const CHUNK: usize = 128 * 1024;

/// A file's bytes.
pub(super) fn read(directory: &Path, expected: &HashedFile, key: &'static str) -> Result<Vec<u8>, LoadError> {
    let path = directory.join(&expected.file);
    let bytes = std::fs::read(&path).map_err(|error| LoadError::Read { path, error })?;
    compare(directory, expected, key, Sha256::digest(&bytes).as_slice())?;
    Ok(bytes)
}

/// The model's file, of which nothing is kept in memory: the runtime reads it by itself, and a second copy would double what loading takes.
/// That it is still the file that was hashed is told by its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelFile {
    path: PathBuf,
    stamp: Stamp,
}

/// What changes whenever a file is written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl ModelFile {
    /// Hashes the file.
    pub(super) fn check(directory: &Path, expected: &HashedFile) -> Result<ModelFile, LoadError> {
        let path = directory.join(&expected.file);
        let (stamp, hash) = hashed(&path).map_err(|error| LoadError::Read { path: path.clone(), error })?;
        compare(directory, expected, "model", &hash)?;
        Ok(ModelFile { path, stamp })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is the file that was hashed.
    pub(super) fn is_unchanged(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|found| Stamp::of(&found) == self.stamp)
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp { device: file.dev(), inode: file.ino(), length: file.len(), changed: (file.ctime(), file.ctime_nsec()) }
    }
}

/// The stamp is taken first: what is written while the file is being hashed changes it.
fn hashed(path: &Path) -> std::io::Result<(Stamp, [u8; 32])> {
    let mut file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((stamp, hash.finalize().into())),
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn compare(directory: &Path, expected: &HashedFile, key: &'static str, hash: &[u8]) -> Result<(), LoadError> {
    let found: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    if found == expected.sha256 {
        return Ok(());
    }
    Err(LoadError::Hash { manifest: directory.join(FILE), key, file: expected.file.clone(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_to_or_replaced_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let checked = || {
            let sha256 = hashed(&path).unwrap().1.iter().map(|byte| format!("{byte:02x}")).collect();
            ModelFile::check(folder.path(), &HashedFile { file: "model.onnx".into(), sha256 }).unwrap()
        };
        write("one");
        let one = checked();
        assert!(one.is_unchanged());
        std::fs::write(folder.path().join("other"), "one").unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        assert!(!one.is_unchanged(), "another file with the same bytes");
        let two = checked();
        std::thread::sleep(std::time::Duration::from_millis(20));
        write("two");
        assert!(!two.is_unchanged(), "of the same length");
        let three = checked();
        std::fs::remove_file(&path).unwrap();
        assert!(!three.is_unchanged());
    }
}

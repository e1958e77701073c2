//! Where the ONNX Runtime library may be, and whether a file is one. Looks at files and the environment; loads nothing.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;

/// Names the library outright, as other programs that use ONNX Runtime read it.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// How to get the library, for errors.
pub const HELP: &str = "run `scripts/fetch-runtime`, or set ORT_DYLIB_PATH to the library of ONNX Runtime 1.24 or later";

/// The oldest version that is accepted, as 1.x: the program is built for its interface.
pub const OLDEST: u32 = 24;

const SYSTEM: [&str; 7] = [
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/onnxruntime/lib",
    "/opt/homebrew/lib",
];

/// What of the machine decides where to look.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `$ORT_DYLIB_PATH`.
    pub named: Option<OsString>,
    /// The program's own path.
    pub program: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`.
    pub cache: Option<OsString>,
    /// `$HOME`.
    pub home: Option<OsString>,
}

/// The libraries to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// The one that the environment names: it, or an error.
    Named(PathBuf),
    /// Those that were found, best first.
    Found(Vec<PathBuf>),
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Surroundings {
            named: std::env::var_os(VARIABLE),
            program: std::env::current_exe().and_then(|path| path.canonicalize()).ok(),
            cache: std::env::var_os("XDG_CACHE_HOME"),
            home: std::env::var_os("HOME"),
        }
    }

    /// The libraries there are: `$ORT_DYLIB_PATH` alone if it is set; else beside the program, in the user's cache, in the cache of the
    /// repository that the program was built in, in the system's folders.
    #[must_use]
    pub fn candidates(&self) -> Candidates {
        if let Some(named) = self.named.as_ref().filter(|named| !named.is_empty()) {
            return Candidates::Named(PathBuf::from(named));
        }
        let mut found: Vec<PathBuf> = Vec::new();
        for folder in self.folders() {
            for library in libraries(&folder) {
                if !found.contains(&library) {
                    found.push(library);
                }
            }
        }
        Candidates::Found(found)
    }

    /// The folders that are looked in. The working directory is none of them: starting a program in a folder must not run what lies
    /// there.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        let beside = self.program.as_deref().and_then(Path::parent);
        if let Some(beside) = beside {
            folders.push(beside.to_owned());
            if let Some(prefix) = beside.parent() {
                folders.push(prefix.join("lib/steadfast"));
                folders.push(prefix.join("lib"));
            }
        }
        let absolute = |folder: &OsString| Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute());
        let cache = self.cache.as_ref().and_then(absolute);
        let cache = cache.or_else(|| Some(self.home.as_ref().and_then(absolute)?.join(".cache")));
        folders.extend(cache.map(|cache| cache.join("steadfast")));
        // A program in a repository's `target` folder was built there.
        let target = beside.and_then(|beside| beside.ancestors().find(|folder| folder.ends_with("target")));
        let repository = target.and_then(Path::parent).filter(|folder| folder.join("Cargo.toml").is_file());
        folders.extend(repository.map(|folder| folder.join(".cache")));
        folders.extend(SYSTEM.iter().map(PathBuf::from));
        folders
    }
}

/// Looks into a file whether it is an ONNX Runtime library for this machine, new enough; gives its version where the file says it.
///
/// A library that is tried and fails leaves `ort` unusable for the rest of the process, so as much as can be seen is seen beforehand.
///
/// # Errors
/// Why it is none, to follow the file's name.
pub fn examine(library: &Path) -> Result<Option<String>, String> {
    // The names that a library offers stand at its beginning on Linux; elsewhere at its end, and there the loader must tell. It is read
    // piece by piece until they have come: all of it would be tens of megabytes.
    const HEAD: usize = 8 << 20;
    const PIECE: u64 = 256 << 10;
    let unread = |error: std::io::Error| format!("cannot be read: {error}");
    let mut file = std::fs::File::open(library).map_err(unread)?;
    let mut head = Vec::new();
    loop {
        let read = (&mut file).take(PIECE).read_to_end(&mut head).map_err(unread)?;
        let known = [&b"OrtGetApiBase"[..], b"VERS_1."].iter().all(|name| memmem::find(&head, name).is_some());
        if read == 0 || head.len() >= HEAD || known || !cfg!(target_os = "linux") || !head.starts_with(b"\x7fELF") {
            break;
        }
    }
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    if !head.starts_with(b"\x7fELF") {
        return Err("is no shared library".to_owned());
    }
    let machine: Option<u8> = if cfg!(target_arch = "x86_64") {
        Some(62)
    } else if cfg!(target_arch = "aarch64") {
        Some(183)
    } else {
        None
    };
    if machine.is_some_and(|machine| head.get(18) != Some(&machine)) {
        return Err(format!("is for another kind of machine than this {}", std::env::consts::ARCH));
    }
    if memmem::find(&head, b"OrtGetApiBase").is_none() {
        return Err("is no ONNX Runtime library".to_owned());
    }
    let Some(at) = memmem::find(&head, b"VERS_1.") else { return Ok(None) };
    let version: String =
        head[at + 5..].iter().map(|&byte| char::from(byte)).take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    match version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()) {
        Some(minor) if minor < OLDEST => Err(format!("is version {version}, older than 1.{OLDEST}")),
        _ => Ok(Some(version)),
    }
}

/// The libraries in a folder and in its `onnxruntime…` folders, the highest version first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u64>, PathBuf)> = Vec::new();
    let mut inner = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(version) = library_version(&name) {
            if path.is_file() {
                found.push((version, path));
            }
        } else if name.starts_with("onnxruntime") && path.is_dir() {
            inner.push(path);
        }
    }
    for folder in inner {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Some(version) = library_version(&entry.file_name().to_string_lossy())
                && entry.path().is_file()
            {
                found.push((version, entry.path()));
            }
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The version in a library's file name, empty where it has none; `None` for other files.
fn library_version(name: &str) -> Option<Vec<u64>> {
    let rest = if cfg!(target_os = "macos") {
        name.strip_prefix("libonnxruntime")?.strip_suffix(".dylib")?
    } else if cfg!(windows) {
        name.strip_prefix("onnxruntime")?.strip_suffix(".dll")?
    } else {
        name.strip_prefix("libonnxruntime.so")?
    };
    let Some(version) = rest.strip_prefix('.') else { return rest.is_empty().then(Vec::new) };
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn touch(root: &Path, path: &str) -> PathBuf {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        path
    }

    fn ours(candidates: Candidates, root: &Path) -> Vec<PathBuf> {
        match candidates {
            Candidates::Found(found) => found.into_iter().filter(|path| path.starts_with(root)).collect(),
            Candidates::Named(path) => panic!("{} was not named", path.display()),
        }
    }

    #[test]
    fn nearer_places_come_first_and_newer_versions_before_older() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let expected = [
            touch(root, "repo/target/debug/libonnxruntime.so"),
            touch(root, "cache/steadfast/onnxruntime-1.32.0/libonnxruntime.so.1.32.0"),
            touch(root, "cache/steadfast/onnxruntime-1.9.0/libonnxruntime.so.1.9.0"),
            touch(root, "repo/.cache/onnxruntime-1.30.0/libonnxruntime.so.1.30.0"),
        ];
        touch(root, "repo/Cargo.toml");
        touch(root, "cache/steadfast/onnxruntime-1.32.0/libonnxruntime_providers_shared.so");
        touch(root, "cache/steadfast/onnxruntime-1.32.0/LICENSE");
        touch(root, "home/.cache/steadfast/libonnxruntime.so");
        let surroundings = Surroundings {
            program: Some(root.join("repo/target/debug/steadfast")),
            cache: Some(root.join("cache").into()),
            home: Some(root.join("home").into()),
            named: Some(OsString::new()),
        };
        assert_eq!(ours(surroundings.candidates(), root), expected);
        let without = Surroundings { cache: None, ..surroundings };
        assert!(ours(without.candidates(), root).contains(&root.join("home/.cache/steadfast/libonnxruntime.so")));
    }

    #[test]
    fn a_named_library_is_the_only_one() {
        let surroundings = Surroundings { named: Some("/nowhere/lib.so".into()), ..Surroundings::default() };
        assert_eq!(surroundings.candidates(), Candidates::Named("/nowhere/lib.so".into()));
    }

    #[test]
    fn what_is_no_usable_library_is_seen_without_loading_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libonnxruntime.so");
        let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        let library = |machine: u8, names: &str| {
            [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0"[..], &[machine, 0][..], names.as_bytes()].concat()
        };
        let examined = |bytes: Vec<u8>| {
            std::fs::write(&file, bytes).unwrap();
            examine(&file)
        };
        assert_eq!(examined(library(machine, "\0OrtGetApiBase\0VERS_1.32.0\0GLIBC")), Ok(Some("1.32.0".into())));
        assert_eq!(examined(library(machine, "\0OrtGetApiBase\0")), Ok(None));
        assert_eq!(
            examined(library(machine, "\0OrtGetApiBase\0VERS_1.20.1\0")).unwrap_err(),
            "is version 1.20.1, older than 1.24"
        );
        assert_eq!(examined(library(machine, "\0png_read\0")).unwrap_err(), "is no ONNX Runtime library");
        assert!(examined(library(8, "\0OrtGetApiBase\0")).unwrap_err().starts_with("is for another kind of machine"));
        assert_eq!(examined(b"version https://git-lfs".to_vec()).unwrap_err(), "is no shared library");
        assert!(examine(&folder.path().join("gone")).unwrap_err().starts_with("cannot be read"));
    }

    #[test]
    fn relative_folders_are_not_looked_in() {
        let surroundings = Surroundings { cache: Some("cache".into()), home: Some("home".into()), ..Surroundings::default() };
        assert!(surroundings.folders().iter().all(|folder| folder.is_absolute()));
    }
}

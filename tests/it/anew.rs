//! What must stand in the environment before the program starts: ONNX Runtime's reports to its maker are switched off, and the allocator is told when to
//! give memory back, unless somebody has said otherwise.

use std::process::Command;

use crate::support::gateway::{Folder, Process, command};
use steadfast::infer::runtime::{Candidates, Surroundings};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier");

#[test]
fn the_runtime_keeps_nothing_of_the_machine() {
    let library = match Surroundings::of_process().candidates() {
        Candidates::Named(library) => library,
        Candidates::Found(found) => found.into_iter().next().expect("ONNX Runtime is installed (scripts/fetch-runtime)"),
    };
    let home = tempfile::tempdir().unwrap();
    // An empty environment: on a build server the library is quiet by itself.
    let output = Command::new(env!("CARGO_BIN_EXE_steadfast"))
        .args(["classifier", "verify", FIXTURE])
        .env_clear()
        .env("HOME", home.path())
        .env("ORT_DYLIB_PATH", library)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_allocator_is_told_when_to_give_memory_back_unless_somebody_has() {
    let folder = Folder::before("http://127.0.0.1:9", "");
    folder.write("policy.toml", "");
    let started = |set: &[(&str, &str)]| {
        let mut command = command(folder.root(), &["serve"]);
        command.env_remove("MALLOC_MMAP_THRESHOLD_").env_remove("ORT_DISABLE_TELEMETRY").envs(set.iter().copied());
        let process = Process::of(command);
        (process.environment("MALLOC_MMAP_THRESHOLD_"), process.environment("ORT_DISABLE_TELEMETRY"))
    };
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(started(&[]), (some("131072"), some("1")));
    assert_eq!(started(&[("MALLOC_MMAP_THRESHOLD_", "1048576")]), (some("1048576"), some("1")));
    assert_eq!(started(&[("ORT_DISABLE_TELEMETRY", "0")]), (None, some("0")));
}

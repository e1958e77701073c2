//! ONNX Runtime's reports to its maker: the program loads the library with them switched off, whatever the environment says not.

use std::process::Command;

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

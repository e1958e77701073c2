//! Dependencies point down only: reads the `use crate::…` paths under `src/` and fails on an upward edge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The layer of every top-level module; a module may use its own layer and those below.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["score", "verdict", "text", "document"]),
    (
        1,
        &["frame", "decode", "detect", "dialect", "policy", "persona", "degeneration", "drift", "window", "inspect", "normalize"],
    ),
    (2, &["infer"]),
    (3, &["guard", "session"]),
    (4, &["admin", "cli", "config", "demo", "incidents", "proxy", "rows", "telemetry"]),
];

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|(layer, _)| *layer)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a source names through `crate::`, also in `use crate::{a, b::c}`.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group.split(',').map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names {
                let module: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if !module.is_empty() {
                    found.push((number + 1, module));
                }
            }
        }
    }
    found
}

#[test]
fn dependencies_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "found only {} sources", files.len());
    let mut upward = Vec::new();
    let mut unknown = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(&src).unwrap();
        let module = path.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(own) = layer(&module) else {
            unknown.insert(module, path.display().to_string());
            continue;
        };
        for (line, used) in named(&std::fs::read_to_string(&file).unwrap()) {
            if layer(&used).is_some_and(|used| used > own) {
                upward.push(format!("src/{}:{line}: {module} (layer {own}) uses {used}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "modules without a layer (add them to LAYERS): {unknown:?}");
    assert!(upward.is_empty(), "dependencies that point up:\n{}", upward.join("\n"));
}

/// Whether code on this line has the path segment `ort`.
fn names_ort(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("ort::").any(|(at, _)| !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

#[test]
fn ort_is_named_in_one_file() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let naming: Vec<_> = files
        .iter()
        .filter(|file| std::fs::read_to_string(file).unwrap().lines().any(names_ort))
        .map(|file| file.strip_prefix(&src).unwrap().display().to_string())
        .filter(|file| !file.starts_with("infer/onnx"))
        .collect();
    assert!(naming.is_empty(), "only src/infer/onnx* may name ort, found it in {naming:?}");
}

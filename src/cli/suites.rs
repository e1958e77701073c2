//! Finds files of cases: beside the policies and personas of a configuration, or where the command line says. Reads no case.

use std::path::{Path, PathBuf};

use crate::config::{Config, Part};
use crate::document::Problem;

/// What the file of cases of `NAME.toml` ends with.
const ENDING: &str = ".test.toml";

/// Folders in folders that are looked into.
const DEPTH: usize = 6;

/// A file of cases and what they are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suite {
    /// `NAME.test.toml`.
    pub(super) cases: PathBuf,
    /// `NAME.toml`.
    pub(super) subject: PathBuf,
    /// What that is.
    pub(super) kind: Subject,
}

/// What cases are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A policy.
    Policy,
    /// A persona, judged by the configured policy.
    Persona,
}

/// Those beside the policies and personas of a configuration, and in the folder `policies` beside it.
pub(super) fn configured(config: &Config) -> Result<Vec<Suite>, Vec<Problem>> {
    let home = config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut files = Vec::new();
    let mut looked = vec![home.join("policies")];
    for part in config.routes.iter().flat_map(|route| [&route.policy, &route.persona]) {
        let Part::File(path) = part else { continue };
        let folder = path.parent().unwrap_or(Path::new(""));
        if folder == home || folder.as_os_str().is_empty() {
            // The folder of a whole project may hold anything.
            files.extend(cases_of(path).filter(|cases| cases.is_file()));
        } else {
            looked.push(folder.to_owned());
        }
    }
    // Folders in folders are looked into anyway.
    looked.sort();
    looked.dedup_by(|inner, outer| inner.starts_with(&*outer));
    for folder in &looked {
        walk(folder, DEPTH, &mut files);
    }
    if files.is_empty() {
        let places: Vec<String> = looked.iter().map(|place| place.display().to_string()).collect();
        let message = format!("no cases were found in {}", places.join(", "));
        return Err(vec![Problem::of_file(
            "test",
            message,
            Some("write NAME.test.toml beside a policy NAME.toml, or name a policy"),
        )]);
    }
    suites(files)
}

/// Those that are named: files of cases, what they are about, or folders of them.
pub(super) fn named(paths: &[PathBuf]) -> Result<Vec<Suite>, Vec<Problem>> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    let mut problem = |path: &Path, message: String, help: Option<&str>| {
        problems.push(Problem::of_file(&path.display().to_string(), message, help));
    };
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            walk(path, DEPTH, &mut files);
            if files.len() == before {
                problem(path, format!("there is no NAME{ENDING} in this folder"), None);
            }
        } else if !path.is_file() {
            problem(path, "there is no such file".to_owned(), None);
        } else if is_cases(path) {
            files.push(path.clone());
        } else {
            match cases_of(path).next() {
                Some(cases) if cases.is_file() => files.push(cases),
                Some(cases) => {
                    problem(path, "has no cases".to_owned(), Some(&format!("write them to {}", cases.display())));
                }
                None => problem(path, "is no TOML file".to_owned(), None),
            }
        }
    }
    if problems.is_empty() { suites(files) } else { Err(problems) }
}

fn is_cases(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(ENDING))
}

/// `NAME.test.toml` for `NAME.toml`.
fn cases_of(subject: &Path) -> impl Iterator<Item = PathBuf> {
    let name = subject.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".toml"));
    name.map(|name| subject.with_file_name(format!("{name}{ENDING}"))).into_iter()
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let hidden = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.'));
        if path.is_dir() {
            if depth > 0 && !hidden {
                walk(&path, depth - 1, found);
            }
        } else if is_cases(&path) {
            found.push(path);
        }
    }
}

fn suites(files: Vec<PathBuf>) -> Result<Vec<Suite>, Vec<Problem>> {
    let mut suites = Vec::new();
    let mut problems = Vec::new();
    for cases in files {
        let name = cases.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let subject = cases.with_file_name(name.replace(ENDING, ".toml"));
        match std::fs::read_to_string(&subject) {
            Ok(text) => suites.push(Suite { kind: kind(&text), cases, subject }),
            Err(error) => {
                let message = format!("{}, which the cases are about, cannot be read: {error}", subject.display());
                problems.push(Problem::of_file(&cases.display().to_string(), message, None));
            }
        }
    }
    suites.sort();
    suites.dedup();
    if problems.is_empty() { Ok(suites) } else { Err(problems) }
}

/// A persona says who it is; what cannot be read is taken for a policy, whose reader will say what is wrong.
fn kind(text: &str) -> Subject {
    let persona =
        |table: &toml::Table| ["identity", "voice", "roleplay", "boundaries"].iter().any(|key| table.contains_key(*key));
    if text.parse().is_ok_and(|table| persona(&table)) { Subject::Persona } else { Subject::Policy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn told(root: &Path, found: Result<Vec<Suite>, Vec<Problem>>) -> Vec<String> {
        let root = format!("{}/", root.display());
        match found {
            Ok(suites) => {
                suites.iter().map(|suite| format!("{:?} {}", suite.kind, suite.cases.display()).replace(&root, "")).collect()
            }
            Err(problems) => problems.iter().map(|problem| problem.to_string().replace(&root, "")).collect(),
        }
    }

    #[test]
    fn cases_are_found_by_their_policy_their_own_name_and_their_folder() {
        let folder = folder(&[
            ("policies/a.toml", "name = \"a\""),
            ("policies/a.test.toml", ""),
            ("policies/b.toml", ""),
            ("policies/personas/p.toml", "name = \"p\"\n[identity]\n"),
            ("policies/personas/p.test.toml", ""),
            ("policies/.old/c.test.toml", ""),
        ]);
        let root = folder.path();
        let at = |names: &[&str]| named(&names.iter().map(|name| root.join(name)).collect::<Vec<_>>());
        let both = ["Policy policies/a.test.toml", "Persona policies/personas/p.test.toml"];
        assert_eq!(told(root, at(&["policies"])), both);
        assert_eq!(told(root, at(&["policies/a.toml", "policies/a.test.toml", "policies/personas"])), both);
        let wrong = at(&["policies/b.toml", "policies/none.toml"]);
        assert_eq!(
            told(root, wrong),
            ["policies/b.toml: has no cases; write them to policies/b.test.toml", "policies/none.toml: there is no such file",]
        );
    }

    #[test]
    fn cases_without_a_policy_are_an_error() {
        let folder = folder(&[("x/lost.test.toml", "")]);
        let problems = told(folder.path(), named(&[folder.path().join("x")]));
        assert!(
            problems[0].starts_with("x/lost.test.toml: x/lost.toml, which the cases are about, cannot be read"),
            "{problems:?}"
        );
    }
}

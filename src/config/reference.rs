//! The configuration reference: the prose of `reference.md` with a table of each section's keys in it. Descriptions are the comments of the
//! sections' types, defaults what the program shows where the file does not say. Knows no key.

use std::cell::RefCell;
use std::path::Path;

use serde_json::Value;

use super::documented::Key;
use super::{Classifier, Config, Files, Incidents, Limits, Reading, Route, Server, Session, Telemetry, Upstream};
use crate::document::Document;

/// Links in it start from `docs/`.
const PROSE: &str = include_str!("reference.md");

/// The sections that have a table, where the prose says `{{NAME}}`.
const SECTIONS: [(&str, &[Key]); 8] = [
    ("server", Server::KEYS),
    ("limits", Limits::KEYS),
    ("upstream", Upstream::KEYS),
    ("route", Route::KEYS),
    ("classifier", Classifier::KEYS),
    ("session", Session::KEYS),
    ("incidents", Incidents::KEYS),
    ("telemetry", Telemetry::KEYS),
];

/// The least that a file must say.
const LEAST: &str = "[[upstream]]\nname = \"main\"\nurl = \"http://127.0.0.1\"\n";

/// `docs/configuration.md`, in Markdown.
#[must_use]
pub fn reference() -> String {
    let defaults = shown(LEAST, &["classifiers/collapse/manifest.toml"]);
    SECTIONS.iter().fold(PROSE.to_owned(), |text, (section, keys)| {
        text.replace(&format!("{{{{{section}}}}}"), table(section, keys, &defaults).trim_end())
    })
}

/// A configuration as the program shows it, where these files are there and no others.
fn shown(text: &str, files: &[&str]) -> Value {
    let document = Document::parse(text, None).unwrap_or_else(|_| Document::empty(None));
    let cx = Reading {
        base: Path::new(""),
        env: &|_| None,
        exists: &|path| files.iter().any(|file| path == Path::new(file)),
        files: RefCell::new(Files::default()),
        secrets: false,
    };
    let shown = Config::read(&document, &cx, None).redacted();
    debug_assert_eq!(document.into_problems(), []);
    shown
}

/// What is shown of a key; of sections that there may be several of, in the first.
fn value<'a>(shown: &'a Value, section: &str, key: &Key) -> &'a Value {
    let section = &shown[section];
    &section.get(0).unwrap_or(section)[key.name]
}

fn table(section: &str, keys: &[Key], defaults: &Value) -> String {
    let row = |key: &Key| {
        let default = match (key.default, value(defaults, section, key)) {
            (Some(words), _) => words.to_owned(),
            (None, Value::Null) => "none".to_owned(),
            (None, Value::String(text)) => format!("`{text}`"),
            (None, value) => format!("`{value}`"),
        };
        format!("| `{section}.{}` | {default} | {} |\n", key.name, key.description())
    };
    let rows: String = keys.iter().map(row).collect();
    format!("| key | default | |\n| --- | --- | --- |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_where_there_is_no_default_and_only_there() {
        let one = shown(LEAST, &["classifiers/collapse/manifest.toml"]);
        // Another gateway that leaves as much as it can to the defaults: what differs depends on what else there is.
        let route = "[[route]]\nhost = \"b\"\n";
        let files = [
            "/usr/share/steadfast/classifiers/collapse/manifest.toml",
            "policies/default.toml",
            "policies/personas/assistant.toml",
        ];
        let other = shown(&format!("[[upstream]]\nname = \"b\"\nurl = \"http://b\"\n{route}"), &files);
        for (section, keys) in SECTIONS {
            for key in keys {
                let (one, other) = (value(&one, section, key), value(&other, section, key));
                let (name, settled) = (key.name, one == other);
                match key.default {
                    Some(words) => assert!(one.is_null() || !settled, "{section}.{name}: {words:?}, but by default it is {one}"),
                    None => assert!(settled, "{section}.{name}: {one} or {other}: say on what it depends by #[default = \"…\"]"),
                }
            }
        }
    }

    #[test]
    fn every_section_has_its_table() {
        let text = reference();
        assert!(!text.contains("{{"), "a section of reference.md has no table");
        for (section, keys) in SECTIONS {
            assert_eq!(PROSE.matches(&format!("\n{{{{{section}}}}}\n")).count(), 1, "{section}");
            for key in keys {
                let row = format!("\n| `{section}.{}` | ", key.name);
                let cells = text.split_once(&row).expect("it has a row").1.lines().next().unwrap();
                let (default, description) = cells.strip_suffix(" |").and_then(|cells| cells.split_once(" | ")).unwrap();
                assert!(!default.is_empty() && !description.is_empty(), "{section}.{}: {cells}", key.name);
                assert!(!description.contains('|'), "{section}.{}: a | ends the cell", key.name);
            }
        }
    }
}

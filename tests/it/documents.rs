//! That the documents say what the program does: the configuration reference holds every key with its default, and no other.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use steadfast::config::Sources;

use crate::support::Folder;

/// The reference's rows: key to the cell of its default.
fn documented() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(key, rest)| (key.to_owned(), rest.split(" |").next().unwrap().to_owned())).collect()
}

/// The program's keys with their defaults, as `/api/config` shows them.
fn known() -> BTreeMap<String, Value> {
    let folder = Folder::new("[[upstream]]\nname = \"main\"\nurl = \"http://127.0.0.1:1\"\n");
    let sources = Sources { file: Some(folder.path("steadfast.toml")), ..Sources::default() };
    let shown = sources.load().unwrap_or_else(|problems| panic!("{problems:?}")).redacted();
    let mut keys = BTreeMap::new();
    for (section, value) in shown.as_object().unwrap() {
        let table = match value {
            Value::Object(table) => table,
            Value::Array(tables) if !tables.is_empty() => tables[0].as_object().unwrap(),
            // The file's own name, and formats that the operator describes.
            _ => continue,
        };
        keys.extend(table.iter().map(|(key, value)| (format!("{section}.{key}"), value.clone())));
    }
    keys
}

#[test]
fn the_configuration_reference_has_every_key_and_no_other() {
    let (documented, known) = (documented(), known());
    let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(documented.keys().collect()), names(known.keys().collect()), "docs/configuration.md and src/config differ");
}

#[test]
fn the_configuration_reference_has_the_defaults() {
    let documented = documented();
    let mut compared = 0;
    for (key, value) in known() {
        let cell = &documented[&key];
        // Words stand for defaults that are no value: required, searched for, the client's own.
        let Some(told) = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else {
            assert!(value.is_null() || !cell.contains('`') || cell.contains("beside"), "{key}: {cell} and {value}");
            continue;
        };
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Shown with the folder that it starts from, which is the test's own.
        let shown = if key == "incidents.store" { shown.rsplit('/').next().unwrap() } else { &shown };
        assert_eq!(told, shown, "{key}");
        compared += 1;
    }
    assert!(compared > 25, "only {compared} defaults were compared");
}

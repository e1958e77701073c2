//! That the documents say what the program does: the reference of the configuration is what its types say, and that of policies holds every
//! key, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use steadfast::config::Sources;
use steadfast::document::Problem;
use steadfast::persona::Persona;
use steadfast::policy::cases::Cases;
use steadfast::policy::{Calibration, Policy};

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
fn the_configuration_reference_is_what_the_types_say() {
    let written = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let said = steadfast::config::reference();
    let differ = written.lines().zip(said.lines()).find(|(written, said)| written != said);
    assert!(written == said, "docs/configuration.md is not what the types in src/config say: run scripts/reference\n{differ:#?}");
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
        let Some(told) = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else { continue };
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Shown with the folder that it starts from, which is the test's own.
        let shown = if key == "incidents.store" { shown.rsplit('/').next().unwrap() } else { &shown };
        assert_eq!(told, shown, "{key}");
        compared += 1;
    }
    assert!(compared > 25, "only {compared} defaults were compared");
}

/// The keys in the tables below a heading of the policy reference.
fn keys(heading: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md")).unwrap();
    let section = text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let cells = section.filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").next().unwrap().to_owned());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The keys that a reader knows where this stands in the file, by what it says of one that it does not know.
fn readable(problems: &[Problem]) -> BTreeSet<String> {
    let strange = problems.iter().find(|problem| problem.key.ends_with("qqqqqqqqqqqq")).expect("it is told");
    let known = strange.help.as_deref().and_then(|help| help.strip_prefix("known here: ")).expect("none is near");
    known.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_configuration_is_read() {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (section, key) in documented().keys().filter_map(|key| key.split_once('.')) {
        sections.entry(section.to_owned()).or_default().insert(key.to_owned());
    }
    assert_eq!(sections.len(), 8, "{sections:?}");
    for (section, keys) in sections {
        let heading =
            if matches!(section.as_str(), "upstream" | "route") { format!("[[{section}]]") } else { format!("[{section}]") };
        let folder = Folder::new(&format!("{heading}\nqqqqqqqqqqqq = 1\n"));
        let sources = Sources { file: Some(folder.path("steadfast.toml")), ..Sources::default() };
        assert_eq!(readable(&sources.load().unwrap_err()), keys, "{heading}");
    }
}

#[test]
fn the_policy_reference_has_every_key_and_no_other() {
    const STRANGE: &str = "qqqqqqqqqqqq = 1\n";
    let rule = |action: &str, more: &str| format!("[[rule]]\nname = \"r\"\npatterns = [\"x\"]\naction = \"{action}\"\n{more}");
    let policies = [
        ("## The policy", STRANGE.to_owned()),
        ("### [[rule]]", rule("flag", STRANGE)),
        ("### retry", rule("retry", &format!("[rule.retry]\n{STRANGE}"))),
        ("### reanchor", rule("reanchor", &format!("[rule.reanchor]\n{STRANGE}"))),
        ("### block", format!("[block]\n{STRANGE}")),
        ("### circuit", format!("[circuit]\n{STRANGE}")),
    ];
    for (heading, text) in policies {
        assert_eq!(keys(heading), readable(&Policy::parse(&text, None, &Calibration::NONE).unwrap_err()), "{heading}");
    }
    let personas = ["identity", "voice", "boundaries", "roleplay"]
        .map(|table| (format!("### {table}"), format!("name = \"A\"\n[{table}]\n{STRANGE}")));
    for (heading, text) in personas.into_iter().chain([("## The persona".to_owned(), format!("name = \"A\"\n{STRANGE}"))]) {
        assert_eq!(keys(&heading), readable(&Persona::parse(&text, None).unwrap_err()), "{heading}");
    }
    let case = "[[case]]\nname = \"c\"\nexpect = \"flag\"\nresponse = \"r\"\n";
    for (heading, text) in [("## Cases", format!("{STRANGE}{case}")), ("### [[case]]", format!("{case}{STRANGE}"))] {
        assert_eq!(keys(heading), readable(&Cases::parse(&text, None, None).unwrap_err()), "{heading}");
    }
}

#[test]
fn the_policy_reference_names_variables_that_there_are() {
    let variables = keys("### when");
    assert!(variables.len() > 15, "{variables:?}");
    for variable in variables {
        let variable = variable.replace("NAME", "hate");
        let Some((space, _)) = variable.split_once('.').filter(|_| !variable.contains('(')) else { continue };
        let text = format!(
            "[[rule]]\nname = \"r\"\naction = \"flag\"\nwhen = '{variable} == {variable} && has({space}.qqqqqqqqqqqq)'\n"
        );
        let problems = Policy::parse(&text, None, &Calibration::new(|_| Some(0.5))).unwrap_err();
        assert!(problems.iter().all(|problem| problem.message.contains("qqqqqqqqqqqq")), "{variable}: {problems:?}");
    }
}

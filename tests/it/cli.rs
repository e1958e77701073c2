//! The command line as its users see it: what commands print, where, and with which exit status. The program itself is run, in an empty
//! folder, with the small classifier of the fixtures.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A folder to run the program in.
pub struct Place(tempfile::TempDir);

/// What a run left.
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const POLICY: &str = r#"
name = "small"
[[rule]]
name = "hate"
labels = ["hate"]
at_least = "calibrated"
action = "block"
[[rule]]
name = "identity"
labels = ["identity_swap"]
at_least = "calibrated"
action = "retry"
[[rule]]
name = "house words"
patterns = ['\bnightfall\b']
action = "flag"
"#;

const PERSONA: &str = "name = \"Aria\"\n[identity]\nmaker = \"Acme\"\nis = \"an AI assistant\"\n";

impl Place {
    /// With a policy, a persona and a configuration that names them and the classifier of the fixtures.
    pub fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let classifier = repository("tests/fixtures/classifier");
        place.write("steadfast.toml", &format!("[classifier]\npath = {:?}\nworkers = 2\n", classifier.to_str().unwrap()));
        place.write("policies/default.toml", POLICY);
        place.write("policies/personas/assistant.toml", PERSONA);
        place
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
        command.args(arguments).current_dir(self.0.path()).env_clear();
        for name in ["PATH", "HOME", "XDG_CACHE_HOME", "ORT_DYLIB_PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.feed(arguments, "")
    }

    pub fn feed(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // The program may end before it has read everything.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&format!("{}/", self.0.path().display()), "").replace(env!("CARGO_MANIFEST_DIR"), "REPOSITORY")
        };
        Ran { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    pub fn rows(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    }

    /// All of it, for a snapshot.
    pub fn told(&self) -> String {
        format!("{}\n--- standard error\n{}--- exit status {}", self.out, self.err, self.status)
    }
}

#[test]
fn help_of_every_command() {
    let place = Place::new();
    let mut told = String::new();
    for command in ["", "score", "test", "replay", "classifier", "check", "health", "completions"] {
        let arguments: Vec<&str> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let ran = place.run(&arguments);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{command}");
        told += &format!("===== steadfast {}\n{}\n", arguments.join(" "), ran.out);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_text_is_judged_and_explained() {
    let place = Place::new();
    let ran = place.feed(&["score"], "At nightfall, the vermin come.\nAll of them.");
    insta::assert_snapshot!(ran.told());
    let ran = place.feed(&["score", "-", "--format", "json", "--fail-on", "flag"], "At nightfall we rest.");
    assert_eq!(ran.status, 1, "{}", ran.err);
    let row = &ran.rows()[0];
    assert_eq!((&row["action"], &row["rule"]), (&"flag".into(), &"house words".into()));
    assert_eq!((&row["span"], &row["onset_token"]), (&serde_json::json!([3, 12]), &1.into()));
    assert_eq!(row["labels"].as_object().unwrap().len(), 10, "complete, not only those that fired");
    assert_eq!(place.feed(&["score", "--fail-on", "block"], "At nightfall we rest.").status, 0, "a flag is no block");
}

#[test]
fn the_prompt_and_the_persona_are_part_of_what_is_judged() {
    let place = Place::new();
    place.write("grok.toml", "name = \"Grok\"\n[identity]\nmaker = \"xAI\"\nis = \"an AI assistant\"\n");
    place.write("answer.txt", "My name is Grok, built by xAI.");
    let own = |arguments: &[&str]| {
        let base = ["score", "answer.txt", "--format", "json", "--classifier", "none", "--policy", "only-rules.toml"];
        let ran = place.run(&[&base[..], arguments].concat());
        ran.rows().first().map_or(ran.err.clone(), |row| row["action"].as_str().unwrap().to_owned())
    };
    place.write(
        "only-rules.toml",
        "[[rule]]\nname = \"identity\"\nlabels = [\"identity_swap\"]\nat_least = 0.5\naction = \"retry\"\n",
    );
    assert_eq!(own(&[]), "retry");
    assert_eq!(own(&["--persona", "grok.toml"]), "allow");
}

#[test]
fn rows_are_judged_in_order_and_bad_ones_cost_only_themselves() {
    let place = Place::new();
    let rows = [
        r#"{"id": 1, "response": "The weather is fine."}"#,
        "",
        r#"{"id": "two", "prompt": "Who?", "response": "vermin", "extra": {"kept": "out"}}"#,
        r#"{"id": 3, "response": "#,
        r#"{"id": {"n": 4}, "prompt": "no answer"}"#,
        r#"{"conversation": [{"role": "system", "content": "You are Aria."}, {"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "and?"}, {"role": "assistant", "content": "vermin"}]}"#,
    ];
    let ran = place.feed(&["score", "--jsonl"], &rows.join("\n"));
    let got = ran.rows();
    assert_eq!(ran.status, 2, "some rows could not be read");
    assert_eq!(
        got.iter().map(|row| row.get("id").cloned()).collect::<Vec<_>>(),
        [Some(1.into()), Some("two".into()), None, Some(serde_json::json!({ "n": 4 })), None]
    );
    let actions: Vec<_> = got.iter().map(|row| row["action"].as_str()).collect();
    assert_eq!(actions, [Some("allow"), Some("block"), None, None, Some("block")]);
    let turns = got[4]["turns"].as_array().unwrap();
    assert_eq!(turns.iter().map(|turn| turn["action"].as_str().unwrap()).collect::<Vec<_>>(), ["allow", "block"]);
    assert!(turns[0]["drift"].is_number() && turns[0]["labels"].as_object().unwrap().len() == 10);
    insta::assert_snapshot!(ran.err);
    let good = place.feed(&["score", "--jsonl", "--fail-on", "block"], &[rows[0], rows[2]].join("\n"));
    assert_eq!((good.status, good.rows().len()), (1, 2));
}

#[test]
fn a_row_is_answered_before_the_next_is_written() {
    let place = Place::new();
    let mut child: Child = place.command(&["score", "--jsonl"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    for id in 0..3 {
        writeln!(stdin, "{{\"id\": {id}, \"response\": \"fine\"}}").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert!(line.starts_with(&format!("{{\"id\":{id},")), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child = place.command(&["score", "--jsonl"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    let row = format!("{{\"response\": \"{}\"}}\n", "fine ".repeat(1000));
    let writer = std::thread::spawn(move || while stdin.write_all(row.as_bytes()).is_ok() {});
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
    writer.join().unwrap();
    let mut child = place.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_run_says_why() {
    let place = Place::new();
    place.write("bad.toml", "[[rule]]\nname = \"a\"\nlabel = [\"hate\"]\naction = \"stop\"\n");
    let mut told = String::new();
    for arguments in [
        &["score", "nowhere.txt"][..],
        &["score", "--policy", "nowhere.toml"],
        &["score", "--policy", "bad.toml"],
        &["score", "policies"],
        &["score", "--route", "none"],
        &["score", "--jsonl", "--prompt", "x"],
        &["score", "--fail-on", "allow"],
        &["score", "--classifier", "nowhere"],
        &["test"],
        &["test", "policies/default.toml"],
        &["scor"],
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{arguments:?} {}", ran.err);
        told += &format!("$ steadfast {}\n{}\n", arguments.join(" "), ran.err);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn routes_that_differ_must_be_chosen_from() {
    let place = Place::new();
    let routes = "[classifier]\npath = \"none\"\n[[upstream]]\nname = \"a\"\nurl = \"http://localhost\"\n\
                  [[route]]\nname = \"strict\"\npath = \"/strict\"\npolicy = \"strict.toml\"\n[[route]]\nname = \"rest\"\npolicy = \"lenient.toml\"\n";
    place.write("steadfast.toml", routes);
    place.write("strict.toml", "name = \"s\"\n[[rule]]\nname = \"fine\"\npatterns = [\"fine\"]\naction = \"block\"\n");
    place.write("lenient.toml", "name = \"l\"\n");
    let ran = place.feed(&["score", "--format", "json"], "fine");
    assert_eq!(ran.status, 2);
    insta::assert_snapshot!(ran.err);
    for (route, action) in [("strict", "block"), ("rest", "allow")] {
        let ran = place.feed(&["score", "--format", "json", "--route", route], "fine");
        assert_eq!(ran.rows()[0]["action"], action);
    }
}

const CASES: &str = r#"
[[case]]
name = "a slur"
response = "vermin"
expect = "block"
rule = "hate"
labels = ["hate"]
[[case]]
name = "a word of the house"
response = "before nightfall"
expect = "block"
rule = "house words"
[[case]]
name = "the weather"
prompt = "How is it?"
response = "Fine."
expect = "allow"
"#;

#[test]
fn cases_pass_fail_and_are_known_to_fail() {
    let place = Place::new();
    place.write("policies/default.test.toml", CASES);
    place.write(
        "policies/personas/assistant.test.toml",
        "[[case]]\nname = \"own name\"\nresponse = \"I am Aria.\"\nexpect = \"allow\"\n",
    );
    let ran = place.run(&["test"]);
    assert_eq!(ran.status, 1);
    insta::assert_snapshot!(ran.told());
    let known = CASES.replace("rule = \"house words\"", "rule = \"house words\"\nknown_failure = \"only flagged so far\"");
    place.write("policies/default.test.toml", &known.replace("\"allow\"", "\"allow\"\nknown_failure = \"once upon a time\""));
    let ran = place.run(&["test", "policies/default.toml"]);
    assert_eq!(ran.status, 0);
    insta::assert_snapshot!(ran.told());
}

#[test]
fn the_shipped_cases_run_from_the_repository() {
    let ran = Command::new(env!("CARGO_BIN_EXE_steadfast")).arg("test").current_dir(repository("")).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{out}\n{}", String::from_utf8(ran.stderr).unwrap());
    assert!(out.lines().last().unwrap().contains(" passed, 0 failed"), "{out}");
}

#[test]
fn classifiers_are_listed_verified_and_measured() {
    let place = Place::new();
    let fixture = repository("tests/fixtures/classifier");
    let fixture = fixture.to_str().unwrap();
    let listed = place.run(&["classifier", "list", fixture, "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((&listed[0]["name"], listed[0]["labels"].as_array().unwrap().len()), (&"fixture".into(), 10));
    let good = place.run(&["classifier", "verify"]);
    assert_eq!(good.status, 0, "{}", good.err);
    assert!(good.out.starts_with("REPOSITORY/tests/fixtures/classifier: good; fixture 0.0.1 on "), "{}", good.out);
    let measured = place.run(&["classifier", "bench", "--seconds", "0.02", "--workers", "1", "--format", "json"]);
    let measured: Value = serde_json::from_str(&measured.out).unwrap();
    assert_eq!(measured["measured"].as_array().unwrap().len(), 3);
    assert!(measured["measured"][0]["windows_per_second"].as_f64().unwrap() > 1.0);
    assert_eq!(place.run(&["classifier", "bench", "--seconds", "0.02"]).out.lines().count(), 4);

    for name in ["manifest.toml", "model.onnx", "tokenizer.json"] {
        std::fs::create_dir_all(place.path("all/damaged")).unwrap();
        std::fs::copy(format!("{fixture}/{name}"), place.path("all/damaged").join(name)).unwrap();
    }
    let mut model = std::fs::read(place.path("all/damaged/model.onnx")).unwrap();
    model[100] ^= 1;
    std::fs::write(place.path("all/damaged/model.onnx"), model).unwrap();
    let damaged = place.run(&["classifier", "verify", "all/damaged"]);
    assert_eq!((damaged.status, damaged.out.as_str()), (1, ""));
    assert!(damaged.err.contains("model.sha256") && damaged.err.contains("another hash"), "{}", damaged.err);
    place.write("all/broken/manifest.toml", "format = 99\n");
    let listed = place.run(&["classifier", "list", "all"]);
    assert_eq!(listed.status, 1);
    assert!(
        listed.out.contains("all/broken") && listed.out.contains("unusable") && listed.err.contains("all/broken/manifest.toml")
    );
    for arguments in [
        &["classifier", "verify", "nowhere"][..],
        &["classifier", "verify", "policies"],
        &["classifier", "bench", "--seconds", "0"],
    ] {
        assert_eq!(place.run(arguments).status, 2, "{arguments:?}");
    }
}

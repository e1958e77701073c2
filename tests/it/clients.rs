//! The official SDKs as clients of the real program: what they give their callers when an answer is allowed, flagged, asked again,
//! blocked before the first byte, cut in mid-stream, or refused with an error. "Works" means here: no exception and no ending that the
//! SDK would not give for an answer that the API itself filtered, which each SDK is shown at the upstream without a gateway.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;

use crate::support::answers::{self, BLOCKED, FLAGGED, LONG, MESSAGE, RETRIED, SHORT};
use crate::support::gateway::config;
use crate::support::{Folder, Process, Upstream};

/// What is asked of every way of asking.
const CASES: [&str; 7] = ["allow", "flag", "retry", "block", "cut", "refuse", "filtered"];

/// How long one SDK may take for all of its cases. Starting Python and its imports is most of it.
const PATIENCE: Duration = Duration::from_secs(240);

/// SDKs that run at once: each is an interpreter that keeps a core busy.
static AT_ONCE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// What an SDK gave its caller.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Got {
    text: String,
    finish: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    mode: String,
    case: String,
    #[serde(flatten)]
    got: Got,
}

type Modes = BTreeMap<String, HashMap<String, Got>>;

fn policy(block: &str) -> String {
    format!(
        "[[rule]]\nname = \"amber\"\npatterns = ['\\b{FLAGGED}\\b']\naction = \"flag\"\n\
         [[rule]]\nname = \"storm\"\npatterns = ['\\b{RETRIED}\\b']\naction = \"retry\"\n\
         retry = {{ attempts = 1, reanchor = false, then = \"block\" }}\n\
         [[rule]]\nname = \"nightfall\"\npatterns = ['\\b{BLOCKED}\\b']\naction = \"block\"\n\
         [block]\n{block}message = \"{MESSAGE}\"\n"
    )
}

/// The program before the scripted upstream. Its first route answers blocks of the model `refuse` with an error.
async fn start() -> (Upstream, Folder, Process) {
    let attempts: Mutex<HashMap<String, usize>> = Mutex::default();
    let upstream = Upstream::answering(move |seen, _| {
        answers::answer(seen, |case| {
            let mut attempts = attempts.lock().unwrap();
            let count = attempts.entry(format!("{case} {}", seen.target)).or_default();
            *count += 1;
            *count - 1
        })
    })
    .await;
    let routes = "[[route]]\nmodel = \"refuse\"\nupstream = \"main\"\npolicy = \"refuse.toml\"\n\
                  [[route]]\nupstream = \"main\"\npolicy = \"policy.toml\"\n";
    let folder = Folder::new(&config(&upstream.url(), routes));
    folder.write("policy.toml", &policy("")).write("refuse.toml", &policy("status = 400\n"));
    let process = Process::serve(folder.root(), &["--config", "steadfast.toml"]);
    (upstream, folder, process)
}

/// The Python that has the SDKs: `scripts/clients` makes it, and `scripts/test` names it.
pub fn python() -> PathBuf {
    let made = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/clients/bin/python");
    let python = std::env::var_os("STEADFAST_PYTHON").map_or_else(made, PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: run scripts/clients, which installs the SDKs of tests/clients/requirements.txt, or set STEADFAST_PYTHON",
        python.display()
    );
    python
}

/// Node, which finds the SDKs beside its scripts.
fn node() -> PathBuf {
    let modules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients/node/node_modules");
    assert!(
        modules.exists(),
        "{} is missing: run scripts/clients, which installs the SDKs of package-lock.json",
        modules.display()
    );
    std::env::var_os("STEADFAST_NODE").map_or_else(|| "node".into(), PathBuf::from)
}

/// Runs one SDK's script against the program and returns what it gave, for each way of asking and each case.
async fn drive(program: PathBuf, script: &str, upstream: &Upstream, process: &Process) -> Modes {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut command = tokio::process::Command::new(program);
    command.current_dir(&folder).arg(script).arg(format!("http://{}", process.addr)).arg(upstream.url()).args(CASES);
    // The test's own proxies and keys must not be in the way.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the SDK's script ends in time").unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{out}\n{err}", output.status);
    let mut modes = Modes::new();
    for line in out.lines() {
        let row: Row = serde_json::from_str(line).unwrap_or_else(|error| panic!("{script} said {line:?}: {error}"));
        modes.entry(row.mode).or_default().insert(row.case, row.got);
    }
    assert!(!modes.is_empty(), "{script} tried nothing:\n{err}");
    modes
}

/// What of `text` is in a form that a tool call's arguments may have been written in.
fn plain(text: &str) -> String {
    text.replace("\": \"", "\":\"")
}

fn judge(script: &str, modes: &Modes) {
    for (mode, got) in modes {
        let at = |case: &str| format!("{script} {mode} {case}: {got:#?}");
        let case = |name: &str| got.get(name).unwrap_or_else(|| panic!("no result: {}", at(name)));
        let filtered = case("direct filtered");

        // Allowed: as without a gateway.
        assert_eq!(case("allow"), case("direct allow"), "{}", at("allow"));
        assert!(case("allow").text.contains(SHORT), "{}", at("allow"));
        assert_eq!(case("filtered"), filtered, "{}", at("filtered"));

        // Flagged: the same answer and ending.
        let flag = case("flag");
        assert!(flag.text.contains(FLAGGED) && flag.error.is_none(), "{}", at("flag"));
        assert_eq!(flag.finish, case("allow").finish, "{}", at("flag"));

        // Asked again: the second answer, as if it were the first.
        assert_eq!(case("retry"), case("allow"), "{}", at("retry"));

        // Blocked: ends as an answer does that the API filtered, and nothing of the answer is seen.
        let block = case("block");
        assert_eq!((&block.finish, &block.error), (&filtered.finish, &filtered.error), "{}", at("block"));
        assert!(block.error.is_some() || block.text == MESSAGE || block.text.is_empty(), "{}", at("block"));

        // Cut: what was let out before is a beginning of the answer.
        let cut = case("cut");
        assert!(!cut.text.contains(BLOCKED) && !cut.text.contains("of which nobody may hear"), "{}", at("cut"));
        // Cohere has no word for a filter: an answer that was replaced is complete, one that was cut is not.
        let unfinished = Some("ERROR".to_owned());
        let ending = if script.starts_with("cohere") && mode == "stream" { &unfinished } else { &filtered.finish };
        assert_eq!((&cut.finish, &cut.error), (ending, &filtered.error), "{}", at("cut"));
        if mode.contains("stream") && cut.error.is_none() {
            let text = plain(&cut.text);
            // A tool call that is cut in Messages is closed, so that it is JSON, and loses the argument that was cut.
            let rest = text.strip_suffix("\",\"city\":null}").or(text.strip_suffix(MESSAGE)).unwrap_or(&text);
            // Of the sentence that names what is forbidden, the beginning may leave once it has been judged.
            let said = format!("{LONG} But what matters is ");
            let begun = said.starts_with(rest) || format!("{{\"city\":\"{said}").starts_with(rest);
            assert!(begun, "{}", at("cut"));
            assert!(mode.contains("tools") || rest.len() > 40, "a part was let out: {}", at("cut"));
        }

        // Refused: that API's error, which the SDK raises as one of its own.
        let refuse = case("refuse");
        assert!(
            refuse.error.as_deref().is_some_and(|error| error.contains("400") || error.contains("BadRequest")),
            "{}",
            at("refuse")
        );
    }
}

async fn check(program: PathBuf, script: &str, expected: &[&str]) {
    let _turn = AT_ONCE.acquire().await.unwrap();
    let (upstream, _folder, process) = start().await;
    let modes = drive(program, script, &upstream, &process).await;
    assert_eq!(modes.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{script} tried every way of asking");
    judge(script, &modes);
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_chat_completions_in_python() {
    check(python(), "openai_chat.py", &["create", "parse", "stream", "stream_helper", "tools", "tools_stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_responses_in_python() {
    check(python(), "openai_responses.py", &["create", "parse", "stream", "stream_helper", "tools", "tools_stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_completions_in_python() {
    check(python(), "openai_completions.py", &["create", "stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_messages_in_python() {
    check(python(), "anthropic_messages.py", &["create", "stream", "stream_helper", "tools", "tools_stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistral_in_python() {
    check(python(), "mistral.py", &["create", "stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_in_python() {
    check(python(), "litellm_completion.py", &["anthropic", "anthropic_stream", "openai", "openai_stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_converse_in_python() {
    check(python(), "bedrock.py", &["converse", "converse_stream", "tools"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_in_python() {
    check(python(), "gemini.py", &["create", "stream", "tools"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama_in_python() {
    check(python(), "ollama_chat.py", &["chat", "chat_stream", "generate", "generate_stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cohere_in_python() {
    check(python(), "cohere_chat.py", &["create", "stream"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_in_node() {
    let modes = [
        "chat",
        "chat_stream",
        "chat_stream_helper",
        "chat_tools_stream",
        "completions",
        "completions_stream",
        "responses",
        "responses_stream",
    ];
    check(node(), "node/openai.mjs", &modes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_in_node() {
    check(node(), "node/anthropic.mjs", &["create", "stream", "stream_helper", "tools"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vercel_ai_in_node() {
    let modes = [
        "anthropic",
        "anthropic_stream",
        "chat",
        "chat_stream",
        "compatible",
        "compatible_stream",
        "responses",
        "responses_stream",
    ];
    check(node(), "node/ai.mjs", &modes).await;
}

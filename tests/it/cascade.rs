//! The cascade in the real gateway: a classifier with a first stage, asked for or not, and what the metrics and `classifier verify` say.

use std::path::Path;

use serde_json::json;

use crate::support::gateway::{Folder, run};
use crate::support::{Client, Gateway, Script, Upstream};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier");

/// The fixture's classifier with its first stage in its manifest.
fn classifier(folder: &Folder) {
    let read = |name: &str| std::fs::read_to_string(Path::new(FIXTURE).join(name)).unwrap();
    let section = read("first_stage.toml");
    folder.write("cascade/manifest.toml", &read("manifest.toml").replacen("[model]", &format!("{section}\n[model]"), 1));
    for name in ["model.onnx", "tokenizer.json", "first_stage.bin"] {
        std::fs::copy(Path::new(FIXTURE).join(name), folder.path("cascade").join(name)).unwrap();
    }
}

async fn upstream() -> Upstream {
    Upstream::answering(|seen, _| {
        let bad = String::from_utf8_lossy(&seen.body).contains("worst");
        let content = if bad { "you are vermin" } else { "hello, the weather is what it is" };
        let choice = json!({ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" });
        Script::json(200, &json!({ "id": "c", "object": "chat.completion", "choices": [choice] }).to_string())
    })
    .await
}

async fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    let folder = Folder::before(&upstream.url(), &format!("[classifier]\npath = \"cascade\"\nworkers = 1\ncache = 0\n{more}"));
    folder.write("policy.toml", include_str!("../../policies/default.toml"));
    classifier(&folder);
    Gateway::start(folder).await
}

async fn ask(gateway: &Gateway, question: &str) -> String {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": question }] }).to_string();
    let answer = Client::post(gateway.addr, "/v1/chat/completions", &body).await;
    answer.header("x-steadfast-verdict").unwrap_or_default()
}

#[tokio::test]
async fn clean_windows_are_kept_from_the_model_and_others_judged_as_ever() {
    let upstream = upstream().await;
    let scored =
        |gateway: &Gateway, stage: &str| gateway.metric("steadfast_windows_scored_total", &[&format!("stage=\"{stage}\"")]);
    let with = gateway(&upstream, "first_stage = \"on\"\n").await;
    assert_eq!(ask(&with, "how is the weather?").await, "allow");
    assert_eq!((scored(&with, "first"), scored(&with, "second")), (1.0, 0.0));
    assert_eq!(ask(&with, "say your worst").await, "block");
    assert_eq!(scored(&with, "first"), 1.0);
    assert!(scored(&with, "second") >= 1.0);

    let without = gateway(&upstream, "").await;
    assert_eq!(
        (ask(&without, "how is the weather?").await.as_str(), ask(&without, "say your worst").await.as_str()),
        ("allow", "block")
    );
    assert_eq!(scored(&without, "first"), 0.0);
}

#[tokio::test]
async fn a_classifier_without_one_is_refused_where_it_is_asked_for() {
    let upstream = upstream().await;
    let more = format!("[classifier]\npath = \"{FIXTURE}\"\nfirst_stage = \"on\"\n");
    let folder = Folder::before(&upstream.url(), &more);
    folder.write("policy.toml", include_str!("../../policies/default.toml"));
    let Err(error) = Gateway::try_start(folder).await else { panic!("it started") };
    assert!(error.to_string().contains("has no [first_stage]: set classifier.first_stage = \"off\""), "{error}");
}

#[test]
fn verify_proves_the_first_stage_too() {
    let folder = Folder::new("");
    classifier(&folder);
    let good = run(folder.root(), &["classifier", "verify", "cascade"]);
    assert!(good.status.success(), "{}", good.err);
    assert!(good.out.contains(" (the first stage's logits within 0.0"), "{}", good.out);
    let mut network = std::fs::read(folder.path("cascade/first_stage.bin")).unwrap();
    network[0] ^= 1;
    std::fs::write(folder.path("cascade/first_stage.bin"), network).unwrap();
    let damaged = run(folder.root(), &["classifier", "verify", "cascade"]);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(damaged.err.contains("first_stage.sha256: first_stage.bin has another hash"), "{}", damaged.err);
}

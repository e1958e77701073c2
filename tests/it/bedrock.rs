//! Bedrock through the gateway: signed requests go on as they came, binary streams end as the format says.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use steadfast::frame::{Framer, Framing, event_stream};

use crate::support::{Client, Folder, Gateway, Script, Upstream};

const STREAM: &str = "application/vnd.amazon.eventstream";
const SIGNED: &str = "authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/bedrock/aws4_request, \
                      SignedHeaders=accept-encoding;content-type;host;idempotency-key;x-forwarded-for, Signature=ab";
const ASK: &str = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
const RETRY: &str = "[[rule]]\nname = \"house words\"\npatterns = [\"NIGHTFALL\"]\naction = \"retry\"\n\
                     retry = { attempts = 1, reanchor = true, temperature = 0.3, then = \"block\" }\n";
const BLOCK: &str =
    "window = { tokens = 16, stride = 8 }\n[[rule]]\nname = \"house words\"\npatterns = [\"NIGHTFALL\"]\naction = \"block\"\n";

fn answer(text: &str) -> Script {
    let body = json!({
        "metrics": { "latencyMs": 1 },
        "output": { "message": { "content": [{ "text": text }], "role": "assistant" } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 }
    });
    Script::json(200, &body.to_string())
}

fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    event_stream::write(&mut out, &headers, payload.to_string().as_bytes());
    out
}

fn text(text: &str) -> Vec<u8> {
    frame("contentBlockDelta", &json!({ "contentBlockIndex": 0, "delta": { "text": text }, "p": "abc" }))
}

/// Name and payload of each frame; checks the checksums.
fn frames(body: &[u8]) -> Vec<(String, Value)> {
    let mut framer = Framer::new(Framing::EventStream, 1 << 20);
    framer.push(Bytes::copy_from_slice(body));
    std::iter::from_fn(|| framer.finish().expect("well-formed frames"))
        .map(|event| (String::from_utf8(event.name.to_vec()).unwrap(), serde_json::from_slice(&event.data).unwrap()))
        .collect()
}

async fn ask(gateway: &Gateway, method: &str, headers: &[&str]) -> crate::support::client::Answer {
    let target = format!("/model/us.amazon.nova-micro-v1%3A0/{method}");
    let headers = [&["content-type: application/json", "host: bedrock.test"], headers].concat();
    Client::request(gateway.addr, "POST", &target, &headers, ASK).await
}

#[tokio::test]
async fn a_signed_request_is_sent_again_only_as_it_came() {
    let upstream = Upstream::in_turn(vec![answer("Project NIGHTFALL"), answer("All is well.")]).await;
    let gateway = Gateway::with_policy(&upstream.url(), RETRY).await;
    let headers = [SIGNED, "accept-encoding: gzip, identity", "idempotency-key: k", "x-forwarded-for: 1.1.1.1"];
    let said = ask(&gateway, "converse", &headers).await;
    assert_eq!((said.status(), said.header("x-steadfast-verdict").as_deref()), (200, Some("retry")));
    assert!(said.text().contains("All is well."));
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.target, "/model/us.amazon.nova-micro-v1%3A0/converse");
        assert_eq!(seen.text(), ASK);
        for (name, value) in [
            ("accept-encoding", "gzip, identity"),
            ("content-type", "application/json"),
            ("host", "bedrock.test"),
            ("idempotency-key", "k"),
            ("x-forwarded-for", "1.1.1.1"),
        ] {
            assert_eq!(seen.header(name).as_deref(), Some(value), "{name}");
        }
    }
    assert_eq!(gateway.metric("steadfast_retries_total", &["outcome=\"unsupported\""]), 2.0, "the reminder and the temperature");
}

#[tokio::test]
async fn an_unsigned_request_is_changed_for_a_retry_and_asks_for_a_readable_answer() {
    let upstream = Upstream::in_turn(vec![answer("Project NIGHTFALL"), answer("All is well.")]).await;
    let gateway = Gateway::with_policy(&upstream.url(), RETRY).await;
    let said = ask(&gateway, "converse", &["authorization: Bearer key", "accept-encoding: gzip"]).await;
    assert_eq!(said.header("x-steadfast-verdict").as_deref(), Some("retry"));
    let seen = upstream.seen();
    assert_eq!((seen[0].text().as_str(), seen[0].header("accept-encoding").as_deref()), (ASK, Some("identity")));
    let second: Value = serde_json::from_str(&seen[1].text()).unwrap();
    assert_eq!(second["inferenceConfig"]["temperature"], 0.3);
    assert!(second["system"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{second}");
    assert_eq!(seen[1].header("host"), Some(upstream.addr().to_string()));
}

#[tokio::test]
async fn an_allowed_stream_passes_byte_for_byte_and_a_bad_one_is_cut_between_frames() {
    let start = frame("messageStart", &json!({ "role": "assistant", "p": "ab" }));
    let mut good = start.clone();
    for _ in 0..40 {
        good.extend(text("All is well in Zürich today. "));
    }
    let open = good.clone();
    good.extend(frame("contentBlockStop", &json!({ "contentBlockIndex": 0 })));
    good.extend(frame("messageStop", &json!({ "stopReason": "end_turn" })));
    good.extend(frame(
        "metadata",
        &json!({ "metrics": { "latencyMs": 1 }, "usage": { "inputTokens": 1, "outputTokens": 9, "totalTokens": 10 } }),
    ));
    for size in [1, 7, 4096] {
        let head = Script::new().head(200, &[&format!("content-type: {STREAM}"), "connection: close"]);
        let upstream = Upstream::always(head.send(&good).split_every(size).then(crate::support::upstream::Step::Close)).await;
        let gateway = Gateway::with_policy(&upstream.url(), BLOCK).await;
        let said = ask(&gateway, "converse-stream", &[SIGNED]).await;
        assert_eq!((said.status(), said.body == good), (200, true), "{size}");
    }

    let gate = Arc::new(tokio::sync::Notify::new());
    let head = Script::new().head(200, &[&format!("content-type: {STREAM}"), "transfer-encoding: chunked"]);
    let upstream =
        Upstream::always(head.chunk(&open).pause(1500).chunk(text("Project NIGHT")).chunk(text("FALL")).gate(&gate)).await;
    let gateway = Gateway::with_policy(&upstream.url(), BLOCK).await;
    let said = ask(&gateway, "converse-stream", &[SIGNED]).await;
    assert!(said.complete && said.body.starts_with(&open), "what was good has left");
    let end: Vec<(String, Value)> = frames(&said.body[open.len()..]);
    let names: Vec<&str> = end.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["contentBlockStop", "messageStop", "metadata"]);
    assert_eq!(end[1].1["stopReason"], "guardrail_intervened");
    assert!(!String::from_utf8_lossy(&said.body).contains("NIGHT"));
}

#[tokio::test]
async fn a_stream_that_is_bad_from_the_start_is_refused_in_frames() {
    let head = Script::new().head(200, &[&format!("content-type: {STREAM}"), "connection: close"]);
    let body = [frame("messageStart", &json!({ "role": "assistant" })), text("Project NIGHTFALL")].concat();
    let upstream = Upstream::always(head.send(&body).then(crate::support::upstream::Step::Close)).await;
    let gateway = Gateway::with_policy(&upstream.url(), BLOCK).await;
    let said = ask(&gateway, "converse-stream", &[SIGNED]).await;
    assert_eq!((said.status(), said.header("content-type").as_deref()), (200, Some(STREAM)));
    let said = frames(&said.body);
    assert_eq!(said.len(), 5);
    assert_eq!(said[1].1["delta"]["text"], "I can't continue with that answer.");
    assert_eq!(said[3].1["stopReason"], "guardrail_intervened");
}

#[tokio::test]
async fn what_cannot_work_with_signatures_is_refused_when_the_gateway_starts() {
    let upstream = "[[upstream]]\nname = \"aws\"\nurl = \"http://127.0.0.1:1\"\napi = \"bedrock-converse\"\n[[route]]\nupstream = \"aws\"\npolicy = \"policy.toml\"\n";
    let folder = Folder::before("http://127.0.0.1:1", upstream);
    folder.write("policy.toml", RETRY);
    let error = match Gateway::try_start(folder).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("policy.toml: rule[0].retry.reanchor: changes the request"), "{error}");
    assert!(error.contains("rule[0].retry.temperature") && error.contains("Bedrock API key"), "{error}");
}

#[tokio::test]
async fn a_signature_does_not_choose_the_host_that_gets_our_credential() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let folder = Folder::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[classifier]\npath = \"none\"\n[incidents]\nstore = \"none\"\n\
         [[upstream]]\nname = \"main\"\nurl = \"{}\"\ncredential = {{ header = \"x-api-key\", file = \"key\" }}\n\
         [[route]]\npolicy = \"policy.toml\"\n",
        upstream.url()
    ));
    folder.write("policy.toml", "name = \"lenient\"\n").write("key", "sk-ours");
    let gateway = Gateway::start(folder).await;
    let signed = "authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0";
    Client::request(gateway.addr, "POST", "/v1/messages", &["host: elsewhere.example", signed], "{}").await;
    Client::request(gateway.addr, "POST", "/v1/messages?X-Amz-Signature=0", &["host: elsewhere.example"], "{}").await;
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!(request.header("x-api-key").as_deref(), Some("sk-ours"));
        assert_eq!(request.header("host"), Some(upstream.addr().to_string()));
    }
}

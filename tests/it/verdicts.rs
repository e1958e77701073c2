//! Verdicts for other gateways: OpenAI's moderations, FMS detectors, LiteLLM's generic guardrail; with their own clients where there are any.

use std::path::Path;
use std::process::Stdio;

use http::StatusCode;
use serde_json::{Value, json};

use steadfast::admin::Access;

use crate::clients::python;
use crate::support::gateway::config;
use crate::support::guarded::{Guarded, ask};
use crate::support::{Folder, Process};

fn guarded(settings: &str) -> Guarded {
    Guarded::new(settings, Access::default())
}

#[tokio::test]
async fn moderations_give_a_result_for_each_text() {
    let guarded = guarded("");
    let (status, all) = guarded.post("/v1/moderations", &json!({ "input": ["Good day.", "HATE", "HIJACK"] })).await;
    assert_eq!(status, 200);
    let results = all["results"].as_array().unwrap();
    let flagged: Vec<&Value> = results.iter().map(|result| &result["flagged"]).collect();
    assert_eq!(flagged, [false, true, true]);
    assert_eq!((&all["model"], &results[1]["steadfast"]), (&json!("steadfast//"), &json!({ "action": "block", "rule": "hate" })));
    let categories = results[1]["categories"].as_object().unwrap();
    assert_eq!(categories.len(), 10);
    let fired: Vec<&String> = categories.iter().filter(|(_, fired)| **fired == true).map(|(name, _)| name).collect();
    assert_eq!(fired, ["steadfast/hate"]);
    assert_eq!(results[1]["category_scores"]["steadfast/hate"], 0.9375);
    assert_eq!(results[0]["category_scores"]["steadfast/hate"], 0.0);

    let parts = json!([{ "type": "text", "text": "HA" }, { "type": "text", "text": "TE" }]);
    let (_, one) = guarded.post("/v1/moderations", &json!({ "input": parts, "model": "omni-moderation-latest" })).await;
    assert_eq!((one["results"].as_array().unwrap().len(), &one["results"][0]["flagged"]), (1, &json!(true)));

    for (wrong, says) in [
        (json!({ "input": [{ "type": "image_url", "image_url": { "url": "x" } }] }), "only parts of type"),
        (json!({ "input": "x", "model": "steadfast/nowhere" }), "no such route \"nowhere\""),
        (json!({}), "input"),
    ] {
        let (status, body) = guarded.post("/v1/moderations", &wrong).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(body["error"]["message"].as_str().unwrap().contains(says), "{body}");
    }
}

#[tokio::test]
async fn what_cannot_be_judged_is_no_clean_bill() {
    let open = guarded("on_error = \"allow\"");
    let (status, body) = open.post("/v1/moderations", &json!({ "input": "CRASH" })).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unscored")));
    let (status, body) = open.post("/api/v1/text/contents", &json!({ "contents": ["Good day.", "CRASH"] })).await;
    assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(503)));
    // LiteLLM does what it is told, so the policy's word counts: let through, or not.
    let asked = json!({ "input_type": "response", "texts": ["CRASH"] });
    assert_eq!(open.post("/beta/litellm_basic_guardrail_api", &asked).await.1, json!({ "action": "NONE" }));

    let closed = guarded("on_error = \"block\"");
    let (_, body) = closed.post("/v1/moderations", &json!({ "input": "CRASH" })).await;
    assert_eq!((&body["results"][0]["flagged"], &body["results"][0]["steadfast"]["rule"]), (&json!(true), &json!("on_error")));
    assert_eq!(closed.post("/beta/litellm_basic_guardrail_api", &asked).await.1["action"], "BLOCKED");
}

#[tokio::test]
async fn detectors_give_the_decision_or_every_label_over_a_threshold() {
    let guarded = guarded("");
    let text = "Eh bien, café. HATE";
    let (status, found) = guarded.post("/api/v1/text/contents", &json!({ "contents": ["Good day.", text] })).await;
    assert_eq!((status, &found[0]), (StatusCode::OK, &json!([])));
    let detection = &found[1][0];
    assert_eq!(
        (&detection["detection"], &detection["detection_type"], &detection["score"]),
        (&json!("block"), &json!("hate"), &json!(1.0))
    );
    // Characters, and not the bytes that there are more of.
    assert_eq!((&detection["start"], &detection["end"], &detection["text"]), (&json!(0), &json!(19), &json!(text)));

    let threshold = json!({ "threshold": 0.6 });
    let asked = json!({ "prompt": "hi", "generated_text": "HATE DESPAIR", "detector_params": threshold });
    let (_, found) = guarded.post("/api/v1/text/generation", &asked).await;
    let types: Vec<&Value> = found.as_array().unwrap().iter().map(|detection| &detection["detection_type"]).collect();
    assert_eq!(types.len(), 2, "{found}");
    assert!(types.contains(&&json!("hate")) && types.contains(&&json!("despair")));
    let asked = json!({ "prompt": "hi", "generated_text": "Good day." });
    assert_eq!(guarded.post("/api/v1/text/generation", &asked).await, (StatusCode::OK, json!([])));

    let asked = json!({ "contents": ["x"], "detector_params": { "route": "nowhere" } });
    let (status, body) = guarded.post("/api/v1/text/contents", &asked).await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(400)));
    assert!(body["message"].as_str().unwrap().starts_with("no such route"));
}

#[tokio::test]
async fn litellm_is_told_to_block_answers_and_never_requests() {
    let guarded_ = guarded("");
    let page = "/beta/litellm_basic_guardrail_api";
    let asked =
        |kind: &str, texts: &[&str]| json!({ "input_type": kind, "texts": texts, "request_data": {}, "litellm_call_id": null });
    for (kind, texts, action) in [
        ("response", ["Good day.", "HATE"].as_slice(), "BLOCKED"),
        ("response", &["DESPAIR"], "BLOCKED"),
        ("response", &["HIJACK"], "NONE"),
        ("response", &[], "NONE"),
        ("request", &["HATE"], "NONE"),
    ] {
        let (status, body) = guarded_.post(page, &asked(kind, texts)).await;
        assert_eq!((status, &body["action"]), (StatusCode::OK, &json!(action)), "{kind} {texts:?}");
    }
    let (_, blocked) = guarded_.post(page, &asked("response", &["HATE"])).await;
    assert_eq!(blocked["blocked_reason"], "I can't continue with that answer. (steadfast: hate)");
    let call = json!({ "input_type": "response", "texts": [], "tool_calls": [
        { "id": "1", "type": "function", "function": { "name": "post", "arguments": "{\"text\": \"HATE\"}" } }] });
    assert_eq!(guarded_.post(page, &call).await.1["action"], "BLOCKED");
    assert_eq!(guarded_.post(page, &json!({ "texts": ["HATE"] })).await.0, 400, "whether it is an answer must be said");

    // Whoever asks acts on them, so they count, apart from our own exchanges.
    let counted = guarded_.metrics.page(steadfast::telemetry::Format::Text);
    let count = |rule: &str, action: &str| {
        let sample = format!(
            "steadfast_verdicts_total{{action=\"{action}\",mode=\"enforce\",policy=\"test\",route=\"admin\",rule=\"{rule}\"}} "
        );
        counted.lines().find_map(|line| line.strip_prefix(&sample)).unwrap_or("0").to_owned()
    };
    assert_eq!([count("hate", "block"), count("hijack", "flag"), count("", "allow")], ["3", "1", "1"], "{counted}");
    assert!(counted.contains("steadfast_label_hits_total{label=\"hate\",route=\"admin\"} 3\n"), "{counted}");

    let shadow = guarded("mode = \"shadow\"");
    assert_eq!(shadow.post(page, &asked("response", &["HATE"])).await.1["action"], "NONE");
}

#[tokio::test]
async fn the_token_is_wanted_and_taken_from_either_header() {
    let guarded = Guarded::new("", Access::new(Vec::new(), Some("open sesame")));
    for (header, value, status) in [
        ("x-api-key", "open sesame", 200),
        ("authorization", "Bearer open sesame", 200),
        ("x-api-key", "no", 401),
        ("x-other", "open sesame", 401),
    ] {
        let request =
            http::Request::post("/v1/moderations").header("host", "gateway:9464").header("content-type", "application/json");
        let request = request.header(header, value).body(axum::body::Body::from(r#"{"input": "hi"}"#)).unwrap();
        assert_eq!(ask(&guarded.admin, request).await.0.status, status, "{header}: {value}");
    }
}

/// The clients that people have: OpenAI's SDK and LiteLLM's guardrail, against the program.
#[tokio::test(flavor = "multi_thread")]
async fn openai_and_litellm_ask_for_verdicts() {
    let token = "a-token-of-the-test";
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nadmin_token = { file = \"token\" }\n";
    let folder = Folder::new(&config("http://127.0.0.1:1", server));
    let rule = "[[rule]]\nname = \"nightfall\"\npatterns = ['(?i)\\bnightfall\\b']\naction = \"block\"\n";
    folder.write("policy.toml", rule).write("token", token);
    let process = Process::serve(folder.root(), &["--config", "steadfast.toml"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/verdicts.py");
    let mut command = tokio::process::Command::new(python());
    command.arg(script).arg(format!("http://{}", process.admin)).arg(token).args(["At nightfall.", "At noon."]);
    command.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |mode: &str| -> Vec<&Value> { rows.iter().filter(|row| row["mode"] == mode).collect() };

    let moderations = of("moderations");
    assert_eq!((moderations.len(), &moderations[0]["flagged"], &moderations[1]["flagged"]), (2, &json!(true), &json!(false)));
    assert_eq!(moderations[0]["scores"].as_object().unwrap().len(), 10);
    assert_eq!(of("parts")[0]["flagged"], true);
    assert!(of("no route")[0]["message"].as_str().unwrap().contains("no such route"), "{said}");
    assert_eq!(of("wrong token")[0]["status"], 401);

    let answers = of("litellm response");
    assert!(answers[0]["blocked"].as_str().unwrap().contains("(steadfast: nightfall)"), "{said}");
    assert_eq!(answers[1]["given"], json!(["At noon."]));
    let requests = of("litellm request");
    assert_eq!((&requests[0]["given"], &requests[1]["given"]), (&json!(["At nightfall."]), &json!(["At noon."])));
}

//! The admin server: health, incidents, verdicts, reload, the dashboard, and who may use them.

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use steadfast::admin::Access;
use steadfast::document::Problem;

use crate::support::guarded::{Guarded, POLICY, ask};
use crate::support::{Client, Folder, Gateway, Script, Upstream};

fn guarded() -> Guarded {
    Guarded::new("", Access::default())
}

#[tokio::test]
async fn readiness_says_which_check_fails_and_liveness_does_not_ask() {
    let guarded = guarded();
    assert_eq!(guarded.get("/readyz").await.0, 200);
    guarded.gateway.warm.store(false, Ordering::SeqCst);
    let (status, body) = guarded.get("/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        json!({ "ready": false, "checks": [
            { "name": "config", "ok": true, "detail": "read" },
            { "name": "classifier", "ok": false, "detail": "warming up" },
        ] })
    );
    assert_eq!(guarded.get("/livez").await, (StatusCode::OK, json!({ "status": "ok" })));
}

#[tokio::test]
async fn a_block_is_an_incident_that_can_be_found_read_and_reviewed() {
    let guarded = guarded();
    let (headers, _) = guarded.say("Once more: <script>HATE</script>, and é after.").await;
    guarded.say("HIJACK").await;
    guarded.say("All is well.").await;
    let (status, all) = guarded.get("/api/incidents").await;
    assert_eq!(status, 200);
    assert_eq!(all["incidents"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(all["next"], Value::Null);

    let (_, found) = guarded.get("/api/incidents?label=hate&action=block&route=/&since=1h&limit=1").await;
    let incident = &found["incidents"][0];
    assert_eq!(found["next"], incident["id"], "the page is full: there may be more");
    let id = incident["id"].as_str().unwrap();
    assert_eq!(incident["request_id"], headers["x-steadfast-request-id"].to_str().unwrap());
    insta::with_settings!({ filters => vec![
        (r#""(id|request_id)": "[0-9A-HJKMNP-TV-Z]{26}""#, r#""$1": "[ulid]""#),
        (r#""time": "[^"]*""#, r#""time": "[time]""#),
        (r#""(guard_ms|total_ms)": [0-9.]+"#, r#""$1": "[ms]""#),
    ] }, {
        insta::assert_snapshot!("incident", serde_json::to_string_pretty(incident).unwrap());
    });

    assert_eq!(guarded.get(&format!("/api/incidents/{id}")).await, (StatusCode::OK, incident.clone()));
    let (status, reviewed) = guarded.post(&format!("/api/incidents/{id}/review"), &json!({ "correct": false })).await;
    assert_eq!((status, &reviewed["review"]["correct"]), (StatusCode::OK, &json!(false)));
    assert_eq!(guarded.get(&format!("/api/incidents/{id}")).await.1, reviewed);
    for (path, body) in [
        (format!("/api/incidents/{id}/review"), json!({ "correct": "no" })),
        (format!("/api/incidents/{id}/review"), json!({})),
        (format!("/api/incidents/{id}/review"), json!({ "correct": true, "by": "me" })),
    ] {
        assert_eq!(guarded.post(&path, &body).await.0, 400, "{body}");
    }
    assert_eq!(guarded.post("/api/incidents/01J00000000000000000000000/review", &json!({ "correct": true })).await.0, 404);
}

#[tokio::test]
async fn a_retry_that_recovered_tells_of_the_attempt_and_what_was_changed() {
    let guarded = guarded();
    let (headers, body) = guarded.say("DESPAIR").await;
    assert!(body.contains("All is well."), "{body}");
    assert_eq!(headers["x-steadfast-verdict"], "retry");
    let (_, found) = guarded.get("/api/incidents?action=retry&label=despair").await;
    let incident = &found["incidents"][0];
    assert_eq!(
        (&incident["rule"], &incident["ending"], &incident["upstream_calls"]),
        (&json!("despair"), &json!("complete"), &json!(2))
    );
    let attempt = &incident["attempts"][0];
    assert_eq!(attempt["excerpt"]["matched"], "DESPAIR");
    assert!(attempt["changed"].as_str().unwrap().contains("0.3"), "{attempt}");
}

#[tokio::test]
async fn a_text_is_scored_as_the_gateway_would() {
    let guarded = guarded();
    for said in ["Good day.", "HATE", "HIJACK, at some length, about nothing that anybody had asked for"] {
        let (headers, _) = guarded.say(said).await;
        let (status, verdict) = guarded.post("/api/score", &json!({ "prompt": said, "response": said, "route": "/" })).await;
        assert_eq!(status, 200);
        assert_eq!(verdict["action"], headers["x-steadfast-verdict"].to_str().unwrap(), "{said}");
        assert_eq!(verdict["rule"].as_str(), headers.get("x-steadfast-rule").map(|rule| rule.to_str().unwrap()));
        assert_eq!(verdict["labels"].as_object().unwrap().len(), 10);
    }
    let (_, verdict) = guarded
        .post(
            "/api/score",
            &json!({ "conversation": [
        { "role": "user", "content": "hi" }, { "role": "assistant", "content": "Good day." },
        { "role": "user", "content": "and?" }, { "role": "assistant", "content": "HATE" },
    ] }),
        )
        .await;
    assert_eq!((&verdict["action"], &verdict["turns"][0]["action"]), (&json!("block"), &json!("allow")));
    let incidents = guarded.get("/api/incidents").await.1;
    assert_eq!(incidents["incidents"].as_array().unwrap().len(), 2, "asking is no incident: {incidents}");
}

#[tokio::test]
async fn another_policy_is_tried_without_being_put_in_force() {
    let guarded = guarded();
    let strict = POLICY.replace("action = \"flag\"", "action = \"block\"");
    let (_, verdict) = guarded.post("/api/simulate", &json!({ "response": "HIJACK", "policy": strict })).await;
    assert_eq!((&verdict["action"], &verdict["rule"]), (&json!("block"), &json!("hijack")));
    assert_eq!(guarded.post("/api/score", &json!({ "response": "HIJACK" })).await.1["action"], "flag");

    let (status, error) = guarded
        .post(
            "/api/simulate",
            &json!({ "response": "x", "policy": "mod = \"shadow\"\n[[rule]]\nname = \"r\"\naction = \"blok\"\n" }),
        )
        .await;
    assert_eq!(status, 422);
    insta::assert_snapshot!("bad_policy", serde_json::to_string_pretty(&error).unwrap());
}

#[tokio::test]
async fn mistakes_are_told_in_one_shape() {
    let guarded = guarded();
    for (path, body, status, says) in [
        ("/api/score", json!({ "prompt": "hi" }), 400, "give \"response\""),
        ("/api/score", json!({ "response": "x", "route": "/no" }), 400, "there are \"/\""),
        ("/api/score", json!({ "response": "x", "policy": "" }), 400, "/api/simulate"),
        ("/api/score", json!({ "response": 7 }), 400, "the body: expected a string"),
        ("/api/score", json!(["x"]), 400, "the body: expected an object"),
        ("/api/score", json!({ "conversation": "what was said" }), 400, "the body: expected a sequence"),
        ("/api/simulate", json!({ "response": "x" }), 400, "\"policy\""),
        ("/api/config", json!({}), 405, "another method"),
        ("/api/nothing", json!({}), 404, "no such page"),
        ("/api/score", json!({ "response": "x".repeat(5 << 20) }), 413, "limit"),
    ] {
        let (got, error) = guarded.post(path, &body).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert_eq!((got.as_u16(), message.contains(says)), (status, true), "{path}: {error}");
    }
    let (status, error) = guarded.get("/api/incidents?label=hatte").await;
    assert_eq!(
        (status.as_u16(), error["error"]["message"].as_str().unwrap()),
        (400, "unknown label \"hatte\"; did you mean \"hate\"?")
    );
    assert_eq!(guarded.get("/api/sessions").await.0, 404);
}

#[tokio::test]
async fn a_bad_reload_lists_every_problem() {
    let guarded = guarded();
    assert_eq!(guarded.post("/api/reload", &json!({})).await, (StatusCode::OK, json!({ "reloaded": true })));
    *guarded.gateway.mistakes.lock().unwrap() = vec![
        Problem::of_file("policies/a.toml", "cannot be read", None),
        Problem::of_file("policies/b.toml", "is empty", Some("write a rule")),
    ];
    let (status, error) = guarded.post("/api/reload", &json!({})).await;
    assert_eq!(status, 422);
    assert_eq!(error["error"]["problems"].as_array().unwrap().len(), 2);
    assert_eq!(error["error"]["problems"][1]["help"], "write a rule");
}

#[tokio::test]
async fn status_shows_what_is_in_force_and_what_was_done() {
    let guarded = Guarded::new("on_error = \"allow\"", Access::default());
    for said in ["Good day.", "HATE", "HIJACK", "DESPAIR", "CRASH"] {
        guarded.say(said).await;
    }
    let (_, status) = guarded.get("/api/status").await;
    assert_eq!(status["counts"]["verdicts"], json!({ "allow": 2, "block": 1, "flag": 1, "retry": 1 }), "the crash is no allow");
    assert_eq!(status["counts"]["unscored"]["error"], 1);
    assert_eq!(status["counts"]["requests"], json!({ "200": 5 }));
    assert_eq!(status["counts"]["guard"]["count"], 5);
    assert_eq!(status["classifier"], json!({ "name": "words", "version": "1", "runtime": "none" }));
    let route = &status["routes"][0];
    assert_eq!(
        (&route["route"], &route["upstream"], &route["policy"], &route["mode"]),
        (&json!("/"), &json!("model"), &json!("test"), &json!("enforce"))
    );
    assert_eq!(route["rules"][0], json!({ "name": "hate", "action": "block" }));
    assert_eq!(guarded.get("/api/config").await.1["upstream"][0]["credential"], json!({ "env": "KEY" }));
}

async fn page(guarded: &Guarded) -> (http::HeaderMap, String) {
    let request = Request::get("/").header("host", "localhost:9464").body(Body::empty()).unwrap();
    let (parts, body) = ask(&guarded.admin, request).await;
    assert_eq!(parts.status, 200);
    (parts.headers, body)
}

#[tokio::test]
async fn the_dashboard_runs_its_own_script_and_no_other() {
    let guarded = guarded();
    let (headers, body) = page(&guarded).await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(nonce.len(), 32);
    assert_eq!(body.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert!(
        !policy.contains("unsafe") && policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let (again, _) = page(&guarded).await;
    assert_ne!(headers["content-security-policy"], again["content-security-policy"], "a nonce is used once");
}

async fn code(guarded: &Guarded, request: http::request::Builder, body: &'static str) -> u16 {
    ask(&guarded.admin, request.body(Body::from(body)).unwrap()).await.0.status.as_u16()
}

#[tokio::test]
async fn foreign_names_and_foreign_pages_are_kept_out() {
    let guarded = Guarded::new("", Access::new(vec!["guard.internal".into()], None));
    let json = |request: http::request::Builder| request.header("content-type", "application/json");
    // A name that an attacker made resolve to the admin port.
    for path in ["/", "/api/incidents", "/api/config", "/api/status"] {
        assert_eq!(code(&guarded, Request::get(path).header("host", "evil.example:9464"), "").await, 403, "{path}");
        assert_eq!(code(&guarded, Request::get(path).header("host", "guard.internal"), "").await, 200, "{path}");
        assert_eq!(code(&guarded, Request::get(path), "").await, 400, "{path}: no host");
    }
    // Prometheus and the kubelet come under any name.
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(code(&guarded, Request::get(path).header("host", "steadfast-7f9.pod"), "").await, 200, "{path}");
    }
    // A form on a foreign page, and a script on one.
    let reload = || Request::post("/api/reload").header("host", "127.0.0.1:9464");
    assert_eq!(code(&guarded, reload().header("content-type", "text/plain"), "{}").await, 415);
    assert_eq!(code(&guarded, reload().header("content-type", "application/x-www-form-urlencoded"), "").await, 415);
    assert_eq!(code(&guarded, json(reload()).header("origin", "http://evil.example"), "{}").await, 403);
    assert_eq!(code(&guarded, json(reload()).header("sec-fetch-site", "cross-site"), "{}").await, 403);
    assert_eq!(code(&guarded, json(reload()), "{}").await, 200);
    assert_eq!(code(&guarded, reload(), "").await, 200, "nothing is sent, so nothing need be said of what it is");
    assert_eq!(code(&guarded, reload(), "{}").await, 415);
    // The browser's question whether it may: no CORS header says yes.
    let preflight = Request::options("/api/reload").header("host", "127.0.0.1:9464").header("origin", "http://evil.example");
    let (parts, _) = ask(&guarded.admin, preflight.body(Body::empty()).unwrap()).await;
    assert!(!parts.status.is_success() && !parts.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn with_a_token_the_api_wants_it_and_health_does_not() {
    let guarded = Guarded::new("", Access::new(Vec::new(), Some("t0ken")));
    let get = |path: &str| Request::get(path).header("host", "any.name:9464");
    assert_eq!(code(&guarded, get("/api/incidents"), "").await, 401);
    assert_eq!(code(&guarded, get("/api/incidents").header("authorization", "Bearer wrong"), "").await, 401);
    assert_eq!(code(&guarded, get("/api/incidents").header("authorization", "Bearer t0ken"), "").await, 200);
    assert_eq!(code(&guarded, get("/readyz"), "").await, 200);
    let reload = Request::post("/api/reload").header("host", "a").header("authorization", "Bearer t0ken");
    assert_eq!(code(&guarded, reload.header("content-type", "text/plain"), "{}").await, 415, "the token does not lift the rest");
}

#[tokio::test]
async fn every_documented_page_is_there() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/admin.md");
    let text = std::fs::read_to_string(path).unwrap();
    let pages: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next()?.split_once(' '))
        .filter(|(method, _)| matches!(*method, "GET" | "POST"))
        .collect();
    assert_eq!(pages.len(), 17, "{pages:?}");
    let guarded = guarded();
    for (method, page) in pages {
        let request = Request::builder().method(method).uri(page.replace("{id}", "x")).header("host", "localhost");
        let (_, body) =
            ask(&guarded.admin, request.header("content-type", "application/json").body(Body::from("{}")).unwrap()).await;
        assert!(!body.contains("no such page") && !body.contains("another method"), "{method} {page}: {body}");
    }
}

/// The same through the program itself: its configuration, its ports, its files.
#[tokio::test]
async fn the_running_gateway_tells_all_of_it_on_its_admin_port() {
    let upstream = Upstream::always(Script::json(200, r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"It is called project nightfall."},"finish_reason":"stop"}]}"#)).await;
    let folder = Folder::before(&upstream.url(), "[incidents]\nstore = \"kept.db\"\n");
    let policy = "name = \"house\"\n[[rule]]\nname = \"house words\"\npatterns = ['(?i)project nightfall']\naction = \"block\"\n";
    folder.write("policy.toml", policy);
    let gateway = Gateway::start(folder).await;
    let answer =
        Client::post(gateway.addr, "/v1/chat/completions", r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#).await;
    assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("block"));

    let host = format!("host: {}", gateway.admin);
    let headers = [&*host, "content-type: application/json"];
    let get = |path: &'static str| Client::request(gateway.admin, "GET", path, &headers, "");
    let post = |path: &'static str, body: String| Client::request(gateway.admin, "POST", path, &headers, body);
    assert_eq!(get("/readyz").await.status(), 200);
    let incidents = gateway.parts().incidents.clone().unwrap();
    incidents.flush().await.unwrap();
    let found = get("/api/incidents?action=block").await.json();
    let incident = &found["incidents"][0];
    assert_eq!(incident["request_id"].as_str(), answer.header("x-steadfast-request-id").as_deref());
    assert_eq!(incident["excerpt"], json!({ "before": "It is called ", "matched": "project nightfall", "after": "." }));
    let page = get("/metrics").await.text();
    let verdict = r#"steadfast_verdicts_total{action="block",mode="enforce",policy="house",route="/",rule="house words"} 1"#;
    assert!(page.contains(verdict), "{page}");
    assert!(!page.contains("nightfall"), "no text in metrics");

    let score = async |text: &str| {
        let body = json!({ "response": text }).to_string();
        post("/api/score", body).await.json()["action"].clone()
    };
    assert_eq!(score("Project Nightfall").await, "block");
    gateway.folder.write("policy.toml", "name = \"broken\"\nmod = 1\n");
    let refused = post("/api/reload", "{}".into()).await;
    assert_eq!((refused.status(), refused.json()["error"]["problems"][0]["line"].clone()), (422, json!(2)));
    assert_eq!(score("Project Nightfall").await, "block", "the old policy is still in force");
    gateway.folder.write("policy.toml", &policy.replace("nightfall", "daybreak"));
    assert_eq!(post("/api/reload", "{}".into()).await.status(), 200);
    assert_eq!((score("Project Nightfall").await, score("Project Daybreak").await), (json!("allow"), json!("block")));
    let reloads = get("/api/status").await.json()["counts"]["reloads"].clone();
    assert!(reloads["failure"].as_u64() >= Some(1), "the file watch may have tried it too: {reloads}");

    let forged = ["host: evil.example"];
    assert_eq!(Client::request(gateway.admin, "GET", "/api/incidents", &forged, "").await.status(), 403);
    gateway.stop().await;
}

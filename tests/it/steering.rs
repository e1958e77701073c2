//! What is done about a conversation that drifts, over real sockets: the persona's reminder in its next requests, a hold of the whole
//! answer, another upstream; and that all of it ends when the conversation is calm.

use std::time::Instant;

use serde_json::{Value, json};

use crate::sessions::{LEADING, PATH};
use crate::support::client::Answer;
use crate::support::gateway::Folder;
use crate::support::{Client, Gateway, PATIENCE, Script, Upstream};

pub const REMINDER: &str = "Speak only as Aria.";

/// A drifting conversation is re-anchored; `options`: what the rule does.
pub fn policy(options: &str) -> String {
    format!(
        "name = \"anchored\"\n[[rule]]\nname = \"drifting\"\nwhen = \"session.drift >= session.limit\"\naction = \"reanchor\"\n{options}\n"
    )
}

fn odd(bad: bool) -> &'static str {
    if bad { "blah" } else { "hello, the weather is rain" }
}

/// A model that wanders off and listens when it is reminded.
pub async fn forgetful() -> Upstream {
    Upstream::answering(|seen, _| answer(&seen.body, odd(!seen.text().contains(REMINDER)))).await
}

fn answer(body: &[u8], text: &str) -> Script {
    let request: Value = serde_json::from_slice(body).unwrap();
    if request.get("max_tokens").is_some() {
        let content = [json!({ "type": "text", "text": text })];
        let message = json!({ "id": "m", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": "end_turn" });
        return Script::json(200, &message.to_string());
    }
    if request["stream"] == true {
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            format!("data: {}\n\n", json!({ "id": "c", "object": "chat.completion.chunk", "choices": [choice] }))
        };
        let pieces =
            [chunk(json!({ "content": text }), Value::Null), chunk(json!({}), "stop".into()), "data: [DONE]\n\n".to_owned()];
        return Script::stream(&pieces, 1);
    }
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    Script::json(200, &json!({ "id": "c", "object": "chat.completion", "choices": [choice] }).to_string())
}

/// A persona with a calibration of its own: what is usual for the shipped classifier says nothing of the fixture's turns.
pub fn persona() -> String {
    let drift = "limit = 5.0\nallowance = 0.75\nmargin = [-7.0, -7.0, -7.0, -6.8, -6.4, -5.4, -4.1, -3.1, 0.0]\n";
    format!(
        "name = \"Aria\"\n[voice]\nreminder = \"{REMINDER}\"\n[thresholds]\nclassifier = \"fixture 0.0.1\"\n[thresholds.drift]\n{drift}"
    )
}

pub async fn gateway(upstream: &Upstream, policy: &str, more: &str) -> Gateway {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier");
    let route = if more.contains("[[route]]") { "" } else { "[[route]]\npolicy = \"policy.toml\"\npersona = \"aria.toml\"\n" };
    let more = format!("{route}{more}\n[classifier]\npath = \"{fixture}\"\nworkers = 1\n[incidents]\nstore = \"incidents.db\"\n");
    let folder = Folder::before(&upstream.url(), &more);
    folder.write("policy.toml", policy);
    folder.write("aria.toml", &persona());
    Gateway::start(folder).await
}

pub async fn ask(gateway: &Gateway, path: &str, user: &str, body: &Value) -> Answer {
    let headers = ["content-type: application/json".to_owned(), format!("x-steadfast-session: {user}")];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = Client::request(gateway.addr, "POST", path, &headers, body.to_string()).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer
}

pub fn chat(stream: bool) -> Value {
    json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": LEADING }] })
}

async fn session(gateway: &Gateway) -> Value {
    Client::get(gateway.admin, "/api/sessions").await.json()["sessions"][0].clone()
}

/// The incidents, once there are so many: they are written behind the answers.
pub async fn incidents(gateway: &Gateway, query: &str, at_least: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let page = Client::get(gateway.admin, &format!("/api/incidents?{query}")).await.json();
        let found = page["incidents"].as_array().unwrap().clone();
        if found.len() >= at_least {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_drifting_conversation_is_reminded_until_it_is_calm() {
    let upstream = forgetful().await;
    let gateway = gateway(&upstream, &policy(""), "").await;
    let messages = json!({ "model": "m", "max_tokens": 64, "messages": [{ "role": "user", "content": LEADING }] });
    for (index, (path, body, place)) in
        [(PATH, chat(false), "/messages/0/content"), ("/v1/messages", messages, "/system")].into_iter().enumerate()
    {
        let user = format!("user {index}");
        let begin = upstream.seen().len();
        let mut turns = 0;
        while !ask(&gateway, path, &user, &body).await.text().contains("weather") {
            turns += 1;
            assert!(turns < 20, "{path}: it is never reminded");
        }
        // The answer that was asked for with the reminder is the first: it fires the rule, passes, and says so.
        let state = session(&gateway).await;
        assert_eq!(state["measures"], json!(["reminder"]), "{state}");
        let seen: Vec<Value> = upstream.seen()[begin..].iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
        let (last, before) = seen.split_last().unwrap();
        assert!(last.pointer(place).is_some_and(|there| there.to_string().contains(REMINDER)), "{path}: {last}");
        assert!(before.iter().all(|request| !request.to_string().contains(REMINDER)), "{path}: not before it drifts");
        assert_eq!(before[0], body, "what needs no reminder is sent as it came");

        // It goes on below the limit, until the drift is gone; then the model is left alone again.
        let mut reminded = 1;
        while session(&gateway).await["measures"] != json!([]) {
            assert!(ask(&gateway, path, &user, &body).await.text().contains("weather"));
            reminded += 1;
            assert!(reminded < 40, "{path}: it does not calm down");
        }
        assert!(reminded > 3, "{path}: {reminded}");
        assert_eq!(session(&gateway).await["drift"], 0.0);
        assert!(ask(&gateway, path, &user, &body).await.text().contains("blah"), "{path}: nobody reminds it now");

        let all = incidents(&gateway, "action=reanchor&limit=500", reminded).await;
        let of = all.iter().filter(|incident| incident["api"] == all[0]["api"]).collect::<Vec<_>>();
        assert_eq!(of.len(), reminded, "each request that was added to is in the incidents");
        for incident in &of {
            assert_eq!((&incident["rule"], &incident["ending"]), (&"drifting".into(), &"complete".into()));
            assert_eq!(incident["measures"]["changed"], format!("reminder added: {REMINDER}"));
        }
        let taken = gateway.metric("steadfast_drift_measures_total", &["measure=\"reminder\"", "outcome=\"taken\""]);
        assert_eq!(taken, all.len() as f64);
        // Calm the next round's listing down: only the worst conversation is looked at.
        while session(&gateway).await["drift"] != 0.0 {
            let body = json!({ "model": "m", "messages": [{ "role": "user", "content": format!("hello {REMINDER}") }] });
            ask(&gateway, PATH, &user, &body).await;
        }
    }
}

#[tokio::test]
async fn a_drifting_conversation_is_held_more_strictly_and_moved_to_another_model() {
    let main = Upstream::answering(|seen, _| answer(&seen.body, "blah")).await;
    let spare = Upstream::answering(|seen, _| answer(&seen.body, "hello, the weather is rain")).await;
    let more = format!(
        "[[upstream]]\nname = \"spare\"\nurl = \"{}\"\n[[route]]\nupstream = \"main\"\nfallback = [\"spare\"]\npolicy = \"policy.toml\"\npersona = \"aria.toml\"\n",
        spare.url()
    );
    let options = "reanchor = { reminder = false, buffer = true, fallback = true, model = \"steady\" }";
    let gateway = gateway(&main, &policy(options), &more).await;
    let mut turns = 0;
    loop {
        let answer = ask(&gateway, PATH, "ann", &chat(true)).await;
        if answer.text().contains("weather") {
            // The whole answer was judged before its head left, so the head says what came of it.
            assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("reanchor"));
            break;
        }
        assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("streaming"));
        turns += 1;
        assert!(turns < 20, "it is never moved");
    }
    let (before, mut moved) = (main.seen().len(), 1);
    assert_eq!(session(&gateway).await["measures"], json!(["buffer", "fallback", "model"]));
    while session(&gateway).await["measures"] != json!([]) {
        let answer = ask(&gateway, PATH, "ann", &chat(true)).await;
        assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
        moved += 1;
        assert!(moved < 40, "it does not calm down");
    }
    assert_eq!((main.seen().len(), spare.seen().len()), (before, moved), "the whole conversation, and only while it drifts");
    let asked = |seen: &crate::support::upstream::Seen| serde_json::from_slice::<Value>(&seen.body).unwrap()["model"].clone();
    assert!(spare.seen().iter().all(|seen| !seen.text().contains(REMINDER) && asked(seen) == "steady"));
    assert!(main.seen().iter().all(|seen| asked(seen) == "m"));
    let answer = ask(&gateway, PATH, "ann", &chat(true)).await;
    assert!(answer.text().contains("blah"), "back to its own upstream");
    assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("streaming"));
    let told = incidents(&gateway, "action=reanchor", moved).await;
    let changed = told[0]["measures"]["changed"].as_str().unwrap();
    assert!(changed.contains("held until all of it was judged") && changed.contains("fallback upstream 1"), "{changed}");
    assert!(changed.starts_with("model steady; "), "{changed}");
}

#[tokio::test]
async fn an_answer_can_ask_for_the_reminder_and_a_shadow_policy_never_adds_it() {
    let rules = "[[rule]]\nname = \"slipped\"\npatterns = [\"blah\"]\naction = \"reanchor\"\n";
    let upstream = Upstream::answering(|seen, _| answer(&seen.body, "blah")).await;
    let acting = gateway(&upstream, rules, "").await;
    for turn in 0..3 {
        let answer = ask(&acting, PATH, "ann", &chat(false)).await;
        assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("reanchor"), "turn {turn}: it passes, and is marked");
        assert!(answer.text().contains("blah"));
        assert_eq!(upstream.seen()[turn].text().contains(REMINDER), turn > 0, "turn {turn}: from the next request on");
    }
    let watching = gateway(&upstream, &format!("mode = \"shadow\"\n{rules}"), "").await;
    for _ in 0..3 {
        ask(&watching, PATH, "ann", &chat(false)).await;
    }
    assert!(upstream.seen()[3..].iter().all(|seen| !seen.text().contains(REMINDER)));
    assert!(incidents(&watching, "", 3).await.iter().all(|incident| incident["mode"] == "shadow"));
}

#[tokio::test]
async fn a_format_without_a_place_for_the_reminder_is_told_and_left_alone() {
    let upstream = Upstream::answering(|_, _| {
        let choice = json!({ "index": 0, "text": "blah blah", "finish_reason": "stop" });
        Script::json(200, &json!({ "id": "c", "object": "text_completion", "choices": [choice] }).to_string())
    })
    .await;
    let rules = "[[rule]]\nname = \"always\"\nwhen = \"session.turns >= 0\"\naction = \"reanchor\"\n";
    let gateway = gateway(&upstream, rules, "").await;
    let body = json!({ "model": "m", "prompt": [15496, 995] });
    ask(&gateway, "/v1/completions", "ann", &body).await;
    assert_eq!(upstream.only().text(), body.to_string(), "it goes out as it came");
    let told = incidents(&gateway, "", 1).await.remove(0);
    assert!(told["measures"]["failed"].as_str().unwrap().starts_with("no reminder: "), "{told}");
    assert_eq!(gateway.metric("steadfast_drift_measures_total", &["outcome=\"impossible\""]), 1.0);
}

//! The circuit breaker of a route, over real sockets: it opens when the model collapses as a whole, sends requests elsewhere or refuses
//! them in the API's own words, lets one through now and then, and closes when those are answered well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::steering::incidents;
use crate::support::client::Answer;
use crate::support::gateway::Folder;
use crate::support::{Client, Gateway, PATIENCE, Script, Upstream};

const PATH: &str = "/v1/chat/completions";

/// A model that collapses and recovers on command.
struct Model {
    upstream: Upstream,
    bad: Arc<AtomicBool>,
}

impl Model {
    async fn new(bad: bool) -> Self {
        let bad = Arc::new(AtomicBool::new(bad));
        let state = bad.clone();
        let upstream = Upstream::answering(move |_, _| {
            let text = if state.load(Ordering::Relaxed) { "blah" } else { "the weather is rain" };
            let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
            Script::json(200, &json!({ "id": "c", "object": "chat.completion", "choices": [choice] }).to_string())
        })
        .await;
        Model { upstream, bad }
    }

    fn collapses(&self, bad: bool) {
        self.bad.store(bad, Ordering::Relaxed);
    }

    fn calls(&self) -> usize {
        self.upstream.seen().len()
    }
}

fn policy(mode: &str, circuit: &str) -> String {
    format!(
        "name = \"p\"\nmode = \"{mode}\"\n[[rule]]\nname = \"words\"\npatterns = [\"blah\"]\naction = \"block\"\n\
         [block]\nmessage = \"Not now.\"\n[circuit]\n{circuit}\nprobe = \"50ms\"\nclose = 3\n"
    )
}

async fn gateway(model: &Model, spare: &Model, policy: &str) -> Gateway {
    let more = format!(
        "[[upstream]]\nname = \"spare\"\nurl = \"{}\"\n[[route]]\nupstream = \"main\"\nfallback = [\"spare\"]\npolicy = \"policy.toml\"\n\
         [incidents]\nstore = \"incidents.db\"\n",
        spare.upstream.url()
    );
    let folder = Folder::before(&model.upstream.url(), &more);
    folder.write("policy.toml", policy);
    Gateway::start(folder).await
}

async fn ask(gateway: &Gateway) -> Answer {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] });
    let answer = Client::post(gateway.addr, PATH, &body.to_string()).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer
}

fn state(gateway: &Gateway) -> f64 {
    gateway.metric("steadfast_circuit_state", &[])
}

/// Asks until the circuit is in this state.
async fn until(gateway: &Gateway, wanted: f64) {
    let begun = Instant::now();
    while state(gateway) != wanted {
        ask(gateway).await;
        assert!(begun.elapsed() < PATIENCE, "the circuit is at {}", state(gateway));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_route_that_collapses_goes_to_its_fallback_and_comes_back() {
    let (model, spare) = (Model::new(false).await, Model::new(false).await);
    let gateway = gateway(&model, &spare, &policy("enforce", "rate = 0.3\nanswers = 10\nthen = \"fallback\"")).await;
    for turn in 0..20 {
        model.collapses(turn % 5 == 0);
        ask(&gateway).await;
    }
    assert_eq!((state(&gateway), spare.calls()), (0.0, 0), "one in five is not three in ten");
    model.collapses(true);
    let mut blocked = 0;
    while state(&gateway) == 0.0 {
        assert_eq!(ask(&gateway).await.header("x-steadfast-verdict").as_deref(), Some("block"));
        blocked += 1;
        assert!(blocked <= 3, "it does not open");
    }
    assert_eq!(state(&gateway), 2.0);

    // Requests go to the spare one, but for a few that are sent through, and judged like all others.
    let before = model.calls();
    let begun = Instant::now();
    while gateway.metric("steadfast_circuit_exchanges_total", &["way=\"probe\""]) < 2.0 {
        let calls = model.calls();
        let answer = ask(&gateway).await;
        let blocked = answer.header("x-steadfast-verdict").as_deref() == Some("block");
        assert_eq!(blocked, model.calls() > calls, "{}", answer.text());
        assert!(begun.elapsed() < PATIENCE, "nothing is sent through");
    }
    let moved = gateway.metric("steadfast_circuit_exchanges_total", &["way=\"fallback\""]);
    assert_eq!((model.calls() - before, spare.calls() as f64), (2, moved));
    assert_eq!(state(&gateway), 2.0);

    model.collapses(false);
    until(&gateway, 1.0).await;
    // A reload that changes nothing about it leaves it as it is.
    assert_eq!(
        Client::request(gateway.admin, "POST", "/api/reload", &["content-type: application/json"], "{}").await.status(),
        200
    );
    assert_eq!(state(&gateway), 1.0);
    until(&gateway, 0.0).await;
    let (own, other) = (model.calls(), spare.calls());
    for _ in 0..5 {
        ask(&gateway).await;
    }
    assert_eq!((model.calls(), spare.calls()), (own + 5, other));
    let begun = Instant::now();
    let circuit: Vec<String> = loop {
        let told = incidents(&gateway, "limit=500", 2).await;
        let told = told.iter().filter(|incident| incident["kind"] == "circuit");
        let told: Vec<String> = told.map(|incident| incident["evidence"].as_str().unwrap().to_owned()).collect();
        if told.len() == 2 {
            break told;
        }
        assert!(begun.elapsed() < PATIENCE, "{told:?}");
    };
    assert!(circuit[0].starts_with("the circuit has closed: 3 answers in a row"), "{circuit:?}");
    assert!(circuit[1].contains("3 of the last 10 answers came to retry or worse"), "{circuit:?}");
}

#[tokio::test]
async fn an_open_circuit_may_refuse_in_the_apis_own_words() {
    let (model, spare) = (Model::new(true).await, Model::new(false).await);
    let settings = policy("enforce", "rate = 1\nanswers = 5\nthen = \"block\"").replace("50ms", "1h");
    let gateway = gateway(&model, &spare, &settings).await;
    for _ in 0..5 {
        assert_eq!(ask(&gateway).await.header("x-steadfast-rule").as_deref(), Some("words"));
    }
    assert_eq!(state(&gateway), 2.0);
    let answer = ask(&gateway).await;
    assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("block"));
    assert_eq!(answer.header("x-steadfast-rule").as_deref(), Some("circuit"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Not now.");
    let stream = json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "hello" }] });
    let answer = Client::post(gateway.addr, PATH, &stream.to_string()).await;
    assert!(answer.text().contains("Not now.") && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let message = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hello" }] });
    let answer = Client::post(gateway.addr, "/v1/messages", &message.to_string()).await;
    assert_eq!((&answer.json()["type"], &answer.json()["content"][0]["text"]), (&"message".into(), &"Not now.".into()));
    assert_eq!((model.calls(), spare.calls()), (5, 0), "nobody was asked");
    assert_eq!(gateway.metric("steadfast_circuit_exchanges_total", &["way=\"block\""]), 3.0);
    assert_eq!(gateway.metric("steadfast_verdicts_total", &["action=\"block\""]), 5.0, "what was not asked for is not judged");
}

#[tokio::test]
async fn the_fleets_chart_opens_it_too_and_begins_anew() {
    let (model, spare) = (Model::new(true).await, Model::new(false).await);
    let gateway = gateway(&model, &spare, &policy("enforce", "fleet_drift = 8\nthen = \"fallback\"")).await;
    until(&gateway, 2.0).await;
    assert_eq!(model.calls(), 3, "each flagged answer is worth 3.7");
    model.collapses(false);
    until(&gateway, 0.0).await;
    for _ in 0..3 {
        ask(&gateway).await;
    }
    assert_eq!(state(&gateway), 0.0, "what it added up before does not open it again");
    assert!(gateway.metric("steadfast_fleet_drift", &[]) < 1.0);
}

#[tokio::test]
async fn in_shadow_it_is_told_and_changes_nothing() {
    let (model, spare) = (Model::new(true).await, Model::new(false).await);
    let gateway = gateway(&model, &spare, &policy("shadow", "rate = 0.5\nanswers = 6\nthen = \"fallback\"")).await;
    for _ in 0..10 {
        assert!(ask(&gateway).await.text().contains("blah"));
    }
    assert_eq!((state(&gateway), model.calls(), spare.calls()), (2.0, 10, 0));
    model.collapses(false);
    until(&gateway, 0.0).await;
    assert_eq!(spare.calls(), 0);
}

//! An API that nobody has heard of, through the real gateway: the description is that of docs/custom-api.md.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::gateway::config;
use crate::support::upstream::Step;
use crate::support::{Client, Folder, Gateway, Script, Upstream};

const POLICY: &str = "window = { tokens = 16, stride = 8 }\n\
                      [[rule]]\nname = \"house words\"\npatterns = [\"NIGHTFALL\"]\naction = \"block\"\n\
                      [[rule]]\nname = \"storm\"\npatterns = [\"SANDSTORM\"]\naction = \"retry\"\n\
                      retry = { attempts = 1, reanchor = true, temperature = 0.3, then = \"block\" }\n";

/// The description in the documentation.
fn documented() -> &'static str {
    let page = include_str!("../../docs/custom-api.md");
    page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page has an example")
}

async fn gateway(upstream: &Upstream, description: &str) -> Gateway {
    let folder = Folder::new(&config(&upstream.url(), description));
    folder.write("policy.toml", POLICY);
    Gateway::start(folder).await
}

async fn ask(gateway: &Gateway, live: bool) -> Answer {
    let body = json!({ "engine": "parrot-2", "setup": { "role": "You are Aria." }, "lines": [{ "who": "me", "says": "Hi" }], "live": live });
    Client::post(gateway.addr, "/v3/bots/42/talk", &body.to_string()).await
}

fn whole(text: &str) -> Script {
    let body =
        json!({ "ref": "r-1", "reply": { "parts": [{ "words": text }], "why": "finished" }, "pondering": "They greet me." });
    Script::json(200, &body.to_string())
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A stream that says this, word by word.
fn stream(text: &str) -> String {
    let mut out = "event: tick\ndata: 17\n\n".to_owned();
    for word in text.split_inclusive(' ') {
        out.push_str(&data(&json!({ "ref": "r-1", "bit": word })));
    }
    out + &data(&json!({ "ref": "r-1", "all": text, "why": "finished" })) + "data: (end)\n\n"
}

async fn streaming(text: &str) -> (Upstream, String) {
    let body = stream(text);
    let script = Script::new().head(200, &["content-type: text/event-stream", "connection: close"]).send(&body);
    (Upstream::always(script.split_every(11).then(Step::Close)).await, body)
}

#[tokio::test]
async fn good_answers_pass_byte_for_byte() {
    let upstream = Upstream::always(whole("Good day.")).await;
    let gateway_before = gateway(&upstream, documented()).await;
    let said = ask(&gateway_before, false).await;
    assert_eq!(said.header("x-steadfast-verdict").as_deref(), Some("allow"));
    assert_eq!(said.json()["reply"]["parts"][0]["words"], "Good day.");
    assert_eq!(gateway_before.metric("steadfast_unscored_total", &[]), 0.0, "it was judged");
    let (upstream, body) = streaming("Good day to you.").await;
    let said = ask(&gateway(&upstream, documented()).await, true).await;
    assert_eq!((said.status(), said.text()), (200, body));
}

#[tokio::test]
async fn bad_answers_are_replaced_in_the_apis_own_words() {
    let upstream = Upstream::always(whole("It is NIGHTFALL.")).await;
    let said = ask(&gateway(&upstream, documented()).await, false).await;
    assert_eq!(said.header("x-steadfast-verdict").as_deref(), Some("block"));
    let message = "I can't continue with that answer.";
    assert_eq!(said.json(), json!({ "ref": "r-1", "reply": { "parts": [{ "words": message }], "why": "moderated" } }));

    let (upstream, _) = streaming("It is NIGHTFALL.").await;
    let said = ask(&gateway(&upstream, documented()).await, true).await;
    let expected = format!(
        "data: {{\"ref\": \"r-1\", \"bit\": \"{message}\"}}\n\ndata: {{\"ref\": \"r-1\", \"why\": \"moderated\"}}\n\ndata: (end)\n\n"
    );
    assert_eq!(said.text(), expected);

    let reasoning = json!({ "reply": { "parts": [{ "words": "Fine." }] }, "pondering": "NIGHTFALL" });
    let upstream = Upstream::always(Script::json(200, &reasoning.to_string())).await;
    let said = ask(&gateway(&upstream, documented()).await, false).await;
    assert_eq!(said.header("x-steadfast-verdict").as_deref(), Some("block"), "reasoning is judged too");
}

#[tokio::test]
async fn a_stream_is_cut_with_the_apis_own_ending() {
    let body = stream(&("All is well in the harbour today. ".repeat(20) + "But it is NIGHTFALL."));
    let half = body.len() / 2;
    let script = Script::new().head(200, &["content-type: text/event-stream", "connection: close"]);
    let script = script.send(&body[..half]).pause(1000).send(&body[half..]).then(Step::Close);
    let upstream = Upstream::always(script).await;
    let said = ask(&gateway(&upstream, documented()).await, true).await.text();
    let end = "data: (end)\n\n: steadfast verdict=block rule=\"house words\"\n\n";
    assert!(said.contains("harbour") && !said.contains("NIGHTFALL") && said.ends_with(end), "{said}");
    assert_eq!(said.matches("moderated").count(), 1);
}

#[tokio::test]
async fn a_retry_changes_what_the_description_names() {
    let upstream = Upstream::in_turn(vec![whole("A SANDSTORM"), whole("Good day.")]).await;
    let said = ask(&gateway(&upstream, documented()).await, false).await;
    assert_eq!(said.header("x-steadfast-verdict").as_deref(), Some("retry"));
    let second: Value = serde_json::from_str(&upstream.seen()[1].text()).unwrap();
    assert_eq!(second["heat"], 0.3);
    assert!(second["setup"]["role"].as_str().unwrap().starts_with("You are Aria.\n\n"), "{second}");
}

#[tokio::test]
async fn what_is_not_where_it_was_said_to_be_is_not_let_through_by_accident() {
    for body in [json!({ "speech": "It is NIGHTFALL." }), json!({ "reply": { "parts": [{ "words": ["It is NIGHTFALL."] }] } })] {
        for (on_unknown, passes) in [("block", false), ("allow", true)] {
            let upstream = Upstream::always(Script::json(200, &body.to_string())).await;
            let folder = Folder::new(&config(&upstream.url(), documented()));
            folder.write("policy.toml", &format!("on_unknown = \"{on_unknown}\"\n{POLICY}"));
            let gateway = Gateway::start(folder).await;
            let said = ask(&gateway, false).await;
            assert_eq!(said.text().contains("NIGHTFALL"), passes, "{}", said.text());
            assert_eq!(gateway.metric("steadfast_unscored_total", &[]), 1.0);
        }
    }
}

#[tokio::test]
async fn errors_of_the_gateway_and_textless_endpoints() {
    let upstream = Upstream::always(Script::json(200, "{\"NIGHTFALL\":1}")).await;
    let gateway_before = gateway(&upstream, documented()).await;
    let voices = Client::post(gateway_before.addr, "/v3/bots/42/voices", "{}").await;
    assert_eq!(voices.text(), "{\"NIGHTFALL\":1}");
    let folder = Folder::new(&config(&format!("http://{}", crate::support::upstream::nobody().await), documented()));
    folder.write("policy.toml", POLICY);
    let said = ask(&Gateway::start(folder).await, false).await;
    assert_eq!((said.status(), said.json()["code"].as_str()), (502, Some("upstream_unreachable")));
    assert!(said.json()["fault"].is_string());
}

#[tokio::test]
async fn mistakes_in_a_description_are_told_with_their_place() {
    let wrong = documented()
        .replace("text      = [\"/reply/parts/*/words\"]", "text      = [\"/reply/parts/*/word\"]\ntxet = 1")
        .replace("\"/pondering\"", "\"pondering\"")
        .replace("framing = \"sse\"", "framing = \"see\"");
    let folder = Folder::new(&config("http://127.0.0.1:1", &wrong));
    folder.write("policy.toml", POLICY);
    let error = match Gateway::try_start(folder).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    for part in [
        "custom.parrot.answer.txet: unknown key",
        "custom.parrot.answer.reasoning[0]: must begin with /",
        "custom.parrot.stream.framing: unknown value \"see\"",
        "custom.parrot.block.answer: read as an answer of this format, it does not say {message} and nothing else",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
}

//! The signals `register` and `voice` over real sockets: an answer is held against how the persona speaks, a rule fires on it, and the
//! incident says how far off it was.

use serde_json::json;

use crate::steering::incidents;
use crate::support::client::Answer;
use crate::support::gateway::Folder;
use crate::support::{Client, Gateway, Script, Upstream};

const PERSONA: &str = include_str!("../fixtures/pirate.toml");

const POLICY: &str = r#"
name = "signals"
[[rule]]
name = "not how it speaks"
signal = "register"
at_least = 0.6
action = "flag"
[[rule]]
name = "not its voice"
when = "has(signals.voice) && signals.voice > 0.6"
action = "reanchor"
"#;

const OWN: &str = "Arr, ye be needin' three barrels o' water, matey, and a strong back for haulin' them.";
const GERMAN: &str = "Guten Tag, die Abfahrt ist morgen um sechs Uhr früh, und das Wetter wird voraussichtlich schlecht sein.";
const SHOUTED: &str = "OMG YES 😂😂😂 WE ARE SO SAILING TODAY 🚢🚢🚢 LET'S GOOOO 🎉🎉🎉 THIS IS SICK 🔥🔥🔥";
const POLITE: &str =
    "I would be happy to explain the tides to you in more detail. Please note that the office is open on weekdays.";
const ANSWERS: [&str; 4] = [OWN, GERMAN, SHOUTED, POLITE];

/// What the gateway says of this answer: its verdict, and the request's id.
async fn judged(gateway: &Gateway, text: &str) -> (String, String) {
    let number = ANSWERS.iter().position(|answer| *answer == text).unwrap();
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": number.to_string() }] });
    let answer: Answer = Client::post(gateway.addr, "/v1/chat/completions", &body.to_string()).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], text);
    (answer.header("x-steadfast-verdict").unwrap(), answer.header("x-steadfast-request-id").unwrap())
}

#[tokio::test]
async fn an_answer_is_held_against_how_the_persona_speaks() {
    let upstream = Upstream::answering(|seen, _| {
        let request: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        // The question is the last turn; what a rule adds stands before it.
        let question = request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
        let text = ANSWERS[question.parse::<usize>().unwrap()];
        let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
        Script::json(200, &json!({ "id": "c", "object": "chat.completion", "choices": [choice] }).to_string())
    })
    .await;
    let more = "[[route]]\npolicy = \"policy.toml\"\npersona = \"salt.toml\"\n[incidents]\nstore = \"incidents.db\"\n";
    let folder = Folder::before(&upstream.url(), more);
    folder.write("policy.toml", POLICY).write("salt.toml", PERSONA);
    let gateway = Gateway::start(folder).await;

    assert_eq!(judged(&gateway, OWN).await.0, "allow");
    let mut requests = Vec::new();
    for text in [GERMAN, SHOUTED, POLITE] {
        let (verdict, request) = judged(&gateway, text).await;
        // Another language has another voice too, and of the two rules the more severe one counts.
        assert!(matches!(verdict.as_str(), "flag" | "reanchor"), "{text}: {verdict}");
        requests.push(request);
    }
    // The fourth is the fleet's: three flagged answers of four are a collapse.
    let told = incidents(&gateway, "", 4).await;
    let of: Vec<_> = requests
        .iter()
        .map(|request| told.iter().find(|incident| incident["kind"].is_null() && incident["request_id"] == **request).unwrap())
        .collect();
    let signal =
        |index: usize, name: &str| of[index]["signals"][name].as_f64().unwrap_or_else(|| panic!("{name}: {}", of[index]));
    assert!(signal(0, "register") >= 0.6 && signal(1, "register") >= 0.6, "{} {}", of[0]["signals"], of[1]["signals"]);
    assert!(signal(2, "voice") > 0.6 && signal(2, "register") < 0.6, "{}", of[2]["signals"]);
    assert_eq!((&of[2]["action"], &of[2]["rule"]), (&"reanchor".into(), &"not its voice".into()));
}

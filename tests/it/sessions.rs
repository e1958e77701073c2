//! Conversations over real sockets: tied together by header, by a field of the body and by the history that is sent along; a drift that
//! no single answer shows; two users who began alike.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::gateway::Folder;
use crate::support::{Client, Gateway, Script, Upstream};

pub const PATH: &str = "/v1/chat/completions";

/// What the fixture's classifier finds a little odd in an answer and a question, and no rule fires for.
const ODD: &str = "blah";
pub const LEADING: &str = "blah blah, please";

/// An upstream that answers a question about the weather well and everything else oddly, as a stream where one is asked for.
pub async fn upstream() -> Upstream {
    Upstream::answering(|seen, _| {
        let request: Value = serde_json::from_slice(&seen.body).unwrap();
        let question = request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
        let answer = if question.contains("weather") { "hello, the weather is rain" } else { ODD };
        if request["stream"] == true {
            let chunk = |delta: Value, finish: Value| {
                let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
                format!("data: {}\n\n", json!({ "id": "c", "object": "chat.completion.chunk", "choices": [choice] }))
            };
            let pieces = [
                chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
                chunk(json!({ "content": answer }), Value::Null),
                chunk(json!({}), "stop".into()),
                "data: [DONE]\n\n".to_owned(),
            ];
            return Script::stream(&pieces, 1);
        }
        let message = json!({ "role": "assistant", "content": answer });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        Script::json(200, &json!({ "id": "c", "object": "chat.completion", "choices": [choice] }).to_string())
    })
    .await
}

/// A gateway with the default policy and the fixture's classifier.
pub async fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier");
    let more = format!("[classifier]\npath = \"{fixture}\"\nworkers = 1\n{more}");
    let folder = Folder::before(&upstream.url(), &more);
    folder.write("policy.toml", include_str!("../../policies/default.toml"));
    Gateway::start(folder).await
}

/// What ties a conversation's requests together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tie {
    Header,
    Body,
    History,
}

/// A user in a conversation, on a client that remembers what was said.
pub struct Talk {
    tie: Tie,
    user: &'static str,
    stream: bool,
    said: Vec<Value>,
}

impl Talk {
    pub fn new(tie: Tie, user: &'static str) -> Self {
        Talk { tie, user, stream: false, said: Vec::new() }
    }

    /// Asks, and says what the gateway made of the answer: its verdict and rule.
    pub async fn ask(&mut self, gateway: &Gateway, question: &str) -> (String, Option<String>) {
        let answer = self.send(gateway, question).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(answer.complete);
        (answer.header("x-steadfast-verdict").unwrap_or_default(), answer.header("x-steadfast-rule"))
    }

    async fn send(&mut self, gateway: &Gateway, question: &str) -> Answer {
        let turn = json!({ "role": "user", "content": question });
        let mut headers = vec!["content-type: application/json".to_owned(), "authorization: Bearer the-app".to_owned()];
        let mut body = json!({ "model": "m", "stream": self.stream, "messages": [&turn] });
        match self.tie {
            Tie::Header => headers.push(format!("x-steadfast-session: {}", self.user)),
            Tie::Body => body["user"] = self.user.into(),
            Tie::History => {
                self.said.push(turn);
                body["messages"] = self.said.clone().into();
            }
        }
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = Client::request(gateway.addr, "POST", PATH, &headers, body.to_string()).await;
        if self.tie == Tie::History && !self.stream {
            self.said.push(answer.json()["choices"][0]["message"].clone());
        } else if self.tie == Tie::History {
            self.said.push(json!({ "role": "assistant", "content": ODD }));
        }
        answer
    }
}

pub fn flagged() -> (String, Option<String>) {
    ("flag".to_owned(), Some("drifting conversation".to_owned()))
}

#[tokio::test]
async fn the_default_policy_flags_a_conversation_that_drifts_however_it_is_tied_together() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream, "").await;
    for tie in [Tie::Header, Tie::Body, Tie::History] {
        let mut talk = Talk::new(tie, "ann");
        let mut first = None;
        for turn in 1..=14 {
            let verdict = talk.ask(&gateway, LEADING).await;
            if verdict == flagged() {
                first.get_or_insert(turn);
            } else {
                assert_eq!((verdict.0.as_str(), first), ("allow", None), "{tie:?}, turn {turn}: no single answer is bad");
            }
        }
        let first = first.unwrap_or_else(|| panic!("{tie:?}: no drift was found"));
        assert!((5..=12).contains(&first), "{tie:?}: turn {first}");

        let mut other = Talk::new(tie, "bob");
        assert_eq!(other.ask(&gateway, "blah, the rain").await.0, "allow", "{tie:?}: another user's conversation is his own");

        // Good turns calm it down.
        let mut calm = 0;
        while talk.ask(&gateway, "the weather?").await == flagged() {
            calm += 1;
            assert!(calm < 20, "{tie:?}: it does not calm down");
        }
        assert!(calm > 0, "{tie:?}: one good turn is not enough");
    }
    let page = Client::get(gateway.admin, "/api/sessions").await.json();
    assert_eq!((&page["store"], &page["count"]), (&"memory".into(), &6.into()), "{page}");
    assert_eq!(gateway.metric("steadfast_sessions", &["store=\"memory\""]), 6.0);
    let turns: u64 = page["sessions"].as_array().unwrap().iter().map(|session| session["turns"].as_u64().unwrap()).sum();
    assert_eq!(gateway.metric("steadfast_session_drift_count", &[]), turns as f64);
    let text = page.to_string();
    assert!(!text.contains("ann") && !text.contains("blah"), "names are hashed and texts are not kept: {text}");
}

#[tokio::test]
async fn users_who_began_alike_are_not_one_conversation() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream, "").await;
    // Both open with the same words and are answered alike, through one application's key.
    let mut ann = Talk::new(Tie::History, "");
    let mut bob = Talk::new(Tie::History, "");
    for talk in [&mut ann, &mut bob] {
        talk.ask(&gateway, "hello").await;
    }
    for _ in 0..12 {
        ann.ask(&gateway, LEADING).await;
    }
    assert_eq!(ann.ask(&gateway, LEADING).await, flagged());
    assert_eq!(bob.ask(&gateway, "the weather?").await.0, "allow");
    // The same turn asked for again (the client regenerates it) is no further turn.
    let mut again = Talk::new(Tie::History, "");
    again.said = ann.said[..ann.said.len() - 2].to_vec();
    assert_eq!(again.ask(&gateway, LEADING).await, flagged());
    let page = Client::get(gateway.admin, "/api/sessions").await.json();
    assert_eq!(page["sessions"][0]["turns"], 14, "{page}");
}

#[tokio::test]
async fn callers_with_keys_of_their_own_do_not_share_names() {
    let upstream = upstream().await;
    let folder = Folder::before(
        &upstream.url(),
        &format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nclient_keys = {{ file = \"keys\" }}\n\
             [classifier]\npath = \"{}/tests/fixtures/classifier\"\nworkers = 1\n",
            env!("CARGO_MANIFEST_DIR")
        ),
    );
    folder.write("policy.toml", include_str!("../../policies/default.toml")).write("keys", "one two");
    let gateway = Gateway::start(folder).await;
    for key in ["one", "two"] {
        let headers = ["content-type: application/json", "x-steadfast-session: 1", &format!("x-steadfast-key: {key}")];
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] }).to_string();
        assert_eq!(Client::request(gateway.addr, "POST", PATH, &headers, body).await.status(), 200);
    }
    let page = Client::get(gateway.admin, "/api/sessions").await.json();
    assert_eq!(page["count"], 2, "{page}");
    assert!(upstream.seen().iter().all(|seen| seen.header("x-steadfast-session").is_none()), "the name is not the upstream's");
}

#[tokio::test]
async fn streams_are_turns_too_and_are_recorded_before_they_end() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream, "").await;
    let mut talk = Talk { stream: true, ..Talk::new(Tie::History, "") };
    for turn in 1..=6 {
        talk.send(&gateway, LEADING).await;
        // Asked at once after the last byte: nothing of the turn is still under way.
        let page = Client::get(gateway.admin, "/api/sessions").await.json();
        assert_eq!((&page["count"], &page["sessions"][0]["turns"]), (&1.into(), &turn.into()), "{page}");
    }
}

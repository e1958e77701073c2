//! Fixtures, snapshots and properties of Ollama's formats.

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Delta, Mark, Progress};
use crate::text::Channel;

fn exchange(body: &str) -> Exchange {
    post("/api/chat", |head| Ollama::Chat.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    Ollama::Chat.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn amended(endpoint: Ollama, body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    endpoint.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in ["chat.json", "generate.json", "loaded.json", "old.json"] {
        insta::assert_snapshot!(name, fixtures::read(&Ollama::Chat, &format!("ollama/{name}")));
    }
    for name in ["chat.ndjson", "generate.ndjson", "error.ndjson"] {
        let body = fixtures::load(&format!("ollama/{name}"));
        insta::assert_snapshot!(name, fixtures::read_framed(&Ollama::Generate, body, Framing::Ndjson));
    }
}

#[test]
fn lines_that_are_labelled_as_one_document_are_read_as_well() {
    let body = fixtures::load("ollama/chat.ndjson");
    let reading = reply(std::str::from_utf8(&body).unwrap()).unwrap();
    let answer = |delta: &&Delta<'_>| delta.channel == Channel::Answer;
    let text: String = reading.deltas.iter().filter(answer).map(|delta| &*delta.text).collect();
    assert_eq!(text, "The harbour is quiet.");
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for body in [
        r#"{"message":{"content":7}}"#,
        r#"{"message":{"content":["x"]}}"#,
        r#"{"message":{"content":"a","content":"b"}}"#,
        r#"{"message":{"thinking":{"text":"x"}}}"#,
        r#"{"message":{"tool_calls":{"function":{}}}}"#,
        r#"{"message":{"tool_calls":["x"]}}"#,
        r#"{"message":{"tool_calls":[{"function":"x"}]}}"#,
        r#"{"message":"x"}"#,
        r#"{"message":["x"]}"#,
        r#"{"response":["x"]}"#,
        r#"{"response":"a","done":true,"response":"b"}"#,
        r#"{"answer":"in a field that nobody knows"}"#,
        r#"["x"]"#,
        r#""x""#,
        "",
        "no JSON",
        r#"{"response":"a"} and more"#,
    ] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: body.into() };
        let read = Ollama::Chat.read_event(&event, &mut Facts::default(), &mut Reading::default());
        assert_eq!(read.is_err(), !body.is_empty(), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let body = r#"{"model":7,"created_at":{},"message":{"role":3,"content":"text","images":7},"done":"yes","eval_count":"x"}"#;
    let reading = reply(body).unwrap();
    assert_eq!(reading.deltas[0].text, "text");
    assert!(!reading.marks.contains(&Mark::Terminal));
}

#[test]
fn each_endpoint_knows_its_path() {
    let cases = [
        (Method::POST, "/api/chat", Recognised::Judged, Recognised::No),
        (Method::POST, "/ollama//api/Generate/", Recognised::No, Recognised::Judged),
        (Method::OPTIONS, "/api/chat", Recognised::Textless, Recognised::No),
        (Method::GET, "/api/tags", Recognised::Textless, Recognised::Textless),
        (Method::POST, "/api/embed", Recognised::Textless, Recognised::Textless),
        (Method::HEAD, "/api/blobs/sha256:0a", Recognised::Textless, Recognised::Textless),
        (Method::POST, "/api/v1/chat/completions", Recognised::No, Recognised::No),
        (Method::POST, "/api/chats", Recognised::No, Recognised::No),
        (Method::POST, "/v1/chat/completions", Recognised::No, Recognised::No),
        (Method::POST, "/v2/chat", Recognised::No, Recognised::No),
        (Method::POST, "/api/responses", Recognised::No, Recognised::No),
    ];
    for (method, path, chat, generate) in cases {
        for (endpoint, expected) in [(Ollama::Chat, chat), (Ollama::Generate, generate)] {
            let found = with_head(&method, path, &HeaderMap::new(), |head| endpoint.recognise(head));
            assert_eq!(found, expected, "{endpoint:?} {method} {path}");
        }
    }
}

#[test]
fn it_streams_unless_told_not_to() {
    for (body, stream) in [(r#"{"model":"m"}"#, true), (r#"{"stream":true}"#, true), (r#"{"stream":false}"#, false), ("", false)]
    {
        assert_eq!(exchange(body).stream, stream, "{body}");
    }
    let streams = exchange(r#"{"model":"m"}"#);
    assert_eq!(Ollama::Chat.framing(&streams, None), Some(Framing::Ndjson));
    assert_eq!(Ollama::Chat.framing(&streams, Some("application/x-ndjson")), None);
    assert_eq!(Ollama::Chat.framing(&exchange(r#"{"stream":false}"#), None), None);
}

#[test]
fn a_request_is_understood() {
    let read = exchange(
        r#"{"model":"llama3.2","messages":[{"role":"system","content":"You are Aria."},{"role":"user","content":"Hi"},
        {"role":"assistant","content":"Hello","thinking":"…"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},
        {"role":"tool","content":"3","tool_name":"f"},{"role":"user","content":"Go on","images":["aGk="]}]}"#,
    );
    assert_eq!((read.model.as_deref(), read.system.as_deref()), (Some("llama3.2"), Some("You are Aria.")));
    assert_eq!(read.user.as_deref(), Some("Go on"));
    assert_eq!(read.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, true, false, false]);
    assert_eq!(read.history[1].digest, xxhash_rust::xxh3::xxh3_64(b"Hello"));
    let generate = exchange(r#"{"model":"m","prompt":"Why?","system":"Be brief."}"#);
    assert_eq!((generate.user.as_deref(), generate.system.as_deref()), (Some("Why?"), Some("Be brief.")));
    for (format, structured) in [(r#""json""#, true), (r#"{"type":"object"}"#, true), (r#""""#, false), ("null", false)] {
        assert_eq!(exchange(&format!(r#"{{"format":{format}}}"#)).structured, structured, "{format}");
    }
    assert_eq!(exchange(r#"{"messages":[7,null,{"role":7}],"options":7}"#).candidates, 1);
    assert!(post("/api/chat", |head| Ollama::Chat.read_request(head, b"[]")).is_err());
}

#[test]
fn amends_by_splicing() {
    let reminder = Amendment { reminder: Some("You are \"Aria\"."), ..Amendment::default() };
    let cooler = Amendment { temperature: Some(0.3), ..Amendment::default() };
    let message = r#"{"role":"system","content":"You are \"Aria\"."}"#;
    assert_eq!(
        amended(Ollama::Chat, r#"{"messages":[{"role":"user","content":"U"}]}"#, reminder).unwrap(),
        format!(r#"{{"messages":[{message},{{"role":"user","content":"U"}}]}}"#)
    );
    assert_eq!(
        amended(Ollama::Chat, r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"U"}]}"#, reminder)
            .unwrap(),
        format!(r#"{{"messages":[{{"role":"system","content":"S"}},{message},{{"role":"user","content":"U"}}]}}"#)
    );
    assert!(matches!(amended(Ollama::Chat, r#"{"model":"m"}"#, reminder), Err(DialectError::Unsupported(_))));
    for (body, expected) in [
        (r#"{"prompt":"P"}"#, r#"{"system":"You are \"Aria\".","prompt":"P"}"#),
        (r#"{"system":"","prompt":"P"}"#, r#"{"system":"You are \"Aria\".","prompt":"P"}"#),
        (r#"{"system":"S","raw":false}"#, r#"{"system":"S\n\nYou are \"Aria\".","raw":false}"#),
    ] {
        assert_eq!(amended(Ollama::Generate, body, reminder).unwrap(), expected);
    }
    assert!(matches!(amended(Ollama::Generate, r#"{"prompt":"P","raw":true}"#, reminder), Err(DialectError::Unsupported(_))));
    assert!(matches!(amended(Ollama::Generate, r#"{"system":7}"#, reminder), Err(DialectError::Malformed(_))));
    for (body, expected) in [
        (r#"{"model":"m"}"#, r#"{"options":{"temperature":0.3},"model":"m"}"#),
        (r#"{"options":null}"#, r#"{"options":{"temperature":0.3}}"#),
        (r#"{"options":{"temperature":1,"seed":2}}"#, r#"{"options":{"temperature":0.3,"seed":2}}"#),
    ] {
        assert_eq!(amended(Ollama::Chat, body, cooler).unwrap(), expected);
    }
    let other = Amendment { model: Some("o"), ..Amendment::default() };
    assert_eq!(amended(Ollama::Chat, r#"{"model":"m"}"#, other).unwrap(), r#"{"model":"o"}"#);
}

fn facts() -> Facts {
    Facts { model: Some("llama3.2".into()), input_tokens: Some(26), output_tokens: Some(8), ..Facts::default() }
}

fn refusal(endpoint: Ollama, facts: &Facts, stream: bool) -> Reply {
    let exchange = Exchange { model: Some("asked-for".into()), ..Exchange::unknown(Api::Ollama) };
    let message = "I can't continue with \"that\" answer.";
    endpoint.refusal(&Refusal { exchange: &exchange, facts, stream, message, request_id: "01JTEST", now: 1_800_000_000 })
}

fn shown(reply: &Reply) -> String {
    format!("{} {}\n\n{}", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body))
}

#[test]
fn refusals_are_whole_answers() {
    insta::assert_snapshot!("refusal_of_chat", shown(&refusal(Ollama::Chat, &facts(), false)));
    insta::assert_snapshot!("refusal_of_chat_streamed", shown(&refusal(Ollama::Chat, &facts(), true)));
    insta::assert_snapshot!("refusal_of_generate", shown(&refusal(Ollama::Generate, &Facts::default(), false)));
    insta::assert_snapshot!("refusal_of_generate_streamed", shown(&refusal(Ollama::Generate, &facts(), true)));
}

#[test]
fn our_own_words_are_read_back() {
    for (endpoint, stream) in [(Ollama::Chat, false), (Ollama::Chat, true), (Ollama::Generate, false), (Ollama::Generate, true)] {
        let reply = refusal(endpoint, &facts(), stream);
        let framing = Framing::sniff(Some(reply.content_type), &reply.body).unwrap();
        assert_eq!(framing == Framing::Ndjson, stream);
        let (mut text, mut progress) = (String::new(), Progress::default());
        for event in fixtures::events(framing, reply.body) {
            let mut reading = Reading::default();
            endpoint.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
            reading.deltas.iter().for_each(|delta| text.push_str(&delta.text));
            reading.marks.iter().for_each(|mark| progress.apply(mark));
        }
        assert_eq!(text, "I can't continue with \"that\" answer.");
        assert!(progress.terminal);
    }
}

#[test]
fn a_cut_ends_with_the_last_line() {
    let cut_after = |endpoint: Ollama, name: &str, count: usize| {
        let events = fixtures::events(Framing::Ndjson, fixtures::load(&format!("ollama/{name}")));
        let (facts, progress) = fixtures::released(&endpoint, &events[..count]);
        let exchange = Exchange::unknown(Api::Ollama);
        let cut = Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("r"), now: 1_800_000_000 };
        String::from_utf8(endpoint.epilogue(&cut).to_vec()).unwrap()
    };
    insta::assert_snapshot!("epilogue_of_chat", cut_after(Ollama::Chat, "chat.ndjson", 3));
    insta::assert_snapshot!("epilogue_of_generate", cut_after(Ollama::Generate, "generate.ndjson", 2));
    assert_eq!(cut_after(Ollama::Chat, "chat.ndjson", 7), "");
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let error =
        ApiError { status: StatusCode::NOT_FOUND, code: "route_not_found", message: "what \"happened\"", request_id: "01J" };
    let reply = Ollama::Chat.error(&error);
    assert_eq!((reply.status, &*reply.body), (StatusCode::NOT_FOUND, &br#"{"error":"what \"happened\""}"#[..]));
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let data = Bytes::from(data);
        let event = Event { raw: data.clone(), name: Bytes::new(), data: data.clone() };
        for endpoint in [Ollama::Chat, Ollama::Generate] {
            let _ = endpoint.read_event(&event, &mut Facts::default(), &mut Reading::default());
            let _ = endpoint.read_reply(&data, &mut Facts::default(), &mut Reading::default());
            let _ = post("/api/chat", |head| endpoint.read_request(head, &data));
            let _ = endpoint.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
        }
    }

    /// Whatever an answer says reaches the reader, once.
    #[test]
    fn no_text_is_lost(text in ".{1,20}", thought in ".{1,20}", value in ".{0,20}") {
        let call = serde_json::json!({ "function": { "name": "f", "arguments": { "a": value } } });
        let arguments = serde_json::json!({ "a": value }).to_string();
        let chat = serde_json::json!({ "message": { "role": "assistant", "content": text, "thinking": thought, "tool_calls": [call] } });
        let generate = serde_json::json!({ "response": text, "thinking": thought, "tool_calls": [call] });
        for body in [chat, generate] {
            let body = body.to_string();
            let reading = reply(&body).unwrap();
            let got: Vec<(Channel, &str)> = reading.deltas.iter().map(|delta| (delta.channel, &*delta.text)).collect();
            prop_assert_eq!(got, vec![(Channel::Reasoning, &*thought), (Channel::Answer, &*text), (Channel::ToolCall, &*arguments)]);
        }
    }
}

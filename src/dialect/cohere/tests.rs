//! Fixtures, snapshots and properties of Cohere's formats.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Delta, Mark, Progress};
use crate::frame::Framing;
use crate::text::Channel;

const PATHS: [&str; 3] = ["/v2/chat", "/v1/chat", "/v1/generate"];

fn exchange(path: &str, body: &str) -> Exchange {
    post(path, |head| Cohere.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    Cohere.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn event(data: &str) -> Event {
    Event { raw: Bytes::new(), name: Bytes::new(), data: data.to_owned().into() }
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    Cohere.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in ["v2.sse", "v2.json", "v1.json", "generate.json"] {
        insta::assert_snapshot!(name, fixtures::read(&Cohere, &format!("cohere/{name}")));
    }
    for name in ["v1.ndjson", "generate.ndjson"] {
        let body = fixtures::load(&format!("cohere/{name}"));
        insta::assert_snapshot!(name, fixtures::read_framed(&Cohere, body, Framing::Ndjson));
    }
}

#[test]
fn plain_text_is_borrowed_from_the_event() {
    for (data, part) in [
        (r#"{"type":"content-delta","index":3,"delta":{"message":{"content":{"text":"Ahoy"}}}}"#, 3),
        (r#"{"is_finished":false,"event_type":"text-generation","text":"Ahoy"}"#, 0),
        (r#"{"is_finished":false,"text":"Ahoy"}"#, 0),
    ] {
        let event = event(data);
        let mut reading = Reading::default();
        Cohere.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading.deltas.to_vec(), [Delta::append(0, Channel::Answer, part, "Ahoy".into())]);
        assert!(matches!(&reading.deltas[0].text, Cow::Borrowed(_)));
    }
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for message in [
        r#"{"content":7}"#,
        r#"{"content":[7]}"#,
        r#"{"content":["x"]}"#,
        r#"{"content":[{"text":["x"]}]}"#,
        r#"{"content":[{"text":"a","text":"b"}]}"#,
        r#"{"content":[{"thinking":{}}]}"#,
        r#"{"tool_plan":["x"]}"#,
        r#"{"tool_calls":"x"}"#,
        r#"{"tool_calls":["x"]}"#,
        r#"{"tool_calls":[{"function":"x"}]}"#,
        r#"["x"]"#,
    ] {
        let body = format!(r#"{{"message":{message}}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        let event = event(&format!(r#"{{"type":"content-delta","delta":{body}}}"#));
        assert!(Cohere.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{body}");
    }
    for data in [
        r#"{"type":"content-delta","delta":"x"}"#,
        r#"{"type":"content-delta","delta":{"message":"x"}}"#,
        r#"{"type":7}"#,
        r#"{"event_type":7}"#,
        r#"{"text":7}"#,
        r#"{"text":"a","text":"b"}"#,
        r#"{"tool_calls":7}"#,
        r#"{"tool_call_delta":"x"}"#,
        r#"{"response":"x"}"#,
        r#"{"response":{"text":["x"]}}"#,
        "[]",
        "x",
    ] {
        assert!(Cohere.read_event(&event(data), &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
    }
    for body in
        ["{}", r#"{"text":["x"]}"#, r#"{"generations":"x"}"#, r#"{"generations":[{"text":7}]}"#, r#"{"message":"x"}"#, "[]", ""]
    {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let body = r#"{"id":7,"usage":"x","finish_reason":{},"message":{"role":3,"content":"a string","tool_calls":null}}"#;
    assert_eq!(reply(body).unwrap().deltas[0].text, "a string");
    assert!(reply(r#"{"message":{"content":[null,{"type":"to_come"}]}}"#).unwrap().deltas.is_empty());
    for data in ["", r#"{"type":"to-come","delta":null}"#, r#"{"event_type":"search-results","documents":[{"text":"not said"}]}"#]
    {
        let event = event(data);
        let mut reading = Reading::default();
        Cohere.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading, Reading::default(), "{data}");
    }
}

#[test]
fn paths_are_recognised_by_their_tails() {
    for (method, path, expected) in [
        (Method::POST, "/v2/chat", Recognised::Judged),
        (Method::POST, "/cohere/V1/ch%61t/", Recognised::Judged),
        (Method::POST, "/v1/generate", Recognised::Judged),
        (Method::POST, "/v2/embed", Recognised::Textless),
        (Method::POST, "/v1/rerank", Recognised::Textless),
        (Method::POST, "/v1/tokenize", Recognised::Textless),
        (Method::OPTIONS, "/v2/chat", Recognised::Textless),
        (Method::POST, "/api/chat", Recognised::No),
        (Method::POST, "/generate", Recognised::No),
        (Method::POST, "/v1/chat/completions", Recognised::No),
    ] {
        let found = with_head(&method, path, &HeaderMap::new(), |head| Cohere.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn requests_of_each_version_are_understood() {
    let second = exchange(
        "/v2/chat",
        r#"{"model":"command-a","stream":true,"tool_choice":"REQUIRED","messages":[{"role":"system","content":"You are Aria."},
        {"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm"},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},
        {"role":"user","content":[{"type":"text","text":"What is"},{"type":"image_url"},{"type":"text","text":"this?"}]},
        {"role":"assistant","tool_calls":[]},{"role":"tool","tool_call_id":"t","content":"done"}]}"#,
    );
    assert_eq!((second.model.as_deref(), second.stream, second.structured), (Some("command-a"), true, true));
    assert_eq!((second.system.as_deref(), second.user.as_deref()), (Some("You are Aria."), Some("What is\nthis?")));
    assert_eq!(second.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!((second.history[1].digest, second.variant), (xxh3_64(b"Hello"), None));

    let first = exchange(
        "/v1/chat",
        r#"{"model":"command-r","preamble":"You are Aria.","conversation_id":"c","message":"Again","response_format":{"type":"json_object"},
        "chat_history":[{"role":"SYSTEM","message":"Be brief."},{"role":"USER","message":"Hi"},{"role":"CHATBOT","message":"Hello"}]}"#,
    );
    assert_eq!((first.system.as_deref(), first.user.as_deref()), (Some("You are Aria.\nBe brief."), Some("Again")));
    assert_eq!((first.hints.conversation.as_deref(), first.structured, first.variant), (Some("c"), true, Some(V1)));
    assert_eq!(first.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, false]);

    let generate = exchange("/v1/generate", r#"{"prompt":"Tell","num_generations":900}"#);
    assert_eq!((generate.user.as_deref(), generate.candidates, generate.variant), (Some("Tell"), 5, Some(GENERATE)));
    // The second version at the first one's path: what it asks is what it says.
    assert_eq!(exchange("/v1/chat", r#"{"messages":[]}"#).variant, None);
    for body in ["{}", r#"{"messages":7,"chat_history":"x","message":3,"stream":"yes"}"#, r#"{"messages":[7,null]}"#, ""] {
        assert_eq!(exchange("/v2/chat", body).candidates, 1, "{body}");
    }
    let read = post("/v2/chat", |head| Cohere.read_request(head, b"[]"));
    assert!(matches!(read, Err(DialectError::Malformed(_))));
}

#[test]
fn amends_by_splicing() {
    let all = Amendment { reminder: Some("You are \"Aria\"."), temperature: Some(1.3), model: Some("m") };
    for (body, expected) in [
        (
            r#"{ "model":"x", "messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"}]}"#,
            r#"{"temperature":1, "model":"m", "messages":[{"role":"system","content":"S\n\nYou are \"Aria\"."},{"role":"user","content":"Hi"}]}"#,
        ),
        (
            r#"{"temperature":0,"model":"x","messages":[{"role":"system","content":[{"type":"text","text":"S"}]}]}"#,
            r#"{"temperature":1,"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"S"},{"type":"text","text":"You are \"Aria\"."}]}]}"#,
        ),
        (
            r#"{"temperature":0,"model":"x","messages":[{"role":"user","content":"Hi"}]}"#,
            r#"{"temperature":1,"model":"m","messages":[{"role":"system","content":"You are \"Aria\"."},{"role":"user","content":"Hi"}]}"#,
        ),
        (
            r#"{"temperature":0,"model":"x","message":"Hi","preamble":"S"}"#,
            r#"{"temperature":1,"model":"m","message":"Hi","preamble":"S\n\nYou are \"Aria\"."}"#,
        ),
        (
            r#"{"temperature":0,"model":"x","message":"Hi"}"#,
            r#"{"preamble":"You are \"Aria\".","temperature":1,"model":"m","message":"Hi"}"#,
        ),
        (
            r#"{"temperature":0,"model":"x","prompt":"Tell"}"#,
            r#"{"temperature":1,"model":"m","prompt":"You are \"Aria\".\n\nTell"}"#,
        ),
    ] {
        assert_eq!(amended(body, all).unwrap(), expected);
    }
    assert_eq!(amended("{}", Amendment::default()).unwrap(), "{}");
    for body in ["{}", r#"{"messages":7}"#, r#"{"message":"Hi","preamble":7}"#, r#"{"prompt":7}"#, "[]"] {
        assert!(amended(body, all).is_err(), "{body}");
    }
}

fn asked(path: &str, body: &str) -> Exchange {
    exchange(path, body)
}

fn refusal(exchange: &Exchange, stream: bool) -> Reply {
    let facts = Facts { id: Some("c1".into()), input_tokens: Some(11), output_tokens: Some(7), ..Facts::default() };
    let message = "I can't continue with \"that\" answer.";
    Cohere.refusal(&Refusal { exchange, facts: &facts, stream, message, request_id: "01JTEST", now: 1 })
}

#[test]
fn refusals_are_the_apis_own() {
    let mut out = String::new();
    for path in PATHS {
        for (body, stream) in
            [("{}", false), ("{}", true), (r#"{"response_format":{"type":"json_object"},"num_generations":2}"#, true)]
        {
            let reply = refusal(&asked(path, body), stream);
            let text = String::from_utf8_lossy(&reply.body);
            out.push_str(&format!("# {path} {stream}: {} {}\n{text}\n", reply.status, reply.content_type));
        }
    }
    insta::assert_snapshot!("refusals", out);
}

#[test]
fn our_own_words_are_read_back() {
    for (path, reason, framing) in [
        (PATHS[0], "COMPLETE", Framing::Sse),
        (PATHS[1], "ERROR_TOXIC", Framing::Ndjson),
        (PATHS[2], "ERROR_TOXIC", Framing::Ndjson),
    ] {
        let exchange = asked(path, "{}");
        let whole = refusal(&exchange, false).body;
        let mut reading = Reading::default();
        Cohere.read_reply(&whole, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading.deltas[0].text, "I can't continue with \"that\" answer.");
        assert!(reading.marks.contains(&Mark::Finish { candidate: 0, reason: reason.into() }), "{path}");
        let events = fixtures::events(framing, refusal(&exchange, true).body);
        let (facts, progress) = fixtures::released(&Cohere, &events);
        assert_eq!(progress.texts[0].text, "I can't continue with \"that\" answer.");
        assert_eq!(
            (progress.candidates[&0].as_deref(), progress.terminal, facts.id.as_deref()),
            (Some(reason), true, Some("c1"))
        );
        assert!(progress.open.is_empty());
    }
}

#[test]
fn a_stream_cut_anywhere_ends_well() {
    let mut endings = String::new();
    for (path, name, framing, reason) in [
        (PATHS[0], "v2.sse", Framing::Sse, "ERROR"),
        (PATHS[1], "v1.ndjson", Framing::Ndjson, "ERROR_TOXIC"),
        (PATHS[2], "generate.ndjson", Framing::Ndjson, "ERROR_TOXIC"),
    ] {
        let all = fixtures::events(framing, fixtures::load(&format!("cohere/{name}")));
        let exchange = asked(path, if path == PATHS[2] { r#"{"num_generations":2}"# } else { "{}" });
        for cut in 0..=all.len() {
            let (facts, progress) = fixtures::released(&Cohere, &all[..cut]);
            let end = Cohere.epilogue(&Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("r"), now: 1 });
            endings.push_str(&format!("{name} after {cut}:\n{}", String::from_utf8_lossy(&end)));
            let finished = progress.candidates.get(&0).is_some_and(Option::is_some);
            let mut whole = all[..cut].to_vec();
            whole.extend(fixtures::events(framing, end));
            let (_, ended) = fixtures::released(&Cohere, &whole);
            assert!(ended.terminal && ended.open.is_empty(), "{name} {cut}");
            assert!(finished || ended.candidates[&0].as_deref() == Some(reason), "{name} {cut}");
            let texts = |progress: &Progress| progress.texts.iter().map(|text| text.text.clone()).collect::<Vec<_>>();
            let calls = ended.texts.iter().filter(|text| text.channel == Channel::ToolCall);
            if framing == Framing::Ndjson {
                assert_eq!(texts(&ended), texts(&progress), "{name} {cut}: the last line says what the client has");
            } else {
                calls.for_each(|call| drop(serde_json::from_str::<Value>(&call.text).unwrap()));
            }
        }
    }
    insta::assert_snapshot!("endings", endings);
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let error =
        ApiError { status: StatusCode::FORBIDDEN, code: "content_filter", message: "what \"happened\"", request_id: "01JTEST" };
    let reply = Cohere.error(&error);
    assert_eq!((reply.status, &*reply.body), (StatusCode::FORBIDDEN, &br#"{"id":"01JTEST","message":"what \"happened\""}"#[..]));
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.clone().into() };
        let _ = Cohere.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = Cohere.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/v1/chat", |head| Cohere.read_request(head, &data));
        let _ = Cohere.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
    }

    /// A tool call cut anywhere, in pieces of any size, still ends in JSON.
    #[test]
    fn a_tool_call_cut_anywhere_is_json(arguments in prop::collection::btree_map(".{0,6}", ".{0,12}", 0..4), cut in any::<prop::sample::Index>()) {
        let arguments = serde_json::to_string(&arguments).unwrap();
        let cut = crate::text::floor_char_boundary(&arguments, cut.index(arguments.len() + 1));
        let call = |arguments: &str| json!({ "message": { "tool_calls": { "id": "t", "function": { "name": "f", "arguments": arguments } } } });
        let mut all = vec![
            event(&json!({ "type": "tool-call-start", "index": 0, "delta": call("") }).to_string()),
            event(&json!({ "type": "tool-call-delta", "index": 0, "delta": call(&arguments[..cut]) }).to_string()),
        ];
        let (facts, progress) = fixtures::released(&Cohere, &all);
        let exchange = asked("/v2/chat", "{}");
        let end = Cohere.epilogue(&Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: None, now: 1 });
        all.extend(fixtures::events(Framing::Sse, end));
        let (_, ended) = fixtures::released(&Cohere, &all);
        prop_assert!(ended.texts.iter().all(|call| serde_json::from_str::<Value>(&call.text).is_ok()), "{:?}", ended.texts);
    }
}

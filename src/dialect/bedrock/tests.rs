//! Fixtures, snapshots and properties of Converse.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Delta, Mark, Progress};
use crate::frame::{Framing, event_stream};
use crate::text::Channel;

const ARN: &str = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-3-haiku-v1%3A0";

/// A fixture's frames: a line each, its name and its payload.
fn frames(name: &str) -> Bytes {
    let text = fixtures::load(&format!("bedrock/{name}"));
    let mut out = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let (kind, payload): (String, &serde_json::value::RawValue) = serde_json::from_slice(line).unwrap();
        write::push(&mut out, &kind, payload.get());
    }
    out.into()
}

fn exchange(path: &str, body: &str) -> Exchange {
    post(path, |head| Bedrock.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    Bedrock.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn event(name: &str, data: &str) -> Event {
    Event { raw: Bytes::new(), name: Bytes::copy_from_slice(name.as_bytes()), data: data.to_owned().into() }
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    Bedrock.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

/// Frames as text: name and payload, a line each.
fn shown(body: &Bytes) -> String {
    let events = fixtures::events(Framing::EventStream, body.clone());
    events
        .iter()
        .map(|event| format!("{} {}\n", String::from_utf8_lossy(&event.name), String::from_utf8_lossy(&event.data)))
        .collect()
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    insta::assert_snapshot!("converse", fixtures::read(&Bedrock, "bedrock/converse.json"));
    for name in ["converse-stream", "exception"] {
        insta::assert_snapshot!(name, fixtures::read_body(&Bedrock, frames(&format!("{name}.jsonl"))));
    }
}

#[test]
fn plain_text_is_borrowed_from_the_event() {
    let event = event("contentBlockDelta", r#"{"contentBlockIndex":3,"delta":{"text":"Ahoy"},"p":"abc"}"#);
    let mut reading = Reading::default();
    Bedrock.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
    assert_eq!(reading.deltas.to_vec(), [Delta::append(0, Channel::Answer, 3, "Ahoy".into())]);
    assert!(matches!(&reading.deltas[0].text, Cow::Borrowed(_)));
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for block in [
        r#"{"text":7}"#,
        r#"{"text":["x"]}"#,
        r#"{"text":"a","text":"b"}"#,
        r#"{"reasoningContent":"x"}"#,
        r#"{"reasoningContent":{"reasoningText":"x"}}"#,
        r#"{"reasoningContent":{"reasoningText":{"text":["x"]}}}"#,
        r#"{"citationsContent":["x"]}"#,
        r#"{"citationsContent":{"content":"x"}}"#,
        r#"{"citationsContent":{"content":[{"text":7}]}}"#,
        r#"{"toolUse":"x"}"#,
        r#""x""#,
        r#"["x"]"#,
    ] {
        let body = format!(r#"{{"output":{{"message":{{"content":[{block}]}}}}}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        for name in ["contentBlockDelta", "", "to come"] {
            let event = event(name, &format!(r#"{{"contentBlockIndex":0,"delta":{block}}}"#));
            assert!(Bedrock.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{name} {block}");
        }
    }
    for data in [r#"{"delta":{"text":"a"},"delta":{"text":"b"}}"#, "[]", "x"] {
        assert!(Bedrock.read_event(&event("x", data), &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
    }
    for body in ["{}", r#"{"output":{}}"#, r#"{"output":{"message":"x"}}"#, r#"{"output":7}"#, "[]", ""] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let body = r#"{"stopReason":{},"usage":"x","output":{"message":{"role":3,"content":[{"text":"text"},{"to_come":7},null]}}}"#;
    assert_eq!(reply(body).unwrap().deltas[0].text, "text");
    assert!(reply(r#"{"output":{"message":{"content":[]}}}"#).unwrap().deltas.is_empty());
    for (name, data) in [("ping", ""), ("to come", r#"{"start":null,"contentBlockIndex":"x"}"#)] {
        let event = event(name, data);
        let mut reading = Reading::default();
        Bedrock.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading, Reading::default(), "{data}");
    }
}

#[test]
fn paths_are_recognised() {
    for (method, path, expected) in [
        (Method::POST, "/model/amazon.nova-lite-v1%3A0/converse", Recognised::Judged),
        (Method::POST, "/model/amazon.nova-lite-v1:0/converse-stream", Recognised::Judged),
        (Method::POST, "/bedrock/Model/x/Conver%73e/", Recognised::Judged),
        (Method::POST, &format!("{ARN}/converse"), Recognised::Judged),
        (Method::POST, "/model/x/count-tokens", Recognised::Textless),
        (Method::POST, "/guardrail/g/version/1/apply", Recognised::Textless),
        (Method::POST, "/async-invoke", Recognised::Textless),
        (Method::OPTIONS, "/model/x/converse", Recognised::Textless),
        (Method::POST, "/model/converse", Recognised::No),
        (Method::POST, "/converse", Recognised::No),
        (Method::POST, "/v1/messages/count-tokens", Recognised::No),
        (Method::POST, "/model/x/invoke-with-bidirectional-stream", Recognised::No),
    ] {
        let found = with_head(&method, path, &HeaderMap::new(), |head| Bedrock.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn a_request_is_understood() {
    let exchange = exchange(
        "/model/us.amazon.nova-micro-v1%3A0/converse-stream",
        r#"{"system":[{"text":"You are Aria."},{"cachePoint":{"type":"default"}},{"text":"Be brief."}],
        "requestMetadata":{"user_id":"u","session_id":"s"},"inferenceConfig":{"maxTokens":9},
        "messages":[{"role":"user","content":[{"text":"Hi"}]},
        {"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Hm"}}},{"text":"Hel"},{"text":"lo"}]},
        {"role":"user","content":[{"text":"What is"},{"image":{}},{"guardContent":{"text":{"text":"this?"}}}]},
        {"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f","input":{}}}]},
        {"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[{"text":"done"}]}}]}]}"#,
    );
    assert_eq!((exchange.model.as_deref(), exchange.stream), (Some("us.amazon.nova-micro-v1:0"), true));
    assert_eq!(exchange.system.as_deref(), Some("You are Aria.\nBe brief."));
    assert_eq!(exchange.user.as_deref(), Some("What is\nthis?"));
    assert_eq!(exchange.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(exchange.history[1].digest, xxh3_64(b"Hello"));
    assert_eq!((exchange.hints.user.as_deref(), exchange.hints.conversation.as_deref()), (Some("u"), Some("s")));
}

#[test]
fn models_may_be_arns() {
    let exchange = exchange(&format!("/prefix{ARN}/converse"), "");
    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-haiku-v1:0";
    assert_eq!((exchange.model.as_deref(), exchange.stream), (Some(arn), false));
}

#[test]
fn structured_answers_are_told_from_free_text() {
    for (body, structured) in [
        (r#"{"toolConfig":{"toolChoice":{"any":{}}}}"#, true),
        (r#"{"toolConfig":{"toolChoice":{"tool":{"name":"f"}}}}"#, true),
        (r#"{"toolConfig":{"toolChoice":{"auto":{}}}}"#, false),
        (r#"{"outputConfig":{"textFormat":{"type":"json_schema","structure":{}}}}"#, true),
        (r#"{"toolConfig":7,"messages":3,"system":"x","requestMetadata":[]}"#, false),
        ("{}", false),
    ] {
        assert_eq!(exchange("/model/m/converse", body).structured, structured, "{body}");
    }
    for body in ["x", "[]", "{\"messages\":"] {
        let read = post("/model/m/converse", |head| Bedrock.read_request(head, body.as_bytes()));
        assert!(matches!(read, Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn amends_by_splicing() {
    let all = Amendment { reminder: Some("You are \"Aria\"."), temperature: Some(1.3), ..Amendment::default() };
    assert_eq!(
        amended(r#"{ "system" : [{"text":"S"}], "messages":[] }"#, all).unwrap(),
        r#"{"inferenceConfig":{"temperature":1}, "system" : [{"text":"S"},{"text":"You are \"Aria\"."}], "messages":[] }"#
    );
    let reminder = Amendment { reminder: Some("R"), ..Amendment::default() };
    assert_eq!(amended(r#"{"messages":[]}"#, reminder).unwrap(), r#"{"system":[{"text":"R"}],"messages":[]}"#);
    assert_eq!(amended(r#"{"system":null}"#, reminder).unwrap(), r#"{"system":[{"text":"R"}]}"#);
    assert!(amended(r#"{"system":"x"}"#, reminder).is_err());
    let other = Amendment { model: Some("m"), ..Amendment::default() };
    assert!(matches!(amended("{}", other), Err(DialectError::Unsupported(_))));
    assert_eq!(amended("{}", Amendment::default()).unwrap(), "{}");
    let cooler = Amendment { temperature: Some(0.25), ..Amendment::default() };
    for (body, expected) in [
        (r#"{"inferenceConfig":{"maxTokens":9}}"#, r#"{"inferenceConfig":{"temperature":0.25,"maxTokens":9}}"#),
        (r#"{"inferenceConfig": { "temperature": 1 } }"#, r#"{"inferenceConfig": { "temperature": 0.25 } }"#),
        (r#"{"inferenceConfig":{"temperature":1,"topP":1}}"#, r#"{"inferenceConfig":{"temperature":0.25,"topP":1}}"#),
        (r#"{"inferenceConfig":{"topP":1}}"#, r#"{"inferenceConfig":{"topP":1}}"#),
        (
            r#"{"additionalModelRequestFields":{"thinking":{"type":"enabled"}}}"#,
            r#"{"additionalModelRequestFields":{"thinking":{"type":"enabled"}}}"#,
        ),
    ] {
        assert_eq!(amended(body, cooler).unwrap(), expected);
    }
    assert!(amended(r#"{"inferenceConfig":7}"#, cooler).is_err());
}

fn refusal(structured: bool, stream: bool) -> Reply {
    let exchange = Exchange { structured, ..Exchange::unknown(Api::BedrockConverse) };
    let facts = Facts { input_tokens: Some(11), output_tokens: Some(7), ..Facts::default() };
    let message = "I can't continue with \"that\" answer.";
    Bedrock.refusal(&Refusal { exchange: &exchange, facts: &facts, stream, message, request_id: "01JTEST", now: 1 })
}

#[test]
fn refusals_are_a_guardrails() {
    for (structured, name) in [(false, "refusal"), (true, "refusal_of_structured_output")] {
        let whole = refusal(structured, false);
        insta::assert_snapshot!(
            name,
            format!("{} {}\n\n{}", whole.status, whole.content_type, String::from_utf8_lossy(&whole.body))
        );
        let streamed = refusal(structured, true);
        assert_eq!(streamed.content_type, "application/vnd.amazon.eventstream");
        insta::assert_snapshot!(format!("{name}_streamed"), shown(&streamed.body));
    }
}

#[test]
fn our_own_words_are_read_back() {
    for (structured, said) in [(false, Some("I can't continue with \"that\" answer.")), (true, None)] {
        let whole = refusal(structured, false).body;
        let mut reading = Reading::default();
        Bedrock.read_reply(&whole, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading.deltas.iter().map(|delta| &*delta.text).next(), said);
        assert!(reading.marks.contains(&Mark::Finish { candidate: 0, reason: "guardrail_intervened".into() }));
        let events = fixtures::events(Framing::EventStream, refusal(structured, true).body);
        let (facts, progress) = fixtures::released(&Bedrock, &events);
        assert_eq!(progress.texts.first().map(|text| text.text.as_str()), said);
        assert!(progress.started && progress.terminal && progress.open.is_empty());
        assert_eq!((progress.candidates[&0].as_deref(), facts.output_tokens), (Some("guardrail_intervened"), Some(7)));
    }
}

fn epilogue(facts: &Facts, progress: &Progress) -> Bytes {
    let exchange = Exchange::unknown(Api::BedrockConverse);
    Bedrock.epilogue(&Cut { exchange: &exchange, facts, progress, rule: Some("r"), now: 1 })
}

#[test]
fn a_stream_cut_anywhere_ends_well() {
    let all = fixtures::events(Framing::EventStream, frames("converse-stream.jsonl"));
    let mut endings = String::new();
    for cut in 0..=all.len() {
        let (facts, progress) = fixtures::released(&Bedrock, &all[..cut]);
        let end = epilogue(&facts, &progress);
        endings.push_str(&format!("after {cut}:\n{}", shown(&end)));
        let mut whole = all[..cut].to_vec();
        whole.extend(fixtures::events(Framing::EventStream, end));
        let (_, ended) = fixtures::released(&Bedrock, &whole);
        assert!(ended.started && ended.terminal && ended.open.is_empty(), "{cut}");
        let reason = if cut + 1 < all.len() { "guardrail_intervened" } else { "tool_use" };
        assert_eq!(ended.candidates[&0].as_deref(), Some(reason), "{cut}");
        for name in ["messageStart", "messageStop", "metadata"] {
            assert_eq!(whole.iter().filter(|event| &*event.name == name.as_bytes()).count(), 1, "{name} after {cut}");
        }
        for index in 0..4 {
            let of_index = |event: &&Event| {
                let payload: Value = serde_json::from_slice(&event.data).unwrap();
                payload["contentBlockIndex"] == index
            };
            let last = whole.iter().rfind(of_index);
            assert!(last.is_none_or(|event| &*event.name == b"contentBlockStop"), "block {index} stays open after {cut}");
        }
        let input = ended.texts.iter().find(|text| text.channel == Channel::ToolCall);
        assert!(input.is_none_or(|input| serde_json::from_str::<Value>(&input.text).is_ok()), "{cut}: {input:?}");
    }
    insta::assert_snapshot!("endings", endings);
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let mut out = String::new();
    for status in [400, 401, 403, 404, 408, 424, 429, 500, 502, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Bedrock.error(&ApiError { status, code: "content_filter", message: "what happened", request_id: "01JTEST" });
        out.push_str(&format!("{} {} {}\n", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body)));
    }
    insta::assert_snapshot!("errors", out);
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200), name in "[a-zA-Z]{0,20}") {
        let event = Event { raw: Bytes::new(), name: name.into(), data: data.clone().into() };
        let _ = Bedrock.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = Bedrock.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/model/m/converse", |head| Bedrock.read_request(head, &data));
        let _ = Bedrock.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: None });
    }

    #[test]
    fn an_amended_request_says_the_same_and_the_reminder(reminder in ".{1,40}", system in ".{0,40}") {
        let body = json!({ "messages": [], "system": [{ "text": system }] }).to_string();
        let amended = amended(&body, Amendment { reminder: Some(&reminder), ..Amendment::default() }).unwrap();
        let expected = json!({ "messages": [], "system": [{ "text": system }, { "text": reminder }] });
        prop_assert_eq!(serde_json::from_str::<Value>(&amended).unwrap(), expected);
    }

    /// A frame with one byte changed is no frame.
    #[test]
    fn frames_are_sealed(text in ".{0,40}", at in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        let mut frame = Vec::new();
        event_stream::write(&mut frame, &[(":event-type", "chunk")], text.as_bytes());
        let at = at.index(frame.len());
        frame[at] ^= flip;
        let mut framer = crate::frame::Framer::new(Framing::EventStream, 1 << 16);
        framer.push(frame.into());
        prop_assert!(framer.finish().is_err());
    }
}

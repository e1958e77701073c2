//! Fixtures, snapshots and properties of the Interactions format.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Mark, Progress};
use crate::frame::Framing;
use crate::text::Channel;

const PATH: &str = "/v1beta/interactions";

fn exchange(body: &str) -> Exchange {
    post(PATH, |head| GeminiInteractions.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    GeminiInteractions.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    GeminiInteractions.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

fn facts() -> Facts {
    Facts {
        id: Some("v1_a".into()),
        model: Some("gemini-3-flash-preview".into()),
        input_tokens: Some(5),
        output_tokens: Some(21),
        ..Facts::default()
    }
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in ["stream.sse", "repeated.sse", "first-version.sse", "error.sse", "every-step.json", "queued.json"] {
        insta::assert_snapshot!(name, fixtures::read(&GeminiInteractions, &format!("gemini-interactions/{name}")));
    }
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for step in [
        r#"{"type":"model_output","content":7}"#,
        r#"{"type":"model_output","content":[7]}"#,
        r#"{"type":"model_output","content":[{"type":"text","text":["x"]}]}"#,
        r#"{"type":"model_output","text":{"value":"x"}}"#,
        r#"{"type":"model_output","content":[{"text":"a","text":"b"}]}"#,
        r#"{"type":"thought","summary":[["x"]]}"#,
        r#"{"type":"of the future","content":[{"text":7}]}"#,
        r#""x""#,
        "null",
    ] {
        let body = format!(r#"{{"status":"completed","steps":[{step}]}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        let event = format!(r#"{{"event_type":"interaction.completed","interaction":{body}}}"#);
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: event.into() };
        let read = GeminiInteractions.read_event(&event, &mut Facts::default(), &mut Reading::default());
        assert!(read.is_err(), "{body}");
    }
    for body in [
        r#"{"steps":{"content":"x"}}"#,
        r#"{"status":"completed","outputs":"x"}"#,
        r#"{"answer":"in a field that nobody knows"}"#,
        r#"["x"]"#,
        "",
        "no JSON",
    ] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
    for data in [
        r#"{"event_type":"step.delta","index":0,"delta":{"type":"text","text":7}}"#,
        r#"{"event_type":"step.delta","index":0,"delta":"x"}"#,
        r#"{"event_type":"step.start","step":["x"]}"#,
        r#"{"event_type":["step.delta"],"delta":{"text":"x"}}"#,
        r#"{"index":0}"#,
    ] {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.into() };
        let read = GeminiInteractions.read_event(&event, &mut Facts::default(), &mut Reading::default());
        assert!(read.is_err(), "{data}");
    }
}

#[test]
fn paths_are_recognised_below_a_version() {
    let cases = [
        (Method::POST, PATH, Recognised::Judged),
        (Method::POST, "/proxy//v1alpha/Interactions/", Recognised::Judged),
        (Method::GET, "/v1beta/interactions/v1_a", Recognised::Judged),
        (Method::POST, "/v1beta/interactions/v1_a/cancel", Recognised::Judged),
        (Method::POST, "/v1beta1/projects/p/locations/global/interactions", Recognised::Judged),
        (Method::DELETE, "/v1beta/interactions/v1_a", Recognised::Textless),
        (Method::OPTIONS, PATH, Recognised::Textless),
        (Method::POST, "/interactions", Recognised::No),
        (Method::POST, "/discord/interactions", Recognised::No),
        (Method::POST, "/v1beta/interactions/v1_a/notes", Recognised::No),
        (Method::POST, "/v1beta/models/gemini-2.5-flash:generateContent", Recognised::No),
    ];
    for (method, path, expected) in cases {
        let found = with_head(&method, path, &HeaderMap::new(), |head| GeminiInteractions.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn a_request_is_understood() {
    let read = exchange(
        r#"{"model":"gemini-3-flash-preview","stream":true,"previous_interaction_id":"v1_0","system_instruction":"You are Aria.",
        "input":[{"type":"user_input","content":[{"type":"text","text":"Hi"}]},
        {"type":"model_output","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},
        {"type":"function_result","call_id":"f1","result":"3"},
        {"type":"user_input","content":[{"type":"text","text":"What is this?"},{"type":"image","data":""},{"type":"text","text":"Here."}]}]}"#,
    );
    assert_eq!((read.model.as_deref(), read.stream, read.structured), (Some("gemini-3-flash-preview"), true, false));
    assert_eq!((read.system.as_deref(), read.hints.previous.as_deref()), (Some("You are Aria."), Some("v1_0")));
    assert_eq!(read.user.as_deref(), Some("What is this?\nHere."));
    assert_eq!(read.history[1].digest, xxhash_rust::xxh3::xxh3_64(b"Hello"));
    for (input, user, turns) in [
        (r#""Hi""#, "Hi", 1),
        (r#"{"type":"text","text":"Hi"}"#, "Hi", 1),
        (r#"[{"type":"text","text":"Hi"},{"type":"text","text":"there"}]"#, "Hi\nthere", 1),
        (r#"[{"role":"user","content":"Hi"},{"role":"model","content":"Yes?"},{"role":"user","content":"Go on"}]"#, "Go on", 3),
    ] {
        let read = exchange(&format!(r#"{{"input":{input}}}"#));
        assert_eq!((read.user.as_deref(), read.history.len()), (Some(user), turns), "{input}");
        assert_eq!(read.history.iter().filter(|turn| turn.assistant).count(), turns / 2, "{input}");
    }
    for (body, structured) in [
        (r#"{"generation_config":{"tool_choice":"any"}}"#, true),
        (r#"{"generation_config":{"tool_choice":"auto"}}"#, false),
        (r#"{"response_format":{"type":"object","properties":{}}}"#, true),
        (r#"{"response_format":[{"type":"text","mime_type":"application/json"}]}"#, true),
        (r#"{"response_format":{"type":"audio"}}"#, false),
        (r#"{"response_mime_type":"application/json"}"#, true),
        (r#"{"input":[7,null],"generation_config":[],"response_format":"x"}"#, false),
    ] {
        assert_eq!(exchange(body).structured, structured, "{body}");
    }
    let resumed = RequestHead {
        method: &Method::GET,
        path: "/v1beta/interactions/v1_a",
        query: Some("stream=true&last_event_id=3"),
        headers: &HeaderMap::new(),
    };
    assert!(GeminiInteractions.read_request(&resumed, b"").unwrap().stream);
    assert!(post(PATH, |head| GeminiInteractions.read_request(head, b"[]")).is_err());
}

#[test]
fn amends_by_splicing() {
    let reminder = Amendment { reminder: Some("You are \"Aria\"."), ..Amendment::default() };
    let cooler = Amendment { temperature: Some(0.3), ..Amendment::default() };
    let body = r#"{"input":"Hi"}"#;
    assert_eq!(amended(body, reminder).unwrap(), r#"{"system_instruction":"You are \"Aria\".","input":"Hi"}"#);
    assert_eq!(
        amended(r#"{"system_instruction":"S","x":1}"#, reminder).unwrap(),
        r#"{"system_instruction":"S\n\nYou are \"Aria\".","x":1}"#
    );
    assert!(amended(r#"{"system_instruction":["S"]}"#, reminder).is_err());
    assert_eq!(amended(body, cooler).unwrap(), r#"{"generation_config":{"temperature":0.3},"input":"Hi"}"#);
    assert_eq!(
        amended(r#"{"generation_config":{"temperature":1,"seed":2}}"#, cooler).unwrap(),
        r#"{"generation_config":{"temperature":0.3,"seed":2}}"#
    );
    assert_eq!(amended(body, Amendment { model: Some("m"), ..Amendment::default() }).unwrap(), r#"{"model":"m","input":"Hi"}"#);
    assert!(matches!(amended("", reminder), Err(DialectError::Unsupported(_))));
    assert_eq!(amended(body, Amendment::default()).unwrap(), body);
}

fn refusal(structured: bool, facts: &Facts, stream: bool) -> Reply {
    let exchange = Exchange { model: Some("asked-for".into()), structured, ..Exchange::unknown(Api::Gemini) };
    let message = "I can't continue with \"that\" answer.";
    GeminiInteractions.refusal(&Refusal {
        exchange: &exchange,
        facts,
        stream,
        message,
        request_id: "01JTEST",
        now: 1_800_000_000,
    })
}

fn shown(reply: &Reply) -> String {
    format!("{} {}\n\n{}", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body))
}

#[test]
fn refusals_are_whole_interactions() {
    insta::assert_snapshot!("refusal", shown(&refusal(false, &facts(), false)));
    insta::assert_snapshot!("refusal_before_any_answer", shown(&refusal(false, &Facts::default(), false)));
    insta::assert_snapshot!("refusal_streamed", shown(&refusal(false, &facts(), true)));
    insta::assert_snapshot!("refusal_to_a_parser", shown(&refusal(true, &facts(), false)));
    insta::assert_snapshot!("refusal_to_a_parser_streamed", shown(&refusal(true, &facts(), true)));
}

#[test]
fn our_own_words_are_read_back() {
    for stream in [false, true] {
        let reply = refusal(false, &facts(), stream);
        let framing = Framing::sniff(Some(reply.content_type), &reply.body).unwrap();
        let mut text = String::new();
        let mut progress = Progress::default();
        for event in fixtures::events(framing, reply.body) {
            let mut reading = Reading::default();
            match stream {
                true => GeminiInteractions.read_event(&event, &mut Facts::default(), &mut reading).unwrap(),
                false => GeminiInteractions.read_reply(&event.data, &mut Facts::default(), &mut reading).unwrap(),
            }
            reading.deltas.iter().for_each(|delta| text.push_str(&delta.text));
            reading.marks.iter().for_each(|mark| progress.apply(mark));
        }
        assert_eq!(text, "I can't continue with \"that\" answer.");
        assert_eq!(progress.candidates[&0].as_deref(), Some("incomplete"));
        assert!(progress.open.is_empty() && progress.terminal == stream);
    }
}

/// The end after the first `count` events of a fixture have left.
fn cut_after(name: &str, count: usize) -> String {
    let events = fixtures::events(Framing::Sse, fixtures::load(&format!("gemini-interactions/{name}")));
    let (facts, progress) = fixtures::released(&GeminiInteractions, &events[..count]);
    let exchange = Exchange::unknown(Api::Gemini);
    let cut = Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("r"), now: 1_800_000_000 };
    String::from_utf8(GeminiInteractions.epilogue(&cut).to_vec()).unwrap()
}

#[test]
fn a_cut_closes_what_is_open() {
    insta::assert_snapshot!("epilogue_in_text", cut_after("stream.sse", 12));
    insta::assert_snapshot!("epilogue_in_a_call", cut_after("stream.sse", 17));
    insta::assert_snapshot!("epilogue_before_any_step", cut_after("stream.sse", 2));
    insta::assert_snapshot!("epilogue_of_nothing", cut_after("stream.sse", 0));
    // Completed, but for the last event.
    assert_eq!(cut_after("stream.sse", 20), "event: done\ndata: [DONE]\n\n: steadfast verdict=block rule=\"r\"\n\n");
    assert_eq!(cut_after("stream.sse", 21), ": steadfast verdict=block rule=\"r\"\n\n");
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let data = Bytes::from(data);
        let event = Event { raw: data.clone(), name: Bytes::new(), data: data.clone() };
        let _ = GeminiInteractions.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = GeminiInteractions.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post(PATH, |head| GeminiInteractions.read_request(head, &data));
        let _ = GeminiInteractions.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
    }

    /// Whatever a step says reaches the reader, once, whole or streamed.
    #[test]
    fn no_text_is_lost(text in ".{1,20}", thought in ".{1,20}", value in ".{0,20}") {
        let steps = serde_json::json!([
            { "type": "thought", "summary": [{ "type": "text", "text": thought }] },
            { "type": "model_output", "content": [{ "type": "text", "text": text }] },
            { "type": "function_call", "id": "f", "name": "f", "arguments": { "a": value } } ]);
        let whole = serde_json::json!({ "status": "completed", "steps": steps }).to_string();
        let arguments = serde_json::json!({ "a": value }).to_string();
        let expected = vec![(Channel::Reasoning, 0, thought), (Channel::Answer, 1, text), (Channel::ToolCall, 2, arguments)];
        let got = |reading: &Reading<'_>| reading.deltas.iter().map(|delta| (delta.channel, delta.part, delta.text.to_string())).collect::<Vec<_>>();
        prop_assert_eq!(got(&reply(&whole).unwrap()), expected.clone());
        let event = format!(r#"{{"event_type":"interaction.completed","interaction":{whole}}}"#);
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: event.into() };
        let mut reading = Reading::default();
        GeminiInteractions.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
        prop_assert_eq!(got(&reading), expected);
        let finish = Mark::Finish { candidate: 0, reason: "completed".into() };
        prop_assert!(reading.marks.contains(&finish));
    }
}

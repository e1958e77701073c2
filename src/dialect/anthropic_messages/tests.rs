//! Fixtures, snapshots and properties of Messages.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Delta, Mark, Progress, Released};
use crate::frame::Framing;
use crate::text::Channel;

const STREAMS: [&str; 4] = ["blocks.sse", "server-tools.sse", "prefilled.sse", "error.sse"];

fn exchange(body: &str) -> Exchange {
    post("/v1/messages", |head| AnthropicMessages.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    AnthropicMessages.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn event(data: &str) -> Event {
    Event { raw: Bytes::new(), name: Bytes::new(), data: data.to_owned().into() }
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    AnthropicMessages.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

fn stream(name: &str) -> Vec<Event> {
    fixtures::events(Framing::Sse, fixtures::load(&format!("anthropic-messages/{name}")))
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(&event.data).unwrap()
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in STREAMS.iter().chain(&["every-block.json", "error.json"]) {
        insta::assert_snapshot!(*name, fixtures::read(&AnthropicMessages, &format!("anthropic-messages/{name}")));
    }
}

#[test]
fn plain_text_is_borrowed_from_the_event() {
    let event = event(r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"Ahoy"}   }"#);
    let mut reading = Reading::default();
    AnthropicMessages.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
    assert_eq!(reading.deltas.to_vec(), [Delta::append(0, Channel::Answer, 3, "Ahoy".into())]);
    assert!(matches!(&reading.deltas[0].text, Cow::Borrowed(_)));
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for block in [
        r#"{"type":"text","text":7}"#,
        r#"{"type":"text","text":["x"]}"#,
        r#"{"type":"text","text":"a","text":"b"}"#,
        r#"{"type":"thinking","thinking":{"text":"x"}}"#,
        r#"{"type":"compaction","content":["x"]}"#,
        r#"{"type":"to_come","text":{"value":"x"}}"#,
        r#""x""#,
        r#"["x"]"#,
    ] {
        let body = format!(r#"{{"type":"message","content":[{block}]}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        for data in [
            format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#),
            format!(r#"{{"type":"message_start","message":{body}}}"#),
        ] {
            let event = event(&data);
            assert!(AnthropicMessages.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
        }
    }
    for data in [
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":1}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":["x"]}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":{}}}"#,
        r#"{"type":"content_block_delta","delta":"x"}"#,
        r#"{"type":"content_block_delta","delta":{"text":"a"},"delta":{"text":"b"}}"#,
        r#"{"type":"message_start","message":"x"}"#,
        r#"{"type":7}"#,
        r#"{"delta":{"text":"no type"}}"#,
        "[]",
        "x",
    ] {
        let event = event(data);
        assert!(AnthropicMessages.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
    }
    for body in ["{}", r#"{"content":7}"#, r#"{"choices":[]}"#, r#"{"completion":"x"}"#, "[]", ""] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let body =
        r#"{"id":7,"model":[],"usage":"x","stop_reason":{},"content":[{"type":"text","text":"text","citations":7,"id":3}]}"#;
    assert_eq!(reply(body).unwrap().deltas[0].text, "text");
    assert_eq!(reply(r#"{"content":"a string"}"#).unwrap().deltas[0].text, "a string");
    assert!(reply(r#"{"type":"message","content":[]}"#).unwrap().deltas.is_empty());
    for data in ["", r#"{"type":"ping"}"#, r#"{"type":"to_come","delta":7}"#] {
        let event = event(data);
        let mut reading = Reading::default();
        AnthropicMessages.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading, Reading::default(), "{data}");
    }
}

#[test]
fn paths_are_recognised_by_their_tails() {
    let named: HeaderMap =
        [(http::HeaderName::from_static("anthropic-version"), "2023-06-01".parse().unwrap())].into_iter().collect();
    let vertex = "/v1/projects/p/locations/l/publishers/anthropic/models";
    let cases = [
        (Method::POST, "/v1/messages".to_owned(), Recognised::Judged, Recognised::Judged),
        (Method::POST, "/api/v1/messages/".to_owned(), Recognised::Judged, Recognised::Judged),
        (Method::POST, "/anthropic/V1/m%65ssages".to_owned(), Recognised::Judged, Recognised::Judged),
        (Method::POST, "/messages".to_owned(), Recognised::No, Recognised::Judged),
        (Method::POST, format!("{vertex}/claude-opus-5@20260101:rawPredict"), Recognised::Judged, Recognised::Judged),
        (Method::POST, format!("{vertex}/claude-opus-5:streamRawPredict"), Recognised::Judged, Recognised::Judged),
        (Method::POST, format!("{vertex}/count-tokens:rawPredict"), Recognised::Textless, Recognised::Textless),
        (Method::POST, format!("{vertex}/claude-opus-5:countTokens"), Recognised::No, Recognised::No),
        (Method::POST, "/v1/messages/count_tokens".to_owned(), Recognised::Textless, Recognised::Textless),
        (Method::POST, "/v1/messages/batches".to_owned(), Recognised::Textless, Recognised::Textless),
        (Method::GET, "/v1/messages/batches/b_1/results".to_owned(), Recognised::No, Recognised::No),
        (Method::POST, "/v1/messages/batches/b_1/cancel".to_owned(), Recognised::Textless, Recognised::Textless),
        // A header that anybody can send must not hide another API's answers.
        (Method::POST, "/v1/models/gemini-3-pro:generateContent".to_owned(), Recognised::No, Recognised::No),
        (Method::GET, "/v1/models".to_owned(), Recognised::No, Recognised::Textless),
        (Method::GET, "/v1/models/claude-opus-5".to_owned(), Recognised::No, Recognised::Textless),
        (Method::OPTIONS, "/v1/messages".to_owned(), Recognised::Textless, Recognised::Textless),
        (Method::POST, "/v1/threads/thread_1/messages".to_owned(), Recognised::No, Recognised::Judged),
        (Method::POST, "/v1/complete".to_owned(), Recognised::No, Recognised::No),
        (Method::POST, "/v1/chat/completions".to_owned(), Recognised::No, Recognised::No),
    ];
    for (method, path, plain, with_header) in cases {
        for (headers, expected) in [(&HeaderMap::new(), plain), (&named, with_header)] {
            let found = with_head(&method, &path, headers, |head| AnthropicMessages.recognise(head));
            assert_eq!(found, expected, "{method} {path}");
        }
    }
}

#[test]
fn a_request_is_understood() {
    let exchange = exchange(
        r#"{"model":"claude-opus-5","stream":true,"max_tokens":9,"metadata":{"user_id":"user_ab_account_cd_session_ef"},
        "system":[{"type":"text","text":"You are Aria."},{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":"Hi"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":"s"},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},
        {"role":"user","content":[{"type":"text","text":"What is"},{"type":"image","source":{}},{"type":"text","text":"this?"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"done"}]}]}"#,
    );
    assert_eq!((exchange.model.as_deref(), exchange.stream, exchange.structured), (Some("claude-opus-5"), true, false));
    assert_eq!(exchange.system.as_deref(), Some("You are Aria.\nBe brief."));
    assert_eq!(exchange.user.as_deref(), Some("What is\nthis?"));
    assert_eq!(exchange.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(exchange.history[1].digest, xxh3_64(b"Hello"));
    assert_eq!(exchange.hints.user.as_deref(), Some("user_ab_account_cd_session_ef"));
    assert_eq!(exchange.hints.conversation.as_deref(), Some("ef"));
}

#[test]
fn vertex_names_the_model_in_the_path() {
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5%4020250929:streamRawPredict";
    let exchange =
        post(path, |head| AnthropicMessages.read_request(head, br#"{"anthropic_version":"vertex-2023-10-16"}"#)).unwrap();
    assert_eq!((exchange.model.as_deref(), exchange.stream), (Some("claude-sonnet-4-5@20250929"), true));
    let other = Amendment { model: Some("claude-opus-5"), ..Amendment::default() };
    assert_eq!(amended(r#"{"anthropic_version":"vertex-2023-10-16"}"#, other), Err(DialectError::Unsupported("the model")));
}

#[test]
fn odd_requests_are_still_requests() {
    for body in ["{}", r#"{"messages":7,"stream":"yes","system":3,"metadata":[]}"#, r#"{"messages":[7,null,{"role":7}]}"#, ""] {
        assert_eq!(exchange(body).candidates, 1, "{body}");
    }
    for body in ["x", "[]", "{\"messages\":"] {
        let read = post("/v1/messages", |head| AnthropicMessages.read_request(head, body.as_bytes()));
        assert!(matches!(read, Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn structured_answers_are_told_from_free_text() {
    for (body, structured) in [
        (r#"{"tool_choice":{"type":"tool","name":"f"}}"#, true),
        (r#"{"tool_choice":{"type":"any"}}"#, true),
        (r#"{"tool_choice":{"type":"auto"}}"#, false),
        (r#"{"output_config":{"format":{"type":"json_schema","schema":{}}}}"#, true),
        (r#"{"output_format":{"type":"json_schema"}}"#, true),
        (r#"{"output_config":{"effort":"low"}}"#, false),
    ] {
        assert_eq!(exchange(body).structured, structured, "{body}");
    }
}

#[test]
fn amends_by_splicing() {
    let all = Amendment { reminder: Some("You are \"Aria\"."), temperature: Some(1.3), model: Some("claude-sonnet-4-5") };
    assert_eq!(
        amended(r#"{ "model":"claude-3-haiku" ,"system":"S", "messages":[]}"#, all).unwrap(),
        r#"{"temperature":1, "model":"claude-sonnet-4-5" ,"system":"S\n\nYou are \"Aria\".", "messages":[]}"#
    );
    let reminder = Amendment { reminder: Some("R"), ..Amendment::default() };
    for (body, expected) in [
        (r#"{"messages":[]}"#, r#"{"system":"R","messages":[]}"#),
        (r#"{"system":null}"#, r#"{"system":"R"}"#),
        (r#"{"system":[]}"#, r#"{"system":[{"type":"text","text":"R"}]}"#),
        (
            r#"{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}]}"#,
            r#"{"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}},{"type":"text","text":"R"}]}"#,
        ),
    ] {
        assert_eq!(amended(body, reminder).unwrap(), expected);
    }
    assert_eq!(amended(r#"{"messages":[]}"#, Amendment::default()).unwrap(), r#"{"messages":[]}"#);
    assert!(amended(r#"{"system":7}"#, reminder).is_err());
    assert!(amended("[]", reminder).is_err());
}

#[test]
fn a_temperature_is_set_only_where_it_is_taken() {
    let cooler = Amendment { temperature: Some(0.0), ..Amendment::default() };
    for body in [
        r#"{"model":"claude-sonnet-4-5","thinking":{"type":"enabled","budget_tokens":1024}}"#,
        r#"{"model":"claude-sonnet-4-5","thinking":{"type":"adaptive"},"temperature":1}"#,
        r#"{"model":"claude-opus-5"}"#,
        r#"{"model":"anthropic/claude-opus-4.7"}"#,
        r#"{"model":"claude-sonnet-4-5","top_p":0.9}"#,
    ] {
        assert_eq!(amended(body, cooler).unwrap(), body);
    }
    for model in
        ["claude-3-5-haiku-latest", "claude-opus-4-6", "anthropic/claude-4.5-sonnet", "claude-sonnet-4-20250514", "kimi-k2"]
    {
        let body = format!(r#"{{"model":"{model}","thinking":{{"type":"disabled"}}}}"#);
        assert!(amended(&body, cooler).unwrap().starts_with(r#"{"temperature":0,"#), "{model}");
    }
    // What the client sent itself, its model takes; another model may not.
    assert_eq!(
        amended(r#"{"model":"claude-opus-5","temperature":1}"#, cooler).unwrap(),
        r#"{"model":"claude-opus-5","temperature":0}"#
    );
    let other = Amendment { model: Some("claude-opus-5"), ..cooler };
    assert_eq!(
        amended(r#"{"model":"claude-3-haiku","temperature":1}"#, other).unwrap(),
        r#"{"model":"claude-opus-5","temperature":1}"#
    );
}

fn refusal(structured: bool, stream: bool, facts: &Facts) -> Reply {
    let exchange = Exchange { model: Some("asked-for".into()), structured, ..Exchange::unknown(Api::AnthropicMessages) };
    let message = "I can't continue with \"that\" answer.";
    AnthropicMessages.refusal(&Refusal { exchange: &exchange, facts, stream, message, request_id: "01JTEST", now: 1_800_000_000 })
}

fn facts() -> Facts {
    Facts {
        id: Some("msg_h1".into()),
        model: Some("claude-opus-5".into()),
        input_tokens: Some(11),
        output_tokens: Some(7),
        ..Facts::default()
    }
}

fn shown(reply: &Reply) -> String {
    format!("{} {}\n\n{}", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body))
}

#[test]
fn refusals_are_the_apis_own() {
    insta::assert_snapshot!("refusal", shown(&refusal(false, false, &facts())));
    insta::assert_snapshot!("refusal_before_any_answer", shown(&refusal(false, false, &Facts::default())));
    insta::assert_snapshot!("refusal_of_structured_output", shown(&refusal(true, false, &facts())));
    insta::assert_snapshot!("refusal_streamed", shown(&refusal(false, true, &facts())));
    insta::assert_snapshot!("refusal_of_structured_output_streamed", shown(&refusal(true, true, &facts())));
}

#[test]
fn our_own_words_are_read_back() {
    for (structured, texts) in [(false, vec!["I can't continue with \"that\" answer."]), (true, vec![])] {
        let whole = refusal(structured, false, &Facts::default()).body;
        let mut reading = Reading::default();
        AnthropicMessages.read_reply(&whole, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading.deltas.iter().map(|delta| &*delta.text).collect::<Vec<_>>(), texts);
        assert!(reading.marks.contains(&Mark::Finish { candidate: 0, reason: "refusal".into() }));

        let events = fixtures::events(Framing::Sse, refusal(structured, true, &Facts::default()).body);
        let (facts, progress) = fixtures::released(&AnthropicMessages, &events);
        assert_eq!(facts.id.as_deref(), Some("msg_01jtest"));
        assert!(progress.started && progress.terminal && progress.open.is_empty());
        assert_eq!(progress.candidates[&0].as_deref(), Some("refusal"));
        assert_eq!(progress.texts.iter().map(|text| text.text.as_str()).collect::<Vec<_>>(), texts);
    }
}

fn epilogue(facts: &Facts, progress: &Progress, rule: Option<&str>) -> Bytes {
    let exchange = Exchange::unknown(Api::AnthropicMessages);
    AnthropicMessages.epilogue(&Cut { exchange: &exchange, facts, progress, rule, now: 1_800_000_000 })
}

#[test]
fn a_cut_ends_what_is_open() {
    let cut = |name: &str, after: usize| {
        let (facts, progress) = fixtures::released(&AnthropicMessages, &stream(name)[..after]);
        String::from_utf8(epilogue(&facts, &progress, Some("no \"hate\"")).to_vec()).unwrap()
    };
    insta::assert_snapshot!("epilogue_in_thinking", cut("blocks.sse", 4));
    insta::assert_snapshot!("epilogue_in_text", cut("blocks.sse", 11));
    insta::assert_snapshot!("epilogue_in_a_tool_call", cut("blocks.sse", 18));
    insta::assert_snapshot!("epilogue_between_blocks", cut("blocks.sse", 7));
    insta::assert_snapshot!(
        "epilogue_before_anything",
        String::from_utf8(epilogue(&Facts::default(), &Progress::default(), None).to_vec()).unwrap()
    );
    let over = Progress { terminal: true, ..Progress::default() };
    assert_eq!(epilogue(&facts(), &over, Some("r")), ": steadfast verdict=block rule=\"r\"\n\n");
}

/// The input of each tool call whose block has ended, put together as clients do.
fn inputs(events: &[Event]) -> BTreeMap<u64, String> {
    let mut inputs: BTreeMap<u64, String> = BTreeMap::new();
    for event in events.iter().filter(|event| event.data.starts_with(b"{")).map(data) {
        if let Some(piece) = event["delta"]["partial_json"].as_str() {
            inputs.entry(event["index"].as_u64().unwrap()).or_default().push_str(piece);
        }
    }
    inputs
}

#[test]
fn wherever_a_stream_is_cut_its_end_is_whole() {
    for name in STREAMS {
        let events = stream(name);
        for after in 0..events.len() {
            let (facts, before) = fixtures::released(&AnthropicMessages, &events[..after]);
            if before.terminal {
                continue;
            }
            let mut all = events[..after].to_vec();
            all.extend(fixtures::events(Framing::Sse, epilogue(&facts, &before, None)));
            let (_, progress) = fixtures::released(&AnthropicMessages, &all);
            assert!(progress.started && progress.terminal && progress.open.is_empty(), "{name} after {after}");
            assert_eq!(progress.candidates[&0].as_deref(), Some("refusal"), "{name} after {after}");
            let texts = |progress: &Progress| {
                let told = |text: &&Released| text.channel != Channel::ToolCall;
                progress.texts.iter().filter(told).cloned().collect::<Vec<_>>()
            };
            assert_eq!(texts(&progress), texts(&before), "{name} after {after}");
            for (index, input) in inputs(&all).into_iter().filter(|(_, input)| !input.is_empty()) {
                serde_json::from_str::<Value>(&input)
                    .unwrap_or_else(|error| panic!("{name} after {after}, block {index}: {input}: {error}"));
            }
        }
    }
}

#[test]
fn half_an_argument_does_not_look_whole() {
    let events = stream("blocks.sse");
    let (facts, progress) = fixtures::released(&AnthropicMessages, &events[..18]);
    assert_eq!(progress.texts.last().unwrap().text, "{\"name\": \"Heron\", \"berth\": {\"row\"");
    let mut all = events[..18].to_vec();
    all.extend(fixtures::events(Framing::Sse, epilogue(&facts, &progress, None)));
    let input: Value = serde_json::from_str(&inputs(&all)[&3]).unwrap();
    assert_eq!(input, json!({ "name": "Heron", "berth": null }));
}

#[test]
fn a_call_whose_input_is_still_held_gets_none() {
    let (facts, mut progress) = fixtures::released(&AnthropicMessages, &stream("blocks.sse")[..15]);
    let shown = epilogue(&facts, &progress, None);
    progress.texts.push(Released { candidate: 0, channel: Channel::ToolCall, part: 3, text: String::new() });
    assert_eq!(epilogue(&facts, &progress, None), shown);
    assert!(!shown.windows(12).any(|window| window == b"partial_json"));
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let mut out = String::new();
    for status in [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529] {
        let status = StatusCode::from_u16(status).unwrap();
        let error = ApiError { status, code: "content_filter", message: "what happened", request_id: "01JTEST" };
        out.push_str(&shown(&AnthropicMessages.error(&error)));
        out.push('\n');
    }
    insta::assert_snapshot!("errors", out);
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.clone().into() };
        let _ = AnthropicMessages.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = AnthropicMessages.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/v1/messages", |head| AnthropicMessages.read_request(head, &data));
        let _ = AnthropicMessages.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
    }

    /// A tool call cut anywhere, in pieces of any size, still ends in JSON.
    #[test]
    fn a_tool_call_cut_anywhere_is_json(arguments in prop::collection::btree_map(".{0,6}", ".{0,12}", 0..4), cut in any::<prop::sample::Index>()) {
        let arguments = serde_json::to_string(&arguments).unwrap();
        let cut = crate::text::floor_char_boundary(&arguments, cut.index(arguments.len() + 1));
        let open = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "t", "name": "f", "input": {} } });
        let delta = json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": &arguments[..cut] } });
        let mut all = vec![event(&open.to_string()), event(&delta.to_string())];
        let (facts, progress) = fixtures::released(&AnthropicMessages, &all);
        all.extend(fixtures::events(Framing::Sse, epilogue(&facts, &progress, None)));
        let input = &inputs(&all)[&0];
        prop_assert!(input.is_empty() || serde_json::from_str::<Value>(input).is_ok(), "{}", input);
    }

    #[test]
    fn an_amended_request_says_the_same_and_the_reminder(reminder in ".{1,40}", system in ".{0,40}") {
        for (given, expected) in [
            (json!(system), json!(format!("{system}\n\n{reminder}"))),
            (json!([{ "type": "text", "text": system }]), json!([{ "type": "text", "text": system }, { "type": "text", "text": reminder }])),
        ] {
            let body = json!({ "messages": [], "system": given }).to_string();
            let amended = amended(&body, Amendment { reminder: Some(&reminder), ..Amendment::default() }).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&amended).unwrap(), json!({ "messages": [], "system": expected }));
        }
    }
}

//! Fixtures, snapshots and properties of Chat Completions.

use std::borrow::Cow;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Delta, Extent, Progress};
use crate::text::{Channel, MAX_LANES};

fn exchange(body: &str) -> Exchange {
    post("/v1/chat/completions", |head| OpenAiChat.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    OpenAiChat.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    OpenAiChat.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

fn facts() -> Facts {
    Facts {
        id: Some("chatcmpl-Fx1".into()),
        model: Some("gpt-4o-mini-2024-07-18".into()),
        created: Some(1_767_225_600),
        fingerprint: Some("fp_1f2e".into()),
        input_tokens: Some(11),
        output_tokens: Some(7),
        ..Facts::default()
    }
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in [
        "plain.sse",
        "two-choices.sse",
        "azure.sse",
        "mistral-thinking.sse",
        "perplexity.sse",
        "writer.sse",
        "groq-error.sse",
        "openrouter-error.sse",
        "tool-calls.sse",
        "together-text.sse",
        "surrogates.sse",
        "every-channel.json",
        "azure-filtered.json",
        "stored-list.json",
    ] {
        insta::assert_snapshot!(name, fixtures::read(&OpenAiChat, &format!("openai-chat/{name}")));
    }
}

#[test]
fn plain_text_is_borrowed_from_the_event() {
    let events = fixtures::events(crate::frame::Framing::Sse, fixtures::load("openai-chat/plain.sse"));
    let mut reading = Reading::default();
    OpenAiChat.read_event(&events[1], &mut Facts::default(), &mut reading).unwrap();
    assert!(matches!(&reading.deltas[..], [Delta { text: Cow::Borrowed("The harbour"), .. }]));
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for message in [
        r#"{"content":7}"#,
        r#"{"content":{"text":"x"}}"#,
        r#"{"content":[7]}"#,
        r#"{"content":[["x"]]}"#,
        r#"{"content":[{"type":"text","text":{"value":"x"}}]}"#,
        r#"{"content":[{"type":"thinking","thinking":{"text":"x"}}]}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"text":["x"]}]}]}"#,
        r#"{"content":"a","content":"b"}"#,
        r#"{"refusal":["x"]}"#,
        r#"{"reasoning":{"text":"x"}}"#,
        r#"{"reasoning_content":true}"#,
        r#"{"reasoning_details":"x"}"#,
        r#"{"reasoning_details":[{"text":1}]}"#,
        r#"{"tool_calls":{"0":{"function":{"arguments":"x"}}}}"#,
        r#"{"tool_calls":["x"]}"#,
        r#"{"tool_calls":[{"function":"x"}]}"#,
        r#"{"tool_calls":[{"function":{"arguments":7}}]}"#,
        r#"{"function_call":"x"}"#,
        r#"{"audio":"x"}"#,
        r#"{"audio":{"transcript":["x"]}}"#,
        r#""x""#,
        r#"["x"]"#,
    ] {
        let body = format!(r#"{{"choices":[{{"index":0,"message":{message}}}]}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: body.replace("\"message\"", "\"delta\"").into() };
        let mut reading = Reading::default();
        assert!(OpenAiChat.read_event(&event, &mut Facts::default(), &mut reading).is_err(), "{body}");
    }
    for body in [
        r#"{"choices":{"0":{"message":{"content":"x"}}}}"#,
        r#"{"choices":"x"}"#,
        r#"{"choices":["x"]}"#,
        r#"{"choices":[null]}"#,
        r#"{"choices":[{"text":["x"]}]}"#,
        r#"{"id":"no choices at all","message":{"content":"x"}}"#,
        r#"{"data":["x"]}"#,
        r#"["x"]"#,
        r#""x""#,
        "",
        "no JSON",
        r#"{"choices":[]} {"choices":[]}"#,
    ] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let body = r#"{"id":7,"model":["m"],"created":"soon","usage":[1],"x_groq":"x","choices":[
        {"index":"0","message":{"content":"text","role":3,"annotations":{},"logprobs":null},"finish_reason":2}]}"#;
    let reading = reply(body).unwrap();
    assert_eq!(reading.deltas[0].text, "text");
    assert!(reading.marks.contains(&Mark::Finish { candidate: 0, reason: "2".into() }));
    assert!(reply(r#"{"choices":[]}"#).unwrap().deltas.is_empty());
    assert!(reply(r#"{"error":"string"}"#).unwrap().marks.contains(&Mark::Error));
}

#[test]
fn paths_are_recognised_by_their_tails() {
    let cohere: HeaderMap = [(http::header::USER_AGENT, "cohere/5.20.1".parse().unwrap())].into_iter().collect();
    let cases = [
        (Method::POST, "/v1/chat/completions", Recognised::Judged),
        (Method::POST, "/chat/completions/", Recognised::Judged),
        (Method::POST, "//v1/Chat/%63ompletions", Recognised::Judged),
        (Method::POST, "/openai/deployments/gpt-4o/chat/completions", Recognised::Judged),
        (Method::POST, "/v1beta/openai/chat/completions", Recognised::Judged),
        (Method::POST, "/v1/fim/completions", Recognised::Judged),
        (Method::POST, "/v1/agents/completions", Recognised::Judged),
        (Method::POST, "/v1/chat", Recognised::Judged),
        (Method::GET, "/v1/chat/completions/chatcmpl-1", Recognised::Judged),
        (Method::GET, "/v1/chat/completions/chatcmpl-1/messages", Recognised::Textless),
        (Method::DELETE, "/v1/chat/completions/chatcmpl-1", Recognised::Textless),
        (Method::OPTIONS, "/v1/chat/completions", Recognised::Textless),
        (Method::POST, "/v1/completions", Recognised::No),
        (Method::POST, "/api/chat", Recognised::No),
        (Method::POST, "/v2/chat", Recognised::No),
        (Method::POST, "/v1/messages", Recognised::No),
        (Method::GET, "/v1/models", Recognised::Textless),
        (Method::GET, "/v1/models/gpt-4o", Recognised::Textless),
        (Method::POST, "/v1/models", Recognised::No),
        (Method::POST, "/v1/embeddings", Recognised::Textless),
        (Method::POST, "/openai/deployments/ada/embeddings", Recognised::Textless),
        (Method::POST, "/api/embeddings", Recognised::No),
        (Method::GET, "/v1beta/models", Recognised::No),
    ];
    for (method, path, expected) in cases {
        let found = with_head(&method, path, &HeaderMap::new(), |head| OpenAiChat.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
    assert_eq!(with_head(&Method::POST, "/v1/chat", &cohere, |head| OpenAiChat.recognise(head)), Recognised::No);
}

#[test]
fn a_request_is_understood() {
    let exchange = exchange(
        r#"{"model":"gpt-4o","stream":true,"n":2,"user":"u1","metadata":{"session_id":"s1"},
        "tool_choice":{"type":"function","function":{"name":"f"}},
        "messages":[{"role":"system","content":"You are Aria."},{"role":"developer","content":[{"type":"text","text":"Be brief."}]},
        {"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},
        {"role":"system","content":"Later note."},
        {"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:"}},{"type":"text","text":"Here."}]}]}"#,
    );
    assert_eq!(
        (exchange.model.as_deref(), exchange.stream, exchange.candidates, exchange.structured),
        (Some("gpt-4o"), true, 2, true)
    );
    assert_eq!(exchange.system.as_deref(), Some("You are Aria.\nBe brief."));
    assert_eq!(exchange.user.as_deref(), Some("What is this?\nHere."));
    assert_eq!(exchange.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(exchange.history[1].digest, xxh3_64(b"Hello"));
    assert_eq!((exchange.hints.user.as_deref(), exchange.hints.conversation.as_deref()), (Some("u1"), Some("s1")));
}

#[test]
fn odd_requests_are_still_requests() {
    for body in ["{}", r#"{"messages":"x","n":-3,"stream":"yes","model":7}"#, r#"{"messages":[7,null,{"role":7}]}"#, ""] {
        assert_eq!(exchange(body).candidates, 1, "{body}");
    }
    assert_eq!(exchange(r#"{"n":4000000000}"#).candidates, openai::MAX_CANDIDATES);
    let azure = post("/openai/deployments/gpt-4o/chat/completions", |head| OpenAiChat.read_request(head, b"{}")).unwrap();
    assert_eq!(azure.model.as_deref(), Some("gpt-4o"));
    for body in ["x", "[]", "\"x\"", "{\"messages\":"] {
        assert_eq!(
            post("/v1/chat/completions", |head| OpenAiChat.read_request(head, body.as_bytes())),
            Err(DialectError::Malformed("request"))
        );
    }
}

#[test]
fn structured_answers_are_told_from_free_text() {
    for (body, structured) in [
        (r#"{"response_format":{"type":"json_schema"}}"#, true),
        (r#"{"response_format":{"type":"json_object"}}"#, true),
        (r#"{"response_format":{"type":"text"}}"#, false),
        (r#"{"tool_choice":"required"}"#, true),
        (r#"{"tool_choice":"auto"}"#, false),
        (r#"{"function_call":{"name":"f"}}"#, true),
        (r#"{"function_call":"auto"}"#, false),
    ] {
        assert_eq!(exchange(body).structured, structured, "{body}");
    }
}

#[test]
fn amends_by_splicing() {
    let body = r#"{ "model":"gpt-4o" ,"messages":[{"role":"system","content":"S"}, {"role":"developer","content":"D"},{"role":"user","content":"U"}], "seed":1}"#;
    let all = Amendment { reminder: Some("You are \"Aria\"."), temperature: Some(0.3), model: Some("other") };
    assert_eq!(
        amended(body, all).unwrap(),
        r#"{"temperature":0.3, "model":"other" ,"messages":[{"role":"system","content":"S"}, {"role":"developer","content":"D"},{"role":"developer","content":"You are \"Aria\"."},{"role":"user","content":"U"}], "seed":1}"#
    );
    let reminder = Amendment { reminder: Some("R"), ..Amendment::default() };
    assert_eq!(amended(r#"{"messages":[]}"#, reminder).unwrap(), r#"{"messages":[{"role":"system","content":"R"}]}"#);
    assert_eq!(
        amended(r#"{"messages":[{"role":"user","content":"U"}]}"#, reminder).unwrap(),
        r#"{"messages":[{"role":"system","content":"R"},{"role":"user","content":"U"}]}"#
    );
    assert_eq!(amended(body, Amendment::default()).unwrap(), body);
    assert_eq!(amended(r#"{"prompt":"x"}"#, reminder), Err(DialectError::Unsupported("a request without messages")));
    assert_eq!(amended("[]", reminder), Err(DialectError::Malformed("request")));
}

#[test]
fn a_model_with_a_fixed_temperature_keeps_it() {
    let cooler = Amendment { temperature: Some(0.0), ..Amendment::default() };
    assert_eq!(amended(r#"{"model":"o3-mini"}"#, cooler).unwrap(), r#"{"model":"o3-mini"}"#);
    assert_eq!(amended(r#"{"model":"gpt-4o","temperature":1}"#, cooler).unwrap(), r#"{"model":"gpt-4o","temperature":0}"#);
    let other = Amendment { model: Some("gpt-4o"), ..cooler };
    assert_eq!(amended(r#"{"model":"o3-mini"}"#, other).unwrap(), r#"{"temperature":0,"model":"gpt-4o"}"#);
}

fn refusal(candidates: u32, facts: &Facts, stream: bool) -> Reply {
    let exchange = Exchange { model: Some("asked-for".into()), candidates, ..Exchange::unknown(Api::OpenAiChat) };
    let message = "I can't continue with \"that\" answer.";
    OpenAiChat.refusal(&Refusal { exchange: &exchange, facts, stream, message, request_id: "01JTEST", now: 1_800_000_000 })
}

fn shown(reply: &Reply) -> String {
    format!("{} {}\n\n{}", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body))
}

#[test]
fn refusals_look_like_a_filtered_answer() {
    insta::assert_snapshot!("refusal", shown(&refusal(1, &facts(), false)));
    insta::assert_snapshot!("refusal_before_any_answer", shown(&refusal(2, &Facts::default(), false)));
    insta::assert_snapshot!("refusal_streamed", shown(&refusal(2, &facts(), true)));
}

#[test]
fn our_own_words_are_read_back() {
    for (stream, name) in [(false, "whole"), (true, "streamed")] {
        let reply = refusal(2, &facts(), stream);
        let framing = crate::frame::Framing::sniff(Some(reply.content_type), &reply.body).unwrap();
        let mut texts = vec![String::new(); 2];
        let mut finished = Vec::new();
        for event in fixtures::events(framing, reply.body) {
            let mut reading = Reading::default();
            let mut facts = Facts::default();
            match stream {
                true => OpenAiChat.read_event(&event, &mut facts, &mut reading).unwrap(),
                false => OpenAiChat.read_reply(&event.data, &mut facts, &mut reading).unwrap(),
            }
            for delta in &reading.deltas {
                assert_eq!(delta.channel, Channel::Answer);
                texts[delta.candidate as usize].push_str(&delta.text);
            }
            finished.extend(reading.marks.into_iter().filter_map(|mark| match mark {
                Mark::Finish { candidate, reason } => Some((candidate, reason.to_string())),
                _ => None,
            }));
        }
        assert_eq!(texts, ["I can't continue with \"that\" answer."; 2], "{name}");
        assert_eq!(finished, [(0, FILTERED.to_owned()), (1, FILTERED.to_owned())], "{name}");
    }
}

fn epilogue(candidates: u32, progress: &Progress, rule: Option<&str>) -> String {
    let exchange = Exchange { candidates, ..Exchange::unknown(Api::OpenAiChat) };
    let cut = Cut { exchange: &exchange, facts: &facts(), progress, rule, now: 1_800_000_000 };
    String::from_utf8(OpenAiChat.epilogue(&cut).to_vec()).unwrap()
}

#[test]
fn a_cut_ends_what_is_open() {
    let mut progress = Progress::default();
    for mark in [Mark::Candidate(0), Mark::Candidate(1), Mark::Finish { candidate: 0, reason: "stop".into() }] {
        progress.apply(&mark);
    }
    insta::assert_snapshot!("epilogue", epilogue(3, &progress, Some("no \"hate\"\nplease")));
    insta::assert_snapshot!("epilogue_without_a_rule", epilogue(1, &Progress::default(), None));
    progress.apply(&Mark::Terminal);
    assert_eq!(epilogue(3, &progress, Some("r")), ": steadfast verdict=block rule=\"r\"\n\n");
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let mut out = String::new();
    for (status, code) in
        [(400, "content_filter"), (401, "invalid_api_key"), (404, "route_not_found"), (502, "upstream_unreachable")]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let error = ApiError { status, code, message: "what happened", request_id: "01JTEST" };
        out.push_str(&shown(&OpenAiChat.error(&error)));
        out.push('\n');
    }
    insta::assert_snapshot!("errors", out);
}

#[test]
fn members_come_in_any_order() {
    let body = r#"{"choices":[{"finish_reason":"stop","message":{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"index":2}],
        "refusal":"no","content":[{"summary":[{"text":"I think "}],"thinking":"so"},{"text":"yes"}]},"index":3}],"model":"m","id":"x"}"#;
    let reading = reply(body).unwrap();
    let said: Vec<_> = reading.deltas.iter().map(|delta| (delta.candidate, delta.channel, delta.part, &*delta.text)).collect();
    let expected = [
        (3, Channel::Reasoning, 0, "I think so"),
        (3, Channel::Answer, 0, "yes"),
        (3, Channel::Refusal, 0, "no"),
        (3, Channel::ToolCall, 2, "{}"),
    ];
    assert_eq!(said, expected);
    let tool = Mark::Tool { candidate: 3, part: 2, name: "f".into() };
    assert_eq!(reading.marks[..], [Mark::Candidate(3), tool, Mark::Finish { candidate: 3, reason: "stop".into() }]);
}

#[test]
fn an_answer_that_is_malformed_late_says_what_it_is_all_the_same() {
    let mut facts = Facts::default();
    let read = |body: &str, facts: &mut Facts| OpenAiChat.read_reply(body.as_bytes(), facts, &mut Reading::default());
    assert!(read(r#"{"choices":[{"message":{"content":7}}],"id":"x"}"#, &mut facts).is_err());
    assert_eq!(facts.id.as_deref(), Some("x"));
    let mut facts = Facts::default();
    assert!(read(r#"{"id":"x","choices":[{"message":{"content":"a"}}]"#, &mut facts).is_err());
    assert_eq!(facts.id, None, "it is no document");
}

#[test]
fn a_list_of_choices_has_a_greatest_length() {
    let body = |choices: usize| format!(r#"{{"choices":[{}]}}"#, vec![r#"{"text":""}"#; choices].join(","));
    assert_eq!(reply(&body(MAX_LANES)).unwrap().marks.len(), MAX_LANES);
    assert_eq!(reply(&body(MAX_LANES + 1)), Err(DialectError::Malformed("choices")));
}

#[test]
fn calls_that_are_there_twice_are_read_once() {
    let calls: Vec<String> = (0..500).map(|call| format!(r#"{{"function":{{"arguments":"{}"}}}}"#, call % 7)).collect();
    let calls = calls.join(",");
    let body = format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{calls}]}},"message":{{"tool_calls":[{calls},{calls}]}}}}]}}"#);
    let reading = reply(&body).unwrap();
    // Those of the second half are other calls.
    assert_eq!(reading.deltas.len(), 1000);
    assert!(reading.deltas[..500].iter().all(|delta| delta.extent == Extent::Append));
    assert!(reading.deltas[500..].iter().zip(500..).all(|(delta, part)| delta.part == part && delta.extent == Extent::Whole));
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.clone().into() };
        let _ = OpenAiChat.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = OpenAiChat.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/v1/chat/completions", |head| OpenAiChat.read_request(head, &data));
        let _ = OpenAiChat.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
    }

    /// Whatever a message says reaches the reader, once, under every name it can have.
    #[test]
    fn no_text_is_lost(content in ".{1,20}", reasoning in ".{1,20}", refusal in ".{1,20}", arguments in ".{1,20}") {
        let message = serde_json::json!({ "content": content, "reasoning": reasoning, "reasoning_content": reasoning, "refusal": refusal,
            "tool_calls": [{ "index": 3, "function": { "arguments": arguments } }] });
        for field in ["delta", "message"] {
            let body = serde_json::json!({ "choices": [{ "index": 1, field: message }] }).to_string();
            let reading = reply(&body).unwrap();
            let got: Vec<(Channel, &str)> = reading.deltas.iter().map(|delta| (delta.channel, &*delta.text)).collect();
            prop_assert_eq!(got, vec![(Channel::Reasoning, &*reasoning), (Channel::Answer, &*content), (Channel::Refusal, &*refusal), (Channel::ToolCall, &*arguments)]);
        }
    }

    #[test]
    fn an_amended_request_says_the_same_and_the_reminder(reminder in ".{1,40}", content in ".{0,40}", temperature in 0.0f32..2.0) {
        let body = serde_json::json!({ "messages": [{ "role": "user", "content": content }], "n": 1 });
        let amended = amended(&body.to_string(), Amendment { reminder: Some(&reminder), temperature: Some(temperature), model: None }).unwrap();
        let amended: serde_json::Value = serde_json::from_str(&amended).unwrap();
        prop_assert_eq!(&amended["messages"][0]["content"], &serde_json::Value::from(reminder));
        prop_assert_eq!(&amended["messages"][1], &body["messages"][0]);
        prop_assert!((amended["temperature"].as_f64().unwrap() - f64::from(temperature)).abs() < 1e-6);
    }
}

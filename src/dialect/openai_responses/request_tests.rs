//! What requests in Responses are, ask for, and become when they are sent again.

use http::HeaderMap;
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::dialect::fixtures::{post, with_head};

fn exchange(body: &str) -> Exchange {
    post("/v1/responses", |head| OpenAiResponses.read_request(head, body.as_bytes())).unwrap()
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    OpenAiResponses.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

#[test]
fn paths_are_recognised_by_their_tails() {
    let cases = [
        (Method::POST, "/v1/responses", Recognised::Judged),
        (Method::POST, "/openai/v1/responses/", Recognised::Judged),
        (Method::POST, "/backend-api/codex/responses", Recognised::Judged),
        (Method::POST, "/v1//Responses", Recognised::Judged),
        (Method::POST, "/v1/r%65sponses", Recognised::Judged),
        (Method::GET, "/v1/responses/resp_1", Recognised::Judged),
        (Method::POST, "/v1/responses/resp_1/cancel", Recognised::Judged),
        (Method::DELETE, "/v1/responses/resp_1", Recognised::Textless),
        (Method::GET, "/v1/responses/resp_1/input_items", Recognised::Judged),
        (Method::POST, "/v1/responses/compact", Recognised::Textless),
        (Method::POST, "/v1/responses/input_tokens", Recognised::Textless),
        (Method::OPTIONS, "/v1/responses", Recognised::Textless),
        (Method::POST, "/v1/responses/resp_1/input_items/x", Recognised::No),
        (Method::POST, "/v1/chat/completions", Recognised::No),
        (Method::GET, "/v1/models", Recognised::No),
    ];
    for (method, path, expected) in cases {
        let found = with_head(&method, path, &HeaderMap::new(), |head| OpenAiResponses.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn a_request_is_understood() {
    let exchange = exchange(
        r#"{"model":"gpt-5.2","stream":true,"instructions":"You are Aria.","safety_identifier":"u1","conversation":{"id":"conv_1"},
        "previous_response_id":"resp_0","input":[
        {"role":"developer","content":[{"type":"input_text","text":"Be brief."}]},
        {"role":"user","content":"Hi"},
        {"type":"reasoning","id":"rs_1","summary":[]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hel"},{"type":"output_text","text":"lo"}]},
        {"type":"function_call","name":"f","arguments":"{}","call_id":"c"},
        {"type":"function_call_output","call_id":"c","output":"done"},
        {"role":"system","content":"Later note."},
        {"role":"user","content":[{"type":"input_text","text":"What is"},{"type":"input_image","image_url":"data:"},{"type":"input_text","text":"this?"}]}]}"#,
    );
    assert_eq!((exchange.model.as_deref(), exchange.stream, exchange.candidates), (Some("gpt-5.2"), true, 1));
    assert_eq!(exchange.system.as_deref(), Some("You are Aria.\nBe brief."));
    assert_eq!(exchange.user.as_deref(), Some("What is\nthis?"));
    assert_eq!(exchange.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, true, false, false, false]);
    assert_eq!(exchange.history[1].digest, xxh3_64(b"Hello"));
    let hints = &exchange.hints;
    assert_eq!(
        (hints.user.as_deref(), hints.conversation.as_deref(), hints.previous.as_deref()),
        (Some("u1"), Some("conv_1"), Some("resp_0"))
    );
}

#[test]
fn an_answer_asked_for_again_belongs_to_its_conversation() {
    let ask = |method: Method, path: &str, query: Option<&str>, body: &[u8]| {
        let headers = HeaderMap::new();
        let head = RequestHead { method: &method, path, query, headers: &headers };
        OpenAiResponses.read_request(&head, body).unwrap()
    };
    let again = ask(Method::GET, "/v1/responses/resp_Ab1", Some("stream=true&starting_after=3"), b"");
    assert_eq!((again.hints.previous.as_deref(), again.stream), (Some("resp_Ab1"), true));
    assert_eq!(ask(Method::POST, "/v1/responses/resp_Ab1/cancel", None, b"{}").hints.previous.as_deref(), Some("resp_Ab1"));
    assert_eq!(ask(Method::POST, "/v1/responses", None, br#"{"input":"Hi"}"#).hints.previous, None);
}

#[test]
fn odd_requests_are_still_requests() {
    for body in [
        "{}",
        r#"{"input":7,"stream":"yes","model":[],"text":3}"#,
        r#"{"input":[7,null,{"role":7},{"type":"item_reference"}]}"#,
        "",
    ] {
        assert_eq!(exchange(body).candidates, 1, "{body}");
    }
    assert_eq!(exchange(r#"{"input":"Hi"}"#).user.as_deref(), Some("Hi"));
    for body in ["x", "[]", "{\"input\":"] {
        let read = post("/v1/responses", |head| OpenAiResponses.read_request(head, body.as_bytes()));
        assert!(matches!(read, Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn structured_answers_are_told_from_free_text() {
    for (body, structured) in [
        (r#"{"text":{"format":{"type":"json_schema"}}}"#, true),
        (r#"{"text":{"format":{"type":"json_object"}}}"#, true),
        (r#"{"text":{"format":{"type":"text"}}}"#, false),
        (r#"{"tool_choice":"required"}"#, true),
        (r#"{"tool_choice":"auto"}"#, false),
        (r#"{"tool_choice":{"type":"function","name":"f"}}"#, true),
        (r#"{"tool_choice":{"type":"allowed_tools","mode":"auto"}}"#, false),
        (r#"{"tool_choice":{"type":"allowed_tools","mode":"required"}}"#, true),
    ] {
        assert_eq!(exchange(body).structured, structured, "{body}");
    }
}

#[test]
fn amends_by_splicing() {
    let all = Amendment { reminder: Some("You are \"Aria\"."), temperature: Some(0.3), model: Some("other") };
    assert_eq!(
        amended(r#"{ "model":"gpt-4o" ,"instructions":"S", "input":"U","store":false}"#, all).unwrap(),
        r#"{"temperature":0.3, "model":"other" ,"instructions":"S\n\nYou are \"Aria\".", "input":"U","store":false}"#
    );
    let reminder = Amendment { reminder: Some("R"), ..Amendment::default() };
    for (body, expected) in [
        (r#"{"input":"U"}"#, r#"{"instructions":"R","input":"U"}"#),
        (r#"{"instructions":null,"input":"U"}"#, r#"{"instructions":"R","input":"U"}"#),
        (
            r#"{"instructions":[],"input":"U"}"#,
            r#"{"instructions":[{"type":"message","role":"developer","content":"R"}],"input":"U"}"#,
        ),
        // A stored prompt's own instructions would be replaced.
        (
            r#"{"prompt":{"id":"p"},"input":"U"}"#,
            r#"{"prompt":{"id":"p"},"input":[{"type":"message","role":"developer","content":"R"},{"type":"message","role":"user","content":"U"}]}"#,
        ),
        (
            r#"{"prompt":{"id":"p"},"input":[7]}"#,
            r#"{"prompt":{"id":"p"},"input":[{"type":"message","role":"developer","content":"R"},7]}"#,
        ),
        (r#"{"prompt":{"id":"p"}}"#, r#"{"input":[{"type":"message","role":"developer","content":"R"}],"prompt":{"id":"p"}}"#),
    ] {
        assert_eq!(amended(body, reminder).unwrap(), expected);
    }
    assert_eq!(amended(r#"{"input":"U"}"#, Amendment::default()).unwrap(), r#"{"input":"U"}"#);
    assert!(amended(r#"{"instructions":7}"#, reminder).is_err());
    assert!(amended("[]", reminder).is_err());
}

#[test]
fn a_reasoning_request_gets_no_temperature() {
    let cooler = Amendment { temperature: Some(0.0), ..Amendment::default() };
    for body in [r#"{"model":"o3-mini"}"#, r#"{"model":"grok-4","reasoning":{"effort":"low"}}"#] {
        assert_eq!(amended(body, cooler).unwrap(), body);
    }
    assert_eq!(amended(r#"{"model":"gpt-4o"}"#, cooler).unwrap(), r#"{"temperature":0,"model":"gpt-4o"}"#);
    assert_eq!(
        amended(r#"{"model":"grok-4","reasoning":{"effort":"none"},"temperature":1}"#, cooler).unwrap(),
        r#"{"model":"grok-4","reasoning":{"effort":"none"},"temperature":0}"#
    );
}

//! Fixtures and snapshots of Completions.

use super::*;
use crate::dialect::Progress;
use crate::dialect::fixtures::{self, post, with_head};

fn exchange(body: &str) -> Exchange {
    post("/v1/completions", |head| OpenAiCompletions.read_request(head, body.as_bytes())).unwrap()
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    OpenAiCompletions.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

fn shown(reply: &Reply) -> String {
    format!("{} {}\n\n{}", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body))
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in ["two-prompts.sse", "writer-value.sse", "plain.json"] {
        insta::assert_snapshot!(name, fixtures::read(&OpenAiCompletions, &format!("openai-completions/{name}")));
    }
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for body in
        [r#"{"choices":[{"text":7}]}"#, r#"{"choices":"x"}"#, r#"{"value":["x"]}"#, r#"{"completion":"x"}"#, r#"["x"]"#, ""]
    {
        let read = OpenAiCompletions.read_reply(body.as_bytes(), &mut Facts::default(), &mut Reading::default());
        assert!(matches!(read, Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn paths_are_recognised_by_their_tails() {
    for (method, path, expected) in [
        (Method::POST, "/v1/completions", Recognised::Judged),
        (Method::POST, "/openai/deployments/x/completions", Recognised::Judged),
        (Method::OPTIONS, "/v1/completions", Recognised::Textless),
        (Method::POST, "/v1/chat/completions", Recognised::No),
        (Method::POST, "/v1/fim/completions", Recognised::No),
        (Method::POST, "/v1/responses", Recognised::No),
    ] {
        let found = with_head(&method, path, &http::HeaderMap::new(), |head| OpenAiCompletions.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn prompts_are_counted() {
    for (body, candidates, user) in [
        (r#"{"prompt":"a","n":3}"#, 3, Some("a")),
        (r#"{"prompt":["a","b"],"n":2}"#, 4, Some("b")),
        (r#"{"prompt":[1,2,3]}"#, 1, None),
        (r#"{"prompt":[[1,2],[3]]}"#, 2, None),
        (r#"{"prompt":["a","b"],"n":4000000000}"#, openai::MAX_CANDIDATES, Some("b")),
        (r#"{}"#, 1, None),
    ] {
        let exchange = exchange(body);
        assert_eq!((exchange.candidates, exchange.user.as_deref()), (candidates, user), "{body}");
    }
}

#[test]
fn a_reminder_stands_before_each_prompt() {
    let reminder = Amendment { reminder: Some("R"), temperature: Some(0.5), ..Amendment::default() };
    assert_eq!(amended(r#"{"prompt":"a"}"#, reminder).unwrap(), r#"{"temperature":0.5,"prompt":"R\n\na"}"#);
    assert_eq!(amended(r#"{"prompt":["a", "b"]}"#, reminder).unwrap(), r#"{"temperature":0.5,"prompt":["R\n\na", "R\n\nb"]}"#);
    for body in [r#"{"prompt":[1,2]}"#, r#"{"prompt":["a",1]}"#, r#"{"prompt":[]}"#, r#"{"prompt":null}"#, "{}"] {
        assert_eq!(amended(body, reminder), Err(DialectError::Unsupported("a prompt that is no text")), "{body}");
    }
}

#[test]
fn refusals_and_cuts_look_like_a_filtered_answer() {
    let exchange = Exchange { model: Some("davinci-002".into()), candidates: 2, ..Exchange::unknown(Api::OpenAiCompletions) };
    let facts = Facts { id: Some("cmpl-1".into()), input_tokens: Some(4), ..Facts::default() };
    for (name, facts, stream) in
        [("refusal", &facts, false), ("refusal_before_any_answer", &Facts::default(), false), ("refusal_streamed", &facts, true)]
    {
        let refusal = Refusal { exchange: &exchange, facts, stream, message: "No.", request_id: "01JTEST", now: 1_800_000_000 };
        insta::assert_snapshot!(name, shown(&OpenAiCompletions.refusal(&refusal)));
    }
    let mut progress = Progress::default();
    progress.apply(&Mark::Finish { candidate: 0, reason: "stop".into() });
    let cut = Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("hate"), now: 1_800_000_000 };
    insta::assert_snapshot!("epilogue", String::from_utf8_lossy(&OpenAiCompletions.epilogue(&cut)));
}

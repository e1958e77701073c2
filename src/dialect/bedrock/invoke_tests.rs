//! InvokeModel in every family: what its models say, and what is said in their place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::fixtures::{self, post};
use crate::dialect::{Mark, Progress};
use crate::frame::Framing;
use crate::text::Channel;

/// A model of each family, a request, an answer and a stream's events; both say `Good day`.
const FAMILIES: [(&str, &str, &str, &[&str]); 11] = [
    (
        "us.anthropic.claude-3-5-haiku-v1:0",
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"system":"You are Aria.","messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Good day"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#,
        &[
            r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Good day"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}"#,
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":2}}"#,
        ],
    ),
    (
        "anthropic.claude-v2",
        r#"{"prompt":"\n\nHuman: Hi\n\nAssistant:","max_tokens_to_sample":9}"#,
        r#"{"type":"completion","completion":"Good day","stop_reason":"stop_sequence","stop":"\n\nHuman:"}"#,
        &[
            r#"{"type":"completion","completion":"Good day","stop_reason":null,"stop":null}"#,
            r#"{"type":"completion","completion":"","stop_reason":"stop_sequence","stop":"x","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "amazon.nova-micro-v1:0",
        r#"{"schemaVersion":"messages-v1","system":[{"text":"You are Aria."}],"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"Good day"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2}}"#,
        &[
            r#"{"messageStart":{"role":"assistant"}}"#,
            r#"{"contentBlockDelta":{"delta":{"text":"Good day"},"contentBlockIndex":0}}"#,
            r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
            r#"{"messageStop":{"stopReason":"end_turn"}}"#,
            r#"{"metadata":{"usage":{"inputTokens":3,"outputTokens":2},"metrics":{},"trace":{}},"amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":2}}"#,
        ],
    ),
    (
        "meta.llama3-8b-instruct-v1:0",
        r#"{"prompt":"Hi","max_gen_len":9}"#,
        r#"{"generation":"Good day","prompt_token_count":3,"generation_token_count":2,"stop_reason":"stop"}"#,
        &[
            r#"{"generation":"Good day","prompt_token_count":3,"generation_token_count":1,"stop_reason":null}"#,
            r#"{"generation":"","prompt_token_count":null,"generation_token_count":2,"stop_reason":"stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "amazon.titan-text-lite-v1",
        r#"{"inputText":"Hi","textGenerationConfig":{"topP":1}}"#,
        r#"{"inputTextTokenCount":3,"results":[{"tokenCount":2,"outputText":"Good day","completionReason":"FINISH"}]}"#,
        &[
            r#"{"outputText":"Good ","index":0.0,"completionReason":null,"inputTextTokenCount":3.0}"#,
            r#"{"outputText":"day","index":0,"totalOutputTextTokenCount":2,"completionReason":"FINISH","inputTextTokenCount":3,"amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "mistral.mistral-7b-instruct-v0:2",
        r#"{"prompt":"Hi","max_tokens":9}"#,
        r#"{"outputs":[{"text":"Good day","stop_reason":"stop"}]}"#,
        &[
            r#"{"outputs":[{"text":"Good day","stop_reason":null}]}"#,
            r#"{"outputs":[{"text":"","stop_reason":"stop"}],"amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "cohere.command-r-v1:0",
        r#"{"message":"Hi"}"#,
        r#"{"response_id":"r","text":"Good day","generation_id":"g","chat_history":[{"role":"USER","message":"Hi"}],"finish_reason":"COMPLETE"}"#,
        &[
            r#"{"is_finished":false,"event_type":"text-generation","text":"Good day"}"#,
            r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"text":"Good day","generation_id":"g"},"amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "cohere.command-text-v14",
        r#"{"prompt":"Hi"}"#,
        r#"{"id":"g","generations":[{"id":"g1","text":"Good day","finish_reason":"COMPLETE"}],"prompt":"Hi"}"#,
        &[
            r#"{"is_finished":false,"text":"Good day"}"#,
            r#"{"is_finished":true,"finish_reason":"COMPLETE","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "ai21.j2-mid-v1",
        r#"{"prompt":"Hi","maxTokens":9}"#,
        r#"{"id":1,"prompt":{"text":"Hi","tokens":[]},"completions":[{"data":{"text":"Good day","tokens":[]},"finishReason":{"reason":"endoftext"}}]}"#,
        &[],
    ),
    (
        "openai.gpt-oss-20b-1:0",
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Good day"},"finish_reason":"stop"}]}"#,
        &[
            r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Good day"},"finish_reason":null}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
    (
        "twelvelabs.pegasus-1-2-v1:0",
        r#"{"inputPrompt":"Hi"}"#,
        r#"{"message":"Good day","finishReason":"stop"}"#,
        &[
            r#"{"message":"Good day"}"#,
            r#"{"message":"","finishReason":"stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
        ],
    ),
];

fn path(model: &str, stream: bool) -> String {
    let method = if stream { "invoke-with-response-stream" } else { "invoke" };
    format!("/model/{}/{method}", model.replace(':', "%3A"))
}

fn exchange(model: &str, body: &str, stream: bool) -> Exchange {
    post(&path(model, stream), |head| Bedrock.read_request(head, body.as_bytes())).unwrap()
}

fn framed(events: &[&str]) -> Vec<Event> {
    let mut frames = Vec::new();
    events.iter().for_each(|event| invoke_write::push(&mut frames, event));
    fixtures::events(Framing::EventStream, frames.into())
}

fn said(body: &[u8]) -> Result<(String, Option<String>), DialectError> {
    let mut reading = Reading::default();
    Bedrock.read_reply(body, &mut Facts::default(), &mut reading)?;
    let reason = reading.marks.iter().rev().find_map(|mark| match mark {
        Mark::Finish { reason, .. } => Some(reason.to_string()),
        _ => None,
    });
    Ok((reading.deltas.iter().map(|delta| &*delta.text).collect(), reason))
}

fn text(progress: &Progress) -> String {
    progress.texts.iter().map(|text| text.text.as_str()).collect()
}

#[test]
fn every_family_is_read() {
    for (model, request, answer, events) in FAMILIES {
        let exchange = exchange(model, request, false);
        assert_eq!((exchange.api, exchange.model.as_deref(), exchange.stream), (Api::BedrockConverse, Some(model), false));
        assert!(exchange.user.as_deref() == Some("Hi"), "{model}: {:?}", exchange.user);
        let (text_said, reason) = said(answer.as_bytes()).unwrap();
        assert_eq!(text_said, "Good day", "{model}");
        assert!(reason.is_some(), "{model}");
        if !events.is_empty() {
            let (facts, progress) = fixtures::released(&Bedrock, &framed(events));
            assert_eq!(text(&progress), "Good day", "{model}");
            assert_eq!((progress.terminal, facts.input_tokens), (true, Some(3)), "{model}");
            assert!(progress.candidates[&0].is_some(), "{model}");
        }
    }
    let system = exchange(FAMILIES[0].0, FAMILIES[0].1, true);
    assert_eq!((system.system.as_deref(), system.stream), (Some("You are Aria."), true));
}

#[test]
fn every_family_is_refused_in_its_own_words() {
    let facts = Facts { input_tokens: Some(3), output_tokens: Some(2), ..Facts::default() };
    let mut shown = String::new();
    for (model, request, _, events) in FAMILIES {
        for stream in [false, true] {
            if stream && events.is_empty() {
                continue;
            }
            let exchange = exchange(model, request, stream);
            let message = "I can't \"say\" that.";
            let refusal = Refusal { exchange: &exchange, facts: &facts, stream, message, request_id: "01JTEST", now: 1 };
            let reply = Bedrock.refusal(&refusal);
            if !stream {
                assert_eq!(said(&reply.body).unwrap().0, message, "{model}");
                let body: Value = serde_json::from_slice(&reply.body).unwrap();
                assert_eq!(body["amazon-bedrock-guardrailAction"], "INTERVENED", "{model}");
                shown.push_str(&format!("{model}\n{}\n", String::from_utf8_lossy(&reply.body)));
                continue;
            }
            assert_eq!(reply.content_type, "application/vnd.amazon.eventstream");
            let frames = fixtures::events(Framing::EventStream, reply.body);
            let (facts, progress) = fixtures::released(&Bedrock, &frames);
            assert_eq!((text(&progress).as_str(), progress.terminal), (message, true), "{model}");
            assert_eq!(facts.output_tokens, Some(2), "{model}");
            assert!(progress.candidates[&0].is_some() && progress.open.is_empty(), "{model}");
            for frame in &frames {
                let payload: Value = serde_json::from_slice(&frame.data).unwrap();
                let event = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
                shown.push_str(&format!("  {}\n", String::from_utf8(event).unwrap()));
            }
        }
    }
    insta::assert_snapshot!("invoke_refusals", shown);
}

#[test]
fn every_familys_stream_cut_anywhere_ends_well() {
    for (model, request, _, events) in FAMILIES {
        let exchange = exchange(model, request, true);
        let all = framed(events);
        for cut in 0..all.len() {
            let (facts, progress) = fixtures::released(&Bedrock, &all[..cut]);
            let end = Bedrock.epilogue(&Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("r"), now: 1 });
            let mut whole = all[..cut].to_vec();
            whole.extend(fixtures::events(Framing::EventStream, end));
            let (_, ended) = fixtures::released(&Bedrock, &whole);
            assert_eq!(text(&ended), text(&progress), "{model} {cut}: the end says nothing");
            assert!(ended.terminal && ended.open.is_empty(), "{model} {cut}");
            assert!(ended.candidates[&0].is_some(), "{model} {cut}");
        }
    }
}

#[test]
fn where_nobody_can_say_the_family_an_error_is_the_same_in_all() {
    let exchange = exchange("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "{}", true);
    let facts = Facts::default();
    let reply =
        Bedrock.refusal(&Refusal { exchange: &exchange, facts: &facts, stream: true, message: "No.", request_id: "01J", now: 1 });
    assert_eq!((reply.status.as_u16(), reply.content_type), (400, "application/json"));
    let progress = Progress::default();
    let end = Bedrock.epilogue(&Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: None, now: 1 });
    let end = fixtures::events(Framing::EventStream, end);
    assert_eq!((end.len(), &*end[0].name), (1, &b"modelStreamErrorException"[..]));
}

#[test]
fn what_has_no_known_shape_is_not_let_through_by_accident() {
    for body in [
        r#"{"speech":"x"}"#,
        "{}",
        "[]",
        r#"{"generation":7}"#,
        r#"{"results":"x"}"#,
        r#"{"results":[{"outputText":["x"]}]}"#,
        r#"{"outputs":["x"]}"#,
        r#"{"completions":[{"data":"x"}]}"#,
        r#"{"generation":"a","generation":"b"}"#,
        r#"{"content":7}"#,
    ] {
        assert!(said(body.as_bytes()).is_err(), "{body}");
    }
    // A second shape is no hiding place.
    assert_eq!(said(br#"{"generation":"a","outputs":[{"text":"b"}],"embedding":[1]}"#).unwrap().0, "ab");
    for body in [
        r#"{"embedding":[0.1],"inputTextTokenCount":2}"#,
        r#"{"images":["aGk="]}"#,
        r#"{"results":[{"index":0,"relevance_score":0.5}]}"#,
    ] {
        assert_eq!(said(body.as_bytes()).unwrap(), (String::new(), None), "{body}");
    }
    let read = |name: &str, data: &str| {
        let event = Event {
            raw: Bytes::new(),
            name: Bytes::copy_from_slice(name.as_bytes()),
            data: Bytes::copy_from_slice(data.as_bytes()),
        };
        Bedrock.read_event(&event, &mut Facts::default(), &mut Reading::default())
    };
    let chunk = |event: &str| json!({ "bytes": STANDARD.encode(event), "p": "abc" }).to_string();
    assert!(read("", &chunk(FAMILIES[3].3[0])).is_ok(), "by its shape, whatever the frame is called");
    assert!(read("chunk", &chunk(r#"{"amazon-bedrock-trace":{}}"#)).is_ok());
    for data in [
        chunk(r#"{"speech":"x"}"#),
        chunk("x"),
        r#"{"bytes":"no base64!"}"#.to_owned(),
        r#"{"bytes":7}"#.to_owned(),
        r#"{"bytes":"","bytes":""}"#.to_owned(),
        "{}".to_owned(),
    ] {
        assert!(read("chunk", &data).is_err(), "{data}");
    }
}

#[test]
fn embeddings_pass_by_the_names_that_only_aws_gives() {
    for (model, expected) in [
        ("amazon.titan-embed-text-v2:0", Recognised::Textless),
        ("us.cohere.embed-v4:0", Recognised::Textless),
        ("amazon.titan-text-lite-v1", Recognised::Judged),
        ("arn:aws:bedrock:us-east-1:1:custom-model/abc", Recognised::Judged),
        ("my-cohere.embed-v4", Recognised::Judged),
    ] {
        assert_eq!(post(&path(model, false), |head| Bedrock.recognise(head)), expected, "{model}");
    }
}

#[test]
fn unsigned_requests_are_amended_in_their_own_words() {
    let all = Amendment { reminder: Some("R"), temperature: Some(0.25), model: None };
    for (model, request, ..) in FAMILIES {
        let amended: Value = serde_json::from_slice(&Bedrock.amend(request.as_bytes(), &all).unwrap()).unwrap();
        let whole = amended.to_string();
        // Of Messages only some models take a temperature, and this body does not name its model.
        assert!(whole.contains("0.25") || model.contains("claude-3"), "{model}: {whole}");
        let expected = match amended {
            _ if model.contains("claude-3") => amended["system"] == "You are Aria.\n\nR",
            _ if model.contains("nova") => {
                amended["system"][1]["text"] == "R" && amended["inferenceConfig"]["temperature"] == 0.25
            }
            _ if model.contains("gpt-oss") => amended["messages"][0]["content"] == "R",
            _ if model.contains("command-r") => amended["preamble"] == "R",
            _ if model.contains("titan") => {
                amended["inputText"] == "R\n\nHi" && amended["textGenerationConfig"]["temperature"] == 0.25
            }
            _ => whole.contains("R\\n\\n"),
        };
        assert!(expected, "{model}: {whole}");
    }
}

proptest! {
    #[test]
    fn chunks_are_read_totally(data in prop::collection::vec(any::<u8>(), 0..120)) {
        let payload = json!({ "bytes": STANDARD.encode(&data) }).to_string();
        let event = Event { raw: Bytes::new(), name: Bytes::from_static(b"chunk"), data: payload.into() };
        let mut reading = Reading::default();
        let _ = Bedrock.read_event(&event, &mut Facts::default(), &mut reading);
        prop_assert!(reading.deltas.iter().all(|delta| delta.channel != Channel::Refusal || !delta.text.is_empty()));
        let _ = post("/model/m/invoke", |head| Bedrock.read_request(head, &data));
    }
}

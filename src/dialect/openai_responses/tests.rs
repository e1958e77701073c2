//! Fixtures, snapshots and properties of Responses.

use std::borrow::Cow;

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::fixtures::{self, post};
use crate::dialect::{Delta, Extent, Mark, Progress, Released};
use crate::frame::Framing;
use crate::text::Channel;

const STREAMS: [&str; 5] = ["plain.sse", "calls.sse", "refusal.sse", "codex.sse", "contradictions.sse"];

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    OpenAiResponses.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn event(data: &str) -> Event {
    Event { raw: Bytes::new(), name: Bytes::new(), data: data.to_owned().into() }
}

fn stream(name: &str) -> Vec<Event> {
    fixtures::events(Framing::Sse, fixtures::load(&format!("openai-responses/{name}")))
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(&event.data).unwrap()
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    let answers = ["every-item.json", "queued.json", "string-content.json", "failed.sse", "error.sse"];
    for name in STREAMS.iter().chain(&answers) {
        insta::assert_snapshot!(*name, fixtures::read(&OpenAiResponses, &format!("openai-responses/{name}")));
    }
}

#[test]
fn plain_text_is_borrowed_from_the_event() {
    let event = event(r#"{"type":"response.output_text.delta","output_index":1,"content_index":2,"delta":"Ahoy"}"#);
    let mut reading = Reading::default();
    OpenAiResponses.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
    assert_eq!(reading.deltas.to_vec(), [Delta::append(0, Channel::Answer, 1 << 12 | 2, "Ahoy".into())]);
    assert!(matches!(&reading.deltas[0].text, Cow::Borrowed(_)));
}

#[test]
fn repetitions_are_the_whole_of_the_same_part() {
    for name in ["plain.sse", "refusal.sse"] {
        let events = stream(name);
        let mut seen: Vec<(Channel, u32, String)> = Vec::new();
        let mut repeated = 0;
        for event in &events {
            let mut reading = Reading::default();
            OpenAiResponses.read_event(event, &mut Facts::default(), &mut reading).unwrap();
            for delta in reading.deltas {
                let known = seen.iter_mut().find(|(channel, part, _)| (*channel, *part) == (delta.channel, delta.part));
                match (delta.extent, known) {
                    (Extent::Whole, Some((.., text))) => {
                        assert_eq!(*text, delta.text);
                        repeated += 1;
                    }
                    (Extent::Whole, None) => panic!("{name}: {delta:?} repeats nothing"),
                    (Extent::Append, Some((.., text))) => text.push_str(&delta.text),
                    (Extent::Append, None) => seen.push((delta.channel, delta.part, delta.text.into_owned())),
                }
            }
        }
        // Each text comes in its own end, in its part's, in its item's and in the last object.
        assert_eq!(repeated, 4 * seen.len(), "{name}");
    }
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for item in [
        r#"{"type":"message","content":7}"#,
        r#"{"type":"message","content":{"text":"x"}}"#,
        r#"{"type":"message","content":[7]}"#,
        r#"{"type":"message","content":[{"type":"output_text","text":["x"]}]}"#,
        r#"{"type":"message","content":[{"type":"refusal","refusal":{}}]}"#,
        r#"{"type":"message","content":[{"type":"output_audio","transcript":1}]}"#,
        r#"{"type":"message","content":[{"text":"a","text":"b"}]}"#,
        r#"{"type":"message","content":[],"content":[]}"#,
        r#"{"type":"reasoning","summary":[{"text":3}]}"#,
        r#"{"type":"reasoning","summary":{"text":"x"}}"#,
        r#"{"type":"reasoning","content":[["x"]]}"#,
        r#"{"type":"shell_call","action":["x"]}"#,
        r#""x""#,
        "[7]",
    ] {
        let body = format!(r#"{{"status":"completed","output":[{item}]}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        for data in [
            format!(r#"{{"type":"response.output_item.done","item":{item}}}"#),
            format!(r#"{{"type":"response.completed","response":{body}}}"#),
        ] {
            let event = event(&data);
            assert!(OpenAiResponses.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
        }
    }
    for data in [
        r#"{"type":"response.output_text.delta","delta":{"text":"x"}}"#,
        r#"{"type":"response.output_text.done","text":7}"#,
        r#"{"type":"response.refusal.delta","delta":["x"]}"#,
        r#"{"type":"response.reasoning_text.delta","delta":1}"#,
        r#"{"type":"response.function_call_arguments.delta","delta":{}}"#,
        r#"{"type":"response.output_text.delta","delta":"a","delta":"b"}"#,
        r#"{"type":"response.content_part.done","part":["x"]}"#,
        r#"{"type":"response.completed","response":"x"}"#,
        r#"{"type":7,"delta":"x"}"#,
        r#"{"delta":"no type"}"#,
        "[1]",
        "x",
    ] {
        let event = event(data);
        assert!(OpenAiResponses.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
    }
    for body in [
        "{}",
        r#"{"choices":[{"message":{"content":"x"}}]}"#,
        r#"{"output":"x"}"#,
        r#"{"output":[],"output_text":["x"]}"#,
        "[]",
        "",
    ] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let body = r#"{"id":7,"status":3,"created_at":"soon","usage":"x","incomplete_details":[],"output":[
        {"id":{},"role":9,"content":[{"type":"output_text","text":"text","annotations":7,"logprobs":{}}]}]}"#;
    assert_eq!(reply(body).unwrap().deltas[0].text, "text");
    assert!(reply(r#"{"error":"string"}"#).unwrap().marks.contains(&Mark::Error));
    for data in ["", "  ", r#"{"type":"response.dreaming","delta":7}"#, r#"{"type":"response.audio.delta","delta":"AAAA"}"#] {
        let event = event(data);
        let mut reading = Reading::default();
        OpenAiResponses.read_event(&event, &mut Facts::default(), &mut reading).unwrap();
        assert!(reading.deltas.is_empty(), "{data}");
    }
}

fn refusal(structured: bool, stream: bool, facts: &Facts) -> Reply {
    let exchange = Exchange { model: Some("asked-for".into()), structured, ..Exchange::unknown(Api::OpenAiResponses) };
    let message = "I can't continue with \"that\" answer.";
    OpenAiResponses.refusal(&Refusal { exchange: &exchange, facts, stream, message, request_id: "01JTEST", now: 1_800_000_000 })
}

fn facts() -> Facts {
    Facts {
        id: Some("resp_h1".into()),
        model: Some("gpt-5.2-2026-01-15".into()),
        created: Some(1_767_225_600),
        fingerprint: None,
        input_tokens: Some(11),
        output_tokens: Some(7),
        ..Facts::default()
    }
}

fn shown(reply: &Reply) -> String {
    format!("{} {}\n\n{}", reply.status, reply.content_type, String::from_utf8_lossy(&reply.body))
}

#[test]
fn refusals_look_like_a_filtered_answer() {
    insta::assert_snapshot!("refusal", shown(&refusal(false, false, &facts())));
    insta::assert_snapshot!("refusal_before_any_answer", shown(&refusal(false, false, &Facts::default())));
    insta::assert_snapshot!("refusal_of_structured_output", shown(&refusal(true, false, &facts())));
    insta::assert_snapshot!("refusal_streamed", shown(&refusal(false, true, &facts())));
    insta::assert_snapshot!("refusal_of_structured_output_streamed", shown(&refusal(true, true, &facts())));
}

#[test]
fn our_own_words_are_read_back() {
    for (structured, channel) in [(false, Channel::Answer), (true, Channel::Refusal)] {
        let whole = refusal(structured, false, &Facts::default()).body;
        let mut reading = Reading::default();
        OpenAiResponses.read_reply(&whole, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading.deltas.iter().map(|delta| delta.channel).collect::<Vec<_>>(), [channel]);
        assert!(reading.marks.contains(&Mark::Finish { candidate: 0, reason: "content_filter".into() }));

        let events = fixtures::events(Framing::Sse, refusal(structured, true, &Facts::default()).body);
        let (facts, progress) = fixtures::released(&OpenAiResponses, &events);
        assert_eq!(facts.id.as_deref(), Some("resp_01jtest"));
        assert!(progress.started && progress.terminal && progress.open.is_empty());
        assert_eq!(progress.candidates[&0].as_deref(), Some("content_filter"));
        let [text] = &progress.texts[..] else { panic!("{:?}", progress.texts) };
        assert_eq!((text.channel, text.text.as_str()), (channel, "I can't continue with \"that\" answer."));
    }
}

fn epilogue(facts: &Facts, progress: &Progress, rule: Option<&str>) -> Bytes {
    let exchange = Exchange::unknown(Api::OpenAiResponses);
    OpenAiResponses.epilogue(&Cut { exchange: &exchange, facts, progress, rule, now: 1_800_000_000 })
}

#[test]
fn a_cut_ends_what_is_open() {
    let cut = |name: &str, after: usize| {
        let (facts, progress) = fixtures::released(&OpenAiResponses, &stream(name)[..after]);
        String::from_utf8(epilogue(&facts, &progress, Some("no \"hate\"")).to_vec()).unwrap()
    };
    insta::assert_snapshot!("epilogue_in_reasoning", cut("plain.sse", 5));
    insta::assert_snapshot!("epilogue_in_the_second_message", cut("plain.sse", 18));
    insta::assert_snapshot!("epilogue_in_a_refusal", cut("refusal.sse", 4));
    insta::assert_snapshot!(
        "epilogue_before_anything",
        String::from_utf8(epilogue(&Facts::default(), &Progress::default(), None).to_vec()).unwrap()
    );
    let over = Progress { terminal: true, ..Progress::default() };
    assert_eq!(epilogue(&facts(), &over, Some("r")), ": steadfast verdict=block rule=\"r\"\n\n");
}

#[test]
fn wherever_a_stream_is_cut_its_end_is_whole_and_says_nothing_new() {
    for name in STREAMS {
        let events = stream(name);
        for after in 0..events.len() {
            let (facts, before) = fixtures::released(&OpenAiResponses, &events[..after]);
            if before.terminal {
                continue;
            }
            let mut all = events[..after].to_vec();
            let end = fixtures::events(Framing::Sse, epilogue(&facts, &before, None));
            for (number, event) in (before.sequence.map_or(0, |last| last + 1)..).zip(&end) {
                let data = data(event);
                assert_eq!(
                    (data["type"].as_str(), data["sequence_number"].as_u64()),
                    (std::str::from_utf8(&event.name).ok(), Some(number))
                );
            }
            let last = data(end.last().unwrap());
            assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.incomplete"), &json!("incomplete")));
            let said: String = last["response"]["output"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|item| item["content"].as_array().unwrap())
                .map(|part| part["text"].as_str().or(part["refusal"].as_str()).unwrap().to_owned())
                .collect();
            let mut had: Vec<_> =
                before.texts.iter().filter(|text| matches!(text.channel, Channel::Answer | Channel::Refusal)).collect();
            had.sort_by_key(|text| text.part);
            assert_eq!(said, had.iter().map(|text| text.text.as_str()).collect::<String>(), "{name} after {after}");

            // The last object is compared above: it holds the messages alone, so their places in it are others.
            all.extend_from_slice(&end[..end.len() - 1]);
            let (_, progress) = fixtures::released(&OpenAiResponses, &all);
            assert_eq!(progress.texts, before.texts, "{name} after {after}");
            let left: Vec<&str> = progress.open.iter().map(|block| &*block.kind).collect();
            assert!(
                left.iter().all(|kind| kind.ends_with("_call") || kind.ends_with("_output")),
                "{name} after {after}: {left:?}"
            );
        }
    }
}

#[test]
fn parts_that_are_still_held_are_not_shown() {
    let (facts, mut progress) = fixtures::released(&OpenAiResponses, &stream("plain.sse")[..15]);
    let shown = epilogue(&facts, &progress, None);
    for (channel, part) in
        [(Channel::Answer, 7 << 12), (Channel::Answer, 1 << 12 | 5), (Channel::Refusal, 3 << 12), (Channel::Reasoning, 9)]
    {
        progress.texts.push(Released { candidate: 0, channel, part, text: String::new() });
    }
    assert_eq!(epilogue(&facts, &progress, None), shown);
    let held = Progress { texts: progress.texts.split_off(progress.texts.len() - 1), ..Progress::default() };
    assert_eq!(epilogue(&facts, &held, None), epilogue(&facts, &Progress::default(), None));
}

#[test]
fn a_call_that_was_cut_is_never_done() {
    let events = stream("calls.sse");
    let (facts, progress) = fixtures::released(&OpenAiResponses, &events[..3]);
    assert_eq!(progress.texts[0].text, "{\"name\":\"");
    let end = fixtures::events(Framing::Sse, epilogue(&facts, &progress, None));
    assert_eq!(end.iter().map(|event| event.name.clone()).collect::<Vec<_>>(), ["response.incomplete"]);
    assert_eq!(data(&end[0])["response"]["output"], json!([]));
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let error =
        ApiError { status: StatusCode::BAD_REQUEST, code: "content_filter", message: "what happened", request_id: "01JTEST" };
    insta::assert_snapshot!(shown(&OpenAiResponses.error(&error)), @r#"
    400 Bad Request application/json

    {"error":{"message":"what happened","type":"invalid_request_error","param":null,"code":"content_filter"}}
    "#);
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.clone().into() };
        let _ = OpenAiResponses.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = OpenAiResponses.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/v1/responses", |head| OpenAiResponses.read_request(head, &data));
        let _ = OpenAiResponses.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
    }

    /// Any numbers in any events, applied to a stream that is then cut: always a whole end.
    #[test]
    fn any_order_of_events_ends_well(
        picks in prop::collection::vec((0usize..60, any::<u32>(), any::<u32>()), 0..40),
        rule in prop::option::of(".{0,20}"),
    ) {
        let mut all = Vec::new();
        for name in STREAMS {
            all.extend(stream(name));
        }
        let mut picked = Vec::new();
        for (pick, output, content) in picks {
            let mut event = all[pick % all.len()].clone();
            if let Ok(mut data) = serde_json::from_slice::<Value>(&event.data) {
                data["output_index"] = json!(output);
                data["content_index"] = json!(content);
                event.data = data.to_string().into();
            }
            picked.push(event);
        }
        let (facts, progress) = fixtures::released(&OpenAiResponses, &picked);
        for event in fixtures::events(Framing::Sse, epilogue(&facts, &progress, rule.as_deref())) {
            if !event.data.is_empty() {
                data(&event);
            }
        }
    }

    #[test]
    fn no_text_is_lost(answer in ".{1,20}", refusal in ".{1,20}", reasoning in ".{1,20}", arguments in ".{1,20}", at in 0usize..4) {
        let mut output = vec![
            json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": reasoning }], "content": [{ "text": reasoning }] }),
            json!({ "type": "message", "content": [{ "type": "output_text", "text": answer }, { "type": "refusal", "refusal": refusal }] }),
            json!({ "type": "function_call", "name": "f", "arguments": arguments }),
            json!({ "type": "future_call", "input": arguments }),
        ];
        output.rotate_left(at);
        let body = json!({ "status": "completed", "output": output }).to_string();
        let reading = reply(&body).unwrap();
        let texts = |channel| reading.deltas.iter().filter(|delta| delta.channel == channel).map(|delta| &*delta.text).collect::<Vec<_>>();
        prop_assert_eq!(texts(Channel::Answer), vec![&*answer]);
        prop_assert_eq!(texts(Channel::Refusal), vec![&*refusal]);
        prop_assert_eq!(texts(Channel::Reasoning), vec![&*reasoning; 2]);
        prop_assert_eq!(texts(Channel::ToolCall), vec![&*arguments; 2]);
        let mut parts: Vec<_> = reading.deltas.iter().map(|delta| (delta.channel, delta.part)).collect();
        parts.sort_unstable();
        parts.dedup();
        prop_assert_eq!(parts.len(), reading.deltas.len());
    }
}

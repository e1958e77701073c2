//! Fixtures, snapshots and properties of the Gemini format.

use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::dialect::fixtures::{self, post, with_head};
use crate::dialect::{Mark, Progress};
use crate::text::Channel;

const PATH: &str = "/v1beta/models/gemini-2.5-flash:generateContent";

fn exchange_at(path: &str, query: Option<&str>, body: &str) -> Exchange {
    let head = RequestHead { method: &Method::POST, path, query, headers: &HeaderMap::new() };
    Gemini.read_request(&head, body.as_bytes()).unwrap()
}

fn exchange(body: &str) -> Exchange {
    exchange_at(PATH, None, body)
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    Gemini.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn amended(body: &str, amendment: Amendment<'_>) -> Result<String, DialectError> {
    Gemini.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
}

fn facts() -> Facts {
    Facts {
        id: Some("r-7".into()),
        model: Some("gemini-2.5-flash".into()),
        input_tokens: Some(9),
        output_tokens: Some(11),
        ..Facts::default()
    }
}

#[test]
fn fixtures_are_read_as_a_client_would() {
    for name in ["every-part.json", "stream.sse", "partial-args.sse", "blocked-prompt.json", "numbers.json", "code-assist.sse"] {
        insta::assert_snapshot!(name, fixtures::read(&Gemini, &format!("gemini/{name}")));
    }
    for name in ["array.json", "error-array.json"] {
        let body = fixtures::load(&format!("gemini/{name}"));
        insta::assert_snapshot!(name, fixtures::read_framed(&Gemini, body, Framing::JsonArray));
    }
}

#[test]
fn an_array_that_came_as_one_document_is_read_as_well() {
    let body = fixtures::load("gemini/array.json");
    let reading = reply(std::str::from_utf8(&body).unwrap()).unwrap();
    let text: String = reading.deltas.iter().map(|delta| &*delta.text).collect();
    assert_eq!(text, "Scoop]\",");
    assert!(reply(r#"[{"candidates":[]},7]"#).is_err());
}

#[test]
fn text_of_a_wrong_type_never_passes_in_silence() {
    for part in [
        r#"{"text":7}"#,
        r#"{"text":["x"]}"#,
        r#"{"text":{"value":"x"}}"#,
        r#"{"text":"a","text":"b"}"#,
        r#"{"functionCall":"x"}"#,
        r#"{"functionCall":{"name":"f","partialArgs":"x"}}"#,
        r#"{"functionCall":{"name":"f","partialArgs":[{"stringValue":["x"]}]}}"#,
        r#"{"functionCall":{"name":"f"},"function_call":{"name":"g"}}"#,
        r#"{"executableCode":["x"]}"#,
        r#"{"executableCode":{"code":["x"]}}"#,
        r#"{"toolCall":"x"}"#,
        r#""x""#,
        r#"["x"]"#,
        "null",
    ] {
        let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#);
        assert!(matches!(reply(&body), Err(DialectError::Malformed(_))), "{body}");
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: body.clone().into() };
        assert!(Gemini.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{body}");
    }
    for body in [
        r#"{"candidates":{"content":{"parts":[{"text":"x"}]}}}"#,
        r#"{"candidates":["x"]}"#,
        r#"{"candidates":[null]}"#,
        r#"{"candidates":[{"content":"x"}]}"#,
        r#"{"candidates":[{"content":["x"]}]}"#,
        r#"{"candidates":[{"content":{"parts":"x"}}]}"#,
        r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":["x"]}]}"#,
        r#"{"answer":"in a field that nobody knows"}"#,
        r#"{"response":{"answer":"x"}}"#,
        r#"{"response":["x"]}"#,
        r#""x""#,
        "",
        "no JSON",
    ] {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn odd_fields_cost_nothing() {
    let reading = reply(
        r#"{"usageMetadata":7,"modelVersion":["x"],"candidates":[{"index":"0","content":{"role":7,"parts":[{"text":"text","thought":"no"}]},
        "safetyRatings":{},"finishReason":{}}]}"#,
    );
    assert_eq!(reading.unwrap().deltas[0].text, "text");
    assert!(reply(r#"{"candidates":[]}"#).unwrap().deltas.is_empty());
    assert!(reply(r#"{"error":{"code":400}}"#).unwrap().marks.contains(&Mark::Error));
}

#[test]
fn paths_are_recognised_by_their_method() {
    let cases = [
        (Method::POST, PATH, Recognised::Judged),
        (Method::POST, "/v1/models/gemini-2.5-flash:streamGenerateContent", Recognised::Judged),
        (Method::POST, "/google//v1beta/tunedModels/aria%3AgenerateContent/", Recognised::Judged),
        (
            Method::POST,
            "/v1beta1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            Recognised::Judged,
        ),
        (Method::POST, "/v1/projects/p/locations/l/endpoints/123:generateContent", Recognised::Judged),
        (Method::POST, "/v1internal:generateContent", Recognised::Judged),
        (Method::POST, "/v1beta/models/gemini-2.5-flash:countTokens", Recognised::Textless),
        (Method::POST, "/v1beta/models/gemini-embedding-001:batchEmbedContents", Recognised::Textless),
        (Method::POST, "/v1beta1/publishers/google/models/gemini-embedding-001:predict", Recognised::Textless),
        (Method::POST, "/v1/projects/p/locations/l/publishers/google/models/text-bison:predict", Recognised::No),
        (Method::POST, "/v1beta/models/gemini-2.5-flash:batchGenerateContent", Recognised::No),
        (Method::GET, "/v1beta/models", Recognised::Textless),
        (Method::GET, "/v1beta/models/gemini-2.5-flash", Recognised::Textless),
        (Method::GET, "/v1/models", Recognised::No),
        (Method::PATCH, "/v1beta/cachedContents/c1", Recognised::Textless),
        (Method::POST, "/upload/v1beta/files", Recognised::Textless),
        (Method::POST, "/v1/files", Recognised::No),
        (Method::OPTIONS, PATH, Recognised::Textless),
        (Method::GET, "/v1beta/batches/b1", Recognised::No),
        (Method::POST, "/v1/publishers/anthropic/models/claude-sonnet-4-5:rawPredict", Recognised::No),
        (Method::POST, "/v1beta/openai/chat/completions", Recognised::No),
        (Method::POST, "/api/chat", Recognised::No),
    ];
    for (method, path, expected) in cases {
        let found = with_head(&method, path, &HeaderMap::new(), |head| Gemini.recognise(head));
        assert_eq!(found, expected, "{method} {path}");
    }
    let keyed = RequestHead { method: &Method::GET, path: "/v1/models", query: Some("key=k"), headers: &HeaderMap::new() };
    assert_eq!(Gemini.recognise(&keyed), Recognised::Textless);
}

#[test]
fn the_framing_is_what_was_asked_for() {
    let path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
    let json = Some("application/json; charset=UTF-8");
    for (query, asked, framing) in [
        (Some("alt=sse"), Framing::Sse, None),
        (Some("key=k&$alt=sse"), Framing::Sse, None),
        (None, Framing::JsonArray, Some(Framing::JsonArray)),
        (Some("alt=json"), Framing::JsonArray, Some(Framing::JsonArray)),
        (Some("$alt=json%3Benum-encoding%3Dint"), Framing::JsonArray, Some(Framing::JsonArray)),
    ] {
        let exchange = exchange_at(path, query, "{}");
        assert!(exchange.stream);
        assert_eq!(exchange.framing, Some(asked), "{query:?}");
        assert_eq!(Gemini.framing(&exchange, json), framing, "{query:?}");
        // What the upstream sent in fact goes before what was asked for.
        assert_eq!(Gemini.framing(&exchange, Some("text/event-stream")), None);
    }
    assert_eq!(Gemini.framing(&exchange("{}"), json), None);
}

#[test]
fn a_request_is_understood() {
    let exchange = exchange(
        r#"{"systemInstruction":{"parts":[{"text":"You are Aria."},{"text":"Be brief."}]},
        "generationConfig":{"candidateCount":2,"temperature":1},
        "contents":[{"role":"user","parts":[{"text":"Hi"}]},
        {"role":"model","parts":[{"text":"A thought.","thought":true},{"text":"Hel"},{"text":"lo"}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]},
        {"parts":[{"text":"What is this?"},{"inlineData":{"mimeType":"image/png","data":""}},{"text":"Here."}]}]}"#,
    );
    assert_eq!(
        (exchange.model.as_deref(), exchange.stream, exchange.candidates, exchange.structured),
        (Some("gemini-2.5-flash"), false, 2, false)
    );
    assert_eq!(exchange.system.as_deref(), Some("You are Aria.\nBe brief."));
    assert_eq!(exchange.user.as_deref(), Some("What is this?\nHere."));
    assert_eq!(exchange.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, true, false, false]);
    assert_eq!(exchange.history[1].digest, xxhash_rust::xxh3::xxh3_64(b"Hello"));
}

#[test]
fn other_spellings_of_a_request() {
    let snake = exchange(
        r#"{"system_instruction":"You are Aria.","generation_config":{"candidate_count":3,"response_schema":{}},
        "contents":{"role":"user","parts":{"text":"Hi"}}}"#,
    );
    assert_eq!((snake.system.as_deref(), snake.user.as_deref()), (Some("You are Aria."), Some("Hi")));
    assert_eq!((snake.candidates, snake.structured), (3, true));
    let wrapped = exchange_at(
        "/v1internal:streamGenerateContent",
        Some("alt=sse"),
        r#"{"model":"gemini-2.5-pro","project":"p","request":{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}}"#,
    );
    assert_eq!((wrapped.model.as_deref(), wrapped.user.as_deref()), (Some("gemini-2.5-pro"), Some("Hi")));
    for (body, structured) in [
        (r#"{"generationConfig":{"responseMimeType":"application/json"}}"#, true),
        (r#"{"generationConfig":{"responseMimeType":"text/plain"}}"#, false),
        (r#"{"generationConfig":{"responseJsonSchema":{}}}"#, true),
        (r#"{"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}"#, true),
        (r#"{"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}}"#, false),
        (r#"{"generationConfig":null,"toolConfig":null,"systemInstruction":null,"safetySettings":null}"#, false),
    ] {
        assert_eq!(exchange(body).structured, structured, "{body}");
    }
    for body in ["{}", r#"{"contents":"x"}"#, r#"{"contents":[7,null,{"parts":"x"}],"generationConfig":[]}"#, ""] {
        assert_eq!(exchange(body).candidates, 1, "{body}");
    }
    assert_eq!(exchange(r#"{"generationConfig":{"candidateCount":4000000000}}"#).candidates, 128);
    for body in ["x", "[]", "\"x\""] {
        assert!(post(PATH, |head| Gemini.read_request(head, body.as_bytes())).is_err());
    }
}

#[test]
fn amends_by_splicing() {
    let reminder = Amendment { reminder: Some("You are \"Aria\"."), ..Amendment::default() };
    let cooler = Amendment { temperature: Some(0.3), ..Amendment::default() };
    for (body, expected) in [
        (r#"{"contents":[]}"#, r#"{"systemInstruction":{"parts":[{"text":"You are \"Aria\"."}]},"contents":[]}"#),
        (r#"{"systemInstruction":null}"#, r#"{"systemInstruction":{"parts":[{"text":"You are \"Aria\"."}]}}"#),
        (
            r#"{"system_instruction":{"role":"user","parts":[{"text":"S"} ]}}"#,
            r#"{"system_instruction":{"role":"user","parts":[{"text":"S"},{"text":"You are \"Aria\"."} ]}}"#,
        ),
        (
            r#"{"systemInstruction":{"parts":{"text":"S"}}}"#,
            r#"{"systemInstruction":{"parts":[{"text":"S"},{"text":"You are \"Aria\"."}]}}"#,
        ),
        (r#"{"systemInstruction":{}}"#, r#"{"systemInstruction":{"parts":[{"text":"You are \"Aria\"."}]}}"#),
        (r#"{"systemInstruction":"S"}"#, r#"{"systemInstruction":"S\n\nYou are \"Aria\"."}"#),
        (
            r#"{"model":"m","request":{"systemInstruction":null}}"#,
            r#"{"model":"m","request":{"systemInstruction":{"parts":[{"text":"You are \"Aria\"."}]}}}"#,
        ),
    ] {
        assert_eq!(amended(body, reminder).unwrap(), expected);
    }
    for (body, expected) in [
        (r#"{"contents":[]}"#, r#"{"generationConfig":{"temperature":0.3},"contents":[]}"#),
        (r#"{"generationConfig":{ "temperature": 1.0, "topK":3}}"#, r#"{"generationConfig":{ "temperature": 0.3, "topK":3}}"#),
        (r#"{"generation_config":{"topK":3}}"#, r#"{"generation_config":{"temperature":0.3,"topK":3}}"#),
        (r#"{"generationConfig":null}"#, r#"{"generationConfig":{"temperature":0.3}}"#),
        (r#"{"request":{"contents":[]}}"#, r#"{"request":{"generationConfig":{"temperature":0.3},"contents":[]}}"#),
    ] {
        assert_eq!(amended(body, cooler).unwrap(), expected);
    }
    assert!(matches!(amended(r#"{"systemInstruction":7}"#, reminder), Err(DialectError::Malformed(_))));
    assert!(matches!(amended(r#"{"generationConfig":7}"#, cooler), Err(DialectError::Malformed(_))));
    let other = Amendment { model: Some("other"), ..Amendment::default() };
    assert!(matches!(amended("{}", other), Err(DialectError::Unsupported(_))));
}

fn refusal(exchange: &Exchange, facts: &Facts, stream: bool) -> Reply {
    let message = "I can't continue with \"that\" answer.";
    Gemini.refusal(&Refusal { exchange, facts, stream, message, request_id: "01JTEST", now: 1_800_000_000 })
}

fn shown(reply: &Reply) -> String {
    let body = String::from_utf8_lossy(&reply.body).replace("\r\n", "<CRLF>\n");
    format!("{} {}\n\n{body}", reply.status, reply.content_type)
}

fn asked(candidates: u32, framing: Option<Framing>) -> Exchange {
    Exchange { model: Some("asked-for".into()), candidates, stream: framing.is_some(), framing, ..Exchange::unknown(Api::Gemini) }
}

#[test]
fn refusals_look_like_a_filtered_answer() {
    insta::assert_snapshot!("refusal", shown(&refusal(&asked(2, None), &facts(), false)));
    insta::assert_snapshot!("refusal_before_any_answer", shown(&refusal(&asked(1, None), &Facts::default(), false)));
    let crlf = Facts { crlf: true, ..facts() };
    insta::assert_snapshot!("refusal_streamed", shown(&refusal(&asked(1, Some(Framing::Sse)), &crlf, true)));
    insta::assert_snapshot!("refusal_in_an_array", shown(&refusal(&asked(1, Some(Framing::JsonArray)), &facts(), true)));
    let structured = Exchange { structured: true, ..asked(1, None) };
    insta::assert_snapshot!("refusal_to_a_parser", shown(&refusal(&structured, &facts(), false)));
}

#[test]
fn our_own_words_are_read_back() {
    for framing in [None, Some(Framing::Sse), Some(Framing::JsonArray)] {
        let reply = refusal(&asked(2, framing), &facts(), framing.is_some());
        let mut texts = vec![String::new(); 2];
        let mut finished = Vec::new();
        for event in fixtures::events(framing.unwrap_or(Framing::Json), reply.body) {
            let mut reading = Reading::default();
            match framing {
                Some(_) => Gemini.read_event(&event, &mut Facts::default(), &mut reading).unwrap(),
                None => Gemini.read_reply(&event.data, &mut Facts::default(), &mut reading).unwrap(),
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
        assert_eq!(texts, ["I can't continue with \"that\" answer."; 2], "{framing:?}");
        assert_eq!(finished, [(0, "SAFETY".to_owned()), (1, "SAFETY".to_owned())], "{framing:?}");
    }
}

/// The end after the first `count` events of a fixture have left.
fn cut_after(name: &str, framing: Framing, count: usize) -> (Vec<u8>, String) {
    let events = fixtures::events(framing, fixtures::load(name));
    let (facts, progress) = fixtures::released(&Gemini, &events[..count]);
    let exchange = asked(1, Some(framing));
    let cut = Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("r"), now: 1_800_000_000 };
    let sent = events[..count].iter().flat_map(|event| event.raw.to_vec()).collect();
    (sent, String::from_utf8(Gemini.epilogue(&cut).to_vec()).unwrap())
}

#[test]
fn a_cut_ends_what_has_not_ended() {
    let (_, end) = cut_after("gemini/stream.sse", Framing::Sse, 3);
    // The second answer has its reason; the first is still open.
    assert_eq!(
        end,
        "data: {\"candidates\":[{\"finishReason\":\"SAFETY\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":9,\
         \"candidatesTokenCount\":2,\"totalTokenCount\":11},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r-7\"}\r\n\r\n"
    );
    assert_eq!(cut_after("gemini/stream.sse", Framing::Sse, 7).1, "");
    assert!(cut_after("gemini/code-assist.sse", Framing::Sse, 1).1.ends_with("}\n\n"));
}

#[test]
fn an_array_that_is_cut_stays_an_array() {
    let whole: Vec<serde_json::Value> = serde_json::from_slice(&fixtures::load("gemini/array.json")).unwrap();
    for count in 1..=4 {
        let (mut sent, end) = cut_after("gemini/array.json", Framing::JsonArray, count);
        sent.extend_from_slice(end.as_bytes());
        let client: Vec<serde_json::Value> = serde_json::from_slice(&sent).unwrap();
        let open = count < 3;
        assert_eq!(client[..count.min(3)], whole[..count.min(3)], "{count}");
        assert_eq!(client.len(), count.min(3) + usize::from(open), "{count}");
        if open {
            assert_eq!(client[count]["candidates"][0]["finishReason"], "SAFETY");
        }
        assert_eq!(count == 4, end.is_empty());
    }
}

#[test]
fn after_a_lone_object_nothing_is_written() {
    let event = Event { raw: "{\"error\":{}}".into(), name: Bytes::new(), data: "{\"error\":{}}".into() };
    let (facts, progress) = fixtures::released(&Gemini, &[event]);
    let exchange = asked(1, Some(Framing::JsonArray));
    let cut = Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: None, now: 0 };
    assert!(Gemini.epilogue(&cut).is_empty());
    let array = Progress::default();
    assert!(Gemini.epilogue(&Cut { progress: &array, ..cut }).is_empty());
}

#[test]
fn errors_have_the_shape_of_the_api() {
    let mut out = String::new();
    for (status, code) in
        [(400, "content_filter"), (401, "invalid_api_key"), (404, "route_not_found"), (502, "upstream_unreachable")]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let error = ApiError { status, code, message: "what happened", request_id: "01JTEST" };
        out.push_str(&shown(&Gemini.error(&error)));
        out.push('\n');
    }
    insta::assert_snapshot!("errors", out);
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let data = Bytes::from(data);
        let event = Event { raw: data.clone(), name: Bytes::new(), data: data.clone() };
        let _ = Gemini.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = Gemini.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post(PATH, |head| Gemini.read_request(head, &data));
        let _ = Gemini.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: None });
    }

    /// Whatever a part says reaches the reader, once.
    #[test]
    fn no_text_is_lost(text in ".{1,20}", thought in ".{1,20}", code in ".{1,20}", value in ".{0,20}") {
        let body = serde_json::json!({ "candidates": [{ "index": 1, "content": { "parts": [
            { "text": thought, "thought": true }, { "text": text }, { "executableCode": { "code": code } },
            { "functionCall": { "name": "f", "args": { "a": value } } } ] } }] }).to_string();
        let reading = reply(&body).unwrap();
        let arguments = serde_json::json!({ "a": value }).to_string();
        let got: Vec<(Channel, &str)> = reading.deltas.iter().map(|delta| (delta.channel, &*delta.text)).collect();
        prop_assert_eq!(got, vec![(Channel::Reasoning, &*thought), (Channel::Answer, &*text), (Channel::ToolCall, &*code), (Channel::ToolCall, &*arguments)]);
        prop_assert!(reading.deltas.iter().all(|delta| delta.candidate == 1));
    }

    #[test]
    fn an_amended_request_says_the_same_and_the_reminder(reminder in ".{1,40}", content in ".{0,40}", temperature in 0.0f32..2.0) {
        let body = serde_json::json!({ "contents": [{ "role": "user", "parts": [{ "text": content }] }], "systemInstruction": { "parts": [{ "text": content }] } });
        let amended = amended(&body.to_string(), Amendment { reminder: Some(&reminder), temperature: Some(temperature), model: None }).unwrap();
        let amended: serde_json::Value = serde_json::from_str(&amended).unwrap();
        prop_assert_eq!(&amended["systemInstruction"]["parts"][1]["text"], &serde_json::Value::from(reminder));
        prop_assert_eq!(&amended["contents"], &body["contents"]);
        prop_assert!((amended["generationConfig"]["temperature"].as_f64().unwrap() - f64::from(temperature)).abs() < 1e-6);
    }
}

//! What the generation servers say, and what is said in their place.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::dialect::Progress;
use crate::dialect::fixtures::{self, post, with_head};
use crate::frame::Framing;

fn exchange(path: &str, body: &str) -> Exchange {
    post(path, |head| Generation.read_request(head, body.as_bytes())).unwrap()
}

fn reply(body: &str) -> Result<Reading<'_>, DialectError> {
    let mut reading = Reading::default();
    Generation.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| reading)
}

fn texts(body: &str) -> Vec<(u32, String)> {
    reply(body).unwrap().deltas.iter().map(|delta| (delta.candidate, delta.text.to_string())).collect()
}

fn streamed(body: &str) -> Progress {
    fixtures::released(&Generation, &fixtures::events(Framing::Sse, Bytes::copy_from_slice(body.as_bytes()))).1
}

const TGI: &str = "data:{\"index\":1,\"token\":{\"id\":5,\"text\":\" Good\",\"logprob\":-0.1,\"special\":false},\"generated_text\":null,\"details\":null}\n\n\
                   data:{\"index\":2,\"token\":{\"id\":6,\"text\":\" day\",\"logprob\":-0.1,\"special\":false},\"generated_text\":null,\"details\":null}\n\n\
                   data:{\"index\":3,\"token\":{\"id\":2,\"text\":\"</s>\",\"logprob\":-0.1,\"special\":true},\"generated_text\":\" Good day\",\"details\":{\"finish_reason\":\"eos_token\",\"generated_tokens\":3,\"seed\":null}}\n\n";
const SGL: &str = "data: {\"text\":\" Good\",\"meta_info\":{\"id\":\"s\",\"finish_reason\":null}}\n\n\
                   data: {\"text\":\" Good day\",\"meta_info\":{\"id\":\"s\",\"finish_reason\":{\"type\":\"stop\",\"matched\":2}}}\n\n\
                   data: [DONE]\n\n";

#[test]
fn answers_of_each_server_are_read() {
    let one = |text: &str| vec![(0, text.to_owned())];
    assert_eq!(
        texts(r#"{"generated_text":" Good day","details":{"finish_reason":"length","tokens":[{"text":" Good"}]}}"#),
        one(" Good day")
    );
    assert_eq!(texts(r#"[{"generated_text":" Good day"}]"#), one(" Good day"));
    assert_eq!(texts(r#"{"text":" Good day","meta_info":{"finish_reason":{"type":"stop"}}}"#), one(" Good day"));
    let several = r#"[{"generated_text":"a","details":{"best_of_sequences":[{"generated_text":"b"}]}},{"generated_text":"c"}]"#;
    assert_eq!(texts(several), [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())]);
    assert_eq!(texts(r#"{"text":["a","b"]}"#), [(0, "a".to_owned()), (1, "b".to_owned())]);
    let finish = |body: &str| {
        let reading = reply(body).unwrap();
        reading
            .marks
            .into_iter()
            .find_map(|mark| if let Mark::Finish { reason, .. } = mark { Some(reason.to_string()) } else { None })
    };
    assert_eq!(finish(r#"{"generated_text":"","details":{"finish_reason":"length"}}"#).as_deref(), Some("length"));
    assert_eq!(finish(r#"{"text":"","meta_info":{"finish_reason":{"type":"stop"}}}"#).as_deref(), Some("stop"));
    assert!(reply(r#"{"error":"overloaded","error_type":"overloaded"}"#).unwrap().marks.contains(&Mark::Error));
    for body in
        ["{}", "[7]", r#"[[{"label":"x"}]]"#, r#"{"generated_text":7}"#, r#"{"text":[7]}"#, r#"{"text":"a","text":"b"}"#, "7", ""]
    {
        assert!(reply(body).is_err(), "{body}");
    }
}

#[test]
fn streams_of_each_server_are_read() {
    let progress = streamed(TGI);
    let said: Vec<_> = progress.texts.iter().map(|text| (text.part, text.text.as_str())).collect();
    assert_eq!(said, [(0, " Good day"), (SPECIAL, "</s>")]);
    assert_eq!((progress.candidates[&0].as_deref(), progress.terminal), (Some("eos_token"), true));
    let progress = streamed(SGL);
    assert_eq!((progress.texts[0].text.as_str(), progress.candidates[&0].as_deref()), (" Good day", Some("stop")));
    assert!(progress.terminal);
    for data in [r#"{"token":"x"}"#, r#"{"token":{"text":7}}"#, r#"{"generated_text":["x"]}"#, r#"{"text":["x"]}"#, "[]", "x"] {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: Bytes::copy_from_slice(data.as_bytes()) };
        assert!(Generation.read_event(&event, &mut Facts::default(), &mut Reading::default()).is_err(), "{data}");
    }
}

#[test]
fn paths_are_recognised() {
    let json: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))].into_iter().collect();
    let mut aws = json.clone();
    aws.insert("x-amz-target", HeaderValue::from_static("DynamoDB_20120810.GetItem"));
    let none = HeaderMap::new();
    for (method, path, headers, expected) in [
        (Method::POST, "/generate", &none, Recognised::Judged),
        (Method::POST, "/my/server/generate_stream", &none, Recognised::Judged),
        (Method::POST, "/", &json, Recognised::Judged),
        (Method::POST, "/", &none, Recognised::No),
        (Method::POST, "/", &aws, Recognised::No),
        (Method::GET, "/", &json, Recognised::No),
        (Method::POST, "/api/generate", &json, Recognised::No),
        (Method::POST, "/v1/generate", &json, Recognised::No),
    ] {
        assert_eq!(with_head(&method, path, headers, |head| Generation.recognise(head)), expected, "{method} {path}");
    }
}

#[test]
fn requests_are_understood_and_amended() {
    let tgi = exchange("/generate_stream", r#"{"inputs":"Hi","parameters":{}}"#);
    assert_eq!((tgi.stream, tgi.user.as_deref(), tgi.variant), (true, Some("Hi"), None));
    assert_eq!(exchange("/", r#"{"inputs":"Hi","stream":true}"#).variant, Some(LIST));
    let sglang = exchange("/generate", r#"{"text":"Hi","stream":true,"sampling_params":{}}"#);
    assert_eq!((sglang.stream, sglang.variant), (true, Some(SGLANG)));
    let all = Amendment { reminder: Some("R"), temperature: Some(0.0), model: None };
    let amended = |body: &str| Generation.amend(body.as_bytes(), &all).map(|body| String::from_utf8(body).unwrap());
    assert_eq!(
        amended(r#"{ "inputs":"Hi", "parameters":{"top_p":1} }"#).unwrap(),
        r#"{ "inputs":"R\n\nHi", "parameters":{"temperature":0.01,"top_p":1} }"#
    );
    assert_eq!(amended(r#"{"text":"Hi"}"#).unwrap(), r#"{"sampling_params":{"temperature":0.01},"text":"R\n\nHi"}"#);
    assert!(matches!(amended(r#"{"text":["Hi"]}"#), Err(DialectError::Unsupported(_))));
    let model = Amendment { model: Some("m"), ..Amendment::default() };
    assert!(matches!(Generation.amend(b"{}", &model), Err(DialectError::Unsupported(_))));
}

#[test]
fn our_own_words_are_read_back() {
    for (path, body) in
        [("/generate", r#"{"inputs":"Hi"}"#), ("/", r#"{"inputs":"Hi"}"#), ("/generate", r#"{"text":"Hi","sampling_params":{}}"#)]
    {
        let exchange = exchange(path, body);
        let facts = Facts::default();
        let refusal = |stream| {
            Generation.refusal(&Refusal {
                exchange: &exchange,
                facts: &facts,
                stream,
                message: "No \"more\".",
                request_id: "01J",
                now: 1,
            })
        };
        let whole = String::from_utf8(refusal(false).body.to_vec()).unwrap();
        assert_eq!(whole.starts_with('['), path == "/", "{whole}");
        assert_eq!(texts(&whole), [(0, "No \"more\".".to_owned())]);
        let progress = streamed(std::str::from_utf8(&refusal(true).body).unwrap());
        assert_eq!((progress.texts[0].text.as_str(), progress.terminal), ("No \"more\".", true));
    }
}

#[test]
fn a_stream_cut_anywhere_ends_well() {
    for (stream, body, reason) in [(TGI, r#"{"inputs":"Hi"}"#, "length"), (SGL, r#"{"text":"Hi","sampling_params":{}}"#, "abort")]
    {
        let all = fixtures::events(Framing::Sse, Bytes::from_static(stream.as_bytes()));
        let exchange = exchange("/generate", body);
        for cut in 0..all.len() - 1 {
            let (facts, progress) = fixtures::released(&Generation, &all[..cut]);
            let end =
                Generation.epilogue(&Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("r"), now: 1 });
            let mut whole = all[..cut].to_vec();
            whole.extend(fixtures::events(Framing::Sse, end));
            let (_, ended) = fixtures::released(&Generation, &whole);
            assert_eq!((ended.terminal, ended.candidates[&0].as_deref()), (true, Some(reason)), "{cut}");
            let said = |progress: &Progress| progress.texts.first().map(|text| text.text.clone()).unwrap_or_default();
            assert_eq!(said(&ended), said(&progress), "{cut}");
        }
    }
    let error = ApiError { status: StatusCode::FORBIDDEN, code: "content_filter", message: "no", request_id: "01J" };
    assert_eq!(Generation.error(&error).body, r#"{"error":"no","error_type":"content_filter"}"#);
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.clone().into() };
        let _ = Generation.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = Generation.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/generate", |head| Generation.read_request(head, &data));
        let _ = Generation.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: None });
    }
}

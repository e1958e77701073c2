//! A described format, read and written; descriptions that cannot work.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::dialect::Progress;
use crate::dialect::fixtures::{self, post, with_head};

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn spec() -> Spec {
    let lines = "data: {\"bit\":\"{message}\"}\n\ndata: {\"why\":\"moderated\"}\n\ndata: (end)\n\n";
    Spec {
        name: "parrot".to_owned(),
        paths: vec!["/v3/bots/*/talk".to_owned()],
        stream_paths: vec!["/v3/live".to_owned()],
        textless: vec!["/v3/bots/*/voices".to_owned()],
        request: RequestSpec {
            model: Some(pointer("/engine")),
            system: Some(pointer("/setup/role")),
            user: Some(pointer("/lines/*/says")),
            stream: Some(pointer("/live")),
            temperature: Some(pointer("/heat")),
            conversation: Some(pointer("/thread")),
        },
        answer: AnswerSpec {
            text: vec![pointer("/reply/*/words"), pointer("/aside")],
            reasoning: vec![pointer("/pondering")],
            tools: vec![pointer("/actions/*/input")],
            finish: Some(pointer("/why")),
            id: Some(pointer("/ref")),
            model: Some(pointer("/engine")),
            error: Some(pointer("/fault")),
        },
        stream: Some(StreamSpec {
            framing: Framing::Sse,
            event: AnswerSpec { text: vec![pointer("/bit")], finish: Some(pointer("/why")), ..AnswerSpec::default() },
            whole: vec![pointer("/all")],
            done: Some("(end)".to_owned()),
            ignore: vec!["tick".to_owned()],
        }),
        block: BlockSpec {
            answer: Some(Template::new(r#"{"ref":{id},"reply":[{"words":"{message}"}],"why":"moderated"}"#)),
            stream: Some(Template::new(lines)),
            cut: Some(Template::new("data: {\"why\":\"moderated\"}\n\ndata: (end)\n\n")),
            error: None,
        },
    }
}

fn custom() -> Custom {
    Custom::new(spec()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn texts(reading: &Reading<'_>) -> Vec<(Channel, String)> {
    reading.deltas.iter().map(|delta| (delta.channel, delta.text.to_string())).collect()
}

fn reply(body: &str) -> Result<Vec<(Channel, String)>, DialectError> {
    let mut reading = Reading::default();
    custom().read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).map(|()| texts(&reading))
}

#[test]
fn answers_are_read_where_they_were_said_to_be() {
    let body = r#"{"ref":"r","engine":"e","reply":[{"words":"Good "},{"image":1},{"words":"day."}],"aside":null,"pondering":"Hm","actions":[{"input":{"a":1}},{"input":"x"}],"why":"finished"}"#;
    let (mut facts, mut reading) = (Facts::default(), Reading::default());
    custom().read_reply(body.as_bytes(), &mut facts, &mut reading).unwrap();
    let text = |channel, text: &str| (channel, text.to_owned());
    assert_eq!(
        texts(&reading),
        [
            text(Channel::Answer, "Good "),
            text(Channel::Answer, "day."),
            text(Channel::Reasoning, "Hm"),
            text(Channel::ToolCall, r#"{"a":1}"#),
            text(Channel::ToolCall, "x")
        ]
    );
    assert_eq!((facts.id.as_deref(), facts.model.as_deref()), (Some("r"), Some("e")));
    assert!(reading.marks.contains(&Mark::Finish { candidate: 0, reason: "finished".into() }));
    assert_eq!(reply(r#"{"reply":[{"words":""}]}"#).unwrap(), [], "an empty answer is one");
    assert_eq!(reply(r#"{"fault":"busy"}"#).unwrap(), []);
    assert_eq!(reply("[1]"), reply("{}"));
    for body in
        [r#"{"reply":[{"words":7}]}"#, r#"{"aside":["x"]}"#, r#"{"aside":"a","aside":"b"}"#, r#"{"text":"elsewhere"}"#, "{", ""]
    {
        assert!(matches!(reply(body), Err(DialectError::Malformed(_))), "{body}");
    }
}

#[test]
fn streams_are_read_event_by_event() {
    let body = "event: tick\ndata: 17\n\ndata: {\"bit\":\"Good \"}\n\ndata: {\"bit\":\"day.\"}\n\ndata: {\"all\":\"Good day.\",\"why\":\"finished\"}\n\ndata: (end)\n\n";
    let events = fixtures::events(Framing::Sse, Bytes::from_static(body.as_bytes()));
    let (_, progress) = fixtures::released(&custom(), &events);
    assert_eq!(progress.texts[0].text, "Good day.");
    assert_eq!((progress.candidates[&0].as_deref(), progress.terminal), (Some("finished"), true));
    for data in ["17", "(END)", r#"{"bit":7}"#, r#"{"all":["x"]}"#] {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: Bytes::copy_from_slice(data.as_bytes()) };
        let read = custom().read_event(&event, &mut Facts::default(), &mut Reading::default());
        assert_eq!(read.is_err(), data != "17", "{data}");
    }
    // The texts are elsewhere than they were said to be.
    let mut facts = Facts::default();
    for (data, read) in [(r#"{"piece":"Good day."}"#, true), ("(end)", false)] {
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.into() };
        assert_eq!(custom().read_event(&event, &mut facts, &mut Reading::default()).is_ok(), read, "{data}");
    }
    let without = Custom::new(Spec { stream: None, stream_paths: Vec::new(), ..spec() }).unwrap();
    assert!(without.read_event(&events[1], &mut Facts::default(), &mut Reading::default()).is_err());
}

#[test]
fn requests_are_understood_and_amended() {
    let format = custom();
    let body = r#"{ "engine":"e", "setup":{"role":"You are Aria."}, "lines":[{"says":"Hi"},{"says":"Bye"}], "live":true, "thread":"t" }"#;
    let exchange = post("/x/v3/bots/42/talk", |head| format.read_request(head, body.as_bytes())).unwrap();
    assert_eq!((exchange.model.as_deref(), exchange.stream), (Some("e"), true));
    assert_eq!((exchange.system.as_deref(), exchange.user.as_deref()), (Some("You are Aria."), Some("Bye")));
    assert_eq!(exchange.hints.conversation.as_deref(), Some("t"));
    assert!(post("/v3/live", |head| format.read_request(head, b"{}")).unwrap().stream);
    assert!(post("/v3/live", |head| format.read_request(head, b"{")).is_err());
    let all = Amendment { reminder: Some("R"), temperature: Some(0.5), model: Some("f") };
    assert_eq!(
        String::from_utf8(format.amend(body.as_bytes(), &all).unwrap()).unwrap(),
        r#"{"heat":0.5, "engine":"f", "setup":{"role":"You are Aria.\n\nR"}, "lines":[{"says":"Hi"},{"says":"Bye"}], "live":true, "thread":"t" }"#
    );
    assert_eq!(
        format.amend(b"{\"setup\":{}}", &Amendment { reminder: Some("R"), ..Amendment::default() }).unwrap(),
        br#"{"setup":{"role":"R"}}"#
    );
    let nowhere = Custom::new(Spec { request: RequestSpec::default(), ..spec() }).unwrap();
    for amendment in [
        Amendment { reminder: Some("R"), ..Amendment::default() },
        Amendment { temperature: Some(0.5), ..Amendment::default() },
        Amendment { model: Some("m"), ..Amendment::default() },
    ] {
        assert!(matches!(nowhere.amend(b"{}", &amendment), Err(DialectError::Unsupported(_))));
    }
}

#[test]
fn paths_are_tails() {
    for (method, path, expected) in [
        (Method::POST, "/v3/bots/42/talk", Recognised::Judged),
        (Method::POST, "/prefix/v3/BOTS/a%2Fb/../x/talk/", Recognised::No),
        (Method::POST, "/prefix/V3/bots/x/t%61lk/", Recognised::Judged),
        (Method::GET, "/v3/live", Recognised::Judged),
        (Method::POST, "/v3/bots/42/voices", Recognised::Textless),
        (Method::OPTIONS, "/v3/live", Recognised::Textless),
        (Method::POST, "/bots/42/talk", Recognised::No),
        (Method::POST, "/v3/bots/talk", Recognised::No),
        (Method::POST, "/", Recognised::No),
    ] {
        assert_eq!(with_head(&method, path, &HeaderMap::new(), |head| custom().recognise(head)), expected, "{method} {path}");
    }
}

#[test]
fn the_gateway_speaks_the_format() {
    let format = custom();
    let exchange = Exchange::unknown(Api::Custom);
    let facts = Facts::default();
    let refusal = |stream| {
        let refusal = Refusal { exchange: &exchange, facts: &facts, stream, message: "No \"more\".", request_id: "01J", now: 1 };
        format.refusal(&refusal)
    };
    assert_eq!(refusal(false).body, r#"{"ref":"01J","reply":[{"words":"No \"more\"."}],"why":"moderated"}"#);
    assert_eq!(refusal(true).content_type, "text/event-stream; charset=utf-8");
    let events = fixtures::events(Framing::Sse, refusal(true).body);
    assert_eq!(fixtures::released(&format, &events).1.texts[0].text, "No \"more\".");
    let cut =
        |progress: &Progress| format.epilogue(&Cut { exchange: &exchange, facts: &facts, progress, rule: Some("r"), now: 1 });
    assert_eq!(
        cut(&Progress::default()),
        "data: {\"why\":\"moderated\"}\n\ndata: (end)\n\n: steadfast verdict=block rule=\"r\"\n\n"
    );
    let over = Progress { terminal: true, ..Progress::default() };
    assert_eq!(cut(&over), ": steadfast verdict=block rule=\"r\"\n\n");
    let error = ApiError { status: StatusCode::FORBIDDEN, code: "content_filter", message: "no", request_id: "01J" };
    assert_eq!(format.error(&error).body, r#"{"error":{"message":"no","code":"content_filter","request_id":"01J"}}"#);
}

#[test]
fn lines_are_lines_whatever_they_are_called() {
    let mut spec = spec();
    let stream = spec.stream.as_mut().unwrap();
    (stream.framing, stream.done) = (Framing::Ndjson, None);
    spec.block.stream = Some(Template::new("{\"bit\":\"{message}\"}\n{\"why\":\"moderated\"}\n"));
    spec.block.cut = Some(Template::new("{\"why\":\"moderated\"}\n"));
    let format = Custom::new(spec).unwrap();
    let mut exchange = Exchange::unknown(Api::Custom);
    assert_eq!(format.framing(&exchange, Some("application/json")), None);
    exchange.stream = true;
    assert_eq!(format.framing(&exchange, Some("application/json")), Some(Framing::Ndjson));
    let cut = Cut { exchange: &exchange, facts: &Facts::default(), progress: &Progress::default(), rule: Some("r"), now: 1 };
    assert_eq!(format.epilogue(&cut), "{\"why\":\"moderated\"}\n");
    let events = fixtures::events(Framing::Ndjson, Bytes::from_static(b"{\"bit\":\"a\"}\n{\"bit\":\"b\",\"why\":\"end\"}\n"));
    let (_, progress) = fixtures::released(&format, &events);
    assert_eq!((progress.texts[0].text.as_str(), progress.terminal), ("ab", true));
}

#[test]
fn descriptions_that_cannot_work_say_why() {
    let keys = |change: &dyn Fn(&mut Spec)| {
        let mut spec = spec();
        change(&mut spec);
        Custom::new(spec).err().unwrap_or_default().iter().map(|fault| fault.key).collect::<Vec<_>>()
    };
    let template = |text: &str| Some(Template::new(text));
    assert_eq!(keys(&|_| {}), [""; 0]);
    assert_eq!(keys(&|spec| *spec = Spec::default()), ["paths"]);
    assert_eq!(keys(&|spec| spec.paths = vec!["/".to_owned()]), ["paths"]);
    assert_eq!(keys(&|spec| spec.answer.text.clear()), ["answer.text"]);
    assert_eq!(keys(&|spec| spec.stream = None), ["stream"]);
    assert_eq!(keys(&|spec| spec.block = BlockSpec::default()), ["block.answer", "block.stream", "block.cut"]);
    for bad in [
        "{",
        r#"{"reply":[]}"#,
        r#"{"reply":[{"words":"Sorry: {message}"}]}"#,
        r#"{"aside":"{message}","reply":[{"words":"x"}]}"#,
    ] {
        assert_eq!(keys(&|spec| spec.block.answer = template(bad)), ["block.answer"], "{bad}");
    }
    for bad in [
        "data: {\"bit\":\"{message}\"}\n\ndata: (end)\n",
        "data: {\"bit\":\"{message}\"}\n\n",
        "data: {\"bit\":\"x\"}\n\ndata: (end)\n\n",
        "data: {\"bit\":\"{message}\"\n\ndata: (end)\n\n",
    ] {
        assert_eq!(keys(&|spec| spec.block.stream = template(bad)), ["block.stream"], "{bad}");
    }
    for bad in ["data: {\"bit\":\"x\"}\n\ndata: (end)\n\n", "data: {\"why\":\"moderated\"}\n\n", "data: (end)\n", "data: x\n\n"] {
        assert_eq!(keys(&|spec| spec.block.cut = template(bad)), ["block.cut"], "{bad}");
    }
    assert_eq!(keys(&|spec| spec.block.error = template("{\"fault\":{other}}")), ["block.error"]);
}

proptest! {
    #[test]
    fn reading_is_total(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let format = custom();
        let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.clone().into() };
        let _ = format.read_event(&event, &mut Facts::default(), &mut Reading::default());
        let _ = format.read_reply(&data, &mut Facts::default(), &mut Reading::default());
        let _ = post("/v3/live", |head| format.read_request(head, &data));
        let _ = format.amend(&data, &Amendment { reminder: Some("r"), temperature: Some(0.5), model: Some("m") });
    }

    #[test]
    fn every_refusal_says_its_message(message in ".{0,40}") {
        let format = custom();
        let exchange = Exchange::unknown(Api::Custom);
        let facts = Facts::default();
        let refusal = |stream| format.refusal(&Refusal { exchange: &exchange, facts: &facts, stream, message: &message, request_id: "01J", now: 1 });
        let whole = refusal(false).body;
        let mut reading = Reading::default();
        format.read_reply(&whole, &mut Facts::default(), &mut reading).unwrap();
        prop_assert_eq!(reading.deltas.iter().map(|delta| &*delta.text).collect::<String>(), message.clone());
        let events = fixtures::events(Framing::Sse, refusal(true).body);
        let (_, progress) = fixtures::released(&format, &events);
        prop_assert_eq!(progress.texts.first().map_or("", |text| text.text.as_str()), message);
    }
}

//! What an upstream may write so that its client reads another text than the gateway does, over real sockets: escapes, framings, lengths.
//! Whatever it is, the forbidden word is found, or the answer is withheld for it cannot be read.

use crate::support::upstream::Step;
use crate::support::{Client, Gateway, Script, Upstream};

const POLICY: &str = "on_unknown = \"block\"\n[[rule]]\nname = \"storm\"\npatterns = ['nightfall']\naction = \"block\"\n";
const CHAT: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

/// What came of an answer: its body as the client got it, and the rule that withheld it.
async fn answered(path: &str, script: Script) -> (String, String) {
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::with_policy(&upstream.url(), POLICY).await;
    let ask = r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let headers = ["content-type: application/json", "anthropic-version: 2023-06-01"];
    let got = Client::request(gateway.addr, "POST", path, &headers, ask).await;
    let comment = if got.text().contains("rule=\"storm\"") { "storm" } else { "" };
    let rule = got.header("x-steadfast-rule").unwrap_or_else(|| comment.to_owned());
    (got.text(), rule)
}

fn called(arguments: &str) -> String {
    let call =
        serde_json::json!({"index": 0, "id": "c", "type": "function", "function": {"name": "say", "arguments": arguments}});
    let choice = serde_json::json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
    format!("data: {}\n\n", serde_json::json!({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}))
}

fn said(text: &str) -> String {
    let choice = serde_json::json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    serde_json::json!({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}).to_string()
}

#[tokio::test]
async fn escapes_in_a_calls_arguments_hide_nothing() {
    let whole = [r#"{"say":"the night\u0066all"}"#.to_owned()];
    let pieces = [r#"{"say":"the n\u00"#, r#"69ght\"#, r#"u0066al"#, r#"l"}"#].map(str::to_owned);
    for arguments in [&whole[..], &pieces[..]] {
        let events: Vec<String> = arguments.iter().map(|piece| called(piece)).collect();
        let (body, rule) = answered(CHAT, Script::stream(&events, 0)).await;
        assert_eq!(rule, "storm", "{arguments:?}: {body}");
    }
    let message = |input: &str| {
        format!(
            r#"{{"id":"m","type":"message","role":"assistant","model":"m","content":[{{"type":"tool_use","id":"t","name":"say","input":{input}}}],"stop_reason":"tool_use","usage":{{"input_tokens":1,"output_tokens":1}}}}"#
        )
    };
    let (body, rule) = answered(ANTHROPIC, Script::json(200, &message(r#"{"s\u0061y":["the night\u0066all"]}"#))).await;
    assert_eq!(rule, "storm", "{body}");
    let harmless = message(r#"{"say":"a \u006eight, it f\u0061lls\n"}"#);
    assert_eq!(answered(ANTHROPIC, Script::json(200, &harmless)).await, (harmless, String::new()));
}

#[tokio::test]
async fn a_call_that_is_cut_ends_as_it_was_sent() {
    let event = |data: serde_json::Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let piece = |json: &str| {
        event(
            serde_json::json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}}),
        )
    };
    let message = serde_json::json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let events = [
        event(serde_json::json!({"type": "message_start", "message": message})),
        event(
            serde_json::json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "say", "input": {}}}),
        ),
        piece(r#"{"title":"\u0041 day","say":"it \u00"#),
        piece(r"69s a"),
        piece(r" night\u0066all"),
    ];
    let (body, rule) = answered(ANTHROPIC, Script::stream(&events, 60)).await;
    assert_eq!(rule, "storm", "{body}");
    let mut sent = String::new();
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        sent.push_str(data["delta"]["partial_json"].as_str().unwrap_or_default());
    }
    let arguments: serde_json::Value = serde_json::from_str(&sent).unwrap_or_else(|error| panic!("{sent}: {error}"));
    assert_eq!(arguments, serde_json::json!({"title": "A day", "say": null}));
}

#[tokio::test]
async fn lines_of_any_kind_are_events() {
    let (one, two) = (said("the night"), said("fall"));
    let bodies = [
        format!("data:{one}\n\ndata:{two}\n\n"),
        format!("data: {one}\r\rdata: {two}\r\r"),
        format!("data: {one}\r\n\r\ndata: {two}\r\n\r\n"),
        format!("data: {one}\n\r\ndata: {two}\r\n\n"),
        format!("\u{feff}data: {one}\n\ndata: {two}\n\n"),
        format!("data: {one}\n\ndata: {two}"),
        format!("data: {one}\n\ndata: {two}\n"),
        format!("retry: 1\nid: 7\nevent: x\n: y\ndata: {one}\n\n:\n\n: z\ndata: {two}\nid\n\n"),
        format!(
            "data: {}\ndata: {}\n\ndata: {two}\n\n",
            one.split_once(",\"model").unwrap().0,
            format_args!(",\"model{}", one.split_once(",\"model").unwrap().1)
        ),
        format!("data\ndata: {one}\n\ndata: {two}\n\n"),
        format!("data: {one}\n\ndata: {two}\ndata: \n\n"),
        format!("data:\t{one}\n\ndata:  {two} \n\n"),
        format!("data: {one}\ndata: {two}\n\n"),
        format!("Data: {one}\n\ndata : {two}\n\n"),
        format!("data: {one}\n\n\u{feff}data: {two}\n\n"),
        format!("data: {one}\n\n{two}\n\n"),
        format!("data: {one}\u{2028}data: {two}\n\n"),
        format!("data: {}\n\ndata: {two}\n\n", one.replace("content", "Content")),
        format!("data: {}\n\ndata: {two}\n\n", one.replace("\"content\"", "\"content\":\"\",\"content\"")),
        format!("data: {}\n\ndata: {two}\n\n", one.replace("\"index\":0", "\"index\":\"0\"")),
        format!("data: {}\n\ndata: {two}\n\n", one.replace("\"content\"", "\"c\\u006fntent\"")),
        format!("data: [DONE]\n\ndata: {one}\n\ndata: {two}\n\n"),
    ];
    for body in bodies {
        for size in [1, 5, body.len()] {
            let mut script = Script::sse();
            for piece in body.as_bytes().chunks(size) {
                script = script.chunk(piece);
            }
            let (got, rule) = answered(CHAT, script.end(&[])).await;
            assert!(matches!(&*rule, "storm" | "on_unknown"), "{body:?} by {size}: {rule:?} {got:?}");
            assert!(!got.contains("fall\""), "{body:?} by {size}: {got:?}");
        }
    }
}

#[tokio::test]
async fn lengths_of_any_kind_hide_nothing() {
    let body = format!("data: {}\n\ndata: {}\n\n", said("the night"), said("fall"));
    let kind = "content-type: text/event-stream\r\n";
    let chunks = |extension: &str, trailer: &str| {
        let (head, tail) = body.split_at(body.len() / 2);
        format!("{:x}{extension}\r\n{head}\r\n{:X}{extension}\r\n{tail}\r\n0{extension}\r\n{trailer}\r\n", head.len(), tail.len())
    };
    let raws = [
        format!("HTTP/1.0 200 OK\r\n{kind}\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\n{kind}connection: close\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\n{kind}content-length: {}\r\n\r\n{body}", body.len()),
        format!("HTTP/1.1 200 OK\r\n{kind}content-length: {0}\r\ncontent-length: {0}\r\n\r\n{body}", body.len()),
        format!("HTTP/1.1 200 OK\r\n{kind}content-length: {}\r\ncontent-length: 3\r\n\r\n{body}", body.len()),
        format!("HTTP/1.1 200 OK\r\n{kind}content-length: {}\r\n\r\n{body}", body.len() + 9),
        format!("HTTP/1.1 200 OK\r\n{kind}content-length: {}\r\n\r\n{body}data: more", body.len()),
        format!("HTTP/1.1 200 OK\r\n{kind}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{}", chunks("", "")),
        format!("HTTP/1.1 200 OK\r\n{kind}transfer-encoding: chunked\r\n\r\n{}", chunks(";a=\"b\"", "x-more: data\r\n")),
        format!("HTTP/1.1 200 OK\r\n{kind}transfer-encoding: identity, chunked\r\n\r\n{}", chunks("", "")),
        format!("HTTP/1.1 200 OK\r\n{kind}transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n{}", chunks("", "")),
        format!("HTTP/1.1 203 OK\r\n{kind}\r\n{body}"),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n{kind}\r\n{body}"),
    ];
    for raw in raws {
        let (got, rule) = answered(CHAT, Script::new().send(&raw).then(Step::Close)).await;
        assert!(!got.contains("fall\""), "{raw:?}: {rule:?} {got:?}");
    }
}

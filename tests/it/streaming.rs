//! Bodies in both directions: nothing is held that need not be, and not a byte is changed, however the upstream cuts them.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::support::client::Piece;
use crate::support::upstream::Step;
use crate::support::{Client, Gateway, Script, Upstream, eventually};

const UNKNOWN: &str = "/v1/unknown/thing";

#[tokio::test]
async fn unknown_endpoints_stream_as_they_come() {
    let gate = Arc::new(Notify::new());
    let upstream = Upstream::always(Script::sse().chunk("one").gate(&gate).chunk("two").gate(&gate).end(&[])).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("POST", UNKNOWN, &[], b"x").await;
    let mut framing = Client::framing(&client.head().await);
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"one".to_vec()));
    gate.notify_one();
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"two".to_vec()));
    gate.notify_one();
    assert_eq!(client.piece(&mut framing).await, Piece::End(vec![]));
}

#[tokio::test]
async fn uploads_stream_and_answers_may_begin_before_they_end() {
    let script = Script::sse().then(Step::Echo).end(&[]).early();
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("POST", UNKNOWN, &["transfer-encoding: chunked"], b"").await;
    let mut framing = Client::framing(&client.head().await);
    for part in ["first", "second", "third"] {
        client.chunk(part.as_bytes()).await;
        assert_eq!(client.piece(&mut framing).await, Piece::Data(part.as_bytes().to_vec()), "each part comes back at once");
    }
    client.chunk(b"").await;
    assert_eq!(client.piece(&mut framing).await, Piece::End(vec![]));
    assert_eq!(upstream.only().text(), "firstsecondthird");
}

#[tokio::test]
async fn a_long_upload_is_no_silence_of_the_upstream() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nupstream_first_byte = \"100ms\"\n").await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("POST", UNKNOWN, &["transfer-encoding: chunked"], b"").await;
    for _ in 0..8 {
        client.chunk(b"part").await;
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
    client.chunk(b"").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let script = Script::new().head(200, &["transfer-encoding: chunked", "trailer: x-sum"]).chunk("body").end(&["x-sum: 1"]);
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let mut client = Client::connect(gateway.addr).await;
    client.raw(b"POST /x HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntrailer: x-mine\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-mine: 2\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.text().as_str(), answer.trailers), ("body", vec![("x-sum".to_owned(), "1".to_owned())]));
    let seen = upstream.only();
    assert_eq!((seen.text().as_str(), seen.trailers), ("hi", vec![("x-mine".to_owned(), "2".to_owned())]));
}

#[tokio::test]
async fn heads_and_empty_bodies_keep_their_shape() {
    let upstream = Upstream::start(|seen, _| match seen.target.as_str() {
        "/head" => Script::new().head(200, &["content-length: 1234", "content-type: text/plain"]),
        "/none" => Script::new().head(204, &[]),
        "/same" => Script::new().head(304, &["etag: \"x\""]),
        _ => Script::whole(200, "text/plain", b""),
    })
    .await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("HEAD", "/head", &[], b"").await;
    let head = client.head().await;
    assert_eq!((head.status, head.header("content-length").as_deref()), (200, Some("1234")));
    for (target, status) in [("/none", 204), ("/same", 304), ("/empty", 200)] {
        client.send("GET", target, &[], b"").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.body.len()), (status, 0));
    }
    assert!(upstream.connections() <= 2, "connections are kept");
    for seen in upstream.seen() {
        assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None), "{}", seen.target);
    }
}

/// A stream in the chat format with everything that is easy to lose.
fn chat_stream() -> String {
    let chunk = |content: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\r\n\r\n"
        )
    };
    format!(
        ": hello\n\ndata: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
         \"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},\"finish_reason\":null}}]}}\n\n{}{}{}\
         data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\
         \"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n",
        chunk("Grüße \\ud83d"),
        chunk("\\ude00, all is"),
        chunk(" well.")
    )
}

#[tokio::test]
async fn a_judged_stream_that_is_allowed_passes_byte_for_byte_wherever_it_is_cut() {
    let stream = chat_stream();
    let ask = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    for size in [1, 2, 3, 7, 64, 100_000] {
        let head = Script::new().head(200, &["content-type: text/event-stream", "connection: close"]);
        let upstream = Upstream::always(head.send(&stream).split_every(size).then(Step::Close)).await;
        let gateway = Gateway::before(&upstream.url(), "").await;
        let answer = Client::post(gateway.addr, "/v1/chat/completions", ask).await;
        assert_eq!((answer.status(), answer.text()), (200, stream.clone()), "{size}");
        assert!(answer.complete);
        assert_eq!(upstream.only().text(), ask);
        assert_eq!(upstream.only().header("accept-encoding").as_deref(), Some("identity"));
    }
}

#[tokio::test]
async fn a_judged_answer_that_is_allowed_passes_byte_for_byte() {
    let body = "{ \"id\":\"c1\",\n \"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":\
                {\"role\":\"assistant\",\"content\":\"Hello \\u00e9\"},\"finish_reason\":\"stop\"}] }\n";
    let upstream = Upstream::always(Script::json(200, body).split_every(5)).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let ask = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = Client::post(gateway.addr, "/v1/chat/completions", ask).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, body));
    assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some("allow"));
    eventually("it is counted", || gateway.metric("steadfast_requests_total", &["code=\"200\"", "openai-chat"]) == 1.0).await;
}

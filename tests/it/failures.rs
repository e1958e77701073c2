//! What the client is told when something is wrong: each in its own wire format, and nothing else than what happened.

use std::time::Duration;

use crate::support::upstream::{Step, nobody};
use crate::support::{Client, Folder, Gateway, Script, Upstream, eventually};

const CHAT: &str = "/v1/chat/completions";
const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const UNKNOWN: &str = "/v1/unknown/thing";

/// Asks a judged and an unknown endpoint; both must fail with this status and code, each in its own words.
async fn both_fail(gateway: &Gateway, status: u16, code: &str) {
    for (target, kind) in [(CHAT, "chat"), (UNKNOWN, "unknown")] {
        let answer = Client::post(gateway.addr, target, ASK).await;
        assert_eq!(answer.status(), status, "{kind}: {}", answer.text());
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
        assert!(answer.header("x-steadfast-request-id").is_some());
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{kind}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        // OpenAI's errors have a `param`; the plain ones name the request.
        assert_eq!(error.get("param").is_some(), kind == "chat", "{error}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_502() {
    let gateway = Gateway::before(&format!("http://{}", nobody().await), "").await;
    both_fail(&gateway, 502, "upstream_unreachable").await;
    assert_eq!(gateway.metric("steadfast_upstream_duration_seconds_count", &["code=\"none\""]), 2.0);
    assert_eq!(gateway.metric("steadfast_in_flight_requests", &[]), 0.0);
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_504() {
    let upstream = Upstream::always(Script::new().then(Step::UntilGone)).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nupstream_first_byte = \"50ms\"\n").await;
    both_fail(&gateway, 504, "upstream_timeout").await;
    eventually("the upstream is let go", || upstream.gone() == 2).await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_or_talks_nonsense_is_a_502() {
    for script in [
        Script::new().then(Step::Close),
        Script::new().then(Step::Reset),
        Script::new().send("HTTP/1.1 2").then(Step::Close),
        Script::new().send("SSH-2.0-OpenSSH\r\n"),
        Script::new().send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    ] {
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::before(&upstream.url(), "").await;
        both_fail(&gateway, 502, "upstream_broke").await;
    }
}

#[tokio::test]
async fn a_judged_answer_that_falls_silent_before_anything_left_is_a_504() {
    let script = Script::sse().chunk(": ping\n\n").then(Step::UntilGone);
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nupstream_idle = \"50ms\"\n").await;
    let answer = Client::post(gateway.addr, CHAT, ASK).await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str().unwrap()), (504, "upstream_timeout"));
}

#[tokio::test]
async fn an_answer_that_falls_silent_after_a_part_left_looks_broken() {
    let upstream = Upstream::always(Script::sse().chunk("data: 1\n\n").then(Step::UntilGone)).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nupstream_idle = \"50ms\"\n").await;
    let answer = Client::post(gateway.addr, UNKNOWN, ASK).await;
    assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "data: 1\n\n", false));
    eventually("the upstream is let go", || upstream.gone() == 1).await;
}

#[tokio::test]
async fn an_answer_that_breaks_in_the_middle_looks_broken() {
    for script in [
        Script::sse().chunk("data: 1\n\n").then(Step::Close),
        Script::sse().chunk("data: 1\n\n").then(Step::Reset),
        Script::new().head(200, &["content-length: 100"]).send("data: 1\n\n").then(Step::Close),
    ] {
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::before(&upstream.url(), "").await;
        let answer = Client::get(gateway.addr, UNKNOWN).await;
        assert_eq!((answer.status(), answer.complete), (200, false));
    }
}

#[tokio::test]
async fn upstream_errors_pass_as_they_are() {
    let body = "{\"error\": {\"message\":\"slow down\" , \"type\":\"rate_limit\"}}\n";
    for status in [400, 401, 404, 422, 429, 500, 503, 529] {
        let script = Script::new()
            .head(status, &["content-type: application/json", "retry-after: 7", &format!("content-length: {}", body.len())])
            .send(body);
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::before(&upstream.url(), "").await;
        for target in [CHAT, UNKNOWN] {
            let answer = Client::post(gateway.addr, target, ASK).await;
            assert_eq!((answer.status(), answer.text().as_str()), (status, body));
            assert_eq!(answer.header("retry-after").as_deref(), Some("7"));
            assert!(answer.header("x-steadfast-request-id").is_some());
        }
    }
}

#[tokio::test]
async fn no_route_is_a_404() {
    let more = "[[route]]\npath = \"/only\"\npolicy = \"policy.toml\"\n";
    let gateway = Gateway::before("http://127.0.0.1:1", more).await;
    both_fail(&gateway, 404, "route_not_found").await;
    assert_eq!(gateway.metric("steadfast_requests_total", &["code=\"404\""]), 2.0);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_a_413_that_its_sender_can_read() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nrequest_body = \"64KiB\"\n").await;
    let large = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(200 << 10));
    let answer = Client::post(gateway.addr, CHAT, &large).await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str().unwrap()), (413, "request_too_large"));
    assert!(answer.complete);
    // Without a length, too.
    let mut client = Client::connect(gateway.addr).await;
    client.send("POST", CHAT, &["transfer-encoding: chunked", "content-type: application/json"], b"").await;
    for part in large.as_bytes().chunks(10_000) {
        client.chunk(part).await;
    }
    client.chunk(b"").await;
    assert_eq!(client.answer().await.status(), 413);
    // Who asks first is told at once, and sends nothing.
    let mut client = Client::connect(gateway.addr).await;
    client
        .raw(format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9000000\r\n\r\n").as_bytes())
        .await;
    assert_eq!(client.answer().await.status(), 413);
    assert!(upstream.seen().is_empty());
    // What is only passed on is not read as a whole, so it may be as large as it likes.
    let answer = Client::request(gateway.addr, "POST", "/v1/uploads/raw", &[], &large).await;
    assert_eq!((answer.status(), upstream.only().body.len()), (200, large.len()));
}

/// An answer that is too large to be judged leaves unjudged where the policy says so, and its head says that. A stream may only say that it runs.
#[tokio::test]
async fn an_answer_that_is_too_large_passes_as_unscored_or_is_withheld() {
    let chat = |length: usize| {
        let text = "fine ".repeat(length);
        format!(r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]}}"#)
    };
    let exact = format!("{:2048}", chat(100));
    let large = format!("{exact} ");
    for (body, wanted) in [(&exact, ["allow", "allow"]), (&large, ["unscored", "block"])] {
        for (on_error, verdict) in ["allow", "block"].into_iter().zip(wanted) {
            for stream in ["hold", "buffer", "observe"] {
                let upstream = Upstream::always(Script::json(200, body)).await;
                let folder = Folder::before(&upstream.url(), "[limits]\nresponse_body = \"2KiB\"\n");
                folder.write("policy.toml", &format!("on_error = \"{on_error}\"\nstream = \"{stream}\"\n"));
                let gateway = Gateway::start(folder).await;
                let answer = Client::post(gateway.addr, CHAT, ASK).await;
                let case = format!("{} bytes, {on_error}, {stream}", body.len());
                assert_eq!(answer.header("x-steadfast-verdict").as_deref(), Some(verdict), "{case}");
                assert_eq!(answer.text() == *body, verdict != "block", "{case}");
                let unscored = f64::from(u8::from(verdict != "allow"));
                assert_eq!(gateway.metric("steadfast_unscored_total", &["reason=\"too_large\""]), unscored, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn more_than_may_be_in_flight_is_a_503_until_a_body_has_ended() {
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let upstream = Upstream::always(Script::sse().chunk("data: 1\n\n").gate(&gate).end(&[])).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nin_flight = 1\n").await;
    let mut first = Client::connect(gateway.addr).await;
    first.send("GET", UNKNOWN, &[], b"").await;
    let head = first.head().await;
    assert_eq!(head.status, 200, "the head is here, the body is not over");
    both_fail(&gateway, 503, "too_many_requests_in_flight").await;
    let refused = Client::get(gateway.addr, UNKNOWN).await;
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert_eq!(gateway.metric("steadfast_in_flight_requests", &[]), 1.0);
    gate.notify_one();
    let mut framing = Client::framing(&head);
    while matches!(first.piece(&mut framing).await, crate::support::client::Piece::Data(_)) {}
    gate.notify_one();
    eventually("the place is free again", || gateway.metric("steadfast_in_flight_requests", &[]) == 0.0).await;
    assert_eq!(Client::get(gateway.addr, UNKNOWN).await.status(), 200);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_call_with_it() {
    let endless = || Script::sse().chunk("data: 1\n\n").then(Step::UntilGone);
    let waiting = || Script::new().then(Step::UntilGone);
    for (target, script) in [(UNKNOWN, endless()), (UNKNOWN, waiting()), (CHAT, waiting()), (CHAT, endless())] {
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::before(&upstream.url(), "").await;
        let mut client = Client::connect(gateway.addr).await;
        client.send("POST", target, &["content-type: application/json"], ASK.as_bytes()).await;
        eventually("the request is upstream", || upstream.seen().len() == 1).await;
        drop(client);
        eventually("the upstream call is dropped", || upstream.gone() == 1).await;
        eventually("its place is free", || gateway.metric("steadfast_in_flight_requests", &[]) == 0.0).await;
    }
}

#[tokio::test]
async fn a_client_that_ends_its_side_has_left() {
    for script in [Script::new().then(Step::UntilGone), Script::sse().chunk("data: 1\n\n").then(Step::UntilGone)] {
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::before(&upstream.url(), "").await;
        let mut client = Client::connect(gateway.addr).await;
        client.send("POST", CHAT, &["content-type: application/json"], ASK.as_bytes()).await;
        eventually("the request is upstream", || upstream.seen().len() == 1).await;
        client.end_sending().await;
        eventually("the upstream call is dropped", || upstream.gone() == 1).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let gateway =
        Gateway::before(&upstream.url(), "[limits]\nheader_read = \"80ms\"\nclient_stall = \"80ms\"\nclient_idle = \"300ms\"\n")
            .await;
    // Nothing, and half a head.
    for bytes in [&b""[..], b"POST /v1/chat"] {
        let mut client = Client::connect(gateway.addr).await;
        client.raw(bytes).await;
        let waited = client.closed().await;
        assert!((Duration::from_millis(50)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    }
    // Half a body.
    for target in [CHAT, UNKNOWN] {
        let mut client = Client::connect(gateway.addr).await;
        client.send("POST", target, &["content-length: 100", "content-type: application/json"], b"{").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.json()["error"]["code"].as_str().unwrap()), (408, "request_timeout"), "{target}");
    }
    // Between requests it may take longer than a head may.
    let mut client = Client::connect(gateway.addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    assert_eq!(client.answer().await.status(), 200);
    tokio::time::sleep(Duration::from_millis(160)).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(client.closed().await >= Duration::from_millis(200));
}

#[tokio::test]
async fn an_answer_that_is_left_unread_is_given_up() {
    let mut script = Script::sse();
    for _ in 0..64 {
        script = script.chunk(vec![b'x'; 1 << 20]);
    }
    let upstream = Upstream::always(script.end(&[])).await;
    let gateway = Gateway::before(&upstream.url(), "[limits]\nclient_stall = \"100ms\"\n").await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    eventually("the upstream is let go", || upstream.gone() == 1).await;
    assert!(!client.answer().await.complete);
}

#[tokio::test]
async fn upgrades_are_refused_and_offers_to_upgrade_are_passed_over() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let headers =
        ["connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="];
    let answer = Client::request(gateway.addr, "GET", "/v1/realtime", &headers, "").await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str().unwrap()), (501, "upgrade_not_supported"));
    assert!(upstream.seen().is_empty());
    let headers = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"];
    assert_eq!(Client::request(gateway.addr, "GET", UNKNOWN, &headers, "").await.status(), 200);
    let seen = upstream.only();
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
}

#[tokio::test]
async fn malformed_requests_are_refused_without_an_upstream() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    for (bytes, status) in [
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(), 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n".to_vec(), 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".to_vec(), 400),
        (format!("GET / HTTP/1.1\r\n{many}\r\n").into_bytes(), 431),
    ] {
        let mut client = Client::connect(gateway.addr).await;
        client.raw(&bytes).await;
        assert_eq!(client.head().await.status, status, "{:?}", String::from_utf8_lossy(&bytes[..20.min(bytes.len())]));
    }
    assert!(upstream.seen().is_empty());
}

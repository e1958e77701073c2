//! Compressed answers over real sockets: judged as what they say, passed on as they came, whatever pieces they come in.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::support::{Client, Folder, Gateway, Script, Upstream};

const CHAT: &str = "/v1/chat/completions";
const POLICY: &str = "on_unknown = \"block\"\n[[rule]]\nname = \"storm\"\npatterns = ['nightfall']\naction = \"block\"\n";

/// The codings that are undone: a name for the test, the header's value, and the encoder.
type Coding = (&'static str, &'static str, fn(&[u8]) -> Vec<u8>);

const CODINGS: [Coding; 5] = [
    ("gzip", "gzip", |text| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }),
    ("deflate", "deflate", |text| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }),
    ("bare deflate", "deflate", |text| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }),
    ("br", "br", |text| {
        let mut body = Vec::new();
        brotli::CompressorWriter::new(&mut body, 4096, 5, 20).write_all(text).unwrap();
        body
    }),
    ("zstd", "zstd", |text| ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)),
];

fn answer(text: &str) -> String {
    let choice = serde_json::json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    serde_json::json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
        .to_string()
}

fn stream(text: &str) -> String {
    let event = |word: &str| {
        let choice = serde_json::json!({"index": 0, "delta": {"content": word}, "finish_reason": null});
        format!("data: {}\n\n", serde_json::json!({"id": "chatcmpl-1", "model": "m", "choices": [choice]}))
    };
    let words: String = text.split_inclusive(' ').map(event).collect();
    format!("{words}data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n")
}

/// An upstream that sends `body` coded, in pieces of `size` bytes, and the gateway before it.
async fn before(content_type: &str, coding: &str, body: &[u8], size: usize) -> (Upstream, Gateway) {
    let lines =
        [format!("content-type: {content_type}"), format!("content-encoding: {coding}"), "transfer-encoding: chunked".into()];
    let mut script = Script::new().head(200, &lines.each_ref().map(String::as_str));
    for piece in body.chunks(size) {
        script = script.chunk(piece);
    }
    let upstream = Upstream::always(script.end(&[])).await;
    let gateway = Gateway::with_policy(&upstream.url(), POLICY).await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_coded_answer_is_judged_decoded_and_passed_on_coded() {
    let harmless = "The lighthouse was finished in the spring of 1874, after eleven years of building. ".repeat(8);
    let bad = format!("{harmless} And then: nightfall. {harmless}");
    for (content_type, shape, streamed) in
        [("application/json", answer as fn(&str) -> String, false), ("text/event-stream", stream, true)]
    {
        let ask = format!(r#"{{"model":"m","stream":{streamed},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        for (name, coding, encode) in CODINGS {
            let good = encode(shape(&harmless).as_bytes());
            for size in [1, 7, good.len()] {
                let (_upstream, gateway) = before(content_type, coding, &good, size).await;
                let got = Client::post(gateway.addr, CHAT, &ask).await;
                let at = format!("{name}, {content_type}, pieces of {size}");
                assert_eq!(got.status(), 200, "{at}");
                assert_eq!(got.header("content-encoding").as_deref(), Some(coding), "{at}");
                assert!(got.body == good, "{at}: other bytes");
                assert_eq!(got.header("x-steadfast-verdict").as_deref(), Some("allow"), "{at}");
            }
            let coded = encode(shape(&bad).as_bytes());
            for size in [3, coded.len()] {
                let (_upstream, gateway) = before(content_type, coding, &coded, size).await;
                let got = Client::post(gateway.addr, CHAT, &ask).await;
                let at = format!("{name}, {content_type}, pieces of {size}");
                assert_eq!(got.header("x-steadfast-verdict").as_deref(), Some("block"), "{at}");
                assert_eq!(got.header("content-encoding"), None, "{at}: the refusal is the gateway's own");
                assert!(got.text().contains("content_filter") && !got.text().contains("lighthouse"), "{at}: {}", got.text());
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_coding_says_is_withheld() {
    let body = answer("Good day.");
    for coding in ["gzip", "deflate", "br", "zstd", "compress", "gzip, br"] {
        let (_upstream, gateway) = before("application/json", coding, body.as_bytes(), 16).await;
        let got = Client::post(gateway.addr, CHAT, r#"{"model":"m","messages":[]}"#).await;
        assert_eq!(got.header("x-steadfast-rule").as_deref(), Some("on_unknown"), "{coding}: {}", got.text());
        assert!(!got.text().contains("Good day"), "{coding}");
        assert_eq!(gateway.metric("steadfast_unscored_total", &["reason=\"unreadable\""]), 1.0, "{coding}");
    }
}

/// In whatever pieces it comes, the first of which may be too large by itself.
#[tokio::test]
async fn a_coded_answer_over_the_limit_passes_whole_or_is_withheld() {
    let body = CODINGS[0].2(
        stream(&(0..2000_u32).map(|n| format!("{} ", n.wrapping_mul(2_654_435_761))).collect::<String>()).as_bytes(),
    );
    assert!(body.len() > 4096, "{}", body.len());
    for (on_error, verdict) in [("allow", "unscored"), ("block", "block")] {
        for size in [body.len(), 1500] {
            let (upstream, _gateway) = before("text/event-stream", "gzip", &body, size).await;
            let folder = Folder::before(&upstream.url(), "[limits]\nresponse_body = \"2KiB\"\n");
            folder.write("policy.toml", &format!("on_error = \"{on_error}\"\n"));
            let gateway = Gateway::start(folder).await;
            let ask = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
            let got = Client::post(gateway.addr, CHAT, ask).await;
            let case = format!("{on_error}, pieces of {size}");
            assert_eq!(got.header("x-steadfast-verdict").as_deref(), Some(verdict), "{case}");
            assert_eq!(got.body == body, on_error == "allow", "{case}: {} bytes", got.body.len());
            assert_eq!(gateway.metric("steadfast_unscored_total", &["reason=\"too_large\""]), 1.0, "{case}");
        }
    }
}

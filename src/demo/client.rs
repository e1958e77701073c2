//! The demo's client: asks one scene's question through the gateway and reads what comes, as a client of that API would.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::scenes::{Scene, Wire};
use crate::dialect::{Api, Dialects, Facts, Mark, Reading};
use crate::frame::{Framer, Framing};
use crate::text::Channel;

/// What the client got.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The gateway's id of the exchange.
    pub request_id: String,
    /// The status.
    pub status: u16,
    /// The answer's text.
    pub text: String,
    /// The finish reason as the API spells it.
    pub finish: Option<String>,
    /// The verdict's header.
    pub verdict: String,
    /// From the request to the last byte.
    pub took: Duration,
}

/// A client of the gateway.
pub struct Asker {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    dialects: Dialects,
}

impl Asker {
    /// A client of the gateway at `addr`.
    pub fn new(addr: std::net::SocketAddr) -> Self {
        Asker {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base: format!("http://{addr}"),
            dialects: Dialects::builtin(),
        }
    }

    /// Asks a scene's question.
    ///
    /// # Errors
    /// Where the gateway cannot be reached or its answer breaks off.
    pub async fn ask(&self, scene: &Scene) -> anyhow::Result<Received> {
        let (path, body) = question(scene);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        let started = Instant::now();
        let response = self.client.request(request).await?;
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut received = Received {
            request_id: header("x-steadfast-request-id"),
            verdict: header("x-steadfast-verdict"),
            status: response.status().as_u16(),
            ..Received::default()
        };
        let content_type = header(CONTENT_TYPE.as_str());
        let body = response.into_body().collect().await?.to_bytes();
        received.took = started.elapsed();
        self.read(scene.wire, &content_type, body, &mut received);
        Ok(received)
    }

    fn read(&self, wire: Wire, content_type: &str, body: Bytes, received: &mut Received) {
        let api = match wire {
            Wire::Chat => Api::OpenAiChat,
            Wire::Responses => Api::OpenAiResponses,
            Wire::Messages => Api::AnthropicMessages,
        };
        let (Some(dialect), Some(framing)) = (self.dialects.named(api), Framing::sniff(Some(content_type), &body)) else {
            return;
        };
        let mut framer = Framer::new(framing, usize::MAX);
        framer.push(body);
        let mut facts = Facts::default();
        while let Ok(Some(event)) = framer.finish() {
            let mut reading = Reading::default();
            let read = match framing {
                Framing::Json => dialect.read_reply(&event.data, &mut facts, &mut reading),
                _ if event.data.is_empty() => Ok(()),
                _ => dialect.read_event(&event, &mut facts, &mut reading),
            };
            if read.is_err() {
                return;
            }
            for delta in reading.deltas {
                if delta.channel == Channel::Answer && delta.extent == crate::dialect::Extent::Append {
                    received.text.push_str(&delta.text);
                }
            }
            for mark in reading.marks {
                if let Mark::Finish { reason, .. } = mark {
                    received.finish = Some(reason.to_string());
                }
            }
        }
    }
}

fn question(scene: &Scene) -> (&'static str, Value) {
    let asked = scene.asked;
    match scene.wire {
        Wire::Chat => (
            "/v1/chat/completions",
            json!({"model": "demo", "stream": scene.stream, "messages": [{"role": "user", "content": asked}]}),
        ),
        Wire::Responses => ("/v1/responses", json!({"model": "demo", "stream": scene.stream, "input": asked})),
        Wire::Messages => (
            "/v1/messages",
            json!({"model": "demo", "max_tokens": 500, "stream": scene.stream, "messages": [{"role": "user", "content": asked}]}),
        ),
    }
}

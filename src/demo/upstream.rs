//! The demo's model: a small server on the loopback interface that answers each scene's question with its scripted answer, in the
//! wire format it was asked in, word by word if a stream was asked for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::scenes::{SCENES, Scene, Wire};

/// The pause between two words of a stream.
const WORD: Duration = Duration::from_millis(8);

type Body = BoxBody<Bytes, Infallible>;

/// A running scripted model. Stops when dropped.
pub struct Upstream {
    /// Where it listens.
    pub addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts it. `reminder`: the text whose presence in a request means that the persona has been called to mind.
///
/// # Errors
/// Where the loopback interface cannot be bound.
pub async fn start(reminder: String) -> std::io::Result<Upstream> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reminder = reminder.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, reminder.clone()));
                // A client that leaves in the middle is an error here and no news.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Upstream { addr, task })
}

async fn answer(request: Request<Incoming>, reminder: String) -> Result<Response<Body>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asked = value.to_string();
    let Some(scene) = SCENES.iter().find(|scene| asked.contains(&json!(scene.asked).to_string())) else {
        return Ok(whole(404, json!({"error": {"message": "the demo's model was not asked one of its questions"}})));
    };
    let reminded = !reminder.is_empty() && text.contains(json!(reminder).to_string().trim_matches('"'));
    let said = scene.reminded.filter(|_| reminded).unwrap_or(scene.said);
    Ok(if scene.stream { stream(events(scene.wire, said)) } else { whole(200, document(scene, said)) })
}

fn whole(status: u16, value: Value) -> Response<Body> {
    let body = http_body_util::Full::new(Bytes::from(value.to_string())).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn stream(events: Vec<String>) -> Response<Body> {
    let frames = futures_util::stream::unfold(events.into_iter(), |mut events| async move {
        let event = events.next()?;
        tokio::time::sleep(WORD).await;
        Some((Ok(Frame::data(Bytes::from(event))), events))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    response
}

/// The answer as one document.
fn document(scene: &Scene, said: &str) -> Value {
    match scene.wire {
        Wire::Chat => json!({
            "id": "chatcmpl-demo", "object": "chat.completion", "created": 1_764_000_000, "model": "demo",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said, "refusal": null}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 60, "total_tokens": 80},
        }),
        Wire::Responses => json!({
            "id": "resp_demo", "object": "response", "created_at": 1_764_000_000, "model": "demo", "status": "completed",
            "output": [{"id": "msg_demo", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": said, "annotations": []}]}],
        }),
        Wire::Messages => json!({
            "id": "msg_demo", "type": "message", "role": "assistant", "model": "demo", "stop_reason": "end_turn", "stop_sequence": null,
            "content": [{"type": "text", "text": said}], "usage": {"input_tokens": 20, "output_tokens": 60},
        }),
    }
}

/// The answer as a stream of events, a word each.
fn events(wire: Wire, said: &str) -> Vec<String> {
    let words = words(said);
    let named = |name: &str, value: Value| format!("event: {name}\ndata: {value}\n\n");
    let mut events = Vec::with_capacity(words.len() + 8);
    match wire {
        Wire::Chat => {
            let chunk = |delta: Value, finish: Value| {
                let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
                format!(
                    "data: {}\n\n",
                    json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "demo", "choices": choices})
                )
            };
            events.push(chunk(json!({"role": "assistant", "content": ""}), Value::Null));
            events.extend(words.iter().map(|word| chunk(json!({"content": word}), Value::Null)));
            events.push(chunk(json!({}), json!("stop")));
            events.push("data: [DONE]\n\n".to_owned());
        }
        Wire::Messages => {
            let message = json!({"id": "msg_demo", "type": "message", "role": "assistant", "model": "demo", "content": [], "stop_reason": null,
                "stop_sequence": null, "usage": {"input_tokens": 20, "output_tokens": 1}});
            events.push(named("message_start", json!({"type": "message_start", "message": message})));
            events.push(named(
                "content_block_start",
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ));
            events.extend(words.iter().map(|word| {
                named(
                    "content_block_delta",
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}),
                )
            }));
            events.push(named("content_block_stop", json!({"type": "content_block_stop", "index": 0})));
            let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
            events.push(named(
                "message_delta",
                json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": words.len()}}),
            ));
            events.push(named("message_stop", json!({"type": "message_stop"})));
        }
        Wire::Responses => {
            let mut sequence = 0;
            let mut next = |kind: &str, mut value: Value| {
                value["type"] = json!(kind);
                value["sequence_number"] = json!(sequence);
                sequence += 1;
                named(kind, value)
            };
            let response = |status: &str, output: Value| json!({"response": {"id": "resp_demo", "object": "response", "created_at": 1_764_000_000, "model": "demo", "status": status, "output": output}});
            let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
            let item = |status: &str, content: Value| json!({"id": "msg_demo", "type": "message", "role": "assistant", "status": status, "content": content});
            events.push(next("response.created", response("in_progress", json!([]))));
            events.push(next("response.output_item.added", json!({"output_index": 0, "item": item("in_progress", json!([]))})));
            events.push(next(
                "response.content_part.added",
                json!({"item_id": "msg_demo", "output_index": 0, "content_index": 0, "part": part("")}),
            ));
            for word in &words {
                events.push(next(
                    "response.output_text.delta",
                    json!({"item_id": "msg_demo", "output_index": 0, "content_index": 0, "delta": word}),
                ));
            }
            events.push(next(
                "response.output_text.done",
                json!({"item_id": "msg_demo", "output_index": 0, "content_index": 0, "text": said}),
            ));
            events.push(next(
                "response.content_part.done",
                json!({"item_id": "msg_demo", "output_index": 0, "content_index": 0, "part": part(said)}),
            ));
            events.push(next(
                "response.output_item.done",
                json!({"output_index": 0, "item": item("completed", json!([part(said)]))}),
            ));
            events.push(next("response.completed", response("completed", json!([item("completed", json!([part(said)]))]))));
        }
    }
    events
}

/// A text in the pieces a model sends: words with the space before them, or a few characters of a script without spaces.
fn words(said: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut chars = 0;
    for (at, c) in said.char_indices() {
        if at > start && (c == ' ' || chars >= 12 || (c as u32 >= 0x2E80 && chars >= 3)) {
            pieces.push(&said[start..at]);
            start = at;
            chars = 0;
        }
        chars += 1;
    }
    pieces.push(&said[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_text() {
        for scene in SCENES {
            assert_eq!(words(scene.said).concat(), scene.said);
        }
    }

    #[test]
    fn every_question_is_asked_once() {
        for (index, scene) in SCENES.iter().enumerate() {
            assert!(SCENES[..index].iter().all(|earlier| earlier.asked != scene.asked), "{}", scene.title);
        }
    }
}

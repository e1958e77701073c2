//! Writing Converse answers in the model's place: the refusal, the end of a cut stream, errors.
//!
//! A withheld answer stops as `guardrail_intervened`: that is what it is, and what clients know. Frames have no place for a comment, so
//! a cut stream does not name the rule.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;

use crate::dialect::json::quote;
use crate::dialect::{ApiError, Cut, Facts, Progress, Refusal, Reply, partial_json};
use crate::frame::event_stream;
use crate::text::Channel;

/// `content-type` of JSON bodies.
pub(super) const JSON: &str = "application/json";
/// `content-type` of streams.
pub(super) const STREAM: &str = "application/vnd.amazon.eventstream";

/// An answer that says the policy's message and stops as a guardrail would.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Reply {
    // A client that asked for JSON or a tool call parses what it finds, so there it finds nothing.
    let text = if refusal.exchange.structured { "" } else { refusal.message };
    if !refusal.stream {
        let content = if text.is_empty() { String::new() } else { format!(r#"{{"text":{}}}"#, quote(text)) };
        let body = format!(
            r#"{{"metrics":{{"latencyMs":0}},"output":{{"message":{{"content":[{content}],"role":"assistant"}}}},"stopReason":"guardrail_intervened","usage":{}}}"#,
            usage(refusal.facts)
        );
        return Reply { status: StatusCode::OK, content_type: JSON, body: Bytes::from(body) };
    }
    let mut frames = Vec::new();
    push(&mut frames, "messageStart", r#"{"role":"assistant"}"#);
    if !text.is_empty() {
        push(&mut frames, "contentBlockDelta", &format!(r#"{{"contentBlockIndex":0,"delta":{{"text":{}}}}}"#, quote(text)));
        push(&mut frames, "contentBlockStop", r#"{"contentBlockIndex":0}"#);
    }
    stop(&mut frames, refusal.facts);
    Reply { status: StatusCode::OK, content_type: STREAM, body: Bytes::from(frames) }
}

/// The end of a cut stream: closes every open block, then stops as a guardrail would.
pub(super) fn epilogue(cut: &Cut<'_>) -> Bytes {
    let mut frames = Vec::new();
    let progress = cut.progress;
    if progress.terminal {
        return Bytes::new();
    }
    if progress.candidates.get(&0).is_some_and(Option::is_some) {
        push(&mut frames, "metadata", &metadata(cut.facts));
        return Bytes::from(frames);
    }
    if !progress.started {
        push(&mut frames, "messageStart", r#"{"role":"assistant"}"#);
    }
    for index in open_blocks(progress) {
        if let Some(rest) = rest_of_input(progress, index) {
            let delta = format!(r#"{{"contentBlockIndex":{index},"delta":{{"toolUse":{{"input":{}}}}}}}"#, quote(&rest));
            push(&mut frames, "contentBlockDelta", &delta);
        }
        push(&mut frames, "contentBlockStop", &format!(r#"{{"contentBlockIndex":{index}}}"#));
    }
    stop(&mut frames, cut.facts);
    Bytes::from(frames)
}

/// An error in Bedrock's shape. Its type goes into the body, where clients look if no header says it.
pub(super) fn error(error: &ApiError<'_>) -> Reply {
    let kind = match error.status.as_u16() {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        424 | 502 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    };
    let body = format!(r#"{{"message":{},"__type":"{kind}"}}"#, quote(error.message));
    Reply { status: error.status, content_type: JSON, body: Bytes::from(body) }
}

/// The blocks that the client has a part of and not the end. Only tool calls are opened by an event of their own.
fn open_blocks(progress: &Progress) -> BTreeSet<u32> {
    let said = progress.texts.iter().filter(|released| !released.text.is_empty()).map(|released| released.part);
    let closed: BTreeSet<u32> = progress.closed.iter().map(|block| block.index).collect();
    progress.open.iter().map(|block| block.index).chain(said).filter(|index| !closed.contains(index)).collect()
}

/// What the input of an open tool call lacks to be JSON: clients parse it when its block ends.
fn rest_of_input(progress: &Progress, index: u32) -> Option<String> {
    let input = progress.texts.iter().find(|released| released.channel == Channel::ToolCall && released.part == index)?;
    partial_json::completion(&input.text).filter(|rest| !rest.is_empty() && !input.text.is_empty())
}

fn stop(frames: &mut Vec<u8>, facts: &Facts) {
    push(frames, "messageStop", r#"{"stopReason":"guardrail_intervened"}"#);
    push(frames, "metadata", &metadata(facts));
}

fn metadata(facts: &Facts) -> String {
    format!(r#"{{"metrics":{{"latencyMs":0}},"usage":{}}}"#, usage(facts))
}

fn usage(facts: &Facts) -> String {
    let (input, output) = (facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0));
    format!(r#"{{"inputTokens":{input},"outputTokens":{output},"totalTokens":{}}}"#, input.saturating_add(output))
}

/// Adds a frame.
pub(super) fn push(frames: &mut Vec<u8>, kind: &str, payload: &str) {
    let headers = [(":event-type", kind), (":content-type", JSON), (":message-type", "event")];
    event_stream::write(frames, &headers, payload.as_bytes());
}

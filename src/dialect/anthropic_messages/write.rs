//! Writing Messages answers in the model's place: the refusal, the end of a cut stream, errors.
//!
//! A tool call that was cut is given the rest of its JSON, with the argument under way as `null`: clients parse the input when its
//! block ends, and half an argument must not look whole.

use bytes::Bytes;
use http::StatusCode;

use super::read::is_tool_use;
use crate::dialect::json::quote;
use crate::dialect::reading::sse_comment;
use crate::dialect::{ApiError, Cut, Exchange, Facts, Progress, Refusal, Reply, partial_json};
use crate::frame::sse;
use crate::text::Channel;

/// `content-type` of JSON bodies.
pub(in crate::dialect) const JSON: &str = "application/json";
/// `content-type` of streams.
pub(in crate::dialect) const SSE: &str = "text/event-stream; charset=utf-8";

/// An answer that says the policy's message and stops as a refusal.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Reply {
    let id =
        refusal.facts.id.as_deref().map_or_else(|| format!("msg_{}", refusal.request_id.to_ascii_lowercase()), str::to_owned);
    // A client that asked for JSON or a tool call parses what it finds, so there it finds nothing: how this API refuses, too.
    let text = if refusal.exchange.structured { "" } else { refusal.message };
    let details = stop_details(Some(refusal.message));
    if !refusal.stream {
        let content = if text.is_empty() { String::new() } else { format!(r#"{{"type":"text","text":{}}}"#, quote(text)) };
        let message = message(&id, refusal.exchange, refusal.facts, &content, Some(&details));
        return Reply { status: StatusCode::OK, content_type: JSON, body: Bytes::from(message) };
    }
    let mut events = String::new();
    start(&mut events, &id, refusal.exchange, refusal.facts);
    if !text.is_empty() {
        push(&mut events, "content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#);
        let delta = format!(r#""index":0,"delta":{{"type":"text_delta","text":{}}}"#, quote(text));
        push(&mut events, "content_block_delta", &delta);
        push(&mut events, "content_block_stop", r#""index":0"#);
    }
    stop(&mut events, refusal.facts, &details);
    Reply { status: StatusCode::OK, content_type: SSE, body: Bytes::from(events) }
}

/// The end of a cut stream: closes every open block, then stops as a refusal.
pub(super) fn epilogue(cut: &Cut<'_>) -> Bytes {
    let mut events = String::new();
    let progress = cut.progress;
    if !progress.terminal {
        if !progress.started {
            let id = cut.facts.id.as_deref().map_or_else(|| format!("msg_steadfast_{}", cut.now), str::to_owned);
            start(&mut events, &id, cut.exchange, cut.facts);
        }
        for block in &progress.open {
            if is_tool_use(&block.kind)
                && let Some(rest) = rest_of_input(progress, block.index)
            {
                let delta =
                    format!(r#""index":{},"delta":{{"type":"input_json_delta","partial_json":{}}}"#, block.index, quote(&rest));
                push(&mut events, "content_block_delta", &delta);
            }
            push(&mut events, "content_block_stop", &format!(r#""index":{}"#, block.index));
        }
        stop(&mut events, cut.facts, &stop_details(None));
    }
    events.extend(cut.rule.map(sse_comment));
    Bytes::from(events)
}

/// An error in Anthropic's shape.
pub(in crate::dialect) fn error(error: &ApiError<'_>) -> Reply {
    let kind = match error.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let body = format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":{}}},"request_id":{}}}"#,
        quote(error.message),
        quote(error.request_id)
    );
    Reply { status: error.status, content_type: JSON, body: Bytes::from(body) }
}

/// What the input of an open tool call lacks to be JSON.
fn rest_of_input(progress: &Progress, index: u32) -> Option<String> {
    let input = progress.texts.iter().find(|released| released.channel == Channel::ToolCall && released.part == index)?;
    // Without any, the input is the empty object that the block began with.
    if input.text.is_empty() {
        return None;
    }
    partial_json::completion(&input.text).filter(|rest| !rest.is_empty())
}

fn start(events: &mut String, id: &str, exchange: &Exchange, facts: &Facts) {
    push(events, "message_start", &format!(r#""message":{}"#, message(id, exchange, facts, "", None)));
}

fn stop(events: &mut String, facts: &Facts, details: &str) {
    let output = facts.output_tokens.unwrap_or(0);
    let delta = format!(
        r#""delta":{{"stop_reason":"refusal","stop_sequence":null,"stop_details":{details}}},"usage":{{"output_tokens":{output}}}"#
    );
    push(events, "message_delta", &delta);
    sse::write(events, Some("message_stop"), r#"{"type":"message_stop"}"#);
}

/// A message; still without a reason to stop where there are no details.
fn message(id: &str, exchange: &Exchange, facts: &Facts, content: &str, details: Option<&str>) -> String {
    let model = facts.model.as_deref().or(exchange.model.as_deref()).unwrap_or("unknown");
    let (reason, details) = details.map_or(("null", "null"), |details| (r#""refusal""#, details));
    format!(
        concat!(
            r#"{{"id":{id},"type":"message","role":"assistant","model":{model},"content":[{content}],"stop_reason":{reason},"#,
            r#""stop_sequence":null,"stop_details":{details},"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}"#
        ),
        id = quote(id),
        model = quote(model),
        content = content,
        reason = reason,
        details = details,
        input = facts.input_tokens.unwrap_or(0),
        output = facts.output_tokens.unwrap_or(0),
    )
}

fn stop_details(explanation: Option<&str>) -> String {
    let explanation = explanation.map_or_else(|| "null".to_owned(), quote);
    format!(r#"{{"type":"refusal","category":null,"explanation":{explanation}}}"#)
}

/// Adds an event; `members` is the inside of its JSON object.
fn push(events: &mut String, kind: &str, members: &str) {
    sse::write(events, Some(kind), &format!(r#"{{"type":"{kind}",{members}}}"#));
}

//! Writing in Gemini's words: refusals, the ends of cut streams, Google's errors.

use bytes::Bytes;
use http::StatusCode;

use super::read::ARRAY;
use crate::dialect::json::quote;
use crate::dialect::{ApiError, Cut, Facts, Refusal, Reply, openai};
use crate::frame::Framing;

/// `content-type` of JSON bodies.
pub(in crate::dialect) const JSON: &str = "application/json; charset=UTF-8";
/// `content-type` of streams.
pub(in crate::dialect) const SSE: &str = "text/event-stream";

/// An answer that says the policy's message and that a filter ended it.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Reply {
    // Who asked for JSON or a call parses every text: such an answer has only the reason, as Google's own filtered ones do.
    let said = if refusal.exchange.structured {
        format!(r#""finishMessage":{}"#, quote(refusal.message))
    } else {
        format!(r#""content":{{"parts":[{{"text":{}}}],"role":"model"}}"#, quote(refusal.message))
    };
    let indices = 0..refusal.exchange.candidates.clamp(1, openai::MAX_CANDIDATES);
    let candidates: Vec<String> = indices.map(|index| format!(r#"{{{said},"finishReason":"SAFETY","index":{index}}}"#)).collect();
    let body = answer(&candidates, refusal.facts, refusal.exchange.model.as_deref(), Some(refusal.request_id));
    let (content_type, body) = match refusal.exchange.framing {
        _ if !refusal.stream => (JSON, body),
        Some(Framing::JsonArray) => (JSON, format!("[{body}]")),
        _ => (SSE, event(&body, refusal.facts)),
    };
    Reply { status: StatusCode::OK, content_type, body: body.into() }
}

/// The end of a cut stream: one more piece of it, which ends every answer that has not ended.
pub(super) fn epilogue(cut: &Cut<'_>) -> Bytes {
    let array = cut.progress.open.iter().any(|block| &*block.kind == ARRAY);
    // In place of an array a lone object may come, an error as a rule, after which nothing can be written.
    let lone = cut.exchange.framing == Some(Framing::JsonArray) && !array && !cut.progress.started;
    if cut.progress.terminal || lone {
        return Bytes::new();
    }
    let candidates: Vec<String> =
        openai::unfinished(cut).map(|index| format!(r#"{{"finishReason":"SAFETY","index":{index}}}"#)).collect();
    let body = (!candidates.is_empty()).then(|| answer(&candidates, cut.facts, cut.exchange.model.as_deref(), None));
    let end = match (body, array) {
        (Some(body), true) => format!("\n,\r\n{body}\n]"),
        (None, true) => "\n]".to_owned(),
        (Some(body), false) => event(&body, cut.facts),
        (None, false) => String::new(),
    };
    end.into()
}

/// An error in Google's shape.
pub(in crate::dialect) fn error(error: &ApiError<'_>) -> Reply {
    let status = match error.status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let body = format!(
        concat!(
            r#"{{"error":{{"code":{code},"message":{message},"status":"{status}","details":[{{"#,
            r#""@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":{reason},"domain":"steadfast","#,
            r#""metadata":{{"request_id":{id}}}}}]}}}}"#
        ),
        code = error.status.as_u16(),
        message = quote(error.message),
        status = status,
        reason = quote(&error.code.to_ascii_uppercase()),
        id = quote(error.request_id),
    );
    Reply { status: error.status, content_type: JSON, body: body.into() }
}

fn answer(candidates: &[String], facts: &Facts, asked: Option<&str>, request_id: Option<&str>) -> String {
    let mut out = format!(r#"{{"candidates":[{}]"#, candidates.join(","));
    if facts.input_tokens.is_some() || facts.output_tokens.is_some() {
        let (input, output) = (facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0));
        out.push_str(&format!(
            r#","usageMetadata":{{"promptTokenCount":{input},"candidatesTokenCount":{output},"totalTokenCount":{}}}"#,
            input.saturating_add(output)
        ));
    }
    for (name, value) in [("modelVersion", facts.model.as_deref().or(asked)), ("responseId", facts.id.as_deref().or(request_id))]
    {
        if let Some(value) = value {
            out.push_str(&format!(r#","{name}":{}"#, quote(value)));
        }
    }
    out.push('}');
    out
}

/// A server-sent event, with the line breaks that the stream has (Google's are CRLF).
fn event(body: &str, facts: &Facts) -> String {
    let end = if facts.crlf { "\r\n\r\n" } else { "\n\n" };
    format!("data: {body}{end}")
}

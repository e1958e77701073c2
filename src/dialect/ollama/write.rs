//! Writing in Ollama's words: refusals, the ends of cut streams, errors. There is no reason that stands for a filter, so an answer that
//! was blocked ends with `stop`; the headers say what happened.

use bytes::Bytes;
use http::StatusCode;

use super::Ollama;
use crate::dialect::json::quote;
use crate::dialect::timestamp::utc;
use crate::dialect::{ApiError, Cut, Exchange, Facts, Refusal, Reply};

const JSON: &str = "application/json; charset=utf-8";
const LINES: &str = "application/x-ndjson";

/// An answer that says the policy's message.
pub(super) fn refusal(endpoint: Ollama, refusal: &Refusal<'_>) -> Reply {
    let say = |text: &str, last: bool| line(endpoint, refusal.facts, refusal.exchange, refusal.now, text, last);
    let (content_type, body) = if refusal.stream {
        (LINES, format!("{}\n{}\n", say(refusal.message, false), say("", true)))
    } else {
        (JSON, say(refusal.message, true))
    };
    Reply { status: StatusCode::OK, content_type, body: body.into() }
}

/// The end of a cut stream: its last line.
pub(super) fn epilogue(endpoint: Ollama, cut: &Cut<'_>) -> Bytes {
    if cut.progress.terminal {
        return Bytes::new();
    }
    format!("{}\n", line(endpoint, cut.facts, cut.exchange, cut.now, "", true)).into()
}

/// An error in Ollama's shape.
pub(super) fn error(error: &ApiError<'_>) -> Reply {
    let body = format!(r#"{{"error":{}}}"#, quote(error.message));
    Reply { status: error.status, content_type: JSON, body: body.into() }
}

fn line(endpoint: Ollama, facts: &Facts, exchange: &Exchange, now: u64, text: &str, last: bool) -> String {
    let model = facts.model.as_deref().or(exchange.model.as_deref()).unwrap_or_default();
    let said = match endpoint {
        Ollama::Chat => format!(r#""message":{{"role":"assistant","content":{}}}"#, quote(text)),
        Ollama::Generate => format!(r#""response":{}"#, quote(text)),
    };
    let end = if last {
        format!(
            concat!(
                r#""done":true,"done_reason":"stop","total_duration":0,"load_duration":0,"prompt_eval_count":{},"#,
                r#""prompt_eval_duration":0,"eval_count":{},"eval_duration":0"#
            ),
            facts.input_tokens.unwrap_or(0),
            facts.output_tokens.unwrap_or(0),
        )
    } else {
        r#""done":false"#.to_owned()
    };
    format!(r#"{{"model":{},"created_at":"{}",{said},{end}}}"#, quote(model), utc(now))
}

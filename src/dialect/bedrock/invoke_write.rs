//! Writing InvokeModel answers in the model's place. Families that have another API's format are written by that; their streams are put
//! into chunk frames. What was withheld is marked as Bedrock's own guardrails mark it, in every family alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;

use super::family::Family;
use super::write::{self, JSON, STREAM};
use crate::dialect::anthropic_complete::AnthropicComplete;
use crate::dialect::anthropic_messages::AnthropicMessages;
use crate::dialect::cohere::{self, Cohere};
use crate::dialect::json::{Edits, quote};
use crate::dialect::openai_chat::OpenAiChat;
use crate::dialect::openai_completions::OpenAiCompletions;
use crate::dialect::{ApiError, Cut, Dialect, Exchange, Facts, Refusal, Reply};
use crate::frame::{Framer, Framing, event_stream};

/// Bedrock's mark on an answer that a guardrail changed.
const MARK: (&str, &str) = ("amazon-bedrock-guardrailAction", "\"INTERVENED\"");

/// An answer that says the policy's message.
pub(super) fn refusal(family: Option<Family>, refusal: &Refusal<'_>) -> Reply {
    let reply = |body: String| Reply { status: StatusCode::OK, content_type: JSON, body: Bytes::from(body) };
    let streamed = |frames: Vec<u8>| Reply { status: StatusCode::OK, content_type: STREAM, body: Bytes::from(frames) };
    let Some(family) = family else {
        // Nobody can say in what words: an error is the same in every family.
        let error = ApiError {
            status: StatusCode::BAD_REQUEST,
            code: "content_filter",
            message: refusal.message,
            request_id: refusal.request_id,
        };
        return write::error(&error);
    };
    let text = if refusal.exchange.structured { "" } else { refusal.message };
    match delegate(family) {
        Some((dialect, framing, variant)) => {
            let exchange = Exchange { variant, ..refusal.exchange.clone() };
            let theirs = dialect.refusal(&Refusal { exchange: &exchange, ..*refusal });
            if refusal.stream { streamed(wrapped(framing, theirs.body, refusal.facts)) } else { reply(marked(&theirs.body)) }
        }
        None if matches!(family, Family::Nova | Family::Converse) => {
            let theirs = write::refusal(refusal);
            if refusal.stream {
                streamed(wrapped(Framing::EventStream, theirs.body, refusal.facts))
            } else {
                reply(marked(&theirs.body))
            }
        }
        None if refusal.stream => {
            let mut frames = Vec::new();
            last(&mut frames, &piece(family, text, refusal.facts), refusal.facts);
            streamed(frames)
        }
        None => reply(marked(whole(family, text, refusal.facts).as_bytes())),
    }
}

/// The end of a cut stream.
pub(super) fn epilogue(family: Option<Family>, cut: &Cut<'_>) -> Bytes {
    if cut.progress.terminal {
        return Bytes::new();
    }
    let mut frames = Vec::new();
    let Some(family) = family else {
        let headers = [(":exception-type", "modelStreamErrorException"), (":content-type", JSON), (":message-type", "exception")];
        let message = r#"{"message":"the answer was withheld by a content filter"}"#;
        event_stream::write(&mut frames, &headers, message.as_bytes());
        return Bytes::from(frames);
    };
    match delegate(family) {
        Some((dialect, framing, variant)) => {
            let exchange = Exchange { variant, ..cut.exchange.clone() };
            frames = wrapped(framing, dialect.epilogue(&Cut { exchange: &exchange, rule: None, ..*cut }), cut.facts);
        }
        None if matches!(family, Family::Nova | Family::Converse) => {
            frames = wrapped(Framing::EventStream, write::epilogue(cut), cut.facts);
        }
        None => last(&mut frames, &piece(family, "", cut.facts), cut.facts),
    }
    Bytes::from(frames)
}

/// The other API whose format a family has, how that streams, and which of its shapes it is.
fn delegate(family: Family) -> Option<(&'static dyn Dialect, Framing, Option<&'static str>)> {
    Some(match family {
        Family::Messages => (&AnthropicMessages, Framing::Sse, None),
        Family::Complete => (&AnthropicComplete, Framing::Sse, None),
        Family::Chat => (&OpenAiChat, Framing::Sse, None),
        Family::Completions => (&OpenAiCompletions, Framing::Sse, None),
        Family::CohereChat => (&Cohere, Framing::Ndjson, Some(cohere::V1)),
        Family::CohereGenerate => (&Cohere, Framing::Ndjson, Some(cohere::GENERATE)),
        _ => return None,
    })
}

/// A stream's events as chunk frames, the last one marked.
fn wrapped(framing: Framing, body: Bytes, facts: &Facts) -> Vec<u8> {
    let mut framer = Framer::new(framing, usize::MAX);
    framer.push(body);
    let mut events = Vec::new();
    // What we wrote ourselves has no framing errors.
    while let Ok(Some(event)) = framer.finish() {
        let data = String::from_utf8_lossy(event.data.trim_ascii()).into_owned();
        if framing == Framing::EventStream {
            events.push(format!("{{\"{}\":{data}}}", String::from_utf8_lossy(&event.name)));
        } else if data.starts_with('{') {
            events.push(data);
        }
    }
    let mut frames = Vec::new();
    let end = events.pop();
    events.iter().for_each(|event| push(&mut frames, event));
    if let Some(end) = end {
        last(&mut frames, &end, facts);
    }
    frames
}

/// A body with Bedrock's mark.
fn marked(body: &[u8]) -> String {
    with(body, &[MARK.0.to_owned()], &[MARK.1.to_owned()])
}

fn with(body: &[u8], names: &[String], values: &[String]) -> String {
    let edited = Edits::new(body, "answer").and_then(|mut edits| {
        let members = edits.members("answer")?;
        names.iter().zip(values).for_each(|(name, value)| edits.set(&members, name, value));
        Ok(edits.finish())
    });
    String::from_utf8_lossy(&edited.unwrap_or_else(|_| body.to_vec())).into_owned()
}

/// The last chunk, with the mark and what the stream took.
fn last(frames: &mut Vec<u8>, event: &str, facts: &Facts) {
    let (input, output) = (facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0));
    let metrics =
        format!(r#"{{"inputTokenCount":{input},"outputTokenCount":{output},"invocationLatency":0,"firstByteLatency":0}}"#);
    let names = [MARK.0.to_owned(), "amazon-bedrock-invocationMetrics".to_owned()];
    push(frames, &with(event.as_bytes(), &names, &[MARK.1.to_owned(), metrics]));
}

/// Adds a chunk frame.
pub(super) fn push(frames: &mut Vec<u8>, event: &str) {
    write::push(frames, "chunk", &format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(event)));
}

/// A whole answer of a family with a format of its own.
fn whole(family: Family, text: &str, facts: &Facts) -> String {
    let text = quote(text);
    let (input, output) = (facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0));
    match family {
        Family::Titan => format!(
            r#"{{"inputTextTokenCount":{input},"results":[{{"tokenCount":{output},"outputText":{text},"completionReason":"CONTENT_FILTERED"}}]}}"#
        ),
        Family::Jurassic => format!(
            r#"{{"id":0,"prompt":{{"text":"","tokens":[]}},"completions":[{{"data":{{"text":{text},"tokens":[]}},"finishReason":{{"reason":"endoftext"}}}}]}}"#
        ),
        family => piece_of(family, &text, input, output),
    }
}

/// A stream's event of a family with a format of its own.
fn piece(family: Family, text: &str, facts: &Facts) -> String {
    piece_of(family, &quote(text), facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0))
}

fn piece_of(family: Family, text: &str, input: u64, output: u64) -> String {
    match family {
        Family::Titan => format!(
            r#"{{"outputText":{text},"index":0,"totalOutputTextTokenCount":{output},"completionReason":"CONTENT_FILTERED","inputTextTokenCount":{input}}}"#
        ),
        Family::Mistral => format!(r#"{{"outputs":[{{"text":{text},"stop_reason":"stop"}}]}}"#),
        Family::Pegasus => format!(r#"{{"message":{text},"finishReason":"stop"}}"#),
        _ => format!(
            r#"{{"generation":{text},"prompt_token_count":{input},"generation_token_count":{output},"stop_reason":"stop"}}"#
        ),
    }
}

//! Writing Cohere answers in the model's place: the refusal, the end of a cut stream, errors.
//!
//! The first version has a reason for what its own filter holds back, `ERROR_TOXIC`. The second has none: a refusal is a complete answer
//! that says the policy's message, as its models refuse too, and a cut answer ends in `ERROR`, so that it does not pass for a whole one.

use bytes::Bytes;
use http::StatusCode;

use crate::dialect::json::quote;
use crate::dialect::{ApiError, Cut, Exchange, Facts, Progress, Refusal, Reply, partial_json};
use crate::text::Channel;

/// `content-type` of JSON bodies.
const JSON: &str = "application/json";

/// An error in Cohere's shape.
pub(super) fn error(error: &ApiError<'_>) -> Reply {
    let body = format!(r#"{{"id":{},"message":{}}}"#, quote(error.request_id), quote(error.message));
    Reply { status: error.status, content_type: JSON, body: Bytes::from(body) }
}

/// A client that asked for JSON or a tool call parses what it finds, so there it finds nothing.
fn text_of<'a>(exchange: &Exchange, message: &'a str) -> &'a str {
    if exchange.structured { "" } else { message }
}

fn id(facts: &Facts, request_id: &str) -> String {
    quote(&facts.id.as_deref().map_or_else(|| request_id.to_ascii_lowercase(), str::to_owned))
}

/// `billed_units` and `tokens`, the inside of their object.
fn counts(facts: &Facts) -> String {
    let (input, output) = (facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0));
    let counts = format!(r#"{{"input_tokens":{input},"output_tokens":{output}}}"#);
    format!(r#""billed_units":{counts},"tokens":{counts}"#)
}

fn reply(content_type: &'static str, body: String) -> Reply {
    Reply { status: StatusCode::OK, content_type, body: Bytes::from(body) }
}

/// What a tool call's open arguments lack to be JSON.
fn rest_of_arguments(progress: &Progress, index: u32) -> Option<String> {
    let call = progress.texts.iter().find(|released| released.channel == Channel::ToolCall && released.part == index)?;
    partial_json::completion(&call.text).filter(|rest| !rest.is_empty() && !call.text.is_empty())
}

/// The second version's chat.
pub(super) mod second {
    use super::super::read::TOOL_CALL;
    use super::{Bytes, Cut, Facts, JSON, Refusal, Reply, counts, id, quote, reply, rest_of_arguments, text_of};
    use crate::dialect::reading::sse_comment;
    use crate::frame::sse;

    /// `content-type` of streams.
    const SSE: &str = "text/event-stream";

    pub(in super::super) fn refusal(refusal: &Refusal<'_>) -> Reply {
        let id = id(refusal.facts, refusal.request_id);
        let text = quote(text_of(refusal.exchange, refusal.message));
        if !refusal.stream {
            let body = format!(
                r#"{{"id":{id},"message":{{"role":"assistant","content":[{{"type":"text","text":{text}}}]}},"finish_reason":"COMPLETE","usage":{{{}}}}}"#,
                counts(refusal.facts)
            );
            return reply(JSON, body);
        }
        let mut events = String::new();
        start(&mut events, &id);
        push(&mut events, "content-start", r#""index":0,"delta":{"message":{"content":{"type":"text","text":""}}}"#);
        push(&mut events, "content-delta", &format!(r#""index":0,"delta":{{"message":{{"content":{{"text":{text}}}}}}}"#));
        push(&mut events, "content-end", r#""index":0"#);
        stop(&mut events, r#""finish_reason":"COMPLETE""#, refusal.facts);
        reply(SSE, events)
    }

    pub(in super::super) fn epilogue(cut: &Cut<'_>) -> Bytes {
        let mut events = String::new();
        let progress = cut.progress;
        let finished = progress.candidates.get(&0).is_some_and(Option::is_some);
        if !finished && !progress.started {
            start(&mut events, &id(cut.facts, &format!("steadfast-{}", cut.now)));
        }
        for block in progress.open.iter().filter(|_| !finished) {
            let index = block.index;
            if &*block.kind != TOOL_CALL {
                push(&mut events, "content-end", &format!(r#""index":{index}"#));
                continue;
            }
            if let Some(rest) = rest_of_arguments(progress, index) {
                let call = format!(r#"{{"function":{{"arguments":{}}}}}"#, quote(&rest));
                push(
                    &mut events,
                    "tool-call-delta",
                    &format!(r#""index":{index},"delta":{{"message":{{"tool_calls":{call}}}}}"#),
                );
            }
            push(&mut events, "tool-call-end", &format!(r#""index":{index}"#));
        }
        if !finished {
            stop(&mut events, r#""finish_reason":"ERROR","error":"the answer was withheld by a content filter""#, cut.facts);
        } else if !progress.terminal {
            sse::write(&mut events, None, "[DONE]");
        }
        events.extend(cut.rule.map(sse_comment));
        Bytes::from(events)
    }

    fn start(events: &mut String, id: &str) {
        let message = r#""delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}"#;
        push(events, "message-start", &format!(r#""id":{id},{message}"#));
    }

    fn stop(events: &mut String, how: &str, facts: &Facts) {
        push(events, "message-end", &format!(r#""delta":{{{how},"usage":{{{}}}}}"#, counts(facts)));
        sse::write(events, None, "[DONE]");
    }

    /// Adds an event; `members` is the inside of its JSON object.
    fn push(events: &mut String, kind: &str, members: &str) {
        sse::write(events, Some(kind), &format!(r#"{{"type":"{kind}",{members}}}"#));
    }
}

/// The first version's chat and generation.
pub(super) mod first {
    use super::super::GENERATE;
    use super::{Bytes, Channel, Cut, Exchange, Facts, JSON, Refusal, Reply, counts, id, quote, reply, text_of};

    /// `content-type` of streams.
    const LINES: &str = "application/stream+json";
    const FILTERED: &str = "ERROR_TOXIC";

    pub(in super::super) fn refusal(refusal: &Refusal<'_>) -> Reply {
        let id = id(refusal.facts, refusal.request_id);
        let text = text_of(refusal.exchange, refusal.message);
        let texts = vec![text; usize::try_from(refusal.exchange.candidates).unwrap_or(1)];
        let answer = answer(refusal.exchange, refusal.facts, &id, &texts);
        if !refusal.stream {
            return reply(JSON, answer);
        }
        // Generation has no event for its start, and its clients know none.
        let mut lines = match refusal.exchange.variant {
            Some(GENERATE) => String::new(),
            _ => format!("{{\"is_finished\":false,\"event_type\":\"stream-start\",\"generation_id\":{id}}}\n"),
        };
        for index in 0..texts.len() {
            let index = if texts.len() > 1 { format!(r#","index":{index}"#) } else { String::new() };
            let text = quote(text);
            lines.push_str(&format!("{{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":{text}{index}}}\n"));
        }
        end(&mut lines, &answer);
        reply(LINES, lines)
    }

    /// The last line says the whole answer: what of it the client has.
    pub(in super::super) fn epilogue(cut: &Cut<'_>) -> Bytes {
        let mut lines = String::new();
        if !cut.progress.terminal {
            let count = cut.exchange.candidates.max(1);
            let mut texts = vec![String::new(); usize::try_from(count).unwrap_or(1)];
            for released in cut.progress.texts.iter().filter(|released| released.channel == Channel::Answer) {
                if let Some(text) = usize::try_from(released.candidate).ok().and_then(|candidate| texts.get_mut(candidate)) {
                    text.push_str(&released.text);
                }
            }
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let id = id(cut.facts, &format!("steadfast-{}", cut.now));
            end(&mut lines, &answer(cut.exchange, cut.facts, &id, &texts));
        }
        Bytes::from(lines)
    }

    fn end(lines: &mut String, answer: &str) {
        lines.push_str(&format!(
            "{{\"is_finished\":true,\"event_type\":\"stream-end\",\"finish_reason\":\"{FILTERED}\",\"response\":{answer}}}\n"
        ));
    }

    /// A whole answer.
    fn answer(exchange: &Exchange, facts: &Facts, id: &str, texts: &[&str]) -> String {
        let meta = format!(r#"{{"api_version":{{"version":"1"}},{}}}"#, counts(facts));
        if exchange.variant == Some(GENERATE) {
            let one = |text: &&str| format!(r#"{{"id":{id},"text":{},"finish_reason":"{FILTERED}"}}"#, quote(text));
            let generations = texts.iter().map(one).collect::<Vec<_>>().join(",");
            let prompt = quote(exchange.user.as_deref().unwrap_or_default());
            return format!(r#"{{"id":{id},"generations":[{generations}],"prompt":{prompt},"meta":{meta}}}"#);
        }
        let text = quote(texts.first().copied().unwrap_or_default());
        format!(
            r#"{{"response_id":{id},"text":{text},"generation_id":{id},"chat_history":[],"finish_reason":"{FILTERED}","meta":{meta}}}"#
        )
    }
}

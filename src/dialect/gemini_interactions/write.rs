//! Writing interactions: refusals and the ends of cut streams.

use bytes::Bytes;
use http::StatusCode;

use crate::dialect::json::quote;
use crate::dialect::reading::sse_comment;
use crate::dialect::timestamp::utc;
use crate::dialect::{Cut, Exchange, Facts, Progress, Refusal, Reply, gemini, partial_json};
use crate::frame::sse;
use crate::text::Channel;

/// An interaction that says the policy's message and that it is not complete: the API has no word for a filter.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Reply {
    let id = refusal.facts.id.as_deref().map_or_else(|| format!("v1_{}", refusal.request_id.to_ascii_lowercase()), str::to_owned);
    let envelope = Envelope { id: &id, facts: refusal.facts, exchange: refusal.exchange, now: refusal.now };
    let content = format!(r#"{{"type":"text","text":{}}}"#, quote(refusal.message));
    // Who asked for JSON or a call parses every text: such an answer has an error in place of one (7: not permitted).
    let parses = refusal.exchange.structured;
    let error = format!(r#"{{"type":"model_output","error":{{"code":7,"message":{}}}}}"#, quote(refusal.message));
    if !refusal.stream {
        let step = if parses { error } else { format!(r#"{{"type":"model_output","content":[{content}]}}"#) };
        let body = envelope.json("incomplete", &format!(r#","steps":[{step}]"#));
        return Reply { status: StatusCode::OK, content_type: gemini::JSON, body: body.into() };
    }
    let mut out = String::new();
    envelope.open(&mut out);
    let step = if parses { &*error } else { r#"{"type":"model_output"}"# };
    push(&mut out, "step.start", &format!(r#""index":0,"step":{step}"#));
    if !parses {
        push(&mut out, "step.delta", &format!(r#""index":0,"delta":{content}"#));
    }
    push(&mut out, "step.stop", r#""index":0"#);
    envelope.close(&mut out);
    Reply { status: StatusCode::OK, content_type: gemini::SSE, body: out.into() }
}

/// The end of a cut stream: closes what is open, then ends the interaction as not complete.
pub(super) fn epilogue(cut: &Cut<'_>) -> Bytes {
    let progress = cut.progress;
    let mut out = String::new();
    if !progress.terminal {
        let id = cut.facts.id.as_deref().map_or_else(|| format!("v1_steadfast_{}", cut.now), str::to_owned);
        let envelope = Envelope { id: &id, facts: cut.facts, exchange: cut.exchange, now: cut.now };
        // A stream that is taken up again begins in the middle.
        if !progress.started && progress.texts.iter().all(|released| released.text.is_empty()) {
            envelope.open(&mut out);
        }
        for block in &progress.open {
            if let Some(rest) = rest_of_arguments(progress, block.index) {
                let delta =
                    format!(r#""index":{},"delta":{{"type":"arguments_delta","arguments":{}}}"#, block.index, quote(&rest));
                push(&mut out, "step.delta", &delta);
            }
            push(&mut out, "step.stop", &format!(r#""index":{}"#, block.index));
        }
        if progress.candidates.get(&0).is_some_and(Option::is_some) {
            done(&mut out);
        } else {
            envelope.close(&mut out);
        }
    }
    out.extend(cut.rule.map(sse_comment));
    out.into()
}

/// What the arguments of an open call lack to be JSON.
fn rest_of_arguments(progress: &Progress, index: u32) -> Option<String> {
    let arguments = progress.texts.iter().find(|released| released.channel == Channel::ToolCall && released.part == index)?;
    if arguments.text.is_empty() {
        return None;
    }
    partial_json::completion(&arguments.text).filter(|rest| !rest.is_empty())
}

/// What the interaction object says in each of its versions.
struct Envelope<'a> {
    id: &'a str,
    facts: &'a Facts,
    exchange: &'a Exchange,
    now: u64,
}

impl Envelope<'_> {
    fn open(&self, out: &mut String) {
        push(out, "interaction.created", &format!(r#""interaction":{}"#, self.json("in_progress", "")));
        push(out, "interaction.status_update", &format!(r#""interaction_id":{},"status":"in_progress""#, quote(self.id)));
    }

    fn close(&self, out: &mut String) {
        push(out, "interaction.completed", &format!(r#""interaction":{}"#, self.json("incomplete", "")));
        done(out);
    }

    fn json(&self, status: &str, more: &str) -> String {
        let model = self.facts.model.as_deref().or(self.exchange.model.as_deref()).unwrap_or("unknown");
        let time = utc(self.now);
        let mut out = format!(
            r#"{{"id":{},"object":"interaction","model":{},"status":"{status}","created":"{time}","updated":"{time}"{more}"#,
            quote(self.id),
            quote(model),
        );
        let (input, output) = (self.facts.input_tokens, self.facts.output_tokens);
        if status == "incomplete" && (input.is_some() || output.is_some()) {
            let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
            let total = input.saturating_add(output);
            out.push_str(&format!(
                r#","usage":{{"total_input_tokens":{input},"total_output_tokens":{output},"total_tokens":{total}}}"#
            ));
        }
        out.push('}');
        out
    }
}

/// Adds an event; `members` is the inside of its JSON object.
fn push(out: &mut String, kind: &str, members: &str) {
    sse::write(out, Some(kind), &format!(r#"{{"event_type":"{kind}",{members}}}"#));
}

fn done(out: &mut String) {
    sse::write(out, Some("done"), "[DONE]");
}

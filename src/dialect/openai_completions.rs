//! OpenAI's legacy Completions: a prompt goes on. Base models are spoken to like this (vLLM, llama.cpp, Together, Writer).
//!
//! The text is in `choices[].text`, in streams too. Where the request asked for `echo` it begins with the prompt, which is then
//! judged as the model's.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::json::{self, Edits, Members, Raw};
use super::openai::choices::Envelope;
use super::openai::{self, Usage};
use super::reading::{Delta, Mark, Reading, sse_comment};
use super::{
    Amendment, Api, ApiError, Cut, Dialect, DialectError, Exchange, Facts, Recognised, Refusal, Reply, RequestHead, Turn,
};
use crate::frame::{Event, sse};
use crate::text::Channel;

/// The format.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiCompletions;

impl Dialect for OpenAiCompletions {
    fn api(&self) -> Api {
        Api::OpenAiCompletions
    }

    fn recognise_at(&self, head: &RequestHead<'_>, segments: &[&str]) -> Recognised {
        let mut tail = segments.iter().rev().copied();
        match (tail.next(), tail.next()) {
            (Some("completions"), Some("chat" | "fim" | "agents")) => Recognised::No,
            (Some("completions"), _) if head.method == Method::POST => Recognised::Judged,
            (Some("completions"), _) if super::path::textless(head.method) => Recognised::Textless,
            _ => Recognised::No,
        }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        let mut exchange = Exchange::unknown(Api::OpenAiCompletions);
        exchange.model = openai::model_in_path(head.path);
        if body.trim_ascii().is_empty() {
            return Ok(exchange);
        }
        let request: Members<'_> = json::read(body, "request")?;
        // Where the path names one, the host looks at no other.
        exchange.model = exchange.model.or_else(|| request.get("model").and_then(Raw::shared));
        exchange.stream = request.get("stream").and_then(Raw::bool).unwrap_or(false);
        exchange.hints = openai::hints(&request);
        let prompt = request.get("prompt");
        let prompts = prompt.and_then(|raw| raw.elements("prompt").ok()).unwrap_or_default();
        // A list of numbers is one prompt of tokens.
        let several = prompts.iter().filter(|prompt| prompt.is_string() || prompt.is_array()).count().max(1);
        let each = request.get("n").and_then(Raw::u32).unwrap_or(1).max(1);
        exchange.candidates = u32::try_from(several).unwrap_or(u32::MAX).saturating_mul(each).clamp(1, openai::MAX_CANDIDATES);
        exchange.user = prompt.and_then(Raw::shared).or_else(|| prompts.last().copied().and_then(Raw::shared));
        exchange.history.extend(exchange.user.iter().map(|text| Turn { assistant: false, digest: xxh3_64(text.as_bytes()) }));
        Ok(exchange)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let reply = Envelope::read(body, "response", out)?;
        if !reply.has_choices() && [reply.error(), reply.value(), reply.content()].iter().all(Option::is_none) {
            return Err(DialectError::Malformed("response without choices"));
        }
        read(&reply, facts, out)
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            out.marks.push(Mark::Terminal);
        }
        if matches!(data, b"" | b"[DONE]") {
            return Ok(());
        }
        let chunk = Envelope::read(data, "event", out)?;
        if !chunk.is_chunk() && chunk.value().is_none() && chunk.content().is_none() {
            return Err(DialectError::Malformed("event without choices"));
        }
        if chunk.error().is_none() && event.name == "error" {
            out.marks.insert(0, Mark::Error);
        }
        read(&chunk, facts, out)
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        let mut edits = Edits::new(body, "request")?;
        let request = edits.members("request")?;
        if let Some(reminder) = amendment.reminder {
            remind(&mut edits, &request, reminder)?;
        }
        openai::amend_sampling(&mut edits, &request, amendment);
        Ok(edits.finish())
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        let id = format!("cmpl-{}", refusal.request_id);
        let made = Made::new(refusal.facts, refusal.exchange, &id, refusal.now);
        let indices = 0..refusal.exchange.candidates.clamp(1, openai::MAX_CANDIDATES);
        let choice = |index, text, finish_reason| Choice { text, index, logprobs: None, finish_reason };
        if !refusal.stream {
            let choices = indices.map(|index| choice(index, refusal.message, Some(FILTERED))).collect();
            let body = openai::json(&made.body(choices, Usage::of(refusal.facts)));
            return Reply { status: StatusCode::OK, content_type: openai::JSON, body };
        }
        let mut out = String::new();
        for index in indices {
            made.chunk(&mut out, choice(index, refusal.message, None));
            made.chunk(&mut out, choice(index, "", Some(FILTERED)));
        }
        sse::write(&mut out, None, "[DONE]");
        Reply { status: StatusCode::OK, content_type: openai::SSE, body: out.into() }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        let mut out = String::new();
        if !cut.progress.terminal {
            let made = Made::new(cut.facts, cut.exchange, "cmpl-", cut.now);
            for index in openai::unfinished(cut) {
                made.chunk(&mut out, Choice { text: "", index, logprobs: None, finish_reason: Some(FILTERED) });
            }
            sse::write(&mut out, None, "[DONE]");
        }
        if let Some(rule) = cut.rule {
            out.push_str(&sse_comment(rule));
        }
        out.into()
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        openai::error(error)
    }
}

const FILTERED: &str = "content_filter";

/// What every body and chunk made here says of itself.
struct Made<'a> {
    id: &'a str,
    created: i64,
    model: &'a str,
    fingerprint: Option<&'a str>,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'a str>,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u32,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

impl<'a> Made<'a> {
    fn new(facts: &'a Facts, exchange: &'a Exchange, id: &'a str, now: u64) -> Self {
        Made {
            id: facts.id.as_deref().unwrap_or(id),
            created: facts.created.unwrap_or(i64::try_from(now).unwrap_or(0)),
            model: facts.model.as_deref().or(exchange.model.as_deref()).unwrap_or_default(),
            fingerprint: facts.fingerprint.as_deref(),
        }
    }

    fn body(&self, choices: Vec<Choice<'a>>, usage: Option<Usage>) -> Body<'a> {
        Body {
            id: self.id,
            object: "text_completion",
            created: self.created,
            model: self.model,
            system_fingerprint: self.fingerprint,
            choices,
            usage,
        }
    }

    fn chunk(&self, out: &mut String, choice: Choice<'a>) {
        sse::write(out, None, &String::from_utf8_lossy(&openai::json(&self.body(vec![choice], None))));
    }
}

/// Reads an answer, or a chunk of one.
fn read<'a>(envelope: &Envelope<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    envelope.keep(facts);
    envelope.read_error(out);
    envelope.count()?;
    // Writer's and llama.cpp's own: a piece of text and nothing else.
    for (field, name) in [(envelope.value(), "value"), (envelope.content(), "content")] {
        if let Some(text) = field.map_or(Ok(None), |raw| raw.text(name))? {
            out.marks.push(Mark::Candidate(0));
            if !text.is_empty() {
                out.deltas.push(Delta::append(0, Channel::Answer, 0, text));
            }
        }
    }
    Ok(())
}

/// A reminder before the text of each prompt.
fn remind<'a>(edits: &mut Edits<'a>, request: &Members<'a>, reminder: &str) -> Result<(), DialectError> {
    const UNSUPPORTED: DialectError = DialectError::Unsupported("a prompt that is no text");
    let reminder = format!("{reminder}\n\n");
    let prompt = request.get("prompt").ok_or(UNSUPPORTED)?;
    if prompt.is_string() {
        edits.prepend(prompt, &reminder);
        return Ok(());
    }
    let prompts = if prompt.is_array() { prompt.elements("prompt")? } else { Vec::new() };
    if prompts.is_empty() || !prompts.iter().all(|prompt| prompt.is_string()) {
        return Err(UNSUPPORTED);
    }
    prompts.into_iter().for_each(|prompt| edits.prepend(prompt, &reminder));
    Ok(())
}

#[cfg(test)]
mod tests;

//! Text generation servers with a format of their own: Hugging Face TGI (`/generate`, `/generate_stream`, and the root, where clients of
//! inference endpoints ask) and SGLang (`/generate`). What they offer beside it, in OpenAI's formats, is read by those.
//!
//! It goes by the name of `openai-completions`: a prompt goes on. No reason to stop says that an answer was withheld; a cut one ends as
//! if it had become too long, so that it does not pass for a whole one.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::custom::root;
use super::json::{self, Edits, Members, Raw, number, quote};
use super::reading::sse_comment;
use super::{
    Amendment, Api, ApiError, Cut, Delta, Dialect, DialectError, Exchange, Extent, Facts, Mark, Reading, Recognised, Refusal,
    Reply, RequestHead, Turn, path,
};
use crate::frame::{Event, sse};
use crate::text::{Channel, Str};

const REQUEST: &str = "generation request";
const ANSWER: &str = "generated text";
const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// [`Exchange::variant`]: the answer is a list.
const LIST: &str = "list";
/// [`Exchange::variant`]: SGLang.
const SGLANG: &str = "sglang";

/// The part of tokens that mark the end of a text and belong to none.
const SPECIAL: u32 = 1;

/// The text generation formats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generation;

/// An answer, or a stream's event.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    generated_text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    token: Option<Raw<'a>>,
    #[serde(borrow, default)]
    details: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    /// Triton's, whose paths end alike.
    #[serde(borrow, default)]
    text_output: Option<Raw<'a>>,
    #[serde(borrow, default)]
    meta_info: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    special: Option<Raw<'a>>,
}

impl Dialect for Generation {
    fn api(&self) -> Api {
        Api::OpenAiCompletions
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        let json = || head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(JSON.as_bytes()));
        let found = match tail {
            // Ollama's and Cohere's.
            [.., "api" | "v1" | "v2", "generate"] => false,
            [.., "generate" | "generate_stream"] => true,
            // Nothing but what is asked says whose root it is; AWS services of that kind name what they are asked for.
            [] => json() && !head.headers.contains_key("x-amz-target"),
            _ => false,
        };
        if found && *head.method == Method::POST { Recognised::Judged } else { Recognised::No }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        let mut exchange = Exchange::unknown(Api::OpenAiCompletions);
        let segments = path::segments(head.path);
        exchange.stream = segments.last().is_some_and(|last| last == "generate_stream");
        if body.trim_ascii().is_empty() {
            return Ok(exchange);
        }
        let request: Members<'_> = json::read(body, REQUEST)?;
        exchange.stream |= request.get("stream").and_then(Raw::bool) == Some(true);
        exchange.variant = match request.get("inputs") {
            None if request.get("sampling_params").is_some() || request.get("text").is_some() => Some(SGLANG),
            _ if segments.is_empty() => Some(LIST),
            _ => None,
        };
        let prompt = ["inputs", "text"].iter().find_map(|name| request.get(name));
        exchange.user = prompt.and_then(Raw::shared);
        exchange.history.extend(exchange.user.iter().map(|text| Turn { assistant: false, digest: xxh3_64(text.as_bytes()) }));
        Ok(exchange)
    }

    fn read_reply<'a>(&self, body: &'a [u8], _facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let root = root(body)?;
        let answers = if root.is_array() { root.answers(ANSWER)? } else { vec![root] };
        let mut candidate = 0;
        for raw in answers {
            let answer = raw.object::<Answer<'a>>(ANSWER)?.ok_or(DialectError::Malformed(ANSWER))?;
            if answer.error.is_some_and(|error| !error.is_null()) {
                out.marks.push(Mark::Error);
            } else if answer.generated_text.is_none() && answer.text.is_none() && answer.text_output.is_none() {
                return Err(DialectError::Malformed(ANSWER));
            }
            out.marks.push(Mark::Candidate(candidate));
            append(candidate, answer.generated_text, out)?;
            append(candidate, answer.text_output, out)?;
            // Several texts to one prompt are a list.
            match answer.text {
                Some(texts) if texts.is_array() => {
                    for text in texts.answers(ANSWER)? {
                        append(candidate, Some(text), out)?;
                        candidate += 1;
                    }
                }
                text => append(candidate, text, out)?,
            }
            finish(candidate, &answer, out);
            candidate += 1;
            let details = answer.details.and_then(Raw::maybe::<Members<'a>>);
            let others = details.map_or(Ok(None), |details| details.only("best_of_sequences", ANSWER))?;
            for other in others.map_or(Ok(Vec::new()), |others| others.answers(ANSWER))? {
                let other = other.object::<Answer<'a>>(ANSWER)?;
                append(candidate, other.and_then(|other| other.generated_text), out)?;
                candidate += 1;
            }
        }
        Ok(())
    }

    fn read_event<'a>(&self, event: &'a Event, _facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        match event.data.trim_ascii() {
            b"" => return Ok(()),
            b"[DONE]" => {
                out.marks.push(Mark::Terminal);
                return Ok(());
            }
            _ => {}
        }
        let answer: Answer<'a> = json::read(&event.data, ANSWER)?;
        if answer.error.is_some_and(|error| !error.is_null()) {
            out.marks.push(Mark::Error);
        } else if [answer.token, answer.generated_text, answer.text, answer.text_output].iter().all(Option::is_none) {
            return Err(DialectError::Malformed(ANSWER));
        }
        out.marks.push(Mark::Candidate(0));
        if let Some(token) = answer.token.map_or(Ok(None), |token| token.object::<Token<'a>>(ANSWER))? {
            let special = token.special.and_then(Raw::bool) == Some(true);
            push(0, if special { SPECIAL } else { 0 }, Extent::Append, text(token.text)?, out);
        }
        append(0, answer.text_output, out)?;
        // Both say everything so far: at the end, or in each event.
        push(0, 0, Extent::Whole, text(answer.generated_text)?, out);
        push(0, 0, Extent::Whole, text(answer.text)?, out);
        finish(0, &answer, out);
        if answer.generated_text.is_some_and(|raw| !raw.is_null()) {
            out.marks.push(Mark::Terminal);
        }
        Ok(())
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        if amendment.model.is_some() {
            return Err(DialectError::Unsupported("the model (a server has but one)"));
        }
        let mut edits = Edits::new(body, REQUEST)?;
        let request = edits.members(REQUEST)?;
        let (prompt, parameters) =
            if request.get("inputs").is_some() { ("inputs", "parameters") } else { ("text", "sampling_params") };
        if let Some(reminder) = amendment.reminder {
            let prompt =
                request.get(prompt).filter(|raw| raw.is_string()).ok_or(DialectError::Unsupported("a prompt that is no text"))?;
            edits.prepend(prompt, &format!("{reminder}\n\n"));
        }
        if let Some(temperature) = amendment.temperature {
            // TGI refuses 0: it means greedy decoding, which is asked for otherwise.
            let temperature = number(temperature.max(0.01));
            match request.get(parameters).filter(|raw| raw.is_object()) {
                Some(config) => {
                    let mut inner = Edits::new(config.json().as_bytes(), REQUEST)?;
                    let members = inner.members(REQUEST)?;
                    inner.set(&members, "temperature", &temperature);
                    edits.replace(config, &String::from_utf8_lossy(&inner.finish()));
                }
                None => edits.set(&request, parameters, &format!(r#"{{"temperature":{temperature}}}"#)),
            }
        }
        Ok(edits.finish())
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        let reply = |content_type, body: String| Reply { status: StatusCode::OK, content_type, body: Bytes::from(body) };
        let text = quote(refusal.message);
        match (refusal.exchange.variant, refusal.stream) {
            (Some(SGLANG), stream) => {
                let answer = format!(r#"{{"text":{text},"meta_info":{}}}"#, meta(refusal.request_id));
                if !stream {
                    return reply(JSON, answer);
                }
                let mut events = String::new();
                sse::write(&mut events, None, &answer);
                sse::write(&mut events, None, "[DONE]");
                reply(SSE, events)
            }
            (variant, false) => {
                let answer = format!(r#"{{"generated_text":{text},"details":{}}}"#, details("eos_token", true));
                reply(JSON, if variant == Some(LIST) { format!("[{answer}]") } else { answer })
            }
            (_, true) => {
                let mut events = String::new();
                sse::write(&mut events, None, &last(&text, false, &text, "eos_token"));
                reply(SSE, events)
            }
        }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        let mut events = String::new();
        if !cut.progress.terminal {
            let said = cut.progress.texts.iter().filter(|text| text.channel == Channel::Answer && text.part == 0);
            let said = quote(&said.map(|text| text.text.as_str()).collect::<String>());
            if cut.exchange.variant == Some(SGLANG) {
                let id = format!("steadfast-{}", cut.now);
                sse::write(&mut events, None, &format!(r#"{{"text":{said},"meta_info":{}}}"#, meta(&id)));
                sse::write(&mut events, None, "[DONE]");
            } else {
                sse::write(&mut events, None, &last("\"\"", true, &said, "length"));
            }
        }
        events.extend(cut.rule.map(sse_comment));
        Bytes::from(events)
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        let body = format!(r#"{{"error":{},"error_type":{}}}"#, quote(error.message), quote(error.code));
        Reply { status: error.status, content_type: JSON, body: Bytes::from(body) }
    }
}

fn append<'a>(candidate: u32, raw: Option<Raw<'a>>, out: &mut Reading<'a>) -> Result<(), DialectError> {
    push(candidate, 0, Extent::Append, text(raw)?, out);
    Ok(())
}

fn text(raw: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.text(ANSWER))
}

fn push<'a>(candidate: u32, part: u32, extent: Extent, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta { candidate, channel: Channel::Answer, part, text, extent });
    }
}

/// TGI says it in `details`, SGLang as an object in `meta_info`.
fn finish(candidate: u32, answer: &Answer<'_>, out: &mut Reading<'_>) {
    let reason = |raw: Option<Raw<'_>>| raw?.maybe::<Members<'_>>()?.get("finish_reason").and_then(owned);
    if let Some(reason) = reason(answer.details).or_else(|| reason(answer.meta_info)) {
        out.marks.push(Mark::Finish { candidate, reason });
    }
}

fn owned(raw: Raw<'_>) -> Option<Str> {
    raw.shared().or_else(|| raw.maybe::<Members<'_>>()?.get("type").and_then(Raw::shared))
}

fn details(reason: &str, whole: bool) -> String {
    let lists = if whole { r#","prefill":[],"tokens":[]"# } else { "" };
    format!(r#"{{"finish_reason":"{reason}","generated_tokens":0,"seed":null{lists}}}"#)
}

fn meta(id: &str) -> String {
    format!(
        r#"{{"id":{},"finish_reason":{{"type":"abort","message":"withheld by a content filter"}},"prompt_tokens":0,"completion_tokens":0}}"#,
        quote(id)
    )
}

/// A stream's last event: a token and the whole text.
fn last(token: &str, special: bool, whole: &str, reason: &str) -> String {
    format!(
        r#"{{"index":0,"token":{{"id":0,"text":{token},"logprob":0.0,"special":{special}}},"generated_text":{whole},"details":{}}}"#,
        details(reason, false)
    )
}

#[cfg(test)]
mod tests;

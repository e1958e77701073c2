//! OpenAI Chat Completions and its many relatives (Azure, Groq, Mistral, DeepSeek, OpenRouter, Perplexity, Writer, vLLM, …).
//!
//! The answers are read by [`choices`](super::openai::choices); here is what surrounds them. A stream has no envelope to open and
//! none to close: an answer ends with its finish chunk, the stream with `[DONE]`, which not every host sends.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::json::{self, Edits, Members, Raw};
use super::openai::choices::Envelope;
use super::openai::{self, Usage};
use super::reading::{Mark, Reading, sse_comment};
use super::{
    Amendment, Api, ApiError, Cut, Dialect, DialectError, Exchange, Facts, Recognised, Refusal, Reply, RequestHead, Turn,
};
use crate::frame::{Event, sse};
use crate::text::Str;

/// The format.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn api(&self) -> Api {
        Api::OpenAiChat
    }

    fn recognise_at(&self, head: &RequestHead<'_>, segments: &[&str]) -> Recognised {
        let answers = match (head.method, segments) {
            (&Method::POST, [.., "chat" | "fim" | "agents", "completions"]) => true,
            // Stored answers, one or a list of them.
            (&Method::GET, [.., "chat", "completions"]) => true,
            (&Method::GET | &Method::POST, [.., "chat", "completions", _]) => true,
            // Writer's path is also that of Cohere's first version, whose clients name themselves.
            (&Method::POST, [.., "v1", "chat"]) => !head.headers.iter().any(|(name, value)| {
                matches!(name.as_str(), "x-fern-sdk-name" | "user-agent" | "x-client-name" | "host")
                    && value.as_bytes().windows(6).any(|window| window.eq_ignore_ascii_case(b"cohere"))
            }),
            // The messages of a stored request; deletions; what browsers ask beforehand.
            (&Method::GET, [.., "chat", "completions", _, "messages"]) => return Recognised::Textless,
            (method, [.., "chat", "completions"] | [.., "chat", "completions", _]) if super::path::textless(method) => {
                return Recognised::Textless;
            }
            // Numbers.
            (&Method::POST, [.., "v1", "embeddings"] | [.., "deployments", _, "embeddings"]) => return Recognised::Textless,
            // What every client asks first. Others' lists are at the same path, and tell themselves apart by their headers.
            (&Method::GET, [.., "v1", "models"] | [.., "v1", "models", _])
                if !["anthropic-version", "x-goog-api-key"].iter().any(|name| head.headers.contains_key(*name)) =>
            {
                return Recognised::Textless;
            }
            _ => return Recognised::No,
        };
        if answers { Recognised::Judged } else { Recognised::No }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        let mut exchange = Exchange::unknown(Api::OpenAiChat);
        exchange.model = openai::model_in_path(head.path);
        if body.trim_ascii().is_empty() {
            return Ok(exchange);
        }
        let request: Members<'_> = json::read(body, "request")?;
        // Where the path names one, the host looks at no other.
        exchange.model = exchange.model.or_else(|| request.get("model").and_then(Raw::shared));
        exchange.stream = request.get("stream").and_then(Raw::bool).unwrap_or(false);
        exchange.candidates = request.get("n").and_then(Raw::u32).unwrap_or(1).clamp(1, openai::MAX_CANDIDATES);
        exchange.structured = is_structured(&request);
        exchange.hints = openai::hints(&request);
        read_messages(&request, &mut exchange);
        Ok(exchange)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let reply = Envelope::read(body, "response", out)?;
        reply.keep(facts);
        reply.read_error(out);
        if !reply.has_choices() && reply.error().is_none() && !reply.data().is_some_and(Raw::is_array) {
            // Whatever this is, its text could not be found.
            return Err(DialectError::Malformed("response without choices"));
        }
        reply.read_data(out)
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
        if !chunk.is_chunk() {
            return Err(DialectError::Malformed("event without choices"));
        }
        chunk.keep(facts);
        chunk.read_error(out);
        if chunk.error().is_none() && event.name == "error" {
            out.marks.insert(0, Mark::Error);
        }
        chunk.count().map(|_| ())
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
        let made = Made::of(refusal);
        let indices = 0..refusal.exchange.candidates.clamp(1, openai::MAX_CANDIDATES);
        if !refusal.stream {
            let choices = indices.map(|index| Whole {
                index,
                message: Message { role: "assistant", content: refusal.message, refusal: None },
                logprobs: None,
                finish_reason: FILTERED,
            });
            let body = made.body("chat.completion", choices.collect(), Usage::of(refusal.facts));
            return Reply { status: StatusCode::OK, content_type: openai::JSON, body: openai::json(&body) };
        }
        let mut out = String::new();
        for index in indices {
            for delta in [
                Part { role: Some("assistant"), content: Some(""), refusal: Some(None) },
                Part { content: Some(refusal.message), ..Part::default() },
            ] {
                made.chunk(&mut out, Chunk { index, delta, logprobs: None, finish_reason: None });
            }
            made.chunk(&mut out, Chunk { index, delta: Part::default(), logprobs: None, finish_reason: Some(FILTERED) });
        }
        sse::write(&mut out, None, "[DONE]");
        Reply { status: StatusCode::OK, content_type: openai::SSE, body: out.into() }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        let mut out = String::new();
        if !cut.progress.terminal {
            let made = Made::at_cut(cut);
            for index in openai::unfinished(cut) {
                made.chunk(&mut out, Chunk { index, delta: Part::default(), logprobs: None, finish_reason: Some(FILTERED) });
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
    id: String,
    created: i64,
    model: &'a str,
    fingerprint: Option<&'a str>,
}

impl<'a> Made<'a> {
    fn of(refusal: &Refusal<'a>) -> Self {
        Made::new(refusal.facts, refusal.exchange, refusal.request_id, refusal.now)
    }

    fn at_cut(cut: &Cut<'a>) -> Self {
        Made::new(cut.facts, cut.exchange, "", cut.now)
    }

    fn new(facts: &'a Facts, exchange: &'a Exchange, request_id: &str, now: u64) -> Self {
        Made {
            id: facts.id.as_deref().map_or_else(|| format!("chatcmpl-{request_id}"), str::to_owned),
            created: facts.created.unwrap_or(i64::try_from(now).unwrap_or(0)),
            model: facts.model.as_deref().or(exchange.model.as_deref()).unwrap_or_default(),
            fingerprint: facts.fingerprint.as_deref(),
        }
    }

    fn body<C>(&self, object: &'static str, choices: Vec<C>, usage: Option<Usage>) -> Body<'_, C> {
        Body {
            id: &self.id,
            object,
            created: self.created,
            model: self.model,
            system_fingerprint: self.fingerprint,
            choices,
            usage,
        }
    }

    fn chunk(&self, out: &mut String, choice: Chunk<'_>) {
        let body = self.body("chat.completion.chunk", vec![choice], None);
        sse::write(out, None, &String::from_utf8_lossy(&openai::json(&body)));
    }
}

#[derive(Serialize)]
struct Body<'a, C> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<&'a str>,
    choices: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Whole<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<&'a str>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    index: u32,
    delta: Part<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Option<&'a str>>,
}

/// Whether the client will parse the answer.
fn is_structured(request: &Members<'_>) -> bool {
    let kind = |raw: Raw<'_>| raw.maybe::<Members<'_>>()?.get("type")?.str().map(|kind| kind.into_owned());
    let object = |name: &str| request.get(name).filter(|raw| raw.is_object());
    let schema = object("response_format").and_then(kind).is_some_and(|kind| kind != "text");
    let forced = request.get("tool_choice").and_then(Raw::str).is_some_and(|choice| matches!(&*choice, "required" | "any"));
    schema || forced || object("tool_choice").is_some() || object("function_call").is_some()
}

/// The role and text of each message, and what they make of the exchange.
fn read_messages(request: &Members<'_>, exchange: &mut Exchange) {
    let messages = request.get("messages").and_then(|raw| raw.elements("messages").ok()).unwrap_or_default();
    let mut system: Vec<String> = Vec::new();
    let mut begun = false;
    for message in messages {
        let Some(message) = message.maybe::<Members<'_>>() else { continue };
        let role = message.get("role").and_then(Raw::str).unwrap_or_default();
        if matches!(&*role, "system" | "developer") {
            if !begun {
                system.extend(text_of(&message, "\n"));
            }
            continue;
        }
        let assistant = role == "assistant";
        // What the model said is remembered as it was judged: its pieces without a separator.
        let text = text_of(&message, if assistant { "" } else { "\n" }).unwrap_or_default();
        exchange.history.push(Turn { assistant, digest: xxh3_64(text.as_bytes()) });
        if role == "user" {
            begun = true;
            exchange.user = Some(text.into());
        }
    }
    exchange.system = (!system.is_empty()).then(|| Str::from(system.join("\n")));
    if let Some(prompt) = request.get("prompt").and_then(Raw::shared).filter(|_| exchange.user.is_none()) {
        exchange.history.push(Turn { assistant: false, digest: xxh3_64(prompt.as_bytes()) });
        exchange.user = Some(prompt);
    }
}

/// The text of a message: its content, or its refusal, or its calls.
fn text_of(message: &Members<'_>, separator: &str) -> Option<String> {
    let content = message.get("content").filter(|content| !content.is_null());
    let text = match content {
        Some(content) if content.is_array() => {
            let texts = content.elements("content").ok()?.into_iter().filter_map(|part| match part.is_object() {
                true => part.maybe::<Members<'_>>()?.get("text")?.str(),
                false => part.str(),
            });
            Some(texts.collect::<Vec<_>>().join(separator))
        }
        Some(content) => content.str().map(|text| text.into_owned()),
        None => message.get("refusal").and_then(Raw::str).map(|text| text.into_owned()),
    };
    text.filter(|text| !text.is_empty()).or_else(|| message.get("tool_calls").map(|calls| calls.json().to_owned()))
}

/// A reminder as one more instruction, after those that lead the conversation and in the role of the last of them.
fn remind<'a>(edits: &mut Edits<'a>, request: &Members<'a>, reminder: &str) -> Result<(), DialectError> {
    let messages = request
        .get("messages")
        .filter(|messages| messages.is_array())
        .ok_or(DialectError::Unsupported("a request without messages"))?;
    let mut role = "system";
    let mut leading = 0;
    for message in messages.elements("messages")? {
        let of = message.maybe::<Members<'_>>().and_then(|message| message.get("role")?.str());
        match of.as_deref() {
            Some("system") => role = "system",
            Some("developer") => role = "developer",
            _ => break,
        }
        leading += 1;
    }
    let message = format!(r#"{{"role":"{role}","content":{}}}"#, json::quote(reminder));
    edits.insert(messages, leading, &message, "messages")
}

#[cfg(test)]
mod tests;

//! Anthropic's legacy text completion (`/v1/complete`): one prompt with `Human:` and `Assistant:` turns in it, one text.
//!
//! It goes by the name of `anthropic-messages`, whose errors it shares.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::json::{self, Edits, Members, Raw, quote};
use super::reading::sse_comment;
use super::{
    Amendment, Api, ApiError, Cut, Delta, Dialect, DialectError, Exchange, Facts, Mark, Reading, Recognised, Refusal, Reply,
    RequestHead, SessionHints, Turn, anthropic_messages, path,
};
use crate::frame::{Event, sse};
use crate::text::{Channel, Str};

const REQUEST: &str = "completion request";
const ANSWER: &str = "completion";
const HUMAN: &str = "\n\nHuman:";
const ASSISTANT: &str = "\n\nAssistant:";

/// The Anthropic legacy completion format.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnthropicComplete;

/// An answer, and an event of a stream: the same shape.
#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    model: Option<Raw<'a>>,
    #[serde(borrow, default)]
    completion: Option<Raw<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
}

impl<'a> Completion<'a> {
    fn read(&self, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        facts.id = self.id.and_then(Raw::shared).or_else(|| facts.id.take());
        facts.model = self.model.and_then(Raw::shared).or_else(|| facts.model.take());
        if self.error.is_some() {
            out.marks.push(Mark::Error);
        }
        if let Some(raw) = self.completion {
            out.marks.push(Mark::Candidate(0));
            let text = raw.text(ANSWER)?.unwrap_or_default();
            if !text.is_empty() {
                out.deltas.push(Delta::append(0, Channel::Answer, 0, text));
            }
        }
        if let Some(reason) = self.stop_reason.and_then(Raw::shared) {
            out.marks.push(Mark::Finish { candidate: 0, reason });
        }
        Ok(())
    }
}

impl Dialect for AnthropicComplete {
    fn api(&self) -> Api {
        Api::AnthropicMessages
    }

    fn recognise(&self, head: &RequestHead<'_>) -> Recognised {
        match path::segments(head.path).as_slice() {
            [.., version, last] if version == "v1" && last == "complete" => match *head.method {
                Method::OPTIONS | Method::HEAD => Recognised::Textless,
                _ => Recognised::Judged,
            },
            _ => Recognised::No,
        }
    }

    fn read_request(&self, _head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        let mut exchange = Exchange::unknown(Api::AnthropicMessages);
        if body.trim_ascii().is_empty() {
            return Ok(exchange);
        }
        let request: Members<'_> = json::read(body, REQUEST)?;
        exchange.model = request.get("model").and_then(Raw::shared);
        exchange.stream = request.get("stream").and_then(Raw::bool) == Some(true);
        let metadata = request.get("metadata").and_then(Raw::maybe::<Members<'_>>);
        let user = metadata.and_then(|metadata| metadata.get("user_id")).and_then(Raw::shared);
        exchange.hints = SessionHints { user, ..SessionHints::default() };
        let prompt = request.get("prompt").and_then(Raw::str).unwrap_or_default();
        let (system, turns) = turns(&prompt);
        exchange.system = (!system.is_empty()).then(|| Str::from(system));
        for (assistant, text) in turns {
            exchange.history.push(Turn { assistant, digest: xxh3_64(text.as_bytes()) });
            if !assistant {
                exchange.user = Some(Str::from(text));
            }
        }
        Ok(exchange)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let answer: Completion<'a> = json::read(body, ANSWER)?;
        if answer.completion.is_none() && answer.error.is_none() {
            return Err(DialectError::Malformed(ANSWER));
        }
        answer.read(facts, out)
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        match event.data.trim_ascii() {
            b"" => return Ok(()),
            b"[DONE]" => {
                out.marks.push(Mark::Terminal);
                return Ok(());
            }
            _ => {}
        }
        let answer: Completion<'a> = json::read(&event.data, ANSWER)?;
        answer.read(facts, out)?;
        if answer.stop_reason.is_some() {
            out.marks.push(Mark::Terminal);
        }
        Ok(())
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        if amendment.is_empty() {
            return Ok(body.to_vec());
        }
        let mut edits = Edits::new(body, REQUEST)?;
        let request = edits.members(REQUEST)?;
        if let Some(model) = amendment.model {
            edits.set(&request, "model", &quote(model));
        }
        if let Some(temperature) = amendment.temperature {
            edits.set(&request, "temperature", &json::number(temperature.clamp(0.0, 1.0)));
        }
        if let Some(reminder) = amendment.reminder {
            let raw = request.get("prompt").ok_or(DialectError::Malformed(REQUEST))?;
            let prompt = raw.text(REQUEST)?.ok_or(DialectError::Malformed(REQUEST))?;
            // What stands before the first turn is the system prompt; a prompt must begin with the blank line of a turn after it.
            let at = prompt.find(HUMAN).unwrap_or(0);
            let (system, turns) = prompt.split_at(at);
            let gap = if system.is_empty() { "" } else { "\n\n" };
            edits.replace(raw, &quote(&format!("{system}{gap}{reminder}{turns}")));
        }
        Ok(edits.finish())
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        let id = refusal
            .facts
            .id
            .as_deref()
            .map_or_else(|| format!("compl_{}", refusal.request_id.to_ascii_lowercase()), str::to_owned);
        let model = refusal.facts.model.as_deref().or(refusal.exchange.model.as_deref());
        if !refusal.stream {
            let body = completion(&id, model, refusal.message, true);
            return Reply { status: StatusCode::OK, content_type: anthropic_messages::JSON, body: Bytes::from(body) };
        }
        let mut events = String::new();
        push(&mut events, &completion(&id, model, refusal.message, false));
        push(&mut events, &completion(&id, model, "", true));
        Reply { status: StatusCode::OK, content_type: anthropic_messages::SSE, body: Bytes::from(events) }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        let mut events = String::new();
        if !cut.progress.terminal {
            let id = cut.facts.id.as_deref().map_or_else(|| format!("compl_steadfast_{}", cut.now), str::to_owned);
            let model = cut.facts.model.as_deref().or(cut.exchange.model.as_deref());
            push(&mut events, &completion(&id, model, "", true));
        }
        events.extend(cut.rule.map(sse_comment));
        Bytes::from(events)
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        anthropic_messages::error(error)
    }
}

/// The system prompt and the turns of a prompt; the empty turn that the answer continues is none.
fn turns(prompt: &str) -> (&str, Vec<(bool, &str)>) {
    let next = |text: &str| {
        [(false, HUMAN), (true, ASSISTANT)].iter().filter_map(|(who, mark)| Some((text.find(mark)?, *who, mark.len()))).min()
    };
    let mut turns = Vec::new();
    let Some((at, mut who, mut length)) = next(prompt) else {
        return ("", if prompt.trim().is_empty() { turns } else { vec![(false, prompt.trim())] });
    };
    let (system, mut rest) = prompt.split_at(at);
    loop {
        rest = &rest[length..];
        let following = next(rest);
        let text = rest[..following.map_or(rest.len(), |(at, ..)| at)].trim();
        if !text.is_empty() {
            turns.push((who, text));
        }
        let Some((at, speaker, mark)) = following else { return (system.trim(), turns) };
        rest = &rest[at..];
        (who, length) = (speaker, mark);
    }
}

fn completion(id: &str, model: Option<&str>, text: &str, ends: bool) -> String {
    let reason = if ends { r#""refusal""# } else { "null" };
    let (id, text, model) = (quote(id), quote(text), quote(model.unwrap_or("unknown")));
    format!(
        r#"{{"type":"completion","id":{id},"completion":{text},"stop_reason":{reason},"stop":null,"model":{model},"log_id":{id}}}"#
    )
}

fn push(events: &mut String, data: &str) {
    sse::write(events, Some("completion"), data);
}

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
    RequestHead, SessionHints, Turn, anthropic_messages,
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
    #[serde(borrow, default, rename = "type")]
    kind: Option<Raw<'a>>,
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

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        match tail {
            [.., "v1", "complete"] => match *head.method {
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
        let kind = answer.kind.and_then(Raw::str);
        let textless = matches!(kind.as_deref(), Some("ping" | "error")) || event.data.trim_ascii() == b"{}";
        if answer.completion.is_none() && answer.error.is_none() && !textless {
            return Err(DialectError::Malformed(ANSWER));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Progress;
    use crate::dialect::fixtures::{self, post};

    fn exchange(body: &str) -> Exchange {
        post("/v1/complete", |head| AnthropicComplete.read_request(head, body.as_bytes())).unwrap()
    }

    #[test]
    fn fixtures_are_read_as_a_client_would() {
        for name in ["complete.sse", "complete.json"] {
            insta::assert_snapshot!(name, fixtures::read(&AnthropicComplete, &format!("anthropic-messages/{name}")));
        }
    }

    #[test]
    fn turns_are_found_in_the_prompt() {
        let exchange = exchange(
            r#"{"prompt":"Be brief.\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Where?\n\nAssistant:","model":"claude-2.1","stream":true}"#,
        );
        assert_eq!(exchange.system.as_deref(), Some("Be brief."));
        assert_eq!(exchange.user.as_deref(), Some("Where?"));
        assert_eq!(exchange.history.iter().map(|turn| turn.assistant).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(exchange.history[1].digest, xxh3_64(b"Hello"));
        assert!(exchange.stream);
        assert_eq!(turns("no turns"), ("", vec![(false, "no turns")]));
        assert_eq!(turns("  "), ("", vec![]));
    }

    #[test]
    fn a_reminder_precedes_the_first_turn() {
        let amended = |body: &str| {
            let amendment = Amendment { reminder: Some("R"), temperature: Some(1.5), model: Some("m") };
            AnthropicComplete.amend(body.as_bytes(), &amendment).map(|body| String::from_utf8(body).unwrap())
        };
        assert_eq!(
            amended(r#"{"prompt":"\n\nHuman: Hi\n\nAssistant:","model":"x"}"#).unwrap(),
            r#"{"temperature":1,"prompt":"R\n\nHuman: Hi\n\nAssistant:","model":"m"}"#
        );
        assert!(amended(r#"{"prompt":"S\n\nHuman: Hi"}"#).unwrap().contains(r#""S\n\nR\n\nHuman: Hi""#));
        assert_eq!(amended("{}"), Err(DialectError::Malformed(REQUEST)));
    }

    #[test]
    fn our_own_words_are_read_back() {
        let exchange = Exchange { model: Some("claude-2.1".into()), ..Exchange::unknown(Api::AnthropicMessages) };
        let facts = Facts::default();
        let refusal =
            |stream| Refusal { exchange: &exchange, facts: &facts, stream, message: "No.", request_id: "01JTEST", now: 1 };
        let whole = AnthropicComplete.refusal(&refusal(false));
        let mut reading = Reading::default();
        AnthropicComplete.read_reply(&whole.body, &mut Facts::default(), &mut reading).unwrap();
        assert_eq!(reading.deltas[0].text, "No.");
        let streamed = AnthropicComplete.refusal(&refusal(true)).body;
        let (facts, progress) = fixtures::released(&AnthropicComplete, &fixtures::events(crate::frame::Framing::Sse, streamed));
        assert_eq!((progress.texts[0].text.as_str(), progress.terminal), ("No.", true));
        assert_eq!(progress.candidates[&0].as_deref(), Some("refusal"));
        assert_eq!(facts.id.as_deref(), Some("compl_01jtest"));
        let cut = Cut { exchange: &exchange, facts: &facts, progress: &Progress::default(), rule: Some("r"), now: 1 };
        let end = fixtures::events(crate::frame::Framing::Sse, AnthropicComplete.epilogue(&cut));
        assert!(fixtures::released(&AnthropicComplete, &end[..1]).1.terminal);
        assert!(end[1].raw.starts_with(b": steadfast verdict=block"));
    }

    #[test]
    fn text_of_a_wrong_type_never_passes_in_silence() {
        for body in [r#"{"completion":["x"]}"#, r#"{"completion":"a","completion":"b"}"#, "{}", "[]", "x"] {
            let read = AnthropicComplete.read_reply(body.as_bytes(), &mut Facts::default(), &mut Reading::default());
            assert_eq!(read, Err(DialectError::Malformed(ANSWER)), "{body}");
        }
    }
}

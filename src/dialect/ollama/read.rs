//! Reading Ollama's answers: whole ones and lines of a stream have the same shape, and both endpoints are read alike.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::json::{self, Raw};
use crate::dialect::{Delta, DialectError, Facts, Mark, Reading};
use crate::text::{Channel, Str};

const ANSWER: &str = "ollama answer";
const MESSAGE: &str = "message of an ollama answer";

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Option<Raw<'a>>,
    /// Chat.
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
    /// Generate.
    #[serde(borrow, default)]
    response: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow, default)]
    done: Option<Raw<'a>>,
    #[serde(borrow, default)]
    done_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    prompt_eval_count: Option<Raw<'a>>,
    #[serde(borrow, default)]
    eval_count: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    function: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Raw<'a>>,
}

/// Reads a whole answer, or a whole stream that was labelled as one document.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let documents = serde_json::Deserializer::from_slice(body).into_iter::<Raw<'a>>();
    let mut any = false;
    for document in documents {
        let document = document.map_err(|_| DialectError::Malformed(ANSWER))?;
        read(document.object(ANSWER)?.ok_or(DialectError::Malformed(ANSWER))?, facts, out)?;
        any = true;
    }
    if any { Ok(()) } else { Err(DialectError::Malformed(ANSWER)) }
}

/// Reads one line of a stream.
pub(super) fn event<'a>(data: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if data.trim_ascii().is_empty() {
        return Ok(());
    }
    read(json::read(data, ANSWER)?, facts, out)
}

fn read<'a>(answer: Answer<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if answer.error.is_some() {
        out.marks.push(Mark::Error);
    } else if answer.message.is_none() && answer.response.is_none() && answer.done.is_none() {
        // Whatever this is, its text could not be found.
        return Err(DialectError::Malformed(ANSWER));
    }
    if facts.model.is_none() {
        facts.model = answer.model.and_then(Raw::shared);
    }
    facts.input_tokens = answer.prompt_eval_count.and_then(Raw::u64).or(facts.input_tokens);
    facts.output_tokens = answer.eval_count.and_then(Raw::u64).or(facts.output_tokens);
    if answer.error.is_none() {
        out.marks.push(Mark::Candidate(0));
    }
    let message: Option<Message<'a>> = answer.message.map_or(Ok(None), |raw| raw.object(MESSAGE))?;
    let (content, thinking, calls) =
        message.map_or((None, None, None), |message| (message.content, message.thinking, message.tool_calls));
    for raw in [thinking, answer.thinking].into_iter().flatten() {
        push(Channel::Reasoning, 0, raw.text(MESSAGE)?, out);
    }
    for raw in [content, answer.response].into_iter().flatten() {
        push(Channel::Answer, 0, raw.text(MESSAGE)?, out);
    }
    for calls in [calls, answer.tool_calls].into_iter().flatten() {
        for call in calls.elements(MESSAGE)? {
            let call: Call<'a> = call.object(MESSAGE)?.ok_or(DialectError::Malformed(MESSAGE))?;
            let Some(function) = call.function.map_or(Ok(None), |raw| raw.object::<Function<'a>>(MESSAGE))? else { continue };
            // A call comes whole; those of one answer may come in one line or in several.
            let part = facts.calls;
            facts.calls = part.saturating_add(1);
            if let Some(name) = function.name.and_then(Raw::shared) {
                out.marks.push(Mark::Tool { candidate: 0, part, name });
            }
            let arguments = function.arguments.filter(|raw| !raw.is_null());
            push(Channel::ToolCall, part, arguments.map(|raw| raw.str().unwrap_or(Cow::Borrowed(raw.json()))), out);
        }
    }
    if answer.done.and_then(Raw::bool) == Some(true) {
        // Older servers gave no reason.
        let reason = answer.done_reason.and_then(Raw::shared).unwrap_or_else(|| Str::from("stop"));
        out.marks.push(Mark::Finish { candidate: 0, reason });
        out.marks.push(Mark::Terminal);
    }
    Ok(())
}

fn push<'a>(channel: Channel, part: u32, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta::append(0, channel, part, text));
    }
}

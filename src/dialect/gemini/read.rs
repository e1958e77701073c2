//! Reading Gemini answers: one object with its candidates and their parts, alone, as an event or as an element of an array.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::json::{self, Raw};
use crate::dialect::{Block, Delta, DialectError, Facts, Mark, Reading};
use crate::frame::Event;
use crate::text::{Channel, Str};

const ANSWER: &str = "gemini answer";
const CANDIDATE: &str = "candidate of a gemini answer";
const PART: &str = "part of a gemini answer";

/// The first part of calls that the host runs itself (code, searches).
const EXECUTED: u32 = 1 << 17;
/// The part of a call that the host's own checks refused.
const FAILED: u32 = 1 << 18;

/// What the bracket of a streamed array is to [`Progress`](crate::dialect::Progress): a block to be closed.
pub(super) const ARRAY: &str = "[";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    candidates: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "prompt_feedback")]
    prompt_feedback: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "usage_metadata")]
    usage_metadata: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "model_version")]
    model_version: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "response_id")]
    response_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
    /// The answer itself, where the host wraps it (Code Assist).
    #[serde(borrow, default)]
    response: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "finish_reason")]
    finish_reason: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "finish_message")]
    finish_message: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thought: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "function_call")]
    function_call: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "executable_code")]
    executable_code: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "tool_call")]
    tool_call: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    args: Option<Raw<'a>>,
    #[serde(borrow, default)]
    code: Option<Raw<'a>>,
    /// Arguments in pieces (`streamFunctionCallArguments`).
    #[serde(borrow, default, alias = "partial_args")]
    partial_args: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartialArg<'a> {
    #[serde(borrow, default, alias = "json_path")]
    json_path: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "string_value")]
    string_value: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usage<'a> {
    #[serde(borrow, default, alias = "prompt_token_count")]
    prompt_token_count: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "candidates_token_count")]
    candidates_token_count: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "thoughts_token_count")]
    thoughts_token_count: Option<Raw<'a>>,
}

/// Reads a whole answer, or a whole stream that was sent as one array.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return read(json::read(body, ANSWER)?, facts, out);
    }
    let answers: Vec<Raw<'a>> = serde_json::from_slice(body).map_err(|_| DialectError::Malformed(ANSWER))?;
    for answer in answers {
        read(answer.object(ANSWER)?.ok_or(DialectError::Malformed(ANSWER))?, facts, out)?;
    }
    Ok(())
}

/// Reads one event of a stream, or one element of an array.
pub(super) fn event<'a>(event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let raw = event.raw.trim_ascii();
    let array = matches!(raw.first(), None | Some(b'[' | b',' | b'{' | b']'));
    if raw.first() == Some(&b'[') {
        out.marks.push(Mark::Open(Block { index: 0, kind: Str::from(ARRAY), id: None, inner: None }));
    }
    if !array {
        out.marks.push(Mark::Started);
        facts.crlf |= event.raw.ends_with(b"\r\n");
    }
    match event.data.trim_ascii() {
        b"" => {
            if array && raw.ends_with(b"]") {
                out.marks.push(Mark::Close { index: 0, kind: None });
                out.marks.push(Mark::Terminal);
            }
            Ok(())
        }
        // Not Google's, but some gateways end every stream with it.
        b"[DONE]" => {
            out.marks.push(Mark::Terminal);
            Ok(())
        }
        b"{}" => Ok(()),
        data => read(json::read(data, ANSWER)?, facts, out),
    }
}

fn read<'a>(mut answer: Answer<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if let Some(inner) = answer.response.map_or(Ok(None), |raw| raw.object::<Answer<'a>>(ANSWER))? {
        let error = answer.error;
        if answer.candidates.is_some() {
            // Which of the two a client shows is its own affair.
            read(Answer { response: None, ..answer }, facts, out)?;
        }
        answer = Answer { error, response: None, ..inner };
    }
    let says = [answer.candidates, answer.prompt_feedback, answer.usage_metadata, answer.model_version, answer.response_id];
    if answer.error.is_some() {
        out.marks.push(Mark::Error);
    } else if says.iter().all(Option::is_none) {
        // Whatever this is, its text could not be found.
        return Err(DialectError::Malformed(ANSWER));
    }
    for (fact, value) in [(&mut facts.id, answer.response_id), (&mut facts.model, answer.model_version)] {
        if fact.is_none() {
            *fact = value.and_then(Raw::shared).filter(|text| !text.is_empty());
        }
    }
    if let Some(usage) = answer.usage_metadata.and_then(Raw::maybe::<Usage<'a>>) {
        let count = |raw: Option<Raw<'_>>| raw.and_then(Raw::u64);
        let (said, thought) = (count(usage.candidates_token_count), count(usage.thoughts_token_count));
        facts.input_tokens = count(usage.prompt_token_count).or(facts.input_tokens);
        if said.is_some() || thought.is_some() {
            facts.output_tokens = Some(said.unwrap_or(0).saturating_add(thought.unwrap_or(0)));
        }
    }
    let candidates = answer.candidates.map_or(Ok(Vec::new()), |raw| raw.answers(ANSWER))?;
    for (position, raw) in (0..).zip(candidates) {
        let candidate: Candidate<'a> = raw.object(CANDIDATE)?.ok_or(DialectError::Malformed(CANDIDATE))?;
        // Left out where it is 0; some hosts leave it out altogether.
        let index = candidate.index.filter(|index| !index.is_null() && !index.is_string());
        let index = index.map_or(Some(position), Raw::u32).ok_or(DialectError::Malformed(CANDIDATE))?;
        read_candidate(&candidate, index, facts, out)?;
    }
    Ok(())
}

fn read_candidate<'a>(
    candidate: &Candidate<'a>,
    index: u32,
    facts: &mut Facts,
    out: &mut Reading<'a>,
) -> Result<(), DialectError> {
    out.marks.push(Mark::Candidate(index));
    let content: Option<Content<'a>> = candidate.content.map_or(Ok(None), |raw| raw.object(CANDIDATE))?;
    for part in content.and_then(|content| content.parts).map_or(Ok(Vec::new()), |raw| raw.elements(CANDIDATE))? {
        let part: Part<'a> = part.object(PART)?.ok_or(DialectError::Malformed(PART))?;
        read_part(&part, index, facts, out)?;
    }
    // May quote the call that it complains of.
    let message = candidate.finish_message.map_or(Ok(None), |raw| raw.text(CANDIDATE))?;
    push(index, Channel::ToolCall, FAILED, message, out);
    // A word, or its number (Vertex with `enum-encoding=int`).
    let reason = candidate.finish_reason.filter(|raw| !raw.is_null());
    if let Some(reason) = reason.map(|raw| raw.shared().unwrap_or_else(|| Str::from(raw.json()))) {
        out.marks.push(Mark::Finish { candidate: index, reason });
    }
    Ok(())
}

fn read_part<'a>(part: &Part<'a>, candidate: u32, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let channel = if part.thought.and_then(Raw::bool) == Some(true) { Channel::Reasoning } else { Channel::Answer };
    push(candidate, channel, 0, part.text.map_or(Ok(None), |raw| raw.text(PART))?, out);
    // What tools answered (code output, search results) is not the model's speech.
    for raw in [part.executable_code, part.tool_call].into_iter().flatten() {
        if let Some(call) = raw.object::<Call<'a>>(PART)? {
            let number = EXECUTED.saturating_add(next(facts));
            push(candidate, Channel::ToolCall, number, call.code.map_or(Ok(None), |raw| raw.text(PART))?, out);
            push(candidate, Channel::ToolCall, number, call.args.and_then(arguments), out);
        }
    }
    let Some(call) = part.function_call.map_or(Ok(None), |raw| raw.object::<Call<'a>>(PART))? else { return Ok(()) };
    let name = call.name.and_then(Raw::shared);
    // Only the first piece of a call that comes in pieces has its name.
    let number = if name.is_some() || facts.calls == 0 { next(facts) } else { facts.calls - 1 };
    if let Some(name) = name {
        out.marks.push(Mark::Tool { candidate, part: number, name });
    }
    push(candidate, Channel::ToolCall, number, call.args.and_then(arguments), out);
    let mut path = None;
    for piece in call.partial_args.map_or(Ok(Vec::new()), |raw| raw.elements(PART))? {
        let Some(piece) = piece.object::<PartialArg<'a>>(PART)? else { continue };
        let at = piece.json_path.and_then(Raw::str);
        if path.is_some() && path != at {
            push(candidate, Channel::ToolCall, number, Some(Cow::Borrowed("\n")), out);
        }
        path = at;
        push(candidate, Channel::ToolCall, number, piece.string_value.map_or(Ok(None), |raw| raw.text(PART))?, out);
    }
    Ok(())
}

/// The number of one more call.
fn next(facts: &mut Facts) -> u32 {
    let number = facts.calls;
    facts.calls = number.saturating_add(1);
    number
}

/// The arguments of a call as JSON text.
fn arguments(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    (!raw.is_null()).then(|| raw.str().unwrap_or(Cow::Borrowed(raw.json())))
}

fn push<'a>(candidate: u32, channel: Channel, part: u32, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta::append(candidate, channel, part, text));
    }
}

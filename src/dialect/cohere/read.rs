//! Reading Cohere answers by their shape: `message` is the second version's, `text` the first's, `generations` its generation's. So
//! are streams: `type` and a `delta`, or `event_type` (which some hosts leave out) and a `text`.
//!
//! The first version's last line repeats the answer: what it says beyond the stream is judged as new text. Citations, documents and the
//! chat history, which repeat what is judged or what the client sent, are no speech of the model's.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::json::{self, Members, Raw};
use crate::dialect::openai_chat::OpenAiChat;
use crate::dialect::{Block, Delta, Dialect, DialectError, Extent, Facts, Mark, Reading};
use crate::text::{Channel, Str};

const ANSWER: &str = "cohere answer";
const EVENT: &str = "cohere event";
const TEXT: &str = "text in a cohere answer";

/// The kind of an open content part.
pub(super) const CONTENT: &str = "content";
/// The kind of an open tool call.
pub(super) const TOOL_CALL: &str = "tool-call";
/// The part of the tool plan among the reasoning of content parts.
const PLAN: u32 = 1 << 16;

/// An answer of any version.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    generation_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow, default)]
    generations: Option<Raw<'a>>,
    /// Chat Completions': Writer's path is the first version's.
    #[serde(borrow, default)]
    choices: Option<Raw<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
    #[serde(borrow, default)]
    meta: Option<Raw<'a>>,
}

/// The second version's message, whole or a piece of one.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_plan: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Raw<'a>>,
}

/// A tool call of either version: the second has a `function`.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    function: Option<Raw<'a>>,
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    parameters: Option<Raw<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Raw<'a>>,
}

/// A stream's event of any version.
#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    event_type: Option<Raw<'a>>,
    #[serde(borrow, default)]
    is_finished: Option<Raw<'a>>,
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    generation_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_call_delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    response: Option<Raw<'a>>,
    #[serde(borrow, default)]
    choices: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct EventDelta<'a> {
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
}

/// Reads a whole answer.
pub(in crate::dialect) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let answer: Answer<'a> = json::read(body, ANSWER)?;
    if answer.choices.is_some() {
        // Which of the two a client reads is its own affair.
        OpenAiChat.read_reply(body, facts, out)?;
    }
    let message = answer.message.filter(|message| !message.is_string());
    if answer.choices.is_none()
        && message.is_none()
        && answer.text.is_none()
        && answer.generations.is_none()
        && answer.tool_calls.is_none()
    {
        return Err(DialectError::Malformed(ANSWER));
    }
    read_answer(&answer, Extent::Append, facts, out)
}

/// Reads one event of a stream.
pub(in crate::dialect) fn event<'a>(data: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    match data.trim_ascii() {
        b"" => return Ok(()),
        b"[DONE]" => {
            out.marks.push(Mark::Terminal);
            return Ok(());
        }
        _ => {}
    }
    let event: StreamEvent<'a> = json::read(data, EVENT)?;
    // Which of the two a client reads is its own affair.
    if event.choices.is_some() {
        OpenAiChat.read_reply(data, facts, out)?;
    }
    let is_second = event.kind.is_some() || event.delta.is_some();
    if is_second {
        second(&event, facts, out)?;
    }
    let firsts = [event.event_type, event.is_finished, event.text, event.tool_call_delta, event.tool_calls, event.response];
    if firsts.iter().any(Option::is_some) {
        return first(&event, facts, out);
    }
    // Of anything else the text could not be found.
    if is_second || event.choices.is_some() { Ok(()) } else { Err(DialectError::Malformed(EVENT)) }
}

/// An event of the second version.
fn second<'a>(event: &StreamEvent<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let kind = event.kind.map_or(Ok(None), |kind| kind.text(EVENT))?.unwrap_or_default();
    let index = event.index.and_then(Raw::u32).unwrap_or(0);
    let delta = event.delta.map_or(Ok(None), |delta| delta.object::<EventDelta<'a>>(EVENT))?;
    if kind == "message-start" {
        facts.id = event.id.and_then(Raw::shared).or_else(|| facts.id.take());
        out.marks.extend([Mark::Started, Mark::Candidate(0)]);
    }
    let message = delta.as_ref().and_then(|delta| delta.message);
    let message = message.map_or(Ok(None), |message| message.object::<Message<'a>>(EVENT))?;
    if let Some(message) = &message {
        read_message(message, index, out)?;
    }
    let open = |kind: &str, id| Mark::Open(Block { index, kind: Str::from(kind), id, inner: None });
    match &*kind {
        "content-start" => out.marks.push(open(CONTENT, None)),
        "content-end" => out.marks.push(Mark::Close { index, kind: Some(Str::from(CONTENT)) }),
        "tool-call-start" => {
            let call = message.and_then(|message| message.tool_calls).and_then(Raw::maybe::<Call<'a>>);
            out.marks.push(open(TOOL_CALL, call.and_then(|call| call.id).and_then(Raw::shared)));
        }
        "tool-call-end" => out.marks.push(Mark::Close { index, kind: Some(Str::from(TOOL_CALL)) }),
        _ => {}
    }
    if let Some(delta) = delta {
        finish(0, delta.finish_reason, out);
        read_usage(delta.usage, facts);
    }
    Ok(())
}

/// An event of the first version.
fn first<'a>(event: &StreamEvent<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let kind = event.event_type.map_or(Ok(None), |kind| kind.text(EVENT))?.unwrap_or_default();
    let candidate = event.index.and_then(Raw::u32).unwrap_or(0);
    facts.id = event.generation_id.and_then(Raw::shared).or_else(|| facts.id.take());
    match &*kind {
        "stream-start" => out.marks.extend([Mark::Started, Mark::Candidate(0)]),
        "stream-error" => out.marks.push(Mark::Error),
        _ => {}
    }
    // The calls' own event says the plan again.
    let extent = if event.tool_calls.is_some() { Extent::Whole } else { Extent::Append };
    push(candidate, Channel::Answer, 0, extent, text(event.text)?, out);
    if let Some(call) = event.tool_call_delta.map_or(Ok(None), |call| call.object::<Call<'a>>(EVENT))? {
        read_call(&call, call.index.and_then(Raw::u32).unwrap_or(0), Extent::Append, out)?;
    }
    if let Some(calls) = event.tool_calls {
        read_calls(calls, 0, Extent::Whole, out)?;
    }
    if let Some(answer) = event.response.map_or(Ok(None), |answer| answer.object::<Answer<'a>>(ANSWER))? {
        read_answer(&answer, Extent::Whole, facts, out)?;
    }
    finish(candidate, event.finish_reason, out);
    if kind == "stream-end" || event.is_finished.and_then(Raw::bool) == Some(true) {
        out.marks.push(Mark::Terminal);
    }
    Ok(())
}

fn read_answer<'a>(answer: &Answer<'a>, extent: Extent, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let id = answer.generation_id.or(answer.id).and_then(Raw::shared);
    facts.id = facts.id.take().or(id);
    read_usage(answer.usage.or(answer.meta), facts);
    if let Some(generations) = answer.generations {
        for (candidate, raw) in (0..).zip(generations.answers(ANSWER)?) {
            let Some(one) = raw.object::<Answer<'a>>(ANSWER)? else { continue };
            out.marks.push(Mark::Candidate(candidate));
            push(candidate, Channel::Answer, 0, extent, text(one.text)?, out);
            finish(candidate, one.finish_reason, out);
        }
    } else {
        out.marks.push(Mark::Candidate(0));
    }
    push(0, Channel::Answer, 0, extent, text(answer.text)?, out);
    if let Some(calls) = answer.tool_calls {
        read_calls(calls, 0, extent, out)?;
    }
    if let Some(message) = answer.message.map_or(Ok(None), |message| message.object::<Message<'a>>(ANSWER))? {
        read_message(&message, 0, out)?;
    }
    finish(0, answer.finish_reason, out);
    Ok(())
}

/// A message of the second version: its lists begin at `index`, and in a stream's delta they are but the one object.
fn read_message<'a>(message: &Message<'a>, index: u32, out: &mut Reading<'a>) -> Result<(), DialectError> {
    push(0, Channel::Reasoning, PLAN, Extent::Append, text(message.tool_plan)?, out);
    let mut part = |index: u32, part: &Part<'a>| -> Result<(), DialectError> {
        push(0, Channel::Answer, index, Extent::Append, text(part.text)?, out);
        push(0, Channel::Reasoning, index, Extent::Append, text(part.thinking)?, out);
        Ok(())
    };
    match message.content {
        Some(content) if content.is_string() => push(0, Channel::Answer, index, Extent::Append, text(Some(content))?, out),
        Some(content) if content.is_object() => part(index, &content.read(TEXT)?)?,
        Some(content) => {
            for (index, raw) in (index..).zip(content.elements(TEXT)?) {
                if let Some(piece) = raw.object::<Part<'a>>(TEXT)? {
                    part(index, &piece)?;
                }
            }
        }
        None => {}
    }
    message.tool_calls.map_or(Ok(()), |calls| read_calls(calls, index, Extent::Append, out))
}

fn read_calls<'a>(calls: Raw<'a>, first: u32, extent: Extent, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if calls.is_object() {
        return read_call(&calls.read(EVENT)?, first, extent, out);
    }
    for (index, raw) in (first..).zip(calls.elements(ANSWER)?) {
        if let Some(call) = raw.object::<Call<'a>>(ANSWER)? {
            read_call(&call, index, extent, out)?;
        }
    }
    Ok(())
}

fn read_call<'a>(call: &Call<'a>, part: u32, extent: Extent, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if let Some(inner) = call.function.map_or(Ok(None), |function| function.object::<Call<'a>>(ANSWER))? {
        read_call(&Call { function: None, ..inner }, part, extent, out)?;
    }
    if let Some(name) = call.name.and_then(Raw::shared) {
        out.marks.push(Mark::Tool { candidate: 0, part, name });
    }
    for arguments in [call.parameters, call.arguments].into_iter().flatten().filter(|raw| !raw.is_null()) {
        push(0, Channel::ToolCall, part, extent, Some(arguments.str().unwrap_or(Cow::Borrowed(arguments.json()))), out);
    }
    Ok(())
}

fn finish(candidate: u32, reason: Option<Raw<'_>>, out: &mut Reading<'_>) {
    if let Some(reason) = reason.and_then(Raw::shared) {
        if reason.starts_with("ERROR") && &*reason != "ERROR_LIMIT" {
            out.marks.push(Mark::Error);
        }
        out.marks.push(Mark::Finish { candidate, reason });
    }
}

/// `usage` of the second version, `meta` of the first: the billed units where they are given.
fn read_usage(usage: Option<Raw<'_>>, facts: &mut Facts) {
    let Some(usage) = usage.and_then(Raw::maybe::<Members<'_>>) else { return };
    for counts in ["tokens", "billed_units"] {
        let Some(counts) = usage.get(counts).and_then(Raw::maybe::<Members<'_>>) else { continue };
        facts.input_tokens = counts.get("input_tokens").and_then(Raw::u64).or(facts.input_tokens);
        facts.output_tokens = counts.get("output_tokens").and_then(Raw::u64).or(facts.output_tokens);
    }
}

fn text(raw: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.text(TEXT))
}

fn push<'a>(candidate: u32, channel: Channel, part: u32, extent: Extent, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta { candidate, channel, part, text, extent });
    }
}

//! Reading Responses answers: one object, its output items and content parts, and the events that bring them piece by piece.
//!
//! The same text comes up to five times: in deltas, in the `done` events of text, part and item, and in the terminal object. Deltas
//! are pieces, all else is the whole text of a part, which the inspector compares. A part is named by its place (output index, and
//! content, summary or command index), never by its id: some hosts give a new id in every event.
//!
//! An event that is not known but brings a `delta` is read like one of a call's: clients that know it show it.

use std::borrow::Cow;

use super::shape::{Incomplete, Item, Part, Response, StreamEvent, Usage, Work};
use crate::dialect::json::{self, Raw};
use crate::dialect::openai;
use crate::dialect::{Block, Delta, DialectError, Extent, Facts, Mark, Reading};
use crate::frame::Event;
use crate::text::{Channel, Str};

const RESPONSE: &str = "responses answer";
const EVENT: &str = "responses event";
const ITEM: &str = "output item of a responses answer";
const PART: &str = "content part of a responses answer";
const TEXT: &str = "text in a responses answer";

/// Bits of a part's number that tell parts of one output item apart.
const SUB_BITS: u32 = 12;
const SUB_MASK: u32 = (1 << SUB_BITS) - 1;
/// Reasoning text, beside the reasoning summaries of the same item.
const REASONING_TEXT: u32 = 0x800;
/// Calls that the host runs itself (searches, code, shells), which have no name: numbered apart from those that the client runs.
const HOSTED: u32 = 1 << 31;
/// The part of a transcript, whose events name no output item.
const TRANSCRIPT: u32 = u32::MAX - 1;
/// The part of a top-level `output_text` that says something else than the items.
const OUTPUT_TEXT: u32 = u32::MAX;

/// The number of a part: stable from event to event.
#[must_use]
pub(super) fn part(output_index: u32, sub: u32) -> u32 {
    (output_index.min((HOSTED - 1) >> SUB_BITS) << SUB_BITS) | sub.min(SUB_MASK)
}

/// The number of a reasoning text's part.
#[must_use]
pub(super) fn reasoning_part(output_index: u32, content_index: u32) -> u32 {
    part(output_index, REASONING_TEXT | content_index.min(REASONING_TEXT - 1))
}

/// The output index and content index of an item's part; nothing for text outside of items.
#[must_use]
pub(super) fn place(part: u32) -> Option<(u32, u32)> {
    (part < TRANSCRIPT).then_some((part >> SUB_BITS, part & SUB_MASK))
}

/// Reads a whole answer: what `POST /responses`, `GET /responses/<id>`, `POST /responses/<id>/cancel` and
/// `GET /responses/<id>/input_items` return.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let response: Response<'a> = json::shape(body, RESPONSE)?;
    if [response.output, response.status, response.error, response.data].iter().all(Option::is_none) {
        return Err(DialectError::Malformed(RESPONSE));
    }
    out.marks.push(Mark::Candidate(0));
    object(&response, Extent::Append, facts, out)?;
    for (index, raw) in response.data.map_or(Ok(Vec::new()), |list| list.elements(RESPONSE))?.into_iter().enumerate() {
        // What others said is no answer.
        let role = raw.shape::<Item<'a>>(ITEM)?.and_then(|item| item.role).and_then(Raw::str);
        if role.is_none_or(|role| role == "assistant") {
            item(raw, u32::try_from(index).unwrap_or(u32::MAX), Extent::Append, out)?;
        }
    }
    finish(&response, out);
    Ok(())
}

/// Reads one event of a stream.
pub(super) fn event<'a>(event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    match event.data.trim_ascii() {
        b"" => return Ok(()),
        b"[DONE]" => {
            out.marks.push(Mark::Terminal);
            return Ok(());
        }
        _ => {}
    }
    let body: StreamEvent<'a> = json::shape(&event.data, EVENT)?;
    let kind = body.kind.map_or(Ok(None), |kind| kind.text(EVENT))?;
    let name = (!event.name.is_empty()).then(|| String::from_utf8_lossy(&event.name));
    if let Some(number) = body.sequence_number.and_then(Raw::u64) {
        out.marks.push(Mark::Sequence(number));
    }
    if kind.is_none() && name.is_none() {
        // Some hosts report errors without a type. Anything else without one could hold text that nothing here would find.
        if body.error.is_some() {
            out.marks.push(Mark::Error);
            return Ok(());
        }
        return Err(DialectError::Malformed(EVENT));
    }
    // Clients go by either.
    let other = name.filter(|name| kind.as_ref() != Some(name));
    kind.into_iter().chain(other).try_for_each(|name| named_event(&name, &body, facts, out))
}

/// What an event of that name says.
fn named_event<'a>(name: &str, body: &StreamEvent<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    match name {
        "error" => out.marks.push(Mark::Error),
        "response.output_item.added" => item_event(body, true, out)?,
        "response.output_item.done" => item_event(body, false, out)?,
        "response.content_part.added" | "response.reasoning_part.added" | "response.reasoning_summary_part.added" => {
            part_event(body, true, out)?;
        }
        "response.content_part.done" | "response.reasoning_part.done" | "response.reasoning_summary_part.done" => {
            part_event(body, false, out)?;
        }
        _ => {
            if let Some(response) = body.response {
                response_event(name, response, facts, out)?;
            }
            text_event(name, body, out)?;
        }
    }
    Ok(())
}

/// `response.created` to `response.completed`: the object itself.
fn response_event<'a>(name: &str, response: Raw<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let Some(response) = response.shape::<Response<'a>>(RESPONSE)? else { return Ok(()) };
    if name == "response.created" {
        out.marks.push(Mark::Started);
        out.marks.push(Mark::Candidate(0));
    }
    object(&response, Extent::Whole, facts, out)?;
    if matches!(name, "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled") {
        finish(&response, out);
        out.marks.push(Mark::Terminal);
    }
    Ok(())
}

fn item_event<'a>(body: &StreamEvent<'a>, opens: bool, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let index = index(body.output_index);
    let Some(raw) = body.item else { return Ok(()) };
    let Some((kind, id)) = item(raw, index, Extent::Whole, out)? else { return Ok(()) };
    if opens {
        out.marks.push(Mark::Candidate(0));
        out.marks.push(Mark::Open(Block { index, kind, id, inner: None }));
    } else {
        out.marks.push(Mark::Close { index, kind: Some(kind) });
    }
    Ok(())
}

fn part_event<'a>(body: &StreamEvent<'a>, opens: bool, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let output = index(body.output_index);
    let inner = index(body.summary_index.or(body.content_index));
    let Some(raw) = body.part else { return Ok(()) };
    let Some(kind) = content(raw, output, inner, Extent::Whole, out)? else { return Ok(()) };
    if opens {
        let id = body.item_id.and_then(Raw::shared);
        out.marks.push(Mark::Open(Block { index: output, kind, id, inner: Some(inner) }));
    } else {
        out.marks.push(Mark::Close { index: output, kind: Some(kind) });
    }
    Ok(())
}

/// The `….delta` and `….done` events that carry text. All others carry none.
fn text_event<'a>(name: &str, body: &StreamEvent<'a>, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let ends = |suffixes: [&str; 2]| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    let (stem, done) = match (ends([".delta", "_delta"]), ends([".done", "_done"])) {
        (Some(stem), _) => (stem, false),
        (None, Some(stem)) => (stem, true),
        (None, None) => return Ok(()),
    };
    let output = index(body.output_index);
    let at = |inner: Option<Raw<'a>>| part(output, index(inner));
    let (channel, part, whole) = match stem.strip_prefix("response.").unwrap_or(stem) {
        "output_text" => (Channel::Answer, at(body.content_index), body.text),
        "refusal" => (Channel::Refusal, at(body.content_index), body.refusal),
        "audio.transcript" | "output_audio_transcript" => (Channel::Answer, TRANSCRIPT, body.transcript),
        "reasoning_text" => (Channel::Reasoning, reasoning_part(output, index(body.content_index)), body.text),
        "reasoning_summary_text" => (Channel::Reasoning, at(body.summary_index), body.text),
        "function_call_arguments" | "mcp_call_arguments" | "mcp_call.arguments" => (Channel::ToolCall, at(None), body.arguments),
        "custom_tool_call_input" => (Channel::ToolCall, at(None), body.input),
        "code_interpreter_call_code" | "code_interpreter_call.code" => (Channel::ToolCall, HOSTED | at(None), body.code),
        "apply_patch_call_operation_diff" => (Channel::ToolCall, HOSTED | at(None), body.diff),
        "shell_call_command" => (Channel::ToolCall, HOSTED | at(body.command_index), body.command),
        // Sounds and pictures.
        other if other.contains("audio") || other.contains("image") => return Ok(()),
        other => {
            let (channel, part) = match other.contains("reasoning") {
                true => (Channel::Reasoning, reasoning_part(output, index(body.content_index))),
                false => (Channel::ToolCall, HOSTED | at(body.content_index)),
            };
            let (raw, extent) = if done { (body.text, Extent::Whole) } else { (body.delta, Extent::Append) };
            push(channel, part, extent, raw.map(written), out);
            return Ok(());
        }
    };
    let (raw, extent) = if done { (whole, Extent::Whole) } else { (body.delta, Extent::Append) };
    push(channel, part, extent, text(raw)?, out);
    Ok(())
}

/// What an object says of itself, and its output items.
fn object<'a>(response: &Response<'a>, extent: Extent, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    // The first id counts: clients refuse a stream whose later objects have another.
    openai::keep(&mut facts.id, response.id);
    openai::keep(&mut facts.model, response.model);
    openai::keep_created(&mut facts.created, response.created_at);
    if let Some(usage) = response.usage.and_then(|raw| raw.shape::<Usage<'a>>(RESPONSE).ok()?) {
        facts.input_tokens = usage.input_tokens.and_then(Raw::u64).or(facts.input_tokens);
        facts.output_tokens = usage.output_tokens.and_then(Raw::u64).or(facts.output_tokens);
    }
    if response.error.is_some() {
        out.marks.push(Mark::Error);
    }
    let before = out.deltas.len();
    if let Some(output) = response.output {
        for (index, raw) in output.elements(RESPONSE)?.into_iter().enumerate() {
            item(raw, u32::try_from(index).unwrap_or(u32::MAX), extent, out)?;
        }
    }
    // A helper of the SDKs, which some hosts send as well, and which clients then read instead of the items.
    if let Some(shown) = text(response.output_text)? {
        let said: String =
            out.deltas[before..].iter().filter(|delta| delta.channel == Channel::Answer).map(|delta| &*delta.text).collect();
        if said != *shown {
            push(Channel::Answer, OUTPUT_TEXT, extent, Some(shown), out);
        }
    }
    Ok(())
}

/// Why the answer ended: the reason it is incomplete, else its status.
fn finish(response: &Response<'_>, out: &mut Reading<'_>) {
    let reason = response
        .incomplete_details
        .and_then(|raw| raw.shape::<Incomplete<'_>>(RESPONSE).ok()?)
        .and_then(|details| details.reason);
    if let Some(reason) = reason.and_then(Raw::shared).or_else(|| response.status.and_then(Raw::shared)) {
        if &*reason == "failed" && !out.marks.contains(&Mark::Error) {
            out.marks.push(Mark::Error);
        }
        out.marks.push(Mark::Finish { candidate: 0, reason });
    }
}

/// An output item: its type and id.
fn item<'a>(raw: Raw<'a>, at: u32, extent: Extent, out: &mut Reading<'a>) -> Result<Option<(Str, Option<Str>)>, DialectError> {
    let Some(item) = raw.shape::<Item<'a>>(ITEM)? else { return Ok(None) };
    let kind = item.kind.and_then(Raw::shared).unwrap_or_else(|| Str::from("message"));
    match &*kind {
        "message" => contents(item.content, at, extent, out)?,
        "reasoning" => {
            for (inner, raw) in list(item.summary)?.into_iter().enumerate() {
                let text = words(raw)?;
                push(Channel::Reasoning, part(at, u32::try_from(inner).unwrap_or(u32::MAX)), extent, text, out);
            }
            for (inner, raw) in list(item.content)?.into_iter().enumerate() {
                let text = words(raw)?;
                push(Channel::Reasoning, reasoning_part(at, u32::try_from(inner).unwrap_or(u32::MAX)), extent, text, out);
            }
        }
        // What tools answered and what the client is told of its tools: not the model's words.
        other
            if other.ends_with("_output") || matches!(other, "mcp_list_tools" | "mcp_approval_response" | "additional_tools") => {
        }
        _ => {
            call(&item, &kind, at, extent, out)?;
            contents(item.content, at, extent, out)?;
        }
    }
    Ok(Some((kind, item.id.and_then(Raw::shared))))
}

/// A tool call of whatever type: every field that the model writes.
fn call<'a>(item: &Item<'a>, kind: &str, at: u32, extent: Extent, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let named = matches!(kind, "function_call" | "custom_tool_call" | "mcp_call" | "mcp_approval_request");
    let first = part(at, 0) | if named { 0 } else { HOSTED };
    if let Some(name) = item.name.and_then(Raw::shared) {
        out.marks.push(Mark::Tool { candidate: 0, part: first, name });
    }
    let mut tool = |sub: u32, text: Option<Cow<'a, str>>| push(Channel::ToolCall, first | sub.min(SUB_MASK), extent, text, out);
    for raw in [item.arguments, item.input, item.code, item.queries, item.revised_prompt].into_iter().flatten() {
        tool(0, Some(written(raw)));
    }
    for raw in [item.action, item.operation].into_iter().flatten() {
        match raw.shape::<Work<'a>>(ITEM)? {
            Some(Work { commands: Some(commands), .. }) => {
                for (sub, command) in commands.elements(ITEM)?.into_iter().enumerate() {
                    tool(u32::try_from(sub).unwrap_or(u32::MAX), Some(written(command)));
                }
            }
            Some(Work { diff: Some(diff), path, .. }) => {
                tool(0, Some(written(diff)));
                tool(1, path.map(written));
            }
            _ => tool(0, Some(written(raw))),
        }
    }
    tool(1, item.actions.map(written));
    Ok(())
}

fn contents<'a>(raw: Option<Raw<'a>>, at: u32, extent: Extent, out: &mut Reading<'a>) -> Result<(), DialectError> {
    for (inner, raw) in list(raw)?.into_iter().enumerate() {
        content(raw, at, u32::try_from(inner).unwrap_or(u32::MAX), extent, out)?;
    }
    Ok(())
}

/// A content part: its type.
fn content<'a>(
    raw: Raw<'a>,
    output: u32,
    inner: u32,
    extent: Extent,
    out: &mut Reading<'a>,
) -> Result<Option<Str>, DialectError> {
    if raw.is_string() {
        push(Channel::Answer, part(output, inner), extent, text(Some(raw))?, out);
        return Ok(Some(Str::from("output_text")));
    }
    let Some(content) = raw.shape::<Part<'a>>(PART)? else { return Ok(None) };
    let kind = content.kind.and_then(Raw::shared).unwrap_or_else(|| Str::from("output_text"));
    match &*kind {
        "reasoning_text" => push(Channel::Reasoning, reasoning_part(output, inner), extent, text(content.text)?, out),
        "summary_text" => push(Channel::Reasoning, part(output, inner), extent, text(content.text)?, out),
        _ => {
            push(Channel::Answer, part(output, inner), extent, text(content.text)?, out);
            push(Channel::Answer, part(output, inner), extent, text(content.transcript)?, out);
            push(Channel::Refusal, part(output, inner), extent, text(content.refusal)?, out);
        }
    }
    Ok(Some(kind))
}

/// The elements of a list of parts; some hosts give one string instead.
fn list(raw: Option<Raw<'_>>) -> Result<Vec<Raw<'_>>, DialectError> {
    match raw {
        None => Ok(Vec::new()),
        Some(raw) if raw.is_string() => Ok(vec![raw]),
        Some(raw) => raw.elements(PART),
    }
}

/// The text of a part of which only text is of interest.
fn words(raw: Raw<'_>) -> Result<Option<Cow<'_, str>>, DialectError> {
    if raw.is_string() {
        return raw.text(TEXT);
    }
    match raw.shape::<Part<'_>>(PART)? {
        Some(part) => text(part.text),
        None => Ok(None),
    }
}

fn text(raw: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.text(TEXT))
}

/// What a tool call says: a string's text, or the JSON of anything else. An item is announced with an empty list or object.
fn written(raw: Raw<'_>) -> Cow<'_, str> {
    raw.str().unwrap_or(Cow::Borrowed(match raw.json() {
        "null" | "[]" | "{}" => "",
        json => json,
    }))
}

fn index(raw: Option<Raw<'_>>) -> u32 {
    raw.and_then(Raw::u32).unwrap_or(0)
}

fn push<'a>(channel: Channel, part: u32, extent: Extent, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta { candidate: 0, channel, part, text, extent });
    }
}

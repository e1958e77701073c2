//! Reading Messages answers: one object with its content blocks, and the events that bring them piece by piece.

use std::borrow::Cow;

use crate::dialect::json::{self, Raw, Shape, members};
use crate::dialect::{Block, Delta, DialectError, Facts, Mark, Reading};
use crate::frame::Event;
use crate::text::{Channel, Str};

const MESSAGE: &str = "messages answer";
const EVENT: &str = "messages event";
const BLOCK: &str = "content block of a messages answer";
const TEXT: &str = "text in a messages answer";

/// Blocks that `message_start` brings along (normally none) are counted from here, apart from those that the stream opens.
const PREFILLED: u32 = 1 << 31;

members! {
    struct Message {
        kind: "type",
        id: "id",
        model: "model",
        content: "content",
        stop_reason: "stop_reason",
        usage: "usage",
        error: "error",
    }

    struct Usage {
        input_tokens: "input_tokens",
        output_tokens: "output_tokens",
    }

    struct ContentBlock {
        kind: "type",
        id: "id",
        name: "name",
        text: "text",
        thinking: "thinking",
        input: "input",
        content: "content",
    }

    /// `delta` of `content_block_delta` and of `message_delta`.
    struct BlockDelta {
        text: "text",
        thinking: "thinking",
        partial_json: "partial_json",
        content: "content",
        stop_reason: "stop_reason",
    }

    struct StreamEvent {
        kind: "type",
        index: "index",
        message: "message",
        content_block: "content_block",
        delta: "delta",
        usage: "usage",
        error: "error",
    }
}

/// Reads a whole message.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let message: Message<'a> = json::shape(body, MESSAGE)?;
    let is_error = message.kind.and_then(Raw::str).as_deref() == Some("error") || message.error.is_some();
    if is_error {
        out.marks.push(Mark::Error);
    }
    if message.content.is_none() {
        return if is_error { Ok(()) } else { Err(DialectError::Malformed(MESSAGE)) };
    }
    out.marks.push(Mark::Candidate(0));
    read_message(&message, 0, facts, out)
}

/// Reads one event of a stream.
pub(super) fn event<'a>(event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    match event.data.trim_ascii() {
        b"" => return Ok(()),
        // Not Anthropic's, but some hosts end every stream with it.
        b"[DONE]" => {
            out.marks.push(Mark::Terminal);
            return Ok(());
        }
        _ => {}
    }
    let body: StreamEvent<'a> = json::shape(&event.data, EVENT)?;
    let kind = match body.kind {
        Some(kind) => kind.text(EVENT)?,
        None if !event.name.is_empty() => Some(String::from_utf8_lossy(&event.name)),
        None => None,
    };
    let index = body.index.and_then(Raw::u32).unwrap_or(0);
    if body.error.is_some() || &*event.name == b"error" {
        out.marks.push(Mark::Error);
    }
    // Texts are found by their place, whatever the event calls itself: its name is there twice, and clients go by either.
    let named = |names: &[&str]| kind.as_deref().is_some_and(|kind| names.contains(&kind));
    let starts = named(&["message_start"]);
    // In other events than their own they may be anything, such as an error's words.
    let message = body.message.filter(|raw| starts || raw.is_object());
    let block = body.content_block.filter(|raw| named(&["content_block_start"]) || raw.is_object());
    let delta = body.delta.filter(|raw| named(&["content_block_delta", "message_delta"]) || raw.is_object());
    let message = object::<Message<'a>>(message, MESSAGE)?;
    let block = object::<ContentBlock<'a>>(block, BLOCK)?;
    let delta = object::<BlockDelta<'a>>(delta, EVENT)?;
    if starts {
        out.marks.push(Mark::Started);
        out.marks.push(Mark::Candidate(0));
    }
    if let Some(message) = &message {
        read_message(message, PREFILLED, facts, out)?;
    }
    let block = match &block {
        Some(block) => Some((read_block(block, index, true, out)?, block.id)),
        None => None,
    };
    if let Some(delta) = &delta {
        push(Channel::Answer, index, text(delta.text)?, out);
        push(Channel::Reasoning, index, text(delta.thinking)?, out);
        push(Channel::ToolCall, index, text(delta.partial_json)?, out);
        push(Channel::Reasoning, index, text(delta.content)?, out);
    }
    match kind.as_deref() {
        Some("content_block_start") => {
            if let Some((kind, id)) = block {
                out.marks.push(Mark::Open(Block { index, kind, id: id.and_then(Raw::shared), inner: None }));
            }
        }
        Some("content_block_stop") => out.marks.push(Mark::Close { index, kind: None }),
        Some("message_delta") => {
            finish(delta.and_then(|delta| delta.stop_reason), out);
            read_usage(body.usage, facts);
        }
        Some("message_stop") => out.marks.push(Mark::Terminal),
        None if body.error.is_none() => return Err(DialectError::Malformed(EVENT)),
        // `ping`, `error`, and what is yet to come.
        _ => {}
    }
    Ok(())
}

fn read_message<'a>(message: &Message<'a>, first: u32, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    facts.id = message.id.and_then(Raw::shared).or_else(|| facts.id.take());
    facts.model = message.model.and_then(Raw::shared).or_else(|| facts.model.take());
    read_usage(message.usage, facts);
    match message.content {
        Some(content) if content.is_string() => push(Channel::Answer, first, text(Some(content))?, out),
        Some(content) => {
            for (index, raw) in (first..).zip(content.elements(MESSAGE)?) {
                if let Some(block) = raw.shape::<ContentBlock<'a>>(BLOCK)? {
                    read_block(&block, index, false, out)?;
                }
            }
        }
        None => {}
    }
    finish(message.stop_reason, out);
    Ok(())
}

/// A block, whole or as its start: its type.
fn read_block<'a>(block: &ContentBlock<'a>, index: u32, start: bool, out: &mut Reading<'a>) -> Result<Str, DialectError> {
    let kind = block.kind.and_then(Raw::shared).unwrap_or_else(|| Str::from("text"));
    // What tools answered (searches, fetched pages, code output) is not the model's speech.
    if kind.ends_with("_tool_result") || &*kind == "redacted_thinking" {
        return Ok(kind);
    }
    push(Channel::Answer, index, text(block.text)?, out);
    push(Channel::Reasoning, index, text(block.thinking)?, out);
    if &*kind == "compaction" {
        push(Channel::Reasoning, index, text(block.content)?, out);
    }
    if is_tool_use(&kind) {
        if let Some(name) = block.name.and_then(Raw::shared) {
            out.marks.push(Mark::Tool { candidate: 0, part: index, name });
        }
        // A start brings an empty object, whose text the deltas bring anew.
        if let Some(input) = block.input.filter(|input| !(start && is_empty_object(*input))) {
            push(Channel::ToolCall, index, Some(input.str().unwrap_or(Cow::Borrowed(input.json()))), out);
        }
    }
    Ok(kind)
}

/// Whether a block of that type is a tool call: `tool_use`, `server_tool_use`, `mcp_tool_use`, ….
pub(super) fn is_tool_use(kind: &str) -> bool {
    kind.ends_with("tool_use")
}

fn is_empty_object(raw: Raw<'_>) -> bool {
    raw.is_null()
        || raw.json().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| inner.trim().is_empty())
}

fn read_usage(raw: Option<Raw<'_>>, facts: &mut Facts) {
    if let Some(usage) = raw.and_then(|raw| raw.shape::<Usage<'_>>(MESSAGE).ok()?) {
        facts.input_tokens = usage.input_tokens.and_then(Raw::u64).or(facts.input_tokens);
        facts.output_tokens = usage.output_tokens.and_then(Raw::u64).or(facts.output_tokens);
    }
}

fn finish(reason: Option<Raw<'_>>, out: &mut Reading<'_>) {
    if let Some(reason) = reason.and_then(Raw::shared) {
        out.marks.push(Mark::Finish { candidate: 0, reason });
    }
}

fn object<'a, T: Shape<'a>>(raw: Option<Raw<'a>>, what: &'static str) -> Result<Option<T>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.shape(what))
}

fn text(raw: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.text(TEXT))
}

fn push<'a>(channel: Channel, index: u32, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta::append(0, channel, index, text));
    }
}

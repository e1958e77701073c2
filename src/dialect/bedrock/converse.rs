//! Reading Converse answers: one object with the message's content blocks, and the frames that bring them piece by piece.
//!
//! What tools answered, what was cited, and a guardrail's `trace` (which repeats the model's words to who asked for it) are no speech
//! of the model's to a reader.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::json::{self, Members, Raw};
use crate::dialect::{Block, Delta, DialectError, Facts, Mark, Reading};
use crate::text::{Channel, Str};

const ANSWER: &str = "converse answer";
const BLOCK: &str = "content block of a converse answer";
const EVENT: &str = "converse event";
const TEXT: &str = "text in a converse answer";

/// The names of a stream's events.
pub(super) const EVENTS: [&str; 6] =
    ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    output: Option<Raw<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
}

/// A content block: an object with one member, whose name is its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentBlock<'a> {
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_use: Option<Raw<'a>>,
    #[serde(borrow, default)]
    citations_content: Option<Raw<'a>>,
}

/// `reasoningContent`, of an answer and of a stream's delta.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow, default)]
    reasoning_text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow, default)]
    tool_use_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    input: Option<Raw<'a>>,
}

/// The payload of any frame.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow, default)]
    content_block_index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    start: Option<Raw<'a>>,
    #[serde(borrow, default)]
    delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
}

/// Reads a whole answer.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let answer: Answer<'a> = json::read(body, ANSWER)?;
    let output = answer.output.ok_or(DialectError::Malformed(ANSWER))?.object::<Output<'a>>(ANSWER)?;
    let message = output.and_then(|output| output.message).ok_or(DialectError::Malformed(ANSWER))?;
    out.marks.push(Mark::Candidate(0));
    let content = message.object::<Message<'a>>(ANSWER)?.and_then(|message| message.content);
    for (index, raw) in (0..).zip(content.map_or(Ok(Vec::new()), |content| content.elements(ANSWER))?) {
        if let Some(block) = raw.object::<ContentBlock<'a>>(BLOCK)? {
            read_block(&block, index, out)?;
        }
    }
    finish(answer.stop_reason, out);
    read_usage(answer.usage, facts);
    Ok(())
}

/// Reads the payload of one frame. Text is found by the payload's shape, whatever the frame is called.
pub(super) fn event<'a>(name: &[u8], data: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    if data.trim_ascii().is_empty() {
        return Ok(());
    }
    let payload: Payload<'a> = json::read(data, EVENT)?;
    let index = payload.content_block_index.and_then(Raw::u32).unwrap_or(0);
    match name {
        b"messageStart" => out.marks.extend([Mark::Started, Mark::Candidate(0)]),
        b"contentBlockStop" => {
            // Only tool calls are opened by an event of their own: a text block is known to be closed by having been open for a moment.
            let block = Block { index, kind: Str::from("text"), id: None, inner: None };
            out.marks.extend([Mark::Open(block), Mark::Close { index, kind: None }]);
        }
        b"metadata" => out.marks.push(Mark::Terminal),
        // `throttlingException`, `modelStreamErrorException`, …
        name if name.ends_with(b"Exception") => out.marks.push(Mark::Error),
        _ => {}
    }
    if let Some(start) = payload.start {
        open(start, index, out)?;
    }
    if let Some(delta) = payload.delta.map_or(Ok(None), |delta| delta.object::<ContentBlock<'a>>(BLOCK))? {
        read_block(&delta, index, out)?;
    }
    finish(payload.stop_reason, out);
    read_usage(payload.usage, facts);
    Ok(())
}

/// A block, whole or a piece of one.
fn read_block<'a>(block: &ContentBlock<'a>, index: u32, out: &mut Reading<'a>) -> Result<(), DialectError> {
    push(Channel::Answer, index, text(block.text)?, out);
    if let Some(reasoning) = object::<Reasoning<'a>>(block.reasoning_content)? {
        push(Channel::Reasoning, index, text(reasoning.text)?, out);
        let whole = object::<Reasoning<'a>>(reasoning.reasoning_text)?;
        push(Channel::Reasoning, index, text(whole.and_then(|whole| whole.text))?, out);
    }
    if let Some(tool) = object::<ToolUse<'a>>(block.tool_use)? {
        name(&tool, index, out);
        if let Some(input) = tool.input.filter(|input| !input.is_null()) {
            push(Channel::ToolCall, index, Some(input.str().unwrap_or(Cow::Borrowed(input.json()))), out);
        }
    }
    if let Some(cited) = object::<Message<'a>>(block.citations_content)?.and_then(|cited| cited.content) {
        for raw in cited.elements(BLOCK)? {
            let piece = raw.object::<ContentBlock<'a>>(BLOCK)?.and_then(|piece| piece.text);
            push(Channel::Answer, index, text(piece)?, out);
        }
    }
    Ok(())
}

/// A block's start: its type and, of a tool call, the name.
fn open(start: Raw<'_>, index: u32, out: &mut Reading<'_>) -> Result<(), DialectError> {
    let members = start.object::<Members<'_>>(BLOCK)?;
    for (kind, value) in members.iter().flat_map(|members| &members.0) {
        let tool = value.maybe::<ToolUse<'_>>();
        if kind == "toolUse"
            && let Some(tool) = &tool
        {
            name(tool, index, out);
        }
        let id = tool.and_then(|tool| tool.tool_use_id).and_then(Raw::shared);
        out.marks.push(Mark::Open(Block { index, kind: Str::from(&**kind), id, inner: None }));
    }
    Ok(())
}

fn name(tool: &ToolUse<'_>, index: u32, out: &mut Reading<'_>) {
    if let Some(name) = tool.name.and_then(Raw::shared) {
        out.marks.push(Mark::Tool { candidate: 0, part: index, name });
    }
}

fn finish(reason: Option<Raw<'_>>, out: &mut Reading<'_>) {
    if let Some(reason) = reason.and_then(Raw::shared) {
        out.marks.push(Mark::Finish { candidate: 0, reason });
    }
}

fn read_usage(usage: Option<Raw<'_>>, facts: &mut Facts) {
    if let Some(usage) = usage.and_then(Raw::maybe::<Members<'_>>) {
        facts.input_tokens = usage.get("inputTokens").and_then(Raw::u64).or(facts.input_tokens);
        facts.output_tokens = usage.get("outputTokens").and_then(Raw::u64).or(facts.output_tokens);
    }
}

fn object<'a, T: Deserialize<'a>>(raw: Option<Raw<'a>>) -> Result<Option<T>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.object(BLOCK))
}

fn text(raw: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.text(TEXT))
}

fn push<'a>(channel: Channel, index: u32, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta::append(0, channel, index, text));
    }
}

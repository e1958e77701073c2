//! Reading interactions: one object with its steps, and the events that bring them piece by piece.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::json::{self, Raw};
use crate::dialect::{Block, Delta, DialectError, Extent, Facts, Mark, Reading};
use crate::frame::Event;
use crate::text::{Channel, Str};

const ANSWER: &str = "interaction";
const EVENT: &str = "interaction event";
const STEP: &str = "step of an interaction";

/// The first part of calls that the host runs itself (searches, code); before it, calls that the client is to run.
pub(super) const EXECUTED: u32 = 1 << 17;

#[derive(Deserialize)]
struct Interaction<'a> {
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    model: Option<Raw<'a>>,
    #[serde(borrow, default)]
    status: Option<Raw<'a>>,
    #[serde(borrow, default)]
    steps: Option<Raw<'a>>,
    /// What the first version called its steps.
    #[serde(borrow, default)]
    outputs: Option<Raw<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Usage<'a> {
    #[serde(borrow, default)]
    total_input_tokens: Option<Raw<'a>>,
    #[serde(borrow, default)]
    total_output_tokens: Option<Raw<'a>>,
}

/// A step, an output of the first version, or a piece of one.
#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    summary: Option<Raw<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(borrow, default)]
    event_type: Option<Raw<'a>>,
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    interaction: Option<Raw<'a>>,
    #[serde(borrow, default)]
    interaction_id: Option<Raw<'a>>,
    #[serde(borrow, default, alias = "content")]
    step: Option<Raw<'a>>,
    #[serde(borrow, default)]
    delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
}

/// Reads a whole interaction.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let interaction: Interaction<'a> = json::read(body, ANSWER)?;
    if interaction.error.is_some() {
        out.marks.push(Mark::Error);
    }
    if interaction.status.is_none() && interaction.steps.is_none() && interaction.outputs.is_none() {
        // Whatever this is, its text could not be found.
        return if interaction.error.is_some() { Ok(()) } else { Err(DialectError::Malformed(ANSWER)) };
    }
    out.marks.push(Mark::Candidate(0));
    read_interaction(&interaction, Extent::Append, facts, out)?;
    finish(interaction.status, out);
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
    let body: StreamEvent<'a> = json::read(&event.data, EVENT)?;
    let kind = match body.event_type {
        Some(kind) => kind.text(EVENT)?,
        None if !event.name.is_empty() => Some(String::from_utf8_lossy(&event.name)),
        None => None,
    };
    let index = body.index.and_then(Raw::u32).unwrap_or(0);
    if body.error.is_some() || &*event.name == b"error" {
        out.marks.push(Mark::Error);
    } else if kind.is_none() {
        return Err(DialectError::Malformed(EVENT));
    }
    keep(&mut facts.id, body.interaction_id);
    if let Some(interaction) = object::<Interaction<'a>>(body.interaction, EVENT)? {
        out.marks.push(Mark::Started);
        out.marks.push(Mark::Candidate(0));
        // It may repeat the steps that the events brought.
        read_interaction(&interaction, Extent::Whole, facts, out)?;
        if kind.as_deref().is_some_and(|kind| kind.ends_with(".completed") || kind.ends_with(".complete")) {
            finish(interaction.status, out);
        }
    }
    if let Some(step) = object::<Step<'a>>(body.step, STEP)? {
        let kind = step.kind.and_then(Raw::shared).unwrap_or_else(|| Str::from("model_output"));
        read_step(&step, index, Extent::Append, true, out)?;
        out.marks.push(Mark::Open(Block { index, kind, id: step.id.and_then(Raw::shared), inner: None }));
    }
    if let Some(delta) = object::<Step<'a>>(body.delta, EVENT)? {
        read_step(&delta, index, Extent::Append, false, out)?;
    }
    if kind.as_deref().is_some_and(|kind| kind.ends_with(".stop")) {
        out.marks.push(Mark::Close { index, kind: None });
    }
    Ok(())
}

fn read_interaction<'a>(
    interaction: &Interaction<'a>,
    extent: Extent,
    facts: &mut Facts,
    out: &mut Reading<'a>,
) -> Result<(), DialectError> {
    keep(&mut facts.id, interaction.id);
    keep(&mut facts.model, interaction.model);
    if let Some(usage) = interaction.usage.and_then(Raw::maybe::<Usage<'a>>) {
        facts.input_tokens = usage.total_input_tokens.and_then(Raw::u64).or(facts.input_tokens);
        facts.output_tokens = usage.total_output_tokens.and_then(Raw::u64).or(facts.output_tokens);
    }
    for list in [interaction.steps, interaction.outputs].into_iter().flatten() {
        for (index, raw) in (0..).zip(list.elements(ANSWER)?) {
            let step: Step<'a> = raw.object(STEP)?.ok_or(DialectError::Malformed(STEP))?;
            read_step(&step, index, extent, false, out)?;
        }
    }
    Ok(())
}

/// Reads a step or a piece of it. `start`: its arguments are to follow in pieces.
fn read_step<'a>(step: &Step<'a>, index: u32, extent: Extent, start: bool, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let kind = step.kind.and_then(Raw::str).unwrap_or_default();
    // What the user said and what tools answered is not the model's speech.
    if kind == "user_input" || kind.ends_with("_result") {
        return Ok(());
    }
    let thinks = kind.starts_with("thought");
    let channel = if thinks { Channel::Reasoning } else { Channel::Answer };
    let mut texts = Vec::new();
    texts.extend(text(step.text, STEP)?);
    read_contents(step.content, &mut texts)?;
    push(channel, index, extent, join(texts), out);
    let mut summary = Vec::new();
    read_contents(step.summary, &mut summary)?;
    push(Channel::Reasoning, index, extent, join(summary), out);

    let client = matches!(&*kind, "" | "function_call" | "arguments_delta");
    let part = if client { index } else { EXECUTED.saturating_add(index) };
    if kind == "function_call"
        && let Some(name) = step.name.and_then(Raw::shared)
    {
        out.marks.push(Mark::Tool { candidate: 0, part, name });
    }
    // A start brings an empty object, whose text the deltas bring anew.
    let none = |raw: Raw<'_>| raw.is_null() || (start && is_empty_object(raw));
    let arguments = step.arguments.filter(|raw| !none(*raw));
    push(Channel::ToolCall, part, extent, arguments.map(|raw| raw.str().unwrap_or(Cow::Borrowed(raw.json()))), out);
    Ok(())
}

/// The texts of a content, of a list of them, or a bare text.
fn read_contents<'a>(raw: Option<Raw<'a>>, texts: &mut Vec<Cow<'a, str>>) -> Result<(), DialectError> {
    let Some(raw) = raw else { return Ok(()) };
    if raw.is_string() {
        texts.extend(raw.str());
        return Ok(());
    }
    let contents = if raw.is_object() { vec![raw] } else { raw.elements(STEP)? };
    for content in contents {
        if content.is_string() {
            texts.extend(content.str());
        } else if let Some(content) = content.object::<Step<'a>>(STEP)? {
            texts.extend(text(content.text, STEP)?);
        }
    }
    Ok(())
}

/// One text of several, without copying where there is but one.
fn join(mut texts: Vec<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    match texts.len() {
        0 | 1 => texts.pop(),
        _ => Some(Cow::Owned(texts.concat())),
    }
}

/// The end, where this is one.
fn finish(status: Option<Raw<'_>>, out: &mut Reading<'_>) {
    if let Some(reason) = status.and_then(Raw::shared).filter(|status| !matches!(&**status, "in_progress" | "queued")) {
        out.marks.push(Mark::Finish { candidate: 0, reason });
    }
}

fn is_empty_object(raw: Raw<'_>) -> bool {
    raw.json().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| inner.trim().is_empty())
}

fn keep(fact: &mut Option<Str>, value: Option<Raw<'_>>) {
    if fact.is_none() {
        *fact = value.and_then(Raw::shared).filter(|text| !text.is_empty());
    }
}

fn object<'a, T: Deserialize<'a>>(raw: Option<Raw<'a>>, what: &'static str) -> Result<Option<T>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.object(what))
}

fn text<'a>(raw: Option<Raw<'a>>, what: &'static str) -> Result<Option<Cow<'a, str>>, DialectError> {
    raw.map_or(Ok(None), |raw| raw.text(what))
}

fn push<'a>(channel: Channel, part: u32, extent: Extent, text: Option<Cow<'a, str>>, out: &mut Reading<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta { candidate: 0, channel, part, text, extent });
    }
}

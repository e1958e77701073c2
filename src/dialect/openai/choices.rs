//! Reads `choices`: what Chat Completions and Completions call their answers, in the spellings of the many hosts that copy them.
//!
//! Whatever a client could show is read, each text once: a copy of a text that the same choice gave already is left out, and what
//! repeats the whole text so far is marked as such. A text field of a wrong type is an error.

use std::borrow::Cow;

use serde::Deserialize;

use super::{keep, keep_created, keep_usage};
use crate::dialect::json::{Raw, Text};
use crate::dialect::reading::{Delta, Extent, Mark, Reading};
use crate::dialect::{DialectError, Facts};
use crate::text::{Channel, Str};

/// The part of a call in the legacy field `function_call`.
pub const FUNCTION_CALL: u32 = 1 << 16;
/// The first part of calls that the host ran itself (`executed_tools`).
pub const EXECUTED_TOOL: u32 = 1 << 17;
/// The part of a call that the host's own checks refused (`error.failed_generation`).
pub const FAILED_CALL: u32 = 1 << 18;

/// The part of a spoken answer's transcript.
const TRANSCRIPT: u32 = 1;
/// The part of reasoning given in `reasoning_details` alone; those before are the fields of [`Message::reasonings`].
const DETAILS: u32 = 8;
/// The part of reasoning given in `thinking_blocks` alone.
const BLOCKS: u32 = 9;

/// An answer, or a chunk of one.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    model: Option<Raw<'a>>,
    #[serde(borrow, default)]
    created: Option<Raw<'a>>,
    #[serde(borrow, default)]
    system_fingerprint: Option<Raw<'a>>,
    /// The answers.
    #[serde(borrow, default)]
    pub choices: Option<Raw<'a>>,
    /// A list of whole answers (stored completions).
    #[serde(borrow, default)]
    pub data: Option<Raw<'a>>,
    /// Writer's completions stream: a piece of text and nothing else.
    #[serde(borrow, default)]
    pub value: Option<Raw<'a>>,
    /// An error in place of an answer, or beside one.
    #[serde(borrow, default)]
    pub error: Option<Raw<'a>>,
    /// llama.cpp's own completions: a piece of text.
    #[serde(borrow, default)]
    pub content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    object: Option<Raw<'a>>,
    #[serde(borrow, default)]
    usage: Option<Raw<'a>>,
    #[serde(borrow, default)]
    x_groq: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Raw<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Raw<'a>>,
    #[serde(borrow, default)]
    reasoning_text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow, default)]
    reasoning_details: Option<Raw<'a>>,
    /// LiteLLM's, beside `reasoning_content`.
    #[serde(borrow, default)]
    thinking_blocks: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow, default)]
    function_call: Option<Raw<'a>>,
    #[serde(borrow, default)]
    executed_tools: Option<Raw<'a>>,
    #[serde(borrow, default)]
    audio: Option<Raw<'a>>,
}

/// A list element of `content`, `thinking` or `reasoning_details`.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Raw<'a>>,
    #[serde(borrow, default)]
    summary: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    function: Option<Raw<'a>>,
    #[serde(borrow, default)]
    custom: Option<Raw<'a>>,
}

/// `function`, `custom`, `function_call`, or a call that the host ran.
#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Raw<'a>>,
    #[serde(borrow, default)]
    input: Option<Raw<'a>>,
}

impl<'a> Envelope<'a> {
    /// Keeps what the answer says of itself.
    pub fn keep(&self, facts: &mut Facts) {
        keep(&mut facts.id, self.id);
        keep(&mut facts.model, self.model);
        keep(&mut facts.fingerprint, self.system_fingerprint);
        keep_created(&mut facts.created, self.created);
        keep_usage(facts, self.usage);
        if let Some(groq) = self.x_groq.filter(|raw| raw.is_object()).and_then(Raw::maybe::<Envelope<'a>>) {
            keep_usage(facts, groq.usage);
        }
    }

    /// Whether this is a piece of a stream in this format, be it one without text. Of anything else the text could not be found.
    #[must_use]
    pub fn is_chunk(&self) -> bool {
        [self.choices, self.error, self.usage, self.x_groq, self.object].iter().any(Option::is_some)
    }

    /// Reads the error, and the text in it: some hosts quote a call that failed their checks.
    pub fn read_error(&self, out: &mut Reading<'a>) {
        #[derive(Deserialize)]
        struct Failed<'a> {
            #[serde(borrow, default)]
            failed_generation: Option<Text<'a>>,
        }
        let Some(error) = self.error else { return };
        out.marks.push(Mark::Error);
        let failed = error.is_object().then(|| error.maybe::<Failed<'a>>()).flatten();
        if let Some(Text(text)) = failed.and_then(|failed| failed.failed_generation).filter(|text| !text.0.is_empty()) {
            out.deltas.push(Delta::whole(0, Channel::ToolCall, FAILED_CALL, text));
        }
    }

    /// Reads the answers, the first of which is number `first` where they do not say. Returns how many there are.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where text could not be found or read.
    pub fn read_choices(&self, first: u32, out: &mut Reading<'a>) -> Result<u32, DialectError> {
        let Some(choices) = self.choices else { return Ok(0) };
        let mut count = 0;
        for choice in choices.elements("choices")? {
            let choice: Choice<'a> = choice.object("choice")?.ok_or(DialectError::Malformed("choice"))?;
            let index = match choice.index.filter(|index| !index.is_null() && !index.is_string()) {
                // Clients would put it elsewhere than at its place in the list.
                Some(index) => index.u32().ok_or(DialectError::Malformed("index of a choice"))?,
                None => count,
            };
            choice.read(first.saturating_add(index), out)?;
            count += 1;
        }
        Ok(count)
    }
}

impl<'a> Choice<'a> {
    fn read(self, candidate: u32, out: &mut Reading<'a>) -> Result<(), DialectError> {
        out.marks.push(Mark::Candidate(candidate));
        let start = out.deltas.len();
        let mut reader = Reader { candidate, extent: Extent::Append, start, out };
        let delta: Option<Message<'a>> = self.delta.map_or(Ok(None), |raw| raw.object("delta"))?;
        let message: Option<Message<'a>> = self.message.map_or(Ok(None), |raw| raw.object("message"))?;
        if let Some(delta) = &delta {
            reader.message(delta)?;
        }
        if let Some(message) = &message {
            // Beside a delta stands the whole message so far (or a copy of the delta).
            reader.extent = if delta.is_some() { Extent::Whole } else { Extent::Append };
            reader.message(message)?;
        }
        if let Some(text) = self.text.map_or(Ok(None), |raw| raw.text("text"))? {
            // Beside a delta it is the delta's text once more.
            if !reader.said().iter().any(|delta| delta.channel != Channel::ToolCall && delta.text == text) {
                reader.extent = Extent::Append;
                reader.push(Channel::Answer, 0, text);
            }
        }
        if let Some(reason) = self.finish_reason {
            let reason = reason.shared().unwrap_or_else(|| Str::from(reason.json()));
            if !reason.is_empty() {
                out.marks.push(Mark::Finish { candidate, reason });
            }
        }
        Ok(())
    }
}

impl<'a> Message<'a> {
    /// Hosts differ in the name, some send two of them with one text.
    fn reasonings(&self) -> [(Option<Raw<'a>>, &'static str); 4] {
        [
            (self.reasoning_content, "reasoning_content"),
            (self.reasoning, "reasoning"),
            (self.reasoning_text, "reasoning_text"),
            (self.thinking, "thinking"),
        ]
    }
}

/// Where the texts of one choice go.
struct Reader<'a, 'r> {
    candidate: u32,
    extent: Extent,
    /// Where the choice's own deltas begin.
    start: usize,
    out: &'r mut Reading<'a>,
}

impl<'a> Reader<'a, '_> {
    fn message(&mut self, message: &Message<'a>) -> Result<(), DialectError> {
        for ((field, name), part) in message.reasonings().into_iter().zip(0..) {
            self.field(Channel::Reasoning, part, field, name)?;
        }
        if let Some(details) = message.reasoning_details {
            let mut text = Cow::default();
            for piece in details.elements("reasoning_details")? {
                let Some(piece) = piece.object::<Piece<'a>>("reasoning_details")? else { continue };
                for (field, name) in [(piece.text, "text"), (piece.summary, "summary")] {
                    append(&mut text, field.map_or(Ok(None), |raw| raw.text(name))?);
                }
            }
            self.push(Channel::Reasoning, DETAILS, text);
        }
        if let Some(blocks) = message.thinking_blocks {
            let mut text = Cow::default();
            for block in blocks.elements("thinking_blocks")? {
                let Some(block) = block.object::<Piece<'a>>("thinking_blocks")? else { continue };
                append(&mut text, block.thinking.map_or(Ok(None), |raw| raw.text("thinking"))?);
            }
            self.push(Channel::Reasoning, BLOCKS, text);
        }
        if let Some(content) = message.content {
            self.content(content)?;
        }
        self.field(Channel::Refusal, 0, message.refusal, "refusal")?;
        if let Some(audio) = message.audio {
            #[derive(Deserialize)]
            struct Audio<'a> {
                #[serde(borrow, default)]
                transcript: Option<Raw<'a>>,
            }
            if let Some(audio) = audio.object::<Audio<'a>>("audio")? {
                self.field(Channel::Answer, TRANSCRIPT, audio.transcript, "transcript")?;
            }
        }
        self.calls(message)
    }

    /// `content`: a string, or a list of parts, the thinking ones among them.
    fn content(&mut self, content: Raw<'a>) -> Result<(), DialectError> {
        if !content.is_array() {
            return self.field(Channel::Answer, 0, Some(content), "content");
        }
        let (mut answer, mut reasoning, mut refusal) = (Cow::default(), Cow::default(), Cow::default());
        for part in content.elements("content")? {
            if part.is_string() {
                append(&mut answer, part.str());
                continue;
            }
            let Some(part) = part.object::<Piece<'a>>("content part")? else { continue };
            append(&mut answer, part.text.map_or(Ok(None), |raw| raw.text("text"))?);
            append(&mut refusal, part.refusal.map_or(Ok(None), |raw| raw.text("refusal"))?);
            for piece in part.summary.filter(|raw| raw.is_array()).map_or(Ok(Vec::new()), |raw| raw.elements("summary"))? {
                if let Some(piece) = piece.object::<Piece<'a>>("summary")? {
                    append(&mut reasoning, piece.text.map_or(Ok(None), |raw| raw.text("text"))?);
                }
            }
            match part.thinking {
                Some(thinking) if thinking.is_array() => {
                    for piece in thinking.elements("thinking")? {
                        if let Some(piece) = piece.object::<Piece<'a>>("thinking")? {
                            append(&mut reasoning, piece.text.map_or(Ok(None), |raw| raw.text("text"))?);
                        }
                    }
                }
                Some(thinking) => append(&mut reasoning, thinking.text("thinking")?),
                None => {}
            }
        }
        self.push(Channel::Reasoning, 0, reasoning);
        self.push(Channel::Answer, 0, answer);
        self.push(Channel::Refusal, 0, refusal);
        Ok(())
    }

    fn calls(&mut self, message: &Message<'a>) -> Result<(), DialectError> {
        for (call, position) in message.tool_calls.map_or(Ok(Vec::new()), |raw| raw.elements("tool_calls"))?.into_iter().zip(0..)
        {
            let Some(call) = call.object::<Call<'a>>("tool call")? else { continue };
            let part = call.index.and_then(Raw::u32).unwrap_or(position);
            for function in [call.function, call.custom].into_iter().flatten() {
                if let Some(function) = function.object::<Function<'a>>("tool call")? {
                    self.function(part, &function)?;
                }
            }
        }
        if let Some(call) = message.function_call.map_or(Ok(None), |raw| raw.object::<Function<'a>>("function_call"))? {
            self.function(FUNCTION_CALL, &call)?;
        }
        let executed = message.executed_tools.map_or(Ok(Vec::new()), |raw| raw.elements("executed_tools"))?;
        for (call, position) in executed.into_iter().zip(0..) {
            let Some(call) = call.object::<Function<'a>>("executed_tools")? else { continue };
            let part = EXECUTED_TOOL.saturating_add(call.index.and_then(Raw::u32).unwrap_or(position));
            // Sent again with its output.
            let extent = std::mem::replace(&mut self.extent, Extent::Whole);
            self.function(part, &call)?;
            self.extent = extent;
        }
        Ok(())
    }

    fn function(&mut self, part: u32, function: &Function<'a>) -> Result<(), DialectError> {
        if let Some(name) = function.name.and_then(Raw::shared).filter(|name| !name.is_empty()) {
            self.out.marks.push(Mark::Tool { candidate: self.candidate, part, name });
        }
        for (field, name) in [(function.arguments, "arguments"), (function.input, "input")] {
            match field {
                // Some hosts send the arguments themselves instead of their JSON text.
                Some(raw) if raw.is_object() || raw.is_array() => self.push(Channel::ToolCall, part, raw.json().into()),
                _ => self.field(Channel::ToolCall, part, field, name)?,
            }
        }
        Ok(())
    }

    fn field(&mut self, channel: Channel, part: u32, field: Option<Raw<'a>>, name: &'static str) -> Result<(), DialectError> {
        if let Some(text) = field.map_or(Ok(None), |raw| raw.text(name))? {
            self.push(channel, part, text);
        }
        Ok(())
    }

    /// A text, unless the choice has given it already under another name.
    fn push(&mut self, channel: Channel, part: u32, text: Cow<'a, str>) {
        let copy = |delta: &Delta<'_>| {
            let elsewhere = if channel == Channel::ToolCall {
                delta.part == part && self.whole()
            } else {
                delta.part != part || self.whole()
            };
            delta.channel == channel && elsewhere && delta.text == text
        };
        if !text.is_empty() && !self.said().iter().any(copy) {
            self.out.deltas.push(Delta { candidate: self.candidate, channel, part, text, extent: self.extent });
        }
    }

    fn whole(&self) -> bool {
        self.extent == Extent::Whole
    }

    /// What the choice has given so far.
    fn said(&self) -> &[Delta<'a>] {
        &self.out.deltas[self.start..]
    }
}

/// Joins pieces, copying only from the second on.
fn append<'a>(text: &mut Cow<'a, str>, piece: Option<Cow<'a, str>>) {
    match piece {
        Some(piece) if text.is_empty() => *text = piece,
        Some(piece) => text.to_mut().push_str(&piece),
        None => {}
    }
}

//! Reads `choices`: what Chat Completions and Completions call their answers, in the spellings of the many hosts that copy them.
//!
//! Whatever a client could show is read, each text once: a copy of a text that the same choice gave already is left out, and what
//! repeats the whole text so far is marked as such. A text field of a wrong type is an error. This is every token's way through the
//! gateway, so the document is gone through once (`message.rs` takes up the texts as they come), and its members may come in any order.

mod message;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;

use serde::Deserialize;

use super::{keep, keep_created, keep_usage};
use crate::dialect::json::{self, Once, Pull, Raw, Text, each};
use crate::dialect::reading::{Delta, Extent, Mark, Reading};
use crate::dialect::{DialectError, Facts};
use crate::text::{Channel, MAX_LANES, Str};

use message::{Function, Message};

/// The part of a call in the legacy field `function_call`.
pub const FUNCTION_CALL: u32 = 1 << 16;
/// The first part of calls that the host ran itself (`executed_tools`).
pub const EXECUTED_TOOL: u32 = 1 << 17;
/// The part of a call that the host's own checks refused (`error.failed_generation`).
pub const FAILED_CALL: u32 = 1 << 18;

/// The part of a spoken answer's transcript.
const TRANSCRIPT: u32 = 1;
/// The part of reasoning given in `reasoning_details` alone; those before are the members in [`Message::reasonings`].
const DETAILS: u32 = 8;
/// The part of reasoning given in `thinking_blocks` alone.
const BLOCKS: u32 = 9;

/// An answer, or a chunk of one: what stands beside its choices.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    id: Once<Option<Raw<'a>>>,
    model: Once<Option<Raw<'a>>>,
    created: Once<Option<Raw<'a>>>,
    system_fingerprint: Once<Option<Raw<'a>>>,
    choices: Once<Option<Choices>>,
    data: Once<Option<Raw<'a>>>,
    value: Once<Option<Raw<'a>>>,
    error: Once<Option<Raw<'a>>>,
    content: Once<Option<Raw<'a>>>,
    object: Once<Option<Raw<'a>>>,
    usage: Once<Option<Raw<'a>>>,
    x_groq: Once<Option<Raw<'a>>>,
}

/// How many choices have been read, or why they could not be.
type Choices = Result<u32, DialectError>;

impl<'a> Envelope<'a> {
    /// Reads a document, and its choices into `out`. Where it fails, what it left there is to be thrown away.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] with `what` where the bytes are no JSON object, or a member is there twice.
    pub fn read(bytes: &'a [u8], what: &'static str, out: &mut Reading<'a>) -> Result<Self, DialectError> {
        json::document(bytes, what, |json| Envelope::take(json, 0, out))
    }

    /// The next value, whose choices are numbered from `first` where they do not say.
    fn take(json: &mut Pull<'a>, first: u32, out: &mut Reading<'a>) -> Result<Self, DialectError> {
        let mut envelope = Envelope::default();
        each!(json, {
            "id" => json.once(&mut envelope.id, Pull::optional),
            "model" => json.once(&mut envelope.model, Pull::optional),
            "created" => json.once(&mut envelope.created, Pull::optional),
            "system_fingerprint" => json.once(&mut envelope.system_fingerprint, Pull::optional),
            "data" => json.once(&mut envelope.data, Pull::optional),
            "value" => json.once(&mut envelope.value, Pull::optional),
            "error" => json.once(&mut envelope.error, Pull::optional),
            "content" => json.once(&mut envelope.content, Pull::optional),
            "object" => json.once(&mut envelope.object, Pull::optional),
            "usage" => json.once(&mut envelope.usage, Pull::optional),
            "x_groq" => json.once(&mut envelope.x_groq, Pull::optional),
            "choices" => {
                let start = json.place();
                json.once(&mut envelope.choices, |json| choices(json, first, out))?;
                json.utf8_since(start)
            },
        })?;
        Ok(envelope)
    }

    /// Keeps what the answer says of itself.
    pub fn keep(&self, facts: &mut Facts) {
        keep(&mut facts.id, self.id.flatten());
        keep(&mut facts.model, self.model.flatten());
        keep(&mut facts.fingerprint, self.system_fingerprint.flatten());
        keep_created(&mut facts.created, self.created.flatten());
        keep_usage(facts, self.usage.flatten());
        if let Some(groq) = self.x_groq.flatten() {
            #[derive(Deserialize)]
            struct Groq<'a> {
                #[serde(borrow, default)]
                usage: Option<Raw<'a>>,
            }
            keep_usage(facts, groq.object::<Groq<'_>>("x_groq").ok().flatten().and_then(|groq| groq.usage));
        }
    }

    /// Whether this is a piece of a stream in this format, be it one without text. Of anything else the text could not be found.
    #[must_use]
    pub fn is_chunk(&self) -> bool {
        let without_text = [self.error, self.usage, self.x_groq, self.object];
        self.has_choices() || without_text.into_iter().any(|member| member.flatten().is_some())
    }

    /// Whether there is a member for the answers, be it an empty one.
    #[must_use]
    pub fn has_choices(&self) -> bool {
        matches!(self.choices, Some(Some(_)))
    }

    /// A list of whole answers (stored completions).
    #[must_use]
    pub fn data(&self) -> Option<Raw<'a>> {
        self.data.flatten()
    }

    /// Writer's completions stream: a piece of text and nothing else.
    #[must_use]
    pub fn value(&self) -> Option<Raw<'a>> {
        self.value.flatten()
    }

    /// llama.cpp's own completions: a piece of text.
    #[must_use]
    pub fn content(&self) -> Option<Raw<'a>> {
        self.content.flatten()
    }

    /// An error in place of an answer, or beside one.
    #[must_use]
    pub fn error(&self) -> Option<Raw<'a>> {
        self.error.flatten()
    }

    /// Reads the error, and the text in it: some hosts quote a call that failed their checks.
    pub fn read_error(&self, out: &mut Reading<'a>) {
        #[derive(Deserialize)]
        struct Failed<'a> {
            #[serde(borrow, default)]
            failed_generation: Option<Text<'a>>,
        }
        let Some(error) = self.error() else { return };
        out.marks.insert(0, Mark::Error);
        let failed = error.is_object().then(|| error.maybe::<Failed<'a>>()).flatten();
        if let Some(Text(text)) = failed.and_then(|failed| failed.failed_generation).filter(|text| !text.0.is_empty()) {
            out.deltas.insert(0, Delta::whole(0, Channel::ToolCall, FAILED_CALL, text));
        }
    }

    /// How many choices have been read.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where text could not be found or read.
    pub fn count(&self) -> Result<u32, DialectError> {
        self.choices.clone().flatten().unwrap_or(Ok(0))
    }

    /// Reads the list of whole answers, where there is one: the choices of each.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where one of them is no answer, or text could not be found or read.
    pub fn read_data(&self, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let mut count = self.count()?;
        for stored in self.data().filter(|list| list.is_array()).map_or(Ok(Vec::new()), |list| list.elements("data"))? {
            let mut json = Pull::over(stored, "data");
            count = count.saturating_add(Envelope::take(&mut json, count, out)?.count()?);
        }
        Ok(())
    }
}

/// The choices; nothing where there is `null`. Text that cannot be read is one thing and JSON that is none another: of the first the
/// document goes on.
fn choices<'a>(json: &mut Pull<'a>, first: u32, out: &mut Reading<'a>) -> Result<Option<Choices>, DialectError> {
    if json.peek() == b'n' {
        return json.skip().map(|()| None);
    }
    let place = json.place();
    let mut count = 0;
    let read = match json.array("choices") {
        Ok(_) => json.elements(|json, index| {
            // Each is remembered and may have to be ended.
            if index == MAX_LANES {
                return Err(DialectError::Malformed("choices"));
            }
            choice(json, first, count, out)?;
            count += 1;
            Ok(())
        }),
        Err(error) => Err(error),
    };
    if read.is_err() {
        json.back_to(place);
        json.skip()?;
    }
    Ok(Some(read.map(|()| count)))
}

/// One choice, number `first` and `position` where it does not say.
fn choice<'a>(json: &mut Pull<'a>, first: u32, position: u32, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let (mut index, mut delta, mut message, mut text, mut reason, mut several) = (None, None, None, None, None, None);
    if !json.object("choice")? {
        return Err(DialectError::Malformed("choice"));
    }
    each!(json, {
        "index" => json.once(&mut index, Pull::optional),
        "delta" => json.once(&mut delta, |json| Message::read(json, "delta")),
        "message" => json.once(&mut message, |json| Message::read(json, "message")),
        "text" => json.once(&mut text, |json| json.text("text")),
        "finish_reason" => json.once(&mut reason, Pull::optional),
        "messages" => json.once(&mut several, Pull::optional),
    })?;
    // Of whatever else a choice is made of, the text could not be found. (One that a filter took has nothing but its reason.)
    let known = delta.is_some() || message.is_some() || text.is_some() || reason.is_some();
    if !known || several.flatten().is_some() {
        return Err(DialectError::Malformed("choice without a message"));
    }
    let index = match index.flatten().filter(|index| !index.is_string()) {
        // Clients would put it elsewhere than at its place in the list.
        Some(index) => index.u32().ok_or(DialectError::Malformed("index of a choice"))?,
        None => position,
    };
    let candidate = first.saturating_add(index);
    out.marks.push(Mark::Candidate(candidate));
    let start = out.deltas.len();
    let mut speaker = Speaker { candidate, extent: Extent::Append, start, calls: HashMap::new(), hashed: start, out };
    if let Some(delta) = delta.flatten() {
        speaker.message(delta);
        // Beside a delta stands the whole message so far (or a copy of the delta).
        speaker.extent = Extent::Whole;
    }
    if let Some(message) = message.flatten() {
        speaker.message(message);
    }
    // Beside a delta it is the delta's text once more.
    if let Some(text) = text.flatten()
        && !speaker.said().iter().any(|delta| delta.channel != Channel::ToolCall && delta.text == text)
    {
        speaker.extent = Extent::Append;
        speaker.push(Channel::Answer, 0, text);
    }
    if let Some(reason) = reason.flatten() {
        let reason = reason.shared().unwrap_or_else(|| Str::from(reason.json()));
        if !reason.is_empty() {
            out.marks.push(Mark::Finish { candidate, reason });
        }
    }
    Ok(())
}

/// Where the texts of one choice go.
struct Speaker<'a, 'r> {
    candidate: u32,
    extent: Extent,
    /// Where the choice's own deltas begin.
    start: usize,
    /// Deltas of calls by a hash of their part and text, and up to where they are in here.
    calls: HashMap<u64, usize>,
    hashed: usize,
    out: &'r mut Reading<'a>,
}

impl<'a> Speaker<'a, '_> {
    fn message(&mut self, message: Message<'a>) {
        for (text, part) in message.reasonings.into_iter().zip(0..) {
            self.field(Channel::Reasoning, part, text);
        }
        self.field(Channel::Reasoning, DETAILS, message.reasoning_details);
        self.field(Channel::Reasoning, BLOCKS, message.thinking_blocks);
        if let Some(content) = message.content {
            self.push(Channel::Reasoning, 0, content.reasoning);
            self.push(Channel::Answer, 0, content.answer);
            self.push(Channel::Refusal, 0, content.refusal);
        }
        self.field(Channel::Refusal, 0, message.refusal);
        self.field(Channel::Answer, TRANSCRIPT, message.audio);
        for (part, function) in message.tool_calls.unwrap_or_default() {
            self.function(part, function);
        }
        if let Some(call) = message.function_call.flatten() {
            self.function(FUNCTION_CALL, call);
        }
        for (index, call) in message.executed_tools.unwrap_or_default() {
            // Sent again with its output.
            let extent = std::mem::replace(&mut self.extent, Extent::Whole);
            self.function(EXECUTED_TOOL.saturating_add(index), call);
            self.extent = extent;
        }
    }

    fn function(&mut self, part: u32, function: Function<'a>) {
        if let Some(name) = function.name.flatten().and_then(Raw::shared).filter(|name| !name.is_empty()) {
            self.out.marks.push(Mark::Tool { candidate: self.candidate, part, name });
        }
        self.field(Channel::ToolCall, part, function.arguments);
        self.field(Channel::ToolCall, part, function.input);
    }

    fn field(&mut self, channel: Channel, part: u32, text: Once<Cow<'a, str>>) {
        if let Some(text) = text {
            self.push(channel, part, text);
        }
    }

    /// A text, unless the choice has given it already under another name.
    fn push(&mut self, channel: Channel, part: u32, text: Cow<'a, str>) {
        if text.is_empty() {
            return;
        }
        let whole = self.extent == Extent::Whole;
        let copy = |delta: &Delta<'_>| delta.channel == channel && (delta.part != part || whole) && delta.text == text;
        let given = match channel {
            Channel::ToolCall => whole && self.called(part, &text),
            _ => self.said().iter().any(copy),
        };
        if !given {
            self.out.deltas.push(Delta { candidate: self.candidate, channel, part, text, extent: self.extent });
        }
    }

    /// Whether a call has given that text already. There are as many calls as the model likes, so they are not all compared.
    fn called(&mut self, part: u32, text: &str) -> bool {
        let hash = |part: u32, text: &str| self.calls.hasher().hash_one((part, text));
        let wanted = hash(part, text);
        let fresh = self.out.deltas.iter().enumerate().skip(self.hashed).filter(|(_, delta)| delta.channel == Channel::ToolCall);
        let fresh: Vec<(u64, usize)> = fresh.map(|(at, delta)| (hash(delta.part, &delta.text), at)).collect();
        self.calls.extend(fresh);
        self.hashed = self.out.deltas.len();
        // Of two with one hash the text that is not found is judged once more.
        self.calls.get(&wanted).is_some_and(|at| self.out.deltas[*at].part == part && self.out.deltas[*at].text == text)
    }

    /// What the choice has given so far.
    fn said(&self) -> &[Delta<'a>] {
        &self.out.deltas[self.start..]
    }
}

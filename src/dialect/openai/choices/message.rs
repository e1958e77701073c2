//! A `message` or `delta`: its texts as they stand in the document, sorted by the member that they are in. Which of them are copies,
//! and what parts they are, is not known here.

use std::borrow::Cow;

use crate::dialect::DialectError;
use crate::dialect::json::{Once, Pull, Raw, each};

/// What a message or delta says. No text and an empty one are the same.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    /// `reasoning_content`, `reasoning`, `reasoning_text`, `thinking`: hosts differ in the name, and some send two of them with one text.
    pub(super) reasonings: [Once<Cow<'a, str>>; 4],
    pub(super) reasoning_details: Once<Cow<'a, str>>,
    /// LiteLLM's, beside `reasoning_content`.
    pub(super) thinking_blocks: Once<Cow<'a, str>>,
    pub(super) content: Once<Content<'a>>,
    pub(super) refusal: Once<Cow<'a, str>>,
    /// The transcript of it.
    pub(super) audio: Once<Cow<'a, str>>,
    /// Calls and their indices.
    pub(super) tool_calls: Once<Vec<(u32, Function<'a>)>>,
    pub(super) function_call: Once<Option<Function<'a>>>,
    /// Calls that the host ran, and their indices.
    pub(super) executed_tools: Once<Vec<(u32, Function<'a>)>>,
}

/// What `content` says: a string, or a list of parts, the thinking ones among them.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) answer: Cow<'a, str>,
    pub(super) reasoning: Cow<'a, str>,
    pub(super) refusal: Cow<'a, str>,
}

/// `function`, `custom`, `function_call`, or a call that the host ran.
#[derive(Debug, Default)]
pub(super) struct Function<'a> {
    pub(super) name: Once<Option<Raw<'a>>>,
    index: Once<Option<Raw<'a>>>,
    pub(super) arguments: Once<Cow<'a, str>>,
    pub(super) input: Once<Cow<'a, str>>,
}

/// A list element of `content`, `thinking` or `reasoning_details`.
#[derive(Debug, Default)]
struct Piece<'a> {
    text: Once<Option<Raw<'a>>>,
    thinking: Once<Option<Raw<'a>>>,
    refusal: Once<Option<Raw<'a>>>,
    summary: Once<Option<Raw<'a>>>,
}

impl<'a> Message<'a> {
    /// The next value; nothing where it is `null`.
    pub(super) fn read(json: &mut Pull<'a>, what: &'static str) -> Result<Option<Self>, DialectError> {
        if !json.object(what)? {
            return Ok(None);
        }
        let mut message = Message::default();
        each!(json, {
            "content" => json.once(&mut message.content, Content::read),
            "refusal" => json.once(&mut message.refusal, |json| words(json, "refusal")),
            "tool_calls" => json.once(&mut message.tool_calls, tool_calls),
            "function_call" => json.once(&mut message.function_call, |json| Function::read(json, "function_call")),
            "audio" => json.once(&mut message.audio, transcript),
            "reasoning_details" => json.once(&mut message.reasoning_details, details),
            "thinking_blocks" => json.once(&mut message.thinking_blocks, blocks),
            "executed_tools" => json.once(&mut message.executed_tools, executed_tools),
            "reasoning_content" => json.once(&mut message.reasonings[0], |json| words(json, "reasoning_content")),
            "reasoning" => json.once(&mut message.reasonings[1], |json| words(json, "reasoning")),
            "reasoning_text" => json.once(&mut message.reasonings[2], |json| words(json, "reasoning_text")),
            "thinking" => json.once(&mut message.reasonings[3], |json| words(json, "thinking")),
        })?;
        Ok(Some(message))
    }
}

impl<'a> Content<'a> {
    fn read(json: &mut Pull<'a>) -> Result<Self, DialectError> {
        let mut content = Content::default();
        if json.peek() != b'[' {
            content.answer = words(json, "content")?;
            return Ok(content);
        }
        json.elements(|json, _| {
            if json.peek() == b'"' {
                append(&mut content.answer, json.string().map(Some)?);
                return Ok(());
            }
            let Some(part) = Piece::read(json, "content part")? else { return Ok(()) };
            append(&mut content.answer, text(part.text, "text")?);
            append(&mut content.refusal, text(part.refusal, "refusal")?);
            for piece in
                part.summary.flatten().filter(|raw| raw.is_array()).map_or(Ok(Vec::new()), |raw| raw.elements("summary"))?
            {
                append(&mut content.reasoning, Piece::text_of(piece, "summary")?);
            }
            match part.thinking.flatten() {
                Some(thinking) if thinking.is_array() => {
                    for piece in thinking.elements("thinking")? {
                        append(&mut content.reasoning, Piece::text_of(piece, "thinking")?);
                    }
                }
                Some(thinking) => append(&mut content.reasoning, thinking.text("thinking")?),
                None => {}
            }
            Ok(())
        })?;
        Ok(content)
    }
}

impl<'a> Function<'a> {
    /// The next value; nothing where it is `null`.
    fn read(json: &mut Pull<'a>, what: &'static str) -> Result<Option<Self>, DialectError> {
        if !json.object(what)? {
            return Ok(None);
        }
        let mut function = Function::default();
        each!(json, {
            "name" => json.once(&mut function.name, Pull::optional),
            "index" => json.once(&mut function.index, Pull::optional),
            "arguments" => json.once(&mut function.arguments, |json| arguments(json, "arguments")),
            "input" => json.once(&mut function.input, |json| arguments(json, "input")),
        })?;
        Ok(Some(function))
    }
}

impl<'a> Piece<'a> {
    /// The next value; nothing where it is `null`.
    fn read(json: &mut Pull<'a>, what: &'static str) -> Result<Option<Self>, DialectError> {
        if !json.object(what)? {
            return Ok(None);
        }
        let mut piece = Piece::default();
        each!(json, {
            "text" => json.once(&mut piece.text, Pull::optional),
            "thinking" => json.once(&mut piece.thinking, Pull::optional),
            "refusal" => json.once(&mut piece.refusal, Pull::optional),
            "summary" => json.once(&mut piece.summary, Pull::optional),
        })?;
        Ok(Some(piece))
    }

    /// The `text` of a piece of which nothing else is of interest.
    fn text_of(raw: Raw<'a>, what: &'static str) -> Result<Option<Cow<'a, str>>, DialectError> {
        match Piece::read(&mut Pull::over(raw, what), what)? {
            Some(piece) => text(piece.text, "text"),
            None => Ok(None),
        }
    }
}

fn details<'a>(json: &mut Pull<'a>) -> Result<Cow<'a, str>, DialectError> {
    let mut all = Cow::default();
    if json.array("reasoning_details")? {
        json.elements(|json, _| {
            let Some(piece) = Piece::read(json, "reasoning_details")? else { return Ok(()) };
            append(&mut all, text(piece.text, "text")?);
            append(&mut all, text(piece.summary, "summary")?);
            Ok(())
        })?;
    }
    Ok(all)
}

fn blocks<'a>(json: &mut Pull<'a>) -> Result<Cow<'a, str>, DialectError> {
    let mut all = Cow::default();
    if json.array("thinking_blocks")? {
        json.elements(|json, _| {
            let Some(block) = Piece::read(json, "thinking_blocks")? else { return Ok(()) };
            append(&mut all, text(block.thinking, "thinking")?);
            Ok(())
        })?;
    }
    Ok(all)
}

fn transcript<'a>(json: &mut Pull<'a>) -> Result<Cow<'a, str>, DialectError> {
    let mut transcript = None;
    if json.object("audio")? {
        each!(json, {
            "transcript" => json.once(&mut transcript, |json| words(json, "transcript")),
        })?;
    }
    Ok(transcript.unwrap_or_default())
}

fn tool_calls<'a>(json: &mut Pull<'a>) -> Result<Vec<(u32, Function<'a>)>, DialectError> {
    let mut calls = Vec::new();
    if !json.array("tool_calls")? {
        return Ok(calls);
    }
    json.elements(|json, position| {
        if !json.object("tool call")? {
            return Ok(());
        }
        let (mut index, mut function, mut custom) = (None, None, None);
        each!(json, {
            "index" => json.once(&mut index, Pull::optional),
            "function" => json.once(&mut function, |json| Function::read(json, "tool call")),
            "custom" => json.once(&mut custom, |json| Function::read(json, "tool call")),
        })?;
        let index = index_or(index, position);
        calls.extend([function, custom].into_iter().filter_map(|function| Some((index, function.flatten()?))));
        Ok(())
    })?;
    Ok(calls)
}

fn executed_tools<'a>(json: &mut Pull<'a>) -> Result<Vec<(u32, Function<'a>)>, DialectError> {
    let mut calls = Vec::new();
    if json.array("executed_tools")? {
        json.elements(|json, position| {
            if let Some(call) = Function::read(json, "executed_tools")? {
                calls.push((index_or(call.index, position), call));
            }
            Ok(())
        })?;
    }
    Ok(calls)
}

/// The index that a call gives, else its place in the list.
fn index_or(index: Once<Option<Raw<'_>>>, position: usize) -> u32 {
    index.flatten().and_then(Raw::u32).unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX))
}

/// A call's arguments: some hosts send them as they are instead of their JSON text.
fn arguments<'a>(json: &mut Pull<'a>, what: &'static str) -> Result<Cow<'a, str>, DialectError> {
    match json.peek() {
        b'{' | b'[' => json.raw().map(|raw| raw.json().into()),
        _ => words(json, what),
    }
}

fn words<'a>(json: &mut Pull<'a>, what: &'static str) -> Result<Cow<'a, str>, DialectError> {
    json.text(what).map(Option::unwrap_or_default)
}

fn text<'a>(raw: Once<Option<Raw<'a>>>, what: &'static str) -> Result<Option<Cow<'a, str>>, DialectError> {
    raw.flatten().map_or(Ok(None), |raw| raw.text(what))
}

/// Joins pieces, copying only from the second on.
fn append<'a>(text: &mut Cow<'a, str>, piece: Option<Cow<'a, str>>) {
    match piece {
        Some(piece) if text.is_empty() => *text = piece,
        Some(piece) => text.to_mut().push_str(&piece),
        None => {}
    }
}

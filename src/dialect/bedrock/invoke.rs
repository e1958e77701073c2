//! Reading InvokeModel answers: each model family's own JSON, told apart by its shape, in streams inside `chunk` frames.
//!
//! Every shape that a body has is read, so that no member can hide another; a body without any known one is an error.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::converse;
use crate::dialect::anthropic_complete::AnthropicComplete;
use crate::dialect::anthropic_messages::AnthropicMessages;
use crate::dialect::cohere::Cohere;
use crate::dialect::json::{self, Members, Raw};
use crate::dialect::names;
use crate::dialect::openai_chat::OpenAiChat;
use crate::dialect::{Delta, Dialect, DialectError, Facts, Mark, Reading};
use crate::frame::Event;
use crate::text::{Channel, Str};

const ANSWER: &str = "model's answer";
const CHUNK: &str = "chunk";

/// What carries no text of the model's. (So does a list called `data`, of embeddings.)
const TEXTLESS: [&str; 7] =
    ["embedding", "embeddings", "embeddingsByType", "embeddingsByModality", "images", "artifacts", "error"];
/// Bedrock's own members.
const OURS: &str = "amazon-bedrock-";
/// With these the last chunk tells what the stream took.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// The members that tell the families of several texts apart.
#[derive(Deserialize)]
struct Lists<'a> {
    #[serde(borrow, default)]
    results: Option<Raw<'a>>,
    #[serde(borrow, default)]
    outputs: Option<Raw<'a>>,
    #[serde(borrow, default)]
    completions: Option<Raw<'a>>,
}

/// The members that tell the families of one text apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Single<'a> {
    #[serde(borrow, default)]
    generation: Option<Raw<'a>>,
    #[serde(borrow, default, rename = "stop_reason")]
    stop_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    output_text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    completion_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    message: Option<Raw<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Raw<'a>>,
}

/// One of several texts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    #[serde(borrow, default)]
    output_text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    completion_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default, rename = "stop_reason")]
    stop_reason: Option<Raw<'a>>,
    #[serde(borrow, default)]
    data: Option<Raw<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Raw<'a>>,
}

/// Reads a whole answer.
pub(super) fn reply<'a>(body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let members: Members<'a> = json::read(body, ANSWER)?;
    let has = |name: &str| members.has(name);
    let mut known = read_plain(body, &members, facts, out)?;
    if has("output") {
        known = true;
        converse::reply(body, facts, out)?;
    }
    if has("content") {
        known = true;
        AnthropicMessages.read_reply(body, facts, out)?;
    }
    if has("completion") {
        known = true;
        AnthropicComplete.read_reply(body, facts, out)?;
    }
    if has("choices") {
        known = true;
        OpenAiChat.read_reply(body, facts, out)?;
    }
    if has("generations") || has("text") {
        known = true;
        Cohere.read_reply(body, facts, out)?;
    }
    let embeddings = || members.get("data").is_some_and(|list| list.maybe::<Vec<Members<'_>>>().is_some_and(are_embeddings));
    if known || TEXTLESS.iter().any(|name| has(name)) || embeddings() { Ok(()) } else { Err(DialectError::Malformed(ANSWER)) }
}

fn are_embeddings(list: Vec<Members<'_>>) -> bool {
    list.iter().all(|one| one.has("embedding"))
}

/// Whether a frame's payload is a chunk of a model's own stream.
pub(super) fn is_chunk(event: &Event) -> bool {
    let converse = || converse::EVENTS.iter().any(|name| name.as_bytes() == &*event.name);
    let bytes = || json::read::<Members<'_>>(&event.data, CHUNK).is_ok_and(|payload| payload.has("bytes"));
    &*event.name == b"chunk" || !converse() && bytes()
}

/// Reads a chunk of a stream.
pub(super) fn chunk(event: &Event, facts: &mut Facts, out: &mut Reading<'_>) -> Result<(), DialectError> {
    let payload: Members<'_> = json::read(&event.data, CHUNK)?;
    let encoded = payload.only("bytes", CHUNK)?.and_then(Raw::str).ok_or(DialectError::Malformed(CHUNK))?;
    let data = STANDARD.decode(encoded.as_bytes()).map_err(|_| DialectError::Malformed(CHUNK))?;
    let event = Event { raw: Bytes::new(), name: Bytes::new(), data: data.into() };
    let mut reading = Reading::default();
    inner(&event, facts, &mut reading)?;
    // The model's event does not outlive this call, so its texts are copied.
    out.deltas.extend(reading.deltas.into_iter().map(|delta| Delta { text: Cow::Owned(delta.text.into_owned()), ..delta }));
    out.marks.extend(reading.marks);
    Ok(())
}

/// Reads a model's own event.
fn inner<'a>(event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
    let members: Members<'a> = json::read(&event.data, CHUNK)?;
    let has = |name: &str| members.has(name);
    let mut known = read_plain(&event.data, &members, facts, out)?;
    for (name, payload) in &members.0 {
        if let Some(event) = converse::EVENTS.iter().find(|event| names::same(name, event)) {
            known = true;
            converse::event(event.as_bytes(), payload.json().as_bytes(), facts, out)?;
        }
    }
    if has("completion") {
        known = true;
        AnthropicComplete.read_event(event, facts, out)?;
    }
    if has("type") && (!has("completion") || has("delta") || has("content_block") || has("message")) {
        known = true;
        AnthropicMessages.read_event(event, facts, out)?;
    }
    if has("choices") {
        known = true;
        OpenAiChat.read_event(event, facts, out)?;
    }
    if has("text") || has("event_type") || has("is_finished") {
        known = true;
        Cohere.read_event(event, facts, out)?;
    }
    if has("generations") {
        known = true;
        Cohere.read_reply(&event.data, facts, out)?;
    }
    if let Some(metrics) = members.get(METRICS).and_then(Raw::maybe::<Members<'_>>) {
        facts.input_tokens = metrics.get("inputTokenCount").and_then(Raw::u64).or(facts.input_tokens);
        facts.output_tokens = metrics.get("outputTokenCount").and_then(Raw::u64).or(facts.output_tokens);
        if !out.marks.contains(&Mark::Terminal) {
            out.marks.push(Mark::Terminal);
        }
    }
    if known || members.0.iter().all(|(name, _)| name.starts_with(OURS)) { Ok(()) } else { Err(DialectError::Malformed(CHUNK)) }
}

/// The families without a format of another API; whether it was one of them.
fn read_plain<'a>(body: &'a [u8], members: &Members<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<bool, DialectError> {
    let count = |names: [&str; 2]| names.iter().find_map(|name| members.get(name).and_then(Raw::u64));
    facts.input_tokens = count(["prompt_token_count", "inputTextTokenCount"]).or(facts.input_tokens);
    facts.output_tokens = count(["generation_token_count", "totalOutputTextTokenCount"]).or(facts.output_tokens);
    let single: Single<'a> = json::read(body, ANSWER)?;
    let mut known = false;
    for (text, reason) in [
        (single.generation, single.stop_reason),
        (single.output_text, single.completion_reason),
        // Pegasus; elsewhere a message is an object, or an error's text.
        (single.message.filter(|raw| raw.is_string()), single.finish_reason),
    ] {
        if text.is_some() {
            known = true;
            read_one(0, text, reason, out)?;
        }
    }
    let lists: Lists<'a> = json::read(body, ANSWER)?;
    for list in [lists.results, lists.outputs, lists.completions].into_iter().flatten() {
        known = true;
        for (candidate, raw) in (0..).zip(list.answers(ANSWER)?) {
            let Some(one) = raw.object::<One<'a>>(ANSWER)? else { continue };
            read_one(candidate, one.output_text, one.completion_reason, out)?;
            read_one(candidate, one.text, one.stop_reason, out)?;
            if let Some(data) = one.data.map_or(Ok(None), |data| data.object::<One<'a>>(ANSWER))? {
                let reason = one.finish_reason.and_then(Raw::maybe::<Members<'a>>).and_then(|reason| reason.get("reason"));
                read_one(candidate, data.text, reason, out)?;
            }
        }
    }
    Ok(known)
}

fn read_one<'a>(
    candidate: u32,
    text: Option<Raw<'a>>,
    reason: Option<Raw<'a>>,
    out: &mut Reading<'a>,
) -> Result<(), DialectError> {
    let Some(raw) = text else { return Ok(()) };
    out.marks.push(Mark::Candidate(candidate));
    if let Some(text) = raw.text(ANSWER)?.filter(|text| !text.is_empty()) {
        out.deltas.push(Delta::append(candidate, Channel::Answer, 0, text));
    }
    if let Some(reason) = reason.and_then(Raw::str).filter(|reason| !reason.is_empty()) {
        out.marks.push(Mark::Finish { candidate, reason: Str::from(&*reason) });
    }
    Ok(())
}

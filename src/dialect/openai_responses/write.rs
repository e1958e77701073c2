//! Writing Responses answers in the model's place: the refusal, and the end of a cut stream.
//!
//! Every field that the SDKs' types call required is there, since some clients validate. A tool call that was cut stays open: clients
//! run a call when its item is done, and half a call must not run.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;

use super::ITEMS;
use super::read::{part, place, reasoning_part};
use crate::dialect::json::quote;
use crate::dialect::reading::sse_comment;
use crate::dialect::{Block, Cut, Exchange, Facts, Progress, Refusal, Released, Reply, openai};
use crate::frame::sse;
use crate::text::Channel;

/// An answer that says the policy's message and that a filter ended it.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Reply {
    let ulid = refusal.request_id.to_ascii_lowercase();
    let id = refusal.facts.id.as_deref().map_or_else(|| format!("resp_{ulid}"), str::to_owned);
    let envelope = Envelope { id: &id, facts: refusal.facts, exchange: refusal.exchange, now: refusal.now };
    // A client that asked for JSON parses the text, but not a refusal: the format's own way to decline there.
    let kind = if refusal.exchange.structured { "refusal" } else { "output_text" };
    let message = format!("msg_{ulid}");
    let said = content(kind, refusal.message);
    if refusal.exchange.variant == Some(ITEMS) {
        let id = quote(&message);
        let item = message_item(&message, "incomplete", &said);
        let list = format!(r#"{{"object":"list","data":[{item}],"first_id":{id},"last_id":{id},"has_more":false}}"#);
        return Reply { status: StatusCode::OK, content_type: openai::JSON, body: Bytes::from(list) };
    }
    if !refusal.stream {
        let output = message_item(&message, "incomplete", &said);
        let body = Bytes::from(envelope.json("incomplete", &output));
        return Reply { status: StatusCode::OK, content_type: openai::JSON, body };
    }
    let mut events = Events::starting_at(0);
    envelope.open(&mut events);
    events
        .push("response.output_item.added", &format!(r#""output_index":0,"item":{}"#, message_item(&message, "in_progress", "")));
    let at = format!(r#""item_id":{},"output_index":0,"content_index":0"#, quote(&message));
    events.push("response.content_part.added", &format!(r#"{at},"part":{}"#, content(kind, "")));
    let logprobs = if kind == "output_text" { r#","logprobs":[]"# } else { "" };
    events.push(&format!("response.{kind}.delta"), &format!(r#"{at},"delta":{}{logprobs}"#, quote(refusal.message)));
    end_of_content(&mut events, kind, &at, refusal.message);
    let item = message_item(&message, "incomplete", &said);
    events.push("response.output_item.done", &format!(r#""output_index":0,"item":{item}"#));
    events.push("response.incomplete", &format!(r#""response":{}"#, envelope.json("incomplete", &item)));
    Reply { status: StatusCode::OK, content_type: openai::SSE, body: Bytes::from(events.text) }
}

/// The end of a cut stream: closes what is open with the text that the client has, then ends the response as filtered.
pub(super) fn epilogue(cut: &Cut<'_>) -> Bytes {
    let progress = cut.progress;
    let mut events = Events::starting_at(progress.sequence.map_or(0, |last| last.saturating_add(1)));
    if !progress.terminal {
        let id = cut.facts.id.as_deref().map_or_else(|| format!("resp_steadfast_{}", cut.now), str::to_owned);
        let envelope = Envelope { id: &id, facts: cut.facts, exchange: cut.exchange, now: cut.now };
        // A stream that was asked for again may begin in the middle, with no `response.created`.
        if !progress.started && progress.sequence.is_none() && texts(progress).next().is_none() {
            envelope.open(&mut events);
        }
        for item in progress.open.iter().filter(|block| block.inner.is_none()) {
            close_item(&mut events, progress, item);
        }
        events.push("response.incomplete", &format!(r#""response":{}"#, envelope.json("incomplete", &output(progress))));
    }
    let mut text = events.text;
    text.extend(cut.rule.map(sse_comment));
    Bytes::from(text)
}

/// Events with their running number.
struct Events {
    text: String,
    sequence: u64,
}

impl Events {
    fn starting_at(sequence: u64) -> Self {
        Events { text: String::new(), sequence }
    }

    /// Adds an event; `members` is the inside of its JSON object.
    fn push(&mut self, kind: &str, members: &str) {
        let sequence = self.sequence;
        sse::write(&mut self.text, Some(kind), &format!(r#"{{"type":"{kind}","sequence_number":{sequence},{members}}}"#));
        self.sequence += 1;
    }
}

/// What the response object says in each of its versions.
struct Envelope<'a> {
    id: &'a str,
    facts: &'a Facts,
    exchange: &'a Exchange,
    now: u64,
}

impl Envelope<'_> {
    fn open(&self, events: &mut Events) {
        let response = self.json("in_progress", "");
        events.push("response.created", &format!(r#""response":{response}"#));
        events.push("response.in_progress", &format!(r#""response":{response}"#));
    }

    fn json(&self, status: &str, output: &str) -> String {
        let incomplete = status == "incomplete";
        let created = self.facts.created.or_else(|| i64::try_from(self.now).ok()).unwrap_or(0);
        let model = self.facts.model.as_deref().or(self.exchange.model.as_deref()).unwrap_or("unknown");
        // On a `GET` this hint is the answer's own id, which it does not continue.
        let previous = self.exchange.hints.previous.as_deref().filter(|previous| *previous != self.id);
        format!(
            concat!(
                r#"{{"id":{id},"object":"response","created_at":{created},"status":"{status}","background":false,"error":null,"#,
                r#""incomplete_details":{details},"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"#,
                r#""model":{model},"output":[{output}],"parallel_tool_calls":true,"previous_response_id":{previous},"#,
                r#""reasoning":{{"effort":null,"summary":null}},"store":false,"temperature":null,"#,
                r#""text":{{"format":{{"type":"text"}}}},"tool_choice":"auto","tools":[],"top_p":null,"#,
                r#""truncation":"disabled","usage":{usage},"user":null,"metadata":{{}}}}"#,
            ),
            id = quote(self.id),
            created = created,
            status = status,
            details = if incomplete { r#"{"reason":"content_filter"}"# } else { "null" },
            model = quote(model),
            output = output,
            previous = previous.map_or_else(|| "null".to_owned(), quote),
            usage = if incomplete { usage(self.facts) } else { "null".to_owned() },
        )
    }
}

fn usage(facts: &Facts) -> String {
    if facts.input_tokens.is_none() && facts.output_tokens.is_none() {
        return "null".to_owned();
    }
    let (input, output) = (facts.input_tokens.unwrap_or(0), facts.output_tokens.unwrap_or(0));
    format!(
        concat!(
            r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":0,"cache_write_tokens":0}},"#,
            r#""output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{total}}}"#
        ),
        input = input,
        output = output,
        total = input.saturating_add(output),
    )
}

fn message_item(id: &str, status: &str, content: &str) -> String {
    let id = quote(id);
    format!(r#"{{"id":{id},"type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#)
}

/// A part of a message, of a reasoning item or of its summary.
fn content(kind: &str, text: &str) -> String {
    let text = quote(text);
    match kind {
        "output_text" => format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":{text}}}"#),
        "refusal" => format!(r#"{{"type":"refusal","refusal":{text}}}"#),
        _ => format!(r#"{{"type":"{kind}","text":{text}}}"#),
    }
}

/// Closes a message or reasoning item and the parts open in it.
fn close_item(events: &mut Events, progress: &Progress, item: &Block) {
    if !matches!(&*item.kind, "message" | "reasoning") {
        return;
    }
    let id = item_id(item);
    let parts = progress.open.iter().filter(|block| block.index == item.index).filter_map(|block| Some((block, block.inner?)));
    for (block, inner) in parts {
        let (channel, number, index) = match &*block.kind {
            "output_text" => (Channel::Answer, part(item.index, inner), "content_index"),
            "refusal" => (Channel::Refusal, part(item.index, inner), "content_index"),
            "reasoning_text" => (Channel::Reasoning, reasoning_part(item.index, inner), "content_index"),
            "summary_text" => (Channel::Reasoning, part(item.index, inner), "summary_index"),
            _ => continue,
        };
        let at = format!(r#""item_id":{},"output_index":{},"{index}":{inner}"#, quote(&id), item.index);
        let text = texts(progress).find(|released| released.channel == channel && released.part == number);
        end_of_content(events, &block.kind, &at, text.map_or("", |released| &released.text));
    }
    let item_json = if &*item.kind == "message" {
        let of_item = |released: &&Released| place(released.part).is_some_and(|(index, _)| index == item.index);
        let parts = texts(progress).filter(|released| is_content(released.channel)).filter(of_item).collect();
        message_item(&id, "incomplete", &contents(parts))
    } else {
        let summary = reasoning(progress, item.index, "summary_text");
        let content = reasoning(progress, item.index, "reasoning_text");
        let content = if content.is_empty() { String::new() } else { format!(r#","content":[{content}]"#) };
        format!(r#"{{"id":{},"type":"reasoning","status":"incomplete","summary":[{summary}]{content}}}"#, quote(&id))
    };
    events.push("response.output_item.done", &format!(r#""output_index":{},"item":{item_json}"#, item.index));
}

/// `…text.done` and `content_part.done`, or what they are called for that kind of part.
fn end_of_content(events: &mut Events, kind: &str, at: &str, text: &str) {
    let (stem, part) =
        if kind == "summary_text" { ("reasoning_summary_text", "reasoning_summary_part") } else { (kind, "content_part") };
    let field = if kind == "refusal" { "refusal" } else { "text" };
    let logprobs = if kind == "output_text" { r#","logprobs":[]"# } else { "" };
    events.push(&format!("response.{stem}.done"), &format!(r#"{at},"{field}":{}{logprobs}"#, quote(text)));
    events.push(&format!("response.{part}.done"), &format!(r#"{at},"part":{}"#, content(kind, text)));
}

/// The messages that the client has, for the last object. Tool calls are left out, since the answer that made them did not stand;
/// so is reasoning, which would be worth nothing to the next request without its encrypted form.
fn output(progress: &Progress) -> String {
    let mut messages: BTreeMap<u32, (String, &str, Vec<&Released>)> = BTreeMap::new();
    for (blocks, status) in [(&progress.closed, "completed"), (&progress.open, "incomplete")] {
        for block in blocks.iter().filter(|block| block.inner.is_none() && &*block.kind == "message") {
            messages.entry(block.index).or_insert_with(|| (item_id(block), status, Vec::new()));
        }
    }
    for released in texts(progress).filter(|released| is_content(released.channel)) {
        if let Some((index, _)) = place(released.part) {
            // Some streams never open their items.
            let message = messages.entry(index).or_insert_with(|| (format!("msg_{index}"), "incomplete", Vec::new()));
            message.2.push(released);
        }
    }
    let items = messages.into_values().map(|(id, status, parts)| message_item(&id, status, &contents(parts)));
    items.collect::<Vec<_>>().join(",")
}

/// The parts of a message, in order.
fn contents(mut parts: Vec<&Released>) -> String {
    parts.sort_by_key(|released| released.part);
    let part = |released: &Released| {
        let kind = if released.channel == Channel::Refusal { "refusal" } else { "output_text" };
        content(kind, &released.text)
    };
    parts.into_iter().map(part).collect::<Vec<_>>().join(",")
}

/// The parts of a reasoning item, of one kind.
fn reasoning(progress: &Progress, index: u32, kind: &str) -> String {
    let number = |inner: u32| if kind == "summary_text" { part(index, inner) } else { reasoning_part(index, inner) };
    let mut parts: Vec<(u32, String)> = Vec::new();
    for released in texts(progress).filter(|released| released.channel == Channel::Reasoning) {
        let first = number(0);
        // The parts of one kind are the 2048 numbers after the first.
        if let Some(inner) = released.part.checked_sub(first).filter(|inner| *inner < 0x800) {
            parts.push((inner, content(kind, &released.text)));
        }
    }
    parts.sort_by_key(|(inner, _)| *inner);
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}

/// What the client has; nothing of a part whose text is still held.
fn texts(progress: &Progress) -> impl Iterator<Item = &Released> {
    progress.texts.iter().filter(|released| !released.text.is_empty())
}

fn is_content(channel: Channel) -> bool {
    matches!(channel, Channel::Answer | Channel::Refusal)
}

fn item_id(block: &Block) -> String {
    block.id.as_deref().map_or_else(|| format!("msg_{}", block.index), str::to_owned)
}

//! Reading Bedrock requests, and changing those that nobody signed.

use xxhash_rust::xxh3::xxh3_64;

use super::INVOKE;
use super::family::{self, Family};
use crate::dialect::anthropic_complete::AnthropicComplete;
use crate::dialect::anthropic_messages::AnthropicMessages;
use crate::dialect::cohere::Cohere;
use crate::dialect::json::{self, Edits, Members, Raw, quote};
use crate::dialect::openai_chat::OpenAiChat;
use crate::dialect::openai_completions::OpenAiCompletions;
use crate::dialect::{Amendment, Api, Dialect, DialectError, Exchange, RequestHead, SessionHints, Turn, path};
use crate::text::Str;

const REQUEST: &str = "converse request";

/// What a request asks.
pub(super) fn read(head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::BedrockConverse);
    let (model, method) = model(head.path);
    exchange.model = model;
    exchange.stream = method.ends_with("-stream");
    if method.starts_with("invoke") {
        return invoke(head, body, exchange);
    }
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    converse(body, exchange)
}

/// What a Converse request asks, and one of Nova's own.
fn converse(body: &[u8], mut exchange: Exchange) -> Result<Exchange, DialectError> {
    let request: Members<'_> = json::read(body, REQUEST)?;
    exchange.structured = structured(&request);
    exchange.hints = hints(&request);
    let system = request.get("system").map(|raw| said(raw, "\n")).filter(|text| !text.is_empty());
    exchange.system = system.map(Str::from);
    for message in request.get("messages").and_then(Raw::maybe::<Vec<Raw<'_>>>).unwrap_or_default() {
        let Some(message) = message.maybe::<Members<'_>>() else { continue };
        let assistant = message.get("role").and_then(Raw::str).as_deref() == Some("assistant");
        let content = message.get("content");
        // What the model said is remembered as it was judged: its pieces without a separator.
        let text = content.map(|raw| said(raw, if assistant { "" } else { "\n" })).unwrap_or_default();
        // Only what somebody wrote makes a user's turn: tool results come in user messages too.
        if !assistant && !text.is_empty() {
            exchange.user = Some(Str::from(&*text));
        }
        let digest = match content {
            Some(raw) if text.is_empty() => xxh3_64(raw.json().as_bytes()),
            _ => xxh3_64(text.as_bytes()),
        };
        exchange.history.push(Turn { assistant, digest });
    }
    Ok(exchange)
}

/// What an InvokeModel request asks: in the words of its family.
fn invoke(head: &RequestHead<'_>, body: &[u8], mut exchange: Exchange) -> Result<Exchange, DialectError> {
    let model = exchange.model.clone();
    exchange.variant = Some(Family::of(None, model.as_deref()).map_or(INVOKE, Family::as_str));
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let request: Members<'_> = json::read(body, REQUEST)?;
    let family = Family::of(Some(&request), model.as_deref());
    exchange.variant = Some(family.map_or(INVOKE, Family::as_str));
    let theirs = match family {
        Some(Family::Converse | Family::Nova) => return converse(body, exchange),
        Some(family) => match other(family) {
            Some(dialect) => dialect.read_request(head, body)?,
            None => {
                exchange.user = family::prompt_text(&request).map(|text| Str::from(&*text));
                let turn = |text: &Str| Turn { assistant: false, digest: xxh3_64(text.as_bytes()) };
                exchange.history = exchange.user.iter().map(turn).collect();
                return Ok(exchange);
            }
        },
        None => return Ok(exchange),
    };
    Ok(Exchange { api: exchange.api, variant: exchange.variant, model, stream: exchange.stream, ..theirs })
}

/// The other API whose requests a family has.
fn other(family: Family) -> Option<&'static dyn Dialect> {
    Some(match family {
        Family::Messages => &AnthropicMessages,
        Family::Complete => &AnthropicComplete,
        Family::Chat => &OpenAiChat,
        Family::Completions => &OpenAiCompletions,
        Family::CohereChat | Family::CohereGenerate => &Cohere,
        _ => return None,
    })
}

/// The request for another attempt.
pub(super) fn amend(body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
    if amendment.is_empty() {
        return Ok(body.to_vec());
    }
    if amendment.model.is_some() {
        return Err(DialectError::Unsupported("the model (it is in the path)"));
    }
    let mut edits = Edits::new(body, REQUEST)?;
    let request = edits.members(REQUEST)?;
    // The family without its model: a body says enough to be changed, or it is Converse's.
    match Family::of(Some(&request), None) {
        None | Some(Family::Converse | Family::Nova) => {}
        // Messages without content blocks look like Chat's, and are the same to Converse.
        Some(Family::Chat)
            if request.get("messages").and_then(Raw::maybe::<Vec<Raw<'_>>>).is_some_and(|list| list.is_empty()) => {}
        Some(family) => {
            return match other(family) {
                Some(dialect) => dialect.amend(body, amendment),
                None => amend_prompt(edits, &request, amendment),
            };
        }
    }
    if let Some(temperature) = amendment.temperature
        && takes_temperature(&request)
    {
        let temperature = json::number(temperature.clamp(0.0, 1.0));
        match request.get("inferenceConfig").filter(|raw| !raw.is_null()) {
            Some(config) => {
                let mut inner = Edits::new(config.json().as_bytes(), REQUEST)?;
                let members = inner.members(REQUEST)?;
                inner.set(&members, "temperature", &temperature);
                edits.replace(config, &String::from_utf8_lossy(&inner.finish()));
            }
            None => edits.set(&request, "inferenceConfig", &format!(r#"{{"temperature":{temperature}}}"#)),
        }
    }
    if let Some(reminder) = amendment.reminder {
        let block = format!(r#"{{"text":{}}}"#, quote(reminder));
        match request.get("system").filter(|raw| !raw.is_null()) {
            // After the last block, so that what is cached before it stays cached.
            Some(blocks) => edits.insert(blocks, usize::MAX, &block, REQUEST)?,
            None => edits.set(&request, "system", &format!("[{block}]")),
        }
    }
    Ok(edits.finish())
}

/// Of a family whose request is a prompt and its settings.
fn amend_prompt<'a>(mut edits: Edits<'a>, request: &Members<'a>, amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
    if let Some(reminder) = amendment.reminder {
        let prompt = family::prompt(request).ok_or(DialectError::Unsupported("a request without a prompt"))?;
        edits.prepend(prompt, &format!("{reminder}\n\n"));
    }
    if let Some(temperature) = amendment.temperature {
        let temperature = json::number(temperature.clamp(0.0, 1.0));
        match request.get("textGenerationConfig").filter(|raw| raw.is_object()) {
            Some(config) => {
                let mut inner = Edits::new(config.json().as_bytes(), REQUEST)?;
                let members = inner.members(REQUEST)?;
                inner.set(&members, "temperature", &temperature);
                edits.replace(config, &String::from_utf8_lossy(&inner.finish()));
            }
            None if request.get("inputText").is_some() => {
                edits.set(request, "textGenerationConfig", &format!(r#"{{"temperature":{temperature}}}"#));
            }
            None => edits.set(request, "temperature", &temperature),
        }
    }
    Ok(edits.finish())
}

/// Where a temperature would be answered with an error, which would cost the attempt, the request goes without: with thinking, and
/// beside `topP`. The model is in the path, so it is not known here; one that takes none but was sent none is asked in vain.
fn takes_temperature(request: &Members<'_>) -> bool {
    let members = |name: &str| request.get(name).filter(|raw| raw.is_object()).and_then(Raw::maybe::<Members<'_>>);
    let config = members("inferenceConfig");
    let set = |name: &str| config.as_ref().and_then(|config| config.get(name)).is_some_and(|raw| !raw.is_null());
    if set("temperature") {
        return true;
    }
    let thinks = members("additionalModelRequestFields").is_some_and(|more| {
        ["thinking", "reasoning_config", "reasoningConfig"].iter().any(|name| more.get(name).is_some_and(|raw| !raw.is_null()))
    });
    !thinks && !set("topP")
}

/// The model that a path names, decoded, and what is asked of it, in lower case.
fn model(path: &str) -> (Option<Str>, String) {
    let decoded = path::decode(path.trim_end_matches('/'));
    let (before, method) = decoded.rsplit_once('/').unwrap_or(("", &decoded));
    let at = before.to_ascii_lowercase().find("model/");
    let model = at.map(|at| &before[at + "model/".len()..]).filter(|model| !model.is_empty());
    (model.map(Str::from), method.to_ascii_lowercase())
}

/// The text of a list's text blocks.
fn said(raw: Raw<'_>, separator: &str) -> String {
    let blocks = raw.maybe::<Vec<Members<'_>>>().unwrap_or_default();
    let inside = |raw: Raw<'_>, name: &str| raw.maybe::<Members<'_>>()?.get(name).and_then(Raw::shared);
    let guarded = |block: &Members<'_>| inside(block.get("guardContent")?.maybe::<Members<'_>>()?.get("text")?, "text");
    let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Raw::shared).or_else(|| guarded(block)));
    texts.collect::<Vec<_>>().join(separator)
}

fn structured(request: &Members<'_>) -> bool {
    let inside = |name: &str, inner: &str| request.get(name).and_then(Raw::maybe::<Members<'_>>)?.get(inner);
    let choice = inside("toolConfig", "toolChoice").and_then(Raw::maybe::<Members<'_>>);
    let forced = choice.is_some_and(|choice| ["any", "tool"].iter().any(|name| choice.get(name).is_some()));
    let format = inside("outputConfig", "textFormat").and_then(Raw::maybe::<Members<'_>>);
    forced || format.and_then(|format| format.get("type")?.str()).as_deref() == Some("json_schema")
}

fn hints(request: &Members<'_>) -> SessionHints {
    let metadata = request.get("requestMetadata").and_then(Raw::maybe::<Members<'_>>);
    let named = |names: [&str; 2]| {
        let metadata = metadata.as_ref()?;
        names.iter().find_map(|name| metadata.get(name).and_then(Raw::shared))
    };
    SessionHints { user: named(["user_id", "user"]), conversation: named(["session_id", "conversation_id"]), previous: None }
}

//! Reading Cohere requests, and changing them for another attempt.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::{GENERATE, V1};
use crate::dialect::json::{self, Edits, Members, Raw, quote};
use crate::dialect::{Amendment, Api, DialectError, Exchange, RequestHead, SessionHints, Turn, path};
use crate::text::Str;

const REQUEST: &str = "cohere request";

/// The most texts that generation gives at once.
const MAX_GENERATIONS: u32 = 5;

/// What a request asks.
pub(super) fn read(head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::CohereChat);
    let segments = path::segments(head.path);
    exchange.variant = match segments.as_slice() {
        [.., last] if last == "generate" => Some(GENERATE),
        [.., version, _] if version == "v1" => Some(V1),
        _ => None,
    };
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let request: Members<'_> = json::read(body, REQUEST)?;
    if request.get("messages").is_some() {
        // Where a host has no version in its path, the request says it.
        exchange.variant = None;
    } else if request.get("message").is_some() {
        exchange.variant = Some(V1);
    }
    exchange.model = request.get("model").and_then(Raw::shared);
    exchange.stream = request.get("stream").and_then(Raw::bool) == Some(true);
    exchange.structured = structured(&request);
    if exchange.variant == Some(GENERATE) {
        exchange.candidates = request.get("num_generations").and_then(Raw::u32).unwrap_or(1).clamp(1, MAX_GENERATIONS);
    }
    let conversation = request.get("conversation_id").and_then(Raw::shared);
    exchange.hints = SessionHints { conversation, ..SessionHints::default() };
    let mut system: Vec<String> = request.get("preamble").and_then(Raw::str).map(Cow::into_owned).into_iter().collect();
    for list in ["chat_history", "messages"] {
        for message in request.get(list).and_then(Raw::maybe::<Vec<Raw<'_>>>).unwrap_or_default() {
            let Some(message) = message.maybe::<Members<'_>>() else { continue };
            let role = message.get("role").and_then(Raw::str).unwrap_or_default().to_ascii_lowercase();
            let assistant = matches!(&*role, "assistant" | "chatbot");
            let content = message.get("content").or_else(|| message.get("message"));
            // What the model said is remembered as it was judged: its pieces without a separator.
            let text = content.map(|raw| said(raw, if assistant { "" } else { "\n" })).unwrap_or_default();
            if matches!(&*role, "system" | "developer") && exchange.history.is_empty() {
                system.push(text);
                continue;
            }
            if role == "user" {
                exchange.user = Some(Str::from(&*text));
            }
            exchange.history.push(Turn { assistant, digest: xxh3_64(text.as_bytes()) });
        }
    }
    if let Some(text) = request.get("message").or_else(|| request.get("prompt")).and_then(Raw::str) {
        exchange.history.push(Turn { assistant: false, digest: xxh3_64(text.as_bytes()) });
        exchange.user = Some(Str::from(&*text));
    }
    system.retain(|text| !text.is_empty());
    exchange.system = (!system.is_empty()).then(|| Str::from(system.join("\n")));
    Ok(exchange)
}

/// The request for another attempt.
pub(super) fn amend(body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
    if amendment.is_empty() {
        return Ok(body.to_vec());
    }
    let mut edits = Edits::new(body, REQUEST)?;
    let request = edits.members(REQUEST)?;
    if let Some(reminder) = amendment.reminder {
        remind(&mut edits, &request, reminder)?;
    }
    if let Some(temperature) = amendment.temperature {
        edits.set(&request, "temperature", &json::number(temperature.clamp(0.0, 1.0)));
    }
    if let Some(model) = amendment.model {
        edits.set(&request, "model", &quote(model));
    }
    Ok(edits.finish())
}

/// The second version has system messages, the first a preamble, generation only its prompt.
fn remind<'a>(edits: &mut Edits<'a>, request: &Members<'a>, reminder: &str) -> Result<(), DialectError> {
    let more = format!("\n\n{reminder}");
    if let Some(messages) = request.get("messages") {
        let first = messages.elements(REQUEST)?.first().and_then(|first| first.maybe::<Members<'a>>());
        let system =
            first.filter(|first| first.get("role").and_then(Raw::str).is_some_and(|role| role.eq_ignore_ascii_case("system")));
        match system.and_then(|system| system.get("content")) {
            Some(content) if content.is_string() => edits.append(content, &more),
            Some(content) if content.is_array() => {
                edits.insert(content, usize::MAX, &format!(r#"{{"type":"text","text":{}}}"#, quote(reminder)), REQUEST)?;
            }
            _ => edits.insert(messages, 0, &format!(r#"{{"role":"system","content":{}}}"#, quote(reminder)), REQUEST)?,
        }
    } else if request.get("message").is_some() {
        match request.get("preamble").filter(|raw| !raw.is_null()) {
            Some(preamble) if preamble.is_string() => edits.append(preamble, &more),
            Some(_) => return Err(DialectError::Malformed(REQUEST)),
            None => edits.set(request, "preamble", &quote(reminder)),
        }
    } else {
        let prompt = request.get("prompt").filter(|raw| raw.is_string()).ok_or(DialectError::Malformed(REQUEST))?;
        edits.prepend(prompt, &format!("{reminder}\n\n"));
    }
    Ok(())
}

/// The text of a string or of a list's text parts.
fn said(raw: Raw<'_>, separator: &str) -> String {
    if let Some(text) = raw.str() {
        return text.into_owned();
    }
    let parts = raw.maybe::<Vec<Raw<'_>>>().unwrap_or_default();
    let texts = parts.iter().filter_map(|part| part.maybe::<Members<'_>>()?.get("text")?.shared());
    texts.collect::<Vec<_>>().join(separator)
}

fn structured(request: &Members<'_>) -> bool {
    let forced = request.get("tool_choice").and_then(Raw::str).is_some_and(|choice| choice.eq_ignore_ascii_case("required"));
    let format =
        request.get("response_format").and_then(Raw::maybe::<Members<'_>>).and_then(|format| format.get("type")?.shared());
    forced || format.as_deref() == Some("json_object")
}

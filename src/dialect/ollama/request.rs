//! Reading Ollama's requests, and changing them for another attempt.

use xxhash_rust::xxh3::xxh3_64;

use super::Ollama;
use crate::dialect::json::{self, Edits, Members, Raw};
use crate::dialect::{Amendment, Api, DialectError, Exchange, Turn};
use crate::text::Str;

const REQUEST: &str = "ollama request";

/// What a request asks.
pub(super) fn read(body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::Ollama);
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let request: Members<'_> = json::read(body, REQUEST)?;
    let text = |name: &str| request.get(name).and_then(Raw::shared).filter(|text| !text.is_empty());
    exchange.model = text("model");
    exchange.stream = request.get("stream").and_then(Raw::bool) != Some(false);
    // `""` is no format; "json" and a schema are.
    exchange.structured =
        request.get("format").is_some_and(|format| format.is_object() || format.str().is_some_and(|name| !name.is_empty()));
    let mut system: Vec<Str> = text("system").into_iter().collect();
    for message in request.get("messages").and_then(Raw::maybe::<Vec<Raw<'_>>>).unwrap_or_default() {
        let Some(message) = message.maybe::<Members<'_>>() else { continue };
        let role = message.get("role").and_then(Raw::str).unwrap_or_default();
        let content = message.get("content").and_then(Raw::shared).unwrap_or_else(|| Str::from(""));
        if role == "system" {
            if exchange.history.is_empty() && !content.is_empty() {
                system.push(content);
            }
            continue;
        }
        let calls = message.get("tool_calls").filter(|_| content.is_empty());
        let digest = calls.map_or_else(|| xxh3_64(content.as_bytes()), |calls| xxh3_64(calls.json().as_bytes()));
        exchange.history.push(Turn { assistant: role == "assistant", digest });
        if role == "user" {
            exchange.user = Some(content);
        }
    }
    if let Some(prompt) = text("prompt") {
        exchange.history.push(Turn { assistant: false, digest: xxh3_64(prompt.as_bytes()) });
        exchange.user = Some(prompt);
    }
    exchange.system = (!system.is_empty()).then(|| Str::from(system.join("\n")));
    Ok(exchange)
}

/// Changes a request for another attempt.
pub(super) fn amend(endpoint: Ollama, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
    let mut edits = Edits::new(body, REQUEST)?;
    let request = edits.members(REQUEST)?;
    if let Some(model) = amendment.model {
        edits.set(&request, "model", &json::quote(model));
    }
    if let Some(temperature) = amendment.temperature {
        let number = json::number(temperature);
        match request.get("options").filter(|raw| !raw.is_null()) {
            Some(options) => edits.set_in(options, "temperature", &number, REQUEST)?,
            None => edits.set(&request, "options", &format!(r#"{{"temperature":{number}}}"#)),
        }
    }
    if let Some(reminder) = amendment.reminder {
        match endpoint {
            Ollama::Chat => remind(&mut edits, &request, reminder)?,
            // A raw prompt goes to the model without its template, and so without instructions.
            Ollama::Generate if request.get("raw").and_then(Raw::bool) == Some(true) => {
                return Err(DialectError::Unsupported("a raw prompt"));
            }
            Ollama::Generate => match request.get("system").filter(|raw| !raw.is_null()) {
                Some(text) if text.str().is_some_and(|text| !text.is_empty()) => edits.append(text, &format!("\n\n{reminder}")),
                Some(text) if !text.is_string() => return Err(DialectError::Malformed(REQUEST)),
                _ => edits.set(&request, "system", &json::quote(reminder)),
            },
        }
    }
    Ok(edits.finish())
}

/// A reminder as one more system message after those that lead the conversation.
fn remind<'a>(edits: &mut Edits<'a>, request: &Members<'a>, reminder: &str) -> Result<(), DialectError> {
    let messages = request
        .get("messages")
        .filter(|messages| messages.is_array())
        .ok_or(DialectError::Unsupported("a request without messages"))?;
    let role = |message: &Raw<'_>| message.maybe::<Members<'_>>().and_then(|message| message.get("role")?.shared());
    let leading = messages.elements(REQUEST)?.iter().take_while(|message| role(message).as_deref() == Some("system")).count();
    edits.insert(messages, leading, &format!(r#"{{"role":"system","content":{}}}"#, json::quote(reminder)), REQUEST)
}

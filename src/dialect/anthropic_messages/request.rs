//! Reading Messages requests, and changing them for another attempt.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::json::{self, Edits, Members, Raw};
use crate::dialect::{Amendment, Api, DialectError, Exchange, RequestHead, SessionHints, Turn, path};
use crate::text::Str;

const REQUEST: &str = "messages request";

/// What a request asks.
pub(super) fn read(head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::AnthropicMessages);
    // Vertex has the model in the path, and the stream in the method's name.
    if let Some((model, method)) = path::decode(head.path).rsplit('/').next().and_then(|last| last.rsplit_once(':')) {
        exchange.model = Some(Str::from(model));
        exchange.stream = method.eq_ignore_ascii_case("streamRawPredict");
    }
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let request: Members<'_> = json::read(body, REQUEST)?;
    exchange.model = request.get("model").and_then(Raw::shared).or(exchange.model);
    exchange.stream |= request.get("stream").and_then(Raw::bool) == Some(true);
    exchange.structured = structured(&request);
    exchange.hints = hints(&request);
    let mut system: Vec<String> = request.get("system").map(|raw| said(raw, "\n")).into_iter().collect();
    for message in request.get("messages").and_then(Raw::maybe::<Vec<Raw<'_>>>).unwrap_or_default() {
        let Some(message) = message.maybe::<Members<'_>>() else { continue };
        let role = message.get("role").and_then(Raw::str).unwrap_or_default();
        // What the model said is remembered as it was judged: its pieces without a separator.
        let separator = if role == "assistant" { "" } else { "\n" };
        let text = message.get("content").map(|raw| said(raw, separator)).unwrap_or_default();
        if role == "system" && exchange.history.is_empty() {
            system.push(text);
            continue;
        }
        // Only what somebody wrote makes a user's turn: tool results come in user messages too.
        if role == "user" && !text.is_empty() {
            exchange.user = Some(Str::from(&*text));
        }
        let digest = if text.is_empty() {
            message.get("content").map_or(0, |raw| xxh3_64(raw.json().as_bytes()))
        } else {
            xxh3_64(text.as_bytes())
        };
        exchange.history.push(Turn { assistant: role == "assistant", digest });
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
    if let Some(model) = amendment.model {
        // Vertex refuses a model in the body: it is in the path.
        if request.get("model").is_none() && request.get("anthropic_version").is_some() {
            return Err(DialectError::Unsupported("the model"));
        }
        edits.set(&request, "model", &json::quote(model));
    }
    if let Some(temperature) = amendment.temperature
        && takes_temperature(&request, amendment.model)
    {
        edits.set(&request, "temperature", &json::number(temperature.clamp(0.0, 1.0)));
    }
    if let Some(reminder) = amendment.reminder {
        match request.get("system").filter(|raw| !raw.is_null()) {
            Some(text) if text.is_string() => edits.append(text, &format!("\n\n{reminder}")),
            // After the last block, so that what is cached before it stays cached.
            Some(blocks) if blocks.is_array() => {
                edits.insert(blocks, usize::MAX, &format!(r#"{{"type":"text","text":{}}}"#, json::quote(reminder)), REQUEST)?;
            }
            Some(_) => return Err(DialectError::Malformed(REQUEST)),
            None => edits.set(&request, "system", &json::quote(reminder)),
        }
    }
    Ok(edits.finish())
}

/// Where a temperature would be answered with an error, which would cost the attempt, the request goes without: with thinking
/// (only 1 is allowed), beside `top_p`, and for the Claude models after 4.6, which dropped it. One that the client sent itself is
/// taken by the model that it was sent to.
fn takes_temperature(request: &Members<'_>, model: Option<&str>) -> bool {
    let thinking = request.get("thinking").and_then(Raw::maybe::<Members<'_>>);
    if thinking.is_some_and(|thinking| thinking.get("type").and_then(Raw::str).as_deref() != Some("disabled")) {
        return false;
    }
    let set = |name: &str| request.get(name).is_some_and(|raw| !raw.is_null());
    if model.is_none() && set("temperature") {
        return true;
    }
    if set("top_p") && !set("temperature") {
        return false;
    }
    let asked = request.get("model").and_then(Raw::str).unwrap_or_default();
    let name = model.unwrap_or(&asked).to_ascii_lowercase().replace('.', "-");
    let older =
        ["claude-instant", "claude-v", "claude-1", "claude-2", "claude-3", "-4-0", "-4-1", "-4-20", "-4@20", "-4-5", "-4-6"];
    // Vertex bodies name no model.
    !(name.contains("claude") || name.is_empty()) || older.iter().any(|part| name.contains(part))
}

/// The text of a string or of a list's text blocks.
fn said(raw: Raw<'_>, separator: &str) -> String {
    if let Some(text) = raw.str() {
        return text.into_owned();
    }
    let blocks = raw.maybe::<Vec<Raw<'_>>>().unwrap_or_default();
    let texts = blocks.iter().filter_map(|block| block.maybe::<Members<'_>>()?.get("text")?.str());
    texts.map(Cow::into_owned).collect::<Vec<_>>().join(separator)
}

fn structured(request: &Members<'_>) -> bool {
    let kind = |raw: Raw<'_>| raw.maybe::<Members<'_>>().and_then(|object| object.get("type").and_then(Raw::shared));
    let forced = matches!(request.get("tool_choice").and_then(kind).as_deref(), Some("any" | "tool"));
    let format = request.get("output_config").and_then(Raw::maybe::<Members<'_>>).and_then(|config| config.get("format"));
    let format = format.or_else(|| request.get("output_format")).and_then(kind);
    forced || format.as_deref() == Some("json_schema")
}

fn hints(request: &Members<'_>) -> SessionHints {
    let metadata = request.get("metadata").and_then(Raw::maybe::<Members<'_>>);
    let of_metadata = |name: &str| metadata.as_ref().and_then(|metadata| metadata.get(name)).and_then(Raw::shared);
    let user = of_metadata("user_id");
    // Coding agents put the session into the one field that there is: `user_…_session_<id>`.
    let session = user.as_deref().and_then(|user| user.rsplit_once("_session_")).map(|(_, session)| Str::from(session));
    SessionHints { conversation: of_metadata("session_id").or(session), user, previous: None }
}

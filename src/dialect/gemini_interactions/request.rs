//! Reading the requests of interactions, and changing them for another attempt.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::json::{self, Edits, Members, Raw};
use crate::dialect::{Amendment, Api, DialectError, Exchange, RequestHead, SessionHints, Turn, path};
use crate::text::Str;

const REQUEST: &str = "interaction request";

/// What a request asks.
pub(super) fn read(head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::Gemini);
    // Taken up again, a stream is asked for in the query.
    exchange.stream = path::parameter(head.query, "stream").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let request: Members<'_> = json::read(body, REQUEST)?;
    let text = |name: &str| request.get(name).and_then(Raw::shared).filter(|text| !text.is_empty());
    exchange.model = text("model").or_else(|| text("agent"));
    exchange.stream |= request.get("stream").and_then(Raw::bool) == Some(true);
    exchange.structured = structured(&request);
    exchange.system = request.get("system_instruction").map(|raw| said(raw, "\n")).filter(|text| !text.is_empty()).map(Str::from);
    exchange.hints = SessionHints { previous: text("previous_interaction_id"), ..SessionHints::default() };
    let Some(input) = request.get("input") else { return Ok(exchange) };
    let items = if input.is_array() { input.maybe::<Vec<Raw<'_>>>().unwrap_or_default() } else { vec![input] };
    // Bare contents (and a bare text) are one turn of the user; steps and turns are one each.
    let is_turn = |raw: &Raw<'_>| {
        raw.maybe::<Members<'_>>().is_some_and(|item| item.get("content").is_some() || item.get("role").is_some())
    };
    let (turns, contents): (Vec<Raw<'_>>, Vec<Raw<'_>>) = items.into_iter().partition(is_turn);
    for turn in turns {
        let Some(item) = turn.maybe::<Members<'_>>() else { continue };
        let word = |name: &str| item.get(name).and_then(Raw::str).unwrap_or_default();
        let assistant = word("role") == "model" || matches!(&*word("type"), "model_output" | "thought" | "function_call");
        // What the model said is remembered as it was judged: its pieces without a separator.
        let text = item.get("content").map(|raw| said(raw, if assistant { "" } else { "\n" })).unwrap_or_default();
        push(&mut exchange, assistant, text, turn);
    }
    let text = contents.iter().map(|raw| said(*raw, "\n")).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    if !contents.is_empty() {
        push(&mut exchange, false, text, input);
    }
    Ok(exchange)
}

fn push(exchange: &mut Exchange, assistant: bool, text: String, raw: Raw<'_>) {
    let digest = xxh3_64(if text.is_empty() { raw.json().as_bytes() } else { text.as_bytes() });
    exchange.history.push(Turn { assistant, digest });
    // Only what somebody wrote makes a user's turn: the answers of functions come in its place too.
    if !assistant && !text.is_empty() {
        exchange.user = Some(text.into());
    }
}

/// Changes a request for another attempt.
pub(super) fn amend(body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
    if amendment.is_empty() {
        return Ok(body.to_vec());
    }
    if body.trim_ascii().is_empty() {
        return Err(DialectError::Unsupported("an answer that is fetched"));
    }
    let mut edits = Edits::new(body, REQUEST)?;
    let request = edits.members(REQUEST)?;
    if let Some(model) = amendment.model {
        edits.set(&request, "model", &json::quote(model));
    }
    if let Some(temperature) = amendment.temperature {
        let number = json::number(temperature);
        match request.get("generation_config").filter(|raw| !raw.is_null()) {
            Some(config) => edits.set_in(config, "temperature", &number, REQUEST)?,
            None => edits.set(&request, "generation_config", &format!(r#"{{"temperature":{number}}}"#)),
        }
    }
    if let Some(reminder) = amendment.reminder {
        match request.get("system_instruction").filter(|raw| !raw.is_null()) {
            Some(text) if text.is_string() => edits.append(text, &format!("\n\n{reminder}")),
            Some(_) => return Err(DialectError::Malformed(REQUEST)),
            None => edits.set(&request, "system_instruction", &json::quote(reminder)),
        }
    }
    Ok(edits.finish())
}

/// The text of a string, a content, or a list of contents.
fn said(raw: Raw<'_>, separator: &str) -> String {
    let items = if raw.is_array() { raw.maybe::<Vec<Raw<'_>>>().unwrap_or_default() } else { vec![raw] };
    let texts = items.iter().filter_map(|item| item.str().or_else(|| item.maybe::<Members<'_>>()?.get("text")?.str()));
    texts.map(Cow::into_owned).collect::<Vec<_>>().join(separator)
}

/// Whether the client will parse the answer.
fn structured(request: &Members<'_>) -> bool {
    let there = |name: &str| request.get(name).filter(|raw| !raw.is_null());
    let config = there("generation_config").and_then(Raw::maybe::<Members<'_>>);
    let choice = config.as_ref().and_then(|config| config.get("tool_choice")).or_else(|| request.get("tool_choice"));
    let forced = choice.is_some_and(|raw| raw.is_object() || raw.str().is_some_and(|choice| choice == "any"));
    let mime = there("response_mime_type").and_then(Raw::str).is_some_and(|kind| kind != "text/plain");
    // A format may also ask for speech or a picture; a bare schema is a format too.
    let asks_for_json = |raw: Raw<'_>| {
        let Some(format) = raw.maybe::<Members<'_>>() else { return false };
        let mime = format.get("mime_type").and_then(Raw::str).is_some_and(|kind| kind.ends_with("json"));
        mime || ["schema", "properties"].iter().any(|name| format.get(name).is_some_and(|raw| !raw.is_null()))
    };
    let schema = there("response_format").is_some_and(|raw| match raw.is_array() {
        true => raw.maybe::<Vec<Raw<'_>>>().unwrap_or_default().into_iter().any(asks_for_json),
        false => asks_for_json(raw),
    });
    forced || mime || schema
}

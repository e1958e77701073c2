//! Reading Responses requests, and changing them for another attempt.

use std::borrow::Cow;

use http::Method;
use xxhash_rust::xxh3::xxh3_64;

use super::ITEMS;
use crate::dialect::json::{self, Edits, Members, Raw};
use crate::dialect::{Amendment, Api, DialectError, Exchange, RequestHead, Turn, openai, path};
use crate::text::Str;

const REQUEST: &str = "responses request";

/// What a request asks.
pub(super) fn read(head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::OpenAiResponses);
    exchange.stream = path::parameter(head.query, "stream") == Some("true");
    exchange.variant = path::segments(head.path).last().filter(|last| *last == "input_items").map(|_| ITEMS);
    // Asking for an answer again belongs to the conversation of that answer, as continuing it would.
    exchange.hints.previous = asked_again(head);
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let request: Members<'_> = json::read(body, REQUEST)?;
    exchange.model = request.get("model").and_then(Raw::shared);
    exchange.stream |= request.get("stream").and_then(Raw::bool) == Some(true);
    exchange.structured = structured(&request);
    let asked_again = exchange.hints.previous.take();
    exchange.hints = openai::hints(&request);
    exchange.hints.previous = exchange.hints.previous.take().or(asked_again);
    let mut system: Vec<String> = request.get("instructions").map(|raw| said(raw, "\n")).into_iter().collect();
    match request.get("input") {
        Some(input) if input.is_string() => turn(&mut exchange, false, true, &said(input, "\n")),
        Some(input) => {
            for item in input.maybe::<Vec<Raw<'_>>>().unwrap_or_default() {
                read_item(item, &mut exchange, &mut system);
            }
        }
        None => {}
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
    // Reasoning models answer a temperature with an error, which would cost the attempt.
    let reasons = request.get("reasoning").is_some_and(Raw::is_object) && request.get("temperature").is_none_or(Raw::is_null);
    let sampling = Amendment { temperature: amendment.temperature.filter(|_| !reasons), ..*amendment };
    openai::amend_sampling(&mut edits, &request, &sampling);
    if let Some(reminder) = amendment.reminder {
        remind(&mut edits, &request, reminder)?;
    }
    Ok(edits.finish())
}

/// The reminder goes to the end of the instructions. A request that takes them from a stored prompt gets a message instead, since
/// instructions of its own would replace the stored ones.
fn remind<'a>(edits: &mut Edits<'a>, request: &Members<'a>, reminder: &str) -> Result<(), DialectError> {
    let message = format!(r#"{{"type":"message","role":"developer","content":{}}}"#, json::quote(reminder));
    match request.get("instructions").filter(|raw| !raw.is_null()) {
        Some(text) if text.is_string() => edits.append(text, &format!("\n\n{reminder}")),
        Some(items) if items.is_array() => edits.insert(items, usize::MAX, &message, REQUEST)?,
        Some(_) => return Err(DialectError::Malformed(REQUEST)),
        None if request.get("prompt").is_some_and(|raw| raw.is_object()) => {
            match request.get("input").filter(|raw| !raw.is_null()) {
                Some(items) if items.is_array() => edits.insert(items, 0, &message, REQUEST)?,
                Some(text) if text.is_string() => {
                    let user = format!(r#"{{"type":"message","role":"user","content":{}}}"#, text.json());
                    edits.replace(text, &format!("[{message},{user}]"));
                }
                Some(_) => return Err(DialectError::Malformed(REQUEST)),
                None => edits.set(request, "input", &format!("[{message}]")),
            }
        }
        None => edits.set(request, "instructions", &json::quote(reminder)),
    }
    Ok(())
}

/// One item of the input: a message, a tool call or its output.
fn read_item(raw: Raw<'_>, exchange: &mut Exchange, system: &mut Vec<String>) {
    let Some(item) = raw.maybe::<Members<'_>>() else { return };
    let kind = item.get("type").and_then(Raw::str).unwrap_or(Cow::Borrowed("message"));
    let role = item.get("role").and_then(Raw::str).unwrap_or_default();
    match (&*kind, &*role) {
        ("message", "system" | "developer") if exchange.history.is_empty() => {
            system.extend(item.get("content").map(|raw| said(raw, "\n")))
        }
        ("message", role) => {
            // What the model said is remembered as it was judged: its pieces without a separator.
            let separator = if role == "assistant" { "" } else { "\n" };
            let text = item.get("content").map(|raw| said(raw, separator)).unwrap_or_default();
            turn(exchange, role == "assistant", role == "user", &text);
        }
        // Reasoning is dropped or kept by clients as they like, so it says nothing of which conversation this is.
        ("reasoning" | "item_reference" | "compaction", _) => {}
        (kind, _) => {
            let fields = ["arguments", "input", "code", "action", "operation", "output"];
            if let Some(text) = fields.iter().find_map(|field| item.get(field)) {
                turn(exchange, !kind.ends_with("_output"), false, &said(text, "\n"));
            }
        }
    }
}

fn turn(exchange: &mut Exchange, assistant: bool, user: bool, text: &str) {
    exchange.history.push(Turn { assistant, digest: xxh3_64(text.as_bytes()) });
    if user && !text.is_empty() {
        exchange.user = Some(Str::from(text));
    }
}

/// The text of a string, of a list of parts, or the JSON of anything else.
fn said(raw: Raw<'_>, separator: &str) -> String {
    if let Some(text) = raw.str() {
        return text.into_owned();
    }
    if raw.is_null() {
        return String::new();
    }
    let Some(parts) = raw.maybe::<Vec<Raw<'_>>>() else { return raw.json().to_owned() };
    let text = |part: &Raw<'_>| {
        let part = part.maybe::<Members<'_>>()?;
        // A part's own text, or (in a list of items) its content.
        let text = ["text", "refusal", "transcript"].iter().find_map(|field| part.get(field)).and_then(Raw::str);
        text.map(Cow::into_owned).or_else(|| part.get("content").map(|raw| said(raw, separator)))
    };
    parts.iter().filter_map(text).collect::<Vec<_>>().join(separator)
}

fn structured(request: &Members<'_>) -> bool {
    let kind = |raw: Raw<'_>| raw.maybe::<Members<'_>>().and_then(|object| object.get("type").and_then(Raw::shared));
    let format = request.get("text").and_then(Raw::maybe::<Members<'_>>).and_then(|text| text.get("format")).and_then(kind);
    let schema = matches!(format.as_deref(), Some("json_schema" | "json_object"));
    let forced = request.get("tool_choice").is_some_and(|choice| match choice.str() {
        Some(word) => word == "required",
        None => choice.maybe::<Members<'_>>().is_some_and(|choice| {
            let allowed = choice.get("type").and_then(Raw::str).as_deref() == Some("allowed_tools");
            !allowed || choice.get("mode").and_then(Raw::str).as_deref() == Some("required")
        }),
    });
    schema || forced
}

/// The id in `GET /responses/<id>` and `POST /responses/<id>/cancel`.
fn asked_again(head: &RequestHead<'_>) -> Option<Str> {
    let path = path::decode(head.path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.by_ref().find(|segment| segment.eq_ignore_ascii_case("responses"))?;
    let id = segments.next()?;
    (*head.method != Method::POST || segments.next().is_some()).then(|| Str::from(id))
}

//! Reading Gemini requests, and changing them for another attempt. Google's parsers take every field in camel and in snake case.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::json::{self, Edits, Members, Raw};
use crate::dialect::{Amendment, Api, DialectError, Exchange, RequestHead, Turn, openai, path};
use crate::frame::Framing;
use crate::text::Str;

const REQUEST: &str = "gemini request";
const SYSTEM: &str = "systemInstruction of a gemini request";
const SYSTEM_NAMES: [&str; 2] = ["systemInstruction", "system_instruction"];
const CONFIG_NAMES: [&str; 2] = ["generationConfig", "generation_config"];

/// What a request asks.
pub(super) fn read(head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
    let mut exchange = Exchange::unknown(Api::Gemini);
    // The model is in the path, and the stream in the method's name.
    if let Some((model, method)) =
        path::decode(head.path).trim_end_matches('/').rsplit('/').next().and_then(|last| last.rsplit_once(':'))
    {
        exchange.model = (!model.is_empty()).then(|| Str::from(model));
        exchange.stream = method.eq_ignore_ascii_case("streamGenerateContent");
    }
    if exchange.stream {
        let alt = path::parameter(head.query, "alt").or_else(|| path::parameter(head.query, "$alt"));
        let events = alt.is_some_and(|alt| path::decode(alt).eq_ignore_ascii_case("sse"));
        exchange.framing = Some(if events { Framing::Sse } else { Framing::JsonArray });
    }
    if body.trim_ascii().is_empty() {
        return Ok(exchange);
    }
    let mut request: Members<'_> = json::read(body, REQUEST)?;
    if let Some(inner) = wrapped(&request) {
        exchange.model = request.get("model").and_then(Raw::shared).or(exchange.model);
        request = inner;
    }
    let config = either(&request, CONFIG_NAMES).and_then(Raw::maybe::<Members<'_>>);
    if let Some(config) = &config {
        let count = either(config, ["candidateCount", "candidate_count"]).and_then(Raw::u32);
        exchange.candidates = count.unwrap_or(1).clamp(1, openai::MAX_CANDIDATES);
    }
    exchange.structured = structured(&request, config.as_ref());
    exchange.system = either(&request, SYSTEM_NAMES).map(|raw| said(raw, "\n")).filter(|text| !text.is_empty()).map(Str::from);
    for turn in request.get("contents").map(list).unwrap_or_default() {
        let Some(content) = turn.maybe::<Members<'_>>() else { continue };
        let assistant = content.get("role").and_then(Raw::str).as_deref() == Some("model");
        // What the model said is remembered as it was judged: its pieces without a separator.
        let text = said(turn, if assistant { "" } else { "\n" });
        // Only what somebody wrote makes a user's turn: the answers of functions come in the same role.
        if !assistant && !text.is_empty() {
            exchange.user = Some(Str::from(&*text));
        }
        let digest = if text.is_empty() {
            content.get("parts").map_or(0, |raw| xxh3_64(raw.json().as_bytes()))
        } else {
            xxh3_64(text.as_bytes())
        };
        exchange.history.push(Turn { assistant, digest });
    }
    Ok(exchange)
}

/// Changes a request for another attempt.
pub(super) fn amend(body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
    if amendment.model.is_some() {
        return Err(DialectError::Unsupported("the model, which is in the path,"));
    }
    let mut edits = Edits::new(body, REQUEST)?;
    let outer = edits.members(REQUEST)?;
    let wrapper = outer.get("request").filter(|_| wrapped(&outer).is_some());
    let request = wrapped(&outer).unwrap_or_else(|| outer.clone());
    let place = Place { outer: &outer, wrapper };
    if let Some(temperature) = amendment.temperature {
        let number = json::number(temperature);
        match named(&request, CONFIG_NAMES) {
            Some((_, config)) if config.is_object() => edits.set_in(config, "temperature", &number, REQUEST)?,
            Some((name, config)) if config.is_null() => place.set(&mut edits, name, &format!(r#"{{"temperature":{number}}}"#))?,
            Some(_) => return Err(DialectError::Malformed(REQUEST)),
            None => place.set(&mut edits, CONFIG_NAMES[0], &format!(r#"{{"temperature":{number}}}"#))?,
        }
    }
    if let Some(reminder) = amendment.reminder {
        let part = format!(r#"{{"text":{}}}"#, json::quote(reminder));
        let whole = format!(r#"{{"parts":[{part}]}}"#);
        match named(&request, SYSTEM_NAMES) {
            Some((_, text)) if text.is_string() => edits.append(text, &format!("\n\n{reminder}")),
            Some((_, content)) if content.is_object() => {
                let members: Members<'_> = content.read(SYSTEM)?;
                match members.get("parts").filter(|raw| !raw.is_null()) {
                    Some(parts) if parts.is_array() => edits.insert(parts, usize::MAX, &part, SYSTEM)?,
                    Some(only) if only.is_object() => edits.replace(only, &format!("[{},{part}]", only.json())),
                    Some(_) => return Err(DialectError::Malformed(SYSTEM)),
                    None => edits.set_in(content, "parts", &format!("[{part}]"), SYSTEM)?,
                }
            }
            Some((name, null)) if null.is_null() => place.set(&mut edits, name, &whole)?,
            Some(_) => return Err(DialectError::Malformed(SYSTEM)),
            None => place.set(&mut edits, SYSTEM_NAMES[0], &whole)?,
        }
    }
    Ok(edits.finish())
}

/// Where the members of a request lie: in the document itself, or in an object inside it.
struct Place<'m, 'a> {
    outer: &'m Members<'a>,
    wrapper: Option<Raw<'a>>,
}

impl<'a> Place<'_, 'a> {
    fn set(&self, edits: &mut Edits<'a>, name: &str, json: &str) -> Result<(), DialectError> {
        if let Some(object) = self.wrapper {
            return edits.set_in(object, name, json, REQUEST);
        }
        edits.set(self.outer, name, json);
        Ok(())
    }
}

/// The text of a `Content` (or of a string), without thoughts.
fn said(raw: Raw<'_>, separator: &str) -> String {
    if let Some(text) = raw.str() {
        return text.into_owned();
    }
    let parts = raw.maybe::<Members<'_>>().and_then(|content| content.get("parts")).map(list).unwrap_or_default();
    let texts = parts.into_iter().filter_map(|part| {
        let part = part.maybe::<Members<'_>>()?;
        let thought = part.get("thought").and_then(Raw::bool) == Some(true);
        part.get("text").filter(|_| !thought)?.str()
    });
    texts.map(Cow::into_owned).collect::<Vec<_>>().join(separator)
}

/// Whether the client will parse the answer.
fn structured(request: &Members<'_>, config: Option<&Members<'_>>) -> bool {
    let schemas = [["responseSchema", "response_schema"], ["responseJsonSchema", "response_json_schema"]];
    let schema = config.is_some_and(|config| {
        let kind = either(config, ["responseMimeType", "response_mime_type"]).and_then(Raw::str);
        schemas.iter().any(|names| either(config, *names).is_some()) || kind.is_some_and(|kind| kind != "text/plain")
    });
    let calling = either(request, ["toolConfig", "tool_config"])
        .and_then(Raw::maybe::<Members<'_>>)
        .and_then(|tools| either(&tools, ["functionCallingConfig", "function_calling_config"]))
        .and_then(Raw::maybe::<Members<'_>>);
    let mode = calling.and_then(|calling| calling.get("mode")).and_then(Raw::shared);
    schema || mode.is_some_and(|mode| mode.eq_ignore_ascii_case("any"))
}

/// The request itself, where the host wraps it (Code Assist).
fn wrapped<'a>(outer: &Members<'a>) -> Option<Members<'a>> {
    if outer.get("contents").is_some() { None } else { outer.get("request").filter(|raw| raw.is_object())?.maybe() }
}

/// The member of either name, unless it is null.
fn either<'a>(members: &Members<'a>, names: [&str; 2]) -> Option<Raw<'a>> {
    names.iter().find_map(|name| members.get(name).filter(|raw| !raw.is_null()))
}

/// The member of either name and which it is, null only where neither has a value.
fn named<'a, 'n>(members: &Members<'a>, names: [&'n str; 2]) -> Option<(&'n str, Raw<'a>)> {
    let there = |null: bool| names.iter().find_map(|name| Some((*name, members.get(name).filter(|raw| raw.is_null() == null)?)));
    there(false).or_else(|| there(true))
}

/// The elements of an array; an object in place of one is its only element.
fn list(raw: Raw<'_>) -> Vec<Raw<'_>> {
    if raw.is_object() { vec![raw] } else { raw.maybe().unwrap_or_default() }
}

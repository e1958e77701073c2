//! What OpenAI's formats share: what an answer says of itself, how an error looks, who and which conversation a request names.
//! Knows neither messages nor output items.

pub mod choices;

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::json::{Edits, Members, Pull, Raw, number, quote};
use super::{Amendment, ApiError, Cut, Facts, Reply, SessionHints};
use crate::text::Str;

/// The most answers that are asked for at once by anybody; a larger `n` is refused upstream, and must not make us build as many
/// refusals.
pub const MAX_CANDIDATES: u32 = 128;

/// `content-type` of JSON bodies.
pub const JSON: &str = "application/json";
/// `content-type` of streams.
pub const SSE: &str = "text/event-stream; charset=utf-8";

/// `usage` of an answer made here.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

impl Usage {
    /// What the upstream billed; `None` where it did not say.
    #[must_use]
    pub fn of(facts: &Facts) -> Option<Usage> {
        let (prompt, completion) = (facts.input_tokens, facts.output_tokens);
        (prompt.is_some() || completion.is_some()).then(|| {
            let (prompt_tokens, completion_tokens) = (prompt.unwrap_or(0), completion.unwrap_or(0));
            Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens.saturating_add(completion_tokens) }
        })
    }
}

/// Keeps the first value that says something: the first chunk of some hosts has an empty id.
pub fn keep(fact: &mut Option<Str>, value: Option<Raw<'_>>) {
    if fact.is_none() {
        *fact = value.and_then(Raw::shared).filter(|text| !text.is_empty());
    }
}

/// Keeps `created`: a number, or its digits in a string; the first chunk of some hosts has a 0.
pub fn keep_created(fact: &mut Option<i64>, value: Option<Raw<'_>>) {
    if fact.is_none() {
        *fact = value.and_then(|raw| raw.i64().or_else(|| raw.str()?.parse().ok())).filter(|seconds| *seconds > 0);
    }
}

/// Keeps the token counts of a `usage` object; the last ones count.
pub fn keep_usage(facts: &mut Facts, usage: Option<Raw<'_>>) {
    let Some(usage) = usage.filter(|raw| raw.is_object()) else { return };
    let (mut prompt, mut completion) = (None, None);
    let read = Pull::over(usage, "usage").members(|json, name| {
        let count = match name {
            "prompt_tokens" => &mut prompt,
            "completion_tokens" => &mut completion,
            _ => return json.skip(),
        };
        *count = json.raw()?.u64();
        Ok(())
    });
    if read.is_ok() {
        facts.input_tokens = prompt.or(facts.input_tokens);
        facts.output_tokens = completion.or(facts.output_tokens);
    }
}

/// Who and which conversation a request names.
#[must_use]
pub fn hints(request: &Members<'_>) -> SessionHints {
    let text = |members: &Members<'_>, name: &str| members.get(name).and_then(Raw::shared).filter(|text| !text.is_empty());
    let metadata = request.get("metadata").filter(|raw| raw.is_object()).and_then(Raw::maybe::<Members<'_>>);
    let metadata = |name: &str| metadata.as_ref().and_then(|members| text(members, name));
    let conversation = request.get("conversation").and_then(|raw| match raw.is_object() {
        true => text(&raw.maybe()?, "id"),
        false => raw.shared(),
    });
    SessionHints {
        user: text(request, "user").or_else(|| text(request, "safety_identifier")).or_else(|| metadata("user_id")),
        conversation: conversation.or_else(|| metadata("session_id")).or_else(|| text(request, "prompt_cache_key")),
        previous: text(request, "previous_response_id"),
    }
}

/// The model that a request's path names (`/deployments/MODEL/…`, `/engines/MODEL/…`).
#[must_use]
pub fn model_in_path(path: &str) -> Option<Str> {
    let mut segments = path.split('/');
    segments.find(|segment| matches!(*segment, "deployments" | "engines"))?;
    segments.next().filter(|model| !model.is_empty()).map(|model| super::path::decode(model).into())
}

/// Whether a model refuses every temperature but its own.
#[must_use]
pub fn fixed_temperature(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let reasons = ["o1", "o3", "o4", "gpt-5"]
        .iter()
        .any(|family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.'])));
    reasons && !name.contains("-chat")
}

/// Sets another attempt's model and temperature, the latter where the model takes one.
pub fn amend_sampling<'a>(edits: &mut Edits<'a>, request: &Members<'a>, amendment: &Amendment<'_>) {
    let asked = request.get("model").and_then(Raw::str);
    let model = amendment.model.or(asked.as_deref()).unwrap_or_default();
    if let Some(temperature) = amendment.temperature.filter(|_| !fixed_temperature(model)) {
        edits.set(request, "temperature", &number(temperature));
    }
    if let Some(model) = amendment.model {
        edits.set(request, "model", &quote(model));
    }
}

/// The answers that a cut stream still has to end: those seen and those asked for, without those that ended.
pub fn unfinished<'a>(cut: &Cut<'a>) -> impl Iterator<Item = u32> + 'a {
    let candidates = &cut.progress.candidates;
    let asked = 0..cut.exchange.candidates.clamp(1, MAX_CANDIDATES);
    let indices: BTreeSet<u32> = asked.chain(candidates.keys().copied()).collect();
    indices.into_iter().filter(|index| candidates.get(index).is_none_or(Option::is_none))
}

/// An error in OpenAI's shape.
#[must_use]
pub fn error(error: &ApiError<'_>) -> Reply {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Inner<'a>,
    }
    #[derive(Serialize)]
    struct Inner<'a> {
        message: &'a str,
        r#type: &'a str,
        param: Option<&'a str>,
        code: &'a str,
    }
    let kind = match error.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let body = Body { error: Inner { message: error.message, r#type: kind, param: None, code: error.code } };
    Reply { status: error.status, content_type: JSON, body: json(&body) }
}

/// A value made here as JSON.
#[must_use]
pub fn json<T: Serialize>(value: &T) -> Bytes {
    // Only maps with odd keys and failing `Serialize` impls fail, and there are none of them here.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_refuse_a_temperature() {
        for model in ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.2", "openai/gpt-5-nano", "GPT-5-mini"] {
            assert!(fixed_temperature(model), "{model}");
        }
        for model in ["gpt-4o", "gpt-5-chat-latest", "gpt-5.2-chat", "o10k", "mistral-large", "openai/gpt-oss-120b"] {
            assert!(!fixed_temperature(model), "{model}");
        }
    }

    #[test]
    fn conversations_are_named_in_many_places() {
        let hints = |text: &str| hints(&serde_json::from_str(text).unwrap());
        assert_eq!(
            hints(r#"{"metadata":{"session_id":"s","user_id":"u"},"prompt_cache_key":"k"}"#).conversation.as_deref(),
            Some("s")
        );
        assert_eq!(hints(r#"{"prompt_cache_key":"k","metadata":7}"#).conversation.as_deref(), Some("k"));
        assert_eq!(hints(r#"{"conversation":{"id":"c"}}"#).conversation.as_deref(), Some("c"));
        assert_eq!(hints(r#"{"conversation":"c","user":"","safety_identifier":"i"}"#).user.as_deref(), Some("i"));
        assert_eq!(hints(r#"{"metadata":{"user_id":"u"}}"#).user.as_deref(), Some("u"));
    }

    #[test]
    fn deployments_name_models() {
        assert_eq!(model_in_path("/openai/deployments/gpt-4o%20x/chat/completions").as_deref(), Some("gpt-4o x"));
        assert_eq!(model_in_path("/v1/engines/davinci/completions").as_deref(), Some("davinci"));
        assert_eq!(model_in_path("/v1/chat/completions"), None);
    }
}

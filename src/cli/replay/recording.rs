//! Rows of recorded traffic: from a line of JSON to the request and the answer in it. Judges nothing.
//!
//! Two forms are read. The first keeps what was on the wire:
//! `{"id"?, "method"?, "path", "request_headers"?, "request_body", "status"?, "response_headers"?, "response_body"}`, a body in base64
//! where its key ends in `_base64`, headers as `[[name, value]…]` or as an object. The second is what applications log:
//! `{"id"?, "api"?, "path"?, "request", "response"}`, each the body itself, or `{"body", "headers"?, "path"?, "status"?}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialect::Api;
use crate::guard::Recorded;

/// A recorded exchange.
#[derive(Debug)]
pub(super) struct Recording {
    /// Given back as it is.
    pub(super) id: Option<Value>,
    /// The wire format, where the row says it in other ways than by its path.
    pub(super) api: Option<Api>,
    /// Request and answer.
    pub(super) exchange: Recorded,
}

/// Why a row cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordingError {
    /// Not JSON, or a field of a wrong type.
    #[error("column {column}: {message}")]
    Json {
        /// Where, in bytes from 1.
        column: usize,
        /// What.
        message: String,
    },
    /// There is no answer in it.
    #[error("there is no answer; give \"response\", \"response_body\" or \"response_body_base64\"")]
    NoAnswer,
    /// Nothing says what format it is in.
    #[error("cannot tell its wire format; add \"path\" (like \"/v1/chat/completions\") or \"api\" to the row, or pass --api")]
    NoFormat,
    /// A field that cannot be understood.
    #[error("\"{0}\" {1}")]
    Field(&'static str, &'static str),
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    api: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    request_headers: Headers,
    #[serde(default)]
    response_headers: Headers,
    #[serde(default)]
    request_body: Option<String>,
    #[serde(default)]
    request_body_base64: Option<String>,
    #[serde(default)]
    response_body: Option<String>,
    #[serde(default)]
    response_body_base64: Option<String>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Headers {
    #[default]
    None,
    List(Vec<(String, String)>),
    Object(std::collections::BTreeMap<String, String>),
}

/// `request` or `response`, where more than the body is kept.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(default)]
    method: Option<String>,
    #[serde(default, alias = "url")]
    path: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    headers: Option<Headers>,
}

impl Recording {
    /// Reads a row. `api`: the format of rows that do not say it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn read(line: &str, api: Option<Api>) -> Result<Self, RecordingError> {
        let row: Row<'_> = serde_json::from_str(line).map_err(|error| {
            let message = error.to_string();
            // The line's own number is known to whoever reads lines.
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
            RecordingError::Json { column: error.column(), message }
        })?;
        let wire = |text: Option<String>, base64: Option<String>, field| match (text, base64) {
            (_, Some(coded)) => STANDARD
                .decode(coded.trim())
                .map(|bytes| Some(Bytes::from(bytes)))
                .map_err(|_| RecordingError::Field(field, "is not base64")),
            (text, None) => Ok(text.map(Bytes::from)),
        };
        let mut request = Half::default();
        let mut response = Half::default();
        if let Some(body) = wire(row.request_body, row.request_body_base64, "request_body_base64")? {
            request.body = body;
        } else if let Some(raw) = row.request {
            request = Half::of(raw);
        }
        match wire(row.response_body, row.response_body_base64, "response_body_base64")? {
            Some(body) => response.body = body,
            None => response = Half::of(row.response.ok_or(RecordingError::NoAnswer)?),
        }
        let path = row.path.or(request.path);
        // Recordings may name a family of their own (`chat_completions`); their path says it better.
        let named = row.api.as_deref().and_then(Api::from_name);
        let api = named.or(api.filter(|_| path.is_none())).or_else(|| match path {
            Some(_) => None,
            None => guess(&request.body, &response.body),
        });
        let path = match (path, api) {
            (Some(path), _) => path,
            (None, Some(api)) => usual_path(api).to_owned(),
            (None, None) => return Err(RecordingError::NoFormat),
        };
        let (path, query) = split(&path);
        let method = match row.method.or(request.method) {
            None => Method::POST,
            Some(method) => {
                method.to_ascii_uppercase().parse().map_err(|_| RecordingError::Field("method", "is no HTTP method"))?
            }
        };
        let status = row.status.or(response.status).unwrap_or(200);
        let exchange = Recorded {
            method,
            path,
            query,
            request_headers: request.headers.unwrap_or(row.request_headers).into_map(),
            request: request.body,
            status: StatusCode::from_u16(status).map_err(|_| RecordingError::Field("status", "is no HTTP status"))?,
            response_headers: response.headers.unwrap_or(row.response_headers).into_map(),
            response: response.body,
        };
        Ok(Recording { id: row.id, api, exchange })
    }
}

/// One side of an exchange.
#[derive(Default)]
struct Half {
    body: Bytes,
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    headers: Option<Headers>,
}

impl Half {
    /// The body itself, or an envelope around it.
    fn of(raw: &RawValue) -> Self {
        let envelope = serde_json::from_str::<Envelope<'_>>(raw.get()).ok();
        // An API's own JSON may have a field `body`, but then none of these.
        let envelope =
            envelope.filter(|it| it.path.is_some() || it.status.is_some() || it.headers.is_some() || it.method.is_some());
        match envelope {
            None => Half { body: text_or_json(raw), ..Half::default() },
            Some(Envelope { body, method, path, status, headers }) => {
                Half { body: text_or_json(body), method, path, status, headers }
            }
        }
    }
}

/// A JSON string is a body as text (a stream, say); anything else is a body in JSON.
fn text_or_json(raw: &RawValue) -> Bytes {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => text.into(),
        Err(_) => Bytes::copy_from_slice(raw.get().as_bytes()),
    }
}

impl Headers {
    fn into_map(self) -> HeaderMap {
        let pairs: Vec<(String, String)> = match self {
            Headers::None => Vec::new(),
            Headers::List(list) => list,
            Headers::Object(object) => object.into_iter().collect(),
        };
        let read = |(name, value): (String, String)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(&value).ok()?))
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs.into_iter().filter_map(read) {
            map.append(name, value);
        }
        map
    }
}

/// The path of a path or URL, and its query.
fn split(target: &str) -> (String, Option<String>) {
    let after_scheme = target.split_once("://").map(|(_, rest)| rest);
    let target = after_scheme.map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    }
}

fn usual_path(api: Api) -> &'static str {
    match api {
        Api::OpenAiChat => "/v1/chat/completions",
        Api::OpenAiResponses => "/v1/responses",
        Api::OpenAiCompletions => "/v1/completions",
        Api::AnthropicMessages => "/v1/messages",
        Api::Gemini => "/v1beta/models/model:generateContent",
        Api::Ollama => "/api/chat",
        Api::CohereChat => "/v2/chat",
        Api::BedrockConverse => "/model/model/converse",
        Api::Custom => "/",
    }
}

/// The format of an exchange by what its bodies look like.
fn guess(request: &[u8], response: &[u8]) -> Option<Api> {
    let first = first_json(response).unwrap_or_default();
    let text = |key: &str| first[key].as_str().unwrap_or_default();
    let choice = &first["choices"][0];
    let by_answer = match text("object") {
        "chat.completion" | "chat.completion.chunk" => Some(Api::OpenAiChat),
        "text_completion" => Some(Api::OpenAiCompletions),
        "response" => Some(Api::OpenAiResponses),
        _ if matches!(text("type"), "message" | "message_start") => Some(Api::AnthropicMessages),
        _ if text("type").starts_with("response.") => Some(Api::OpenAiResponses),
        _ if first["candidates"].is_array() || first[0]["candidates"].is_array() => Some(Api::Gemini),
        _ if first["output"]["message"].is_object() => Some(Api::BedrockConverse),
        _ if first["done"].is_boolean() => Some(Api::Ollama),
        _ if choice["message"].is_object() || choice["delta"].is_object() => Some(Api::OpenAiChat),
        _ if choice["text"].is_string() => Some(Api::OpenAiCompletions),
        _ if first["generation_id"].is_string() || first["message"]["content"].is_array() => Some(Api::CohereChat),
        _ => None,
    };
    by_answer.or_else(|| {
        let request: Value = serde_json::from_slice(request).ok()?;
        let has = |key: &str| request.get(key).is_some();
        let by_request = [
            ("contents", Api::Gemini),
            ("input", Api::OpenAiResponses),
            ("messages", Api::OpenAiChat),
            ("prompt", Api::OpenAiCompletions),
        ];
        by_request.into_iter().find(|(key, _)| has(key)).map(|(_, api)| api)
    })
}

/// The body, or the first event of a stream.
fn first_json(body: &[u8]) -> Option<Value> {
    if let Ok(whole) = serde_json::from_slice(body) {
        return Some(whole);
    }
    let text = std::str::from_utf8(body).ok()?;
    let data = |line: &str| serde_json::from_str(line.strip_prefix("data:").unwrap_or(line).trim()).ok();
    text.lines().take(20).find_map(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(row: Value) -> Result<Recording, String> {
        Recording::read(&row.to_string(), None).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_on_the_wire_is_taken_as_it_is() {
        let row = serde_json::json!({
            "id": "a1", "api": "chat_completions", "method": "post", "path": "https://api.example.com/v1/chat/completions?x=1",
            "request_headers": [["content-type", "application/json"], ["x-a", "1"], ["x-a", "2"]],
            "request_body": "{\"model\": \"m\"}", "status": 429, "response_headers": {"content-type": "text/event-stream"},
            "response_body_base64": "ZGF0YTogW0RPTkVdCgo=", "expected_text": [""],
        });
        let Recording { id, api, exchange } = read(row).unwrap();
        assert_eq!((id, api), (Some("a1".into()), None), "the path says it");
        assert_eq!((exchange.path.as_str(), exchange.query.as_deref()), ("/v1/chat/completions", Some("x=1")));
        assert_eq!((exchange.method, exchange.status.as_u16()), (Method::POST, 429));
        assert_eq!((&exchange.request[..], &exchange.response[..]), (&b"{\"model\": \"m\"}"[..], &b"data: [DONE]\n\n"[..]));
        assert_eq!(exchange.request_headers.get_all("x-a").iter().count(), 2);
        assert_eq!(exchange.response_headers["content-type"], "text/event-stream");
    }

    #[test]
    fn bodies_alone_are_recognised_by_their_shape() {
        for (row, api) in [
            (r#"{"request": {"messages": []}, "response": {"choices": [{"message": {"content": "x"}}]}}"#, Api::OpenAiChat),
            (r#"{"request": {"prompt": "a"}, "response": {"choices": [{"text": "x"}]}}"#, Api::OpenAiCompletions),
            (r#"{"request": {"input": "a"}, "response": {"object": "response"}}"#, Api::OpenAiResponses),
            (r#"{"request": {"messages": []}, "response": {"type": "message", "content": []}}"#, Api::AnthropicMessages),
            (r#"{"request": {"contents": []}, "response": {"candidates": []}}"#, Api::Gemini),
            (r#"{"request": {"messages": []}, "response": {"message": {"content": "x"}, "done": true}}"#, Api::Ollama),
            (
                r#"{"request": {"messages": []}, "response": "data: {\"object\": \"chat.completion.chunk\"}\n\n"}"#,
                Api::OpenAiChat,
            ),
            (
                r#"{"request": {"messages": []}, "response": "event: message_start\ndata: {\"type\": \"message_start\"}\n\n"}"#,
                Api::AnthropicMessages,
            ),
            (r#"{"request": {"messages": []}, "response": {"unknown": 1}}"#, Api::OpenAiChat),
            (r#"{"api": "ollama", "response": {"unknown": 1}}"#, Api::Ollama),
        ] {
            let recording = Recording::read(row, None).unwrap_or_else(|error| panic!("{row}: {error}"));
            assert_eq!((recording.api, recording.exchange.path.as_str()), (Some(api), usual_path(api)), "{row}");
        }
        let named = Recording::read(r#"{"response": {"unknown": 1}}"#, Some(Api::Gemini)).unwrap();
        assert_eq!(named.api, Some(Api::Gemini));
    }

    #[test]
    fn a_body_keeps_its_bytes_and_may_stand_in_an_envelope() {
        let row = r#"{"request": {"path": "/v1/messages?beta=true", "headers": {"a": "b"}, "body": {"b" : 1,  "a": 1.0}},
                      "response": {"status": 529, "body": {"type":"error"}}}"#;
        let Recording { api, exchange, .. } = Recording::read(&row.replace('\n', ""), None).unwrap();
        assert_eq!((api, exchange.path.as_str(), exchange.status.as_u16()), (None, "/v1/messages", 529));
        assert_eq!(&exchange.request[..], br#"{"b" : 1,  "a": 1.0}"#);
        assert_eq!(exchange.request_headers["a"], "b");
        let own = read(serde_json::json!({ "api": "custom", "response": { "body": "mine" } })).unwrap();
        assert_eq!(&own.exchange.response[..], br#"{"body":"mine"}"#, "an answer of that shape is no envelope");
    }

    #[test]
    fn a_row_that_cannot_be_used_says_what_it_needs() {
        let error = |row: &str| Recording::read(row, None).unwrap_err().to_string();
        assert_eq!(error("{\"path\": 3}"), "column 10: invalid type: integer `3`, expected a string");
        assert!(error("{\"path\": \"/v1\"}").starts_with("there is no answer"));
        assert!(error("{\"request\": {}, \"response\": {}}").contains("--api"));
        assert_eq!(error("{\"response_body_base64\": \"?\", \"path\": \"/\"}"), "\"response_body_base64\" is not base64");
        assert_eq!(error("{\"response\": {}, \"path\": \"/\", \"status\": 7}"), "\"status\" is no HTTP status");
    }
}

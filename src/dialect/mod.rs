//! Wire formats: how each LLM API spells a request, an answer, a stream, a refusal and an error.
//!
//! One file a format behind [`Dialect`]; adding one touches that file, one line in [`Dialects::builtin`] and its fixtures.
//! Stateless and pure: no IO, no clock. What a stream has said so far lives in [`Facts`] and [`Progress`], kept by the inspector.

pub mod anthropic_complete;
pub mod anthropic_messages;
pub mod bedrock;
pub mod cohere;
pub mod custom;
pub mod exchange;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gemini;
pub mod gemini_interactions;
#[cfg(test)]
mod hiding;
pub mod json;
pub mod names;
pub mod ollama;
pub mod openai;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_responses;
pub mod partial_json;
pub mod path;
pub mod reading;
pub mod tgi;
pub mod timestamp;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

pub use exchange::{Amendment, Exchange, SessionHints, Turn};
pub use reading::{Block, Delta, Extent, Facts, Mark, Progress, Reading, Released};

use crate::frame::{Event, Framing};

/// A wire format's name, as in `api = "…"`, metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// OpenAI Chat Completions and its many relatives.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// OpenAI legacy Completions (base models).
    OpenAiCompletions,
    /// Anthropic Messages.
    AnthropicMessages,
    /// Gemini and Vertex `generateContent`.
    Gemini,
    /// Ollama chat and generate.
    Ollama,
    /// Cohere v1 and v2 chat.
    CohereChat,
    /// Bedrock Converse and InvokeModel.
    BedrockConverse,
    /// A format described in the configuration.
    Custom,
}

impl Api {
    /// Every api.
    pub const ALL: [Api; 9] = [
        Api::OpenAiChat,
        Api::OpenAiResponses,
        Api::OpenAiCompletions,
        Api::AnthropicMessages,
        Api::Gemini,
        Api::Ollama,
        Api::CohereChat,
        Api::BedrockConverse,
        Api::Custom,
    ];

    /// The public name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Api::OpenAiChat => "openai-chat",
            Api::OpenAiResponses => "openai-responses",
            Api::OpenAiCompletions => "openai-completions",
            Api::AnthropicMessages => "anthropic-messages",
            Api::Gemini => "gemini",
            Api::Ollama => "ollama",
            Api::CohereChat => "cohere-chat",
            Api::BedrockConverse => "bedrock-converse",
            Api::Custom => "custom",
        }
    }

    /// The api of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Api> {
        Api::ALL.into_iter().find(|api| api.as_str() == name)
    }
}

/// Bytes that a dialect could not understand. Never quotes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// Not the shape the format has.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The format has no place for what was asked (say, a reminder in a signed request).
    #[error("{0} cannot be changed in this wire format")]
    Unsupported(&'static str),
}

/// What a request is to a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Not this format.
    No,
    /// This format, and its answers hold text to judge.
    Judged,
    /// This api, but an endpoint without assistant text (token counts, model lists): passes untouched.
    Textless,
}

/// The head of a request, as a dialect sees it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path without its query, undecoded.
    pub path: &'a str,
    /// The query, if any.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A whole answer made by the gateway in a format's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// What a refusal (before the first byte left) is made of.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The request.
    pub exchange: &'a Exchange,
    /// What the upstream's answer said of itself (id, model, …); empty if it never came.
    pub facts: &'a Facts,
    /// Whether the client gets a stream.
    pub stream: bool,
    /// The text shown to the reader: the policy's `block.message`.
    pub message: &'a str,
    /// The gateway's request id (a ULID), for ids that the upstream did not give.
    pub request_id: &'a str,
    /// Seconds since 1970, for `created` fields that the upstream did not give.
    pub now: u64,
}

/// What the end of a cut stream (after bytes left) is made of.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    /// The request.
    pub exchange: &'a Exchange,
    /// What the upstream's answer said of itself.
    pub facts: &'a Facts,
    /// What of the stream was released: open blocks, finished candidates, sequence numbers, texts.
    pub progress: &'a Progress,
    /// The rule that cut, for the SSE comment; `None` leaves the comment out.
    pub rule: Option<&'a str>,
    /// Seconds since 1970.
    pub now: u64,
}

/// An error in a format's own shape.
#[derive(Clone, Copy, Debug)]
pub struct ApiError<'a> {
    /// The status.
    pub status: StatusCode,
    /// A machine-readable code (`content_filter`, `upstream_unreachable`, `route_not_found`, …).
    pub code: &'a str,
    /// A sentence for people. Never holds matched text.
    pub message: &'a str,
    /// The gateway's request id.
    pub request_id: &'a str,
}

/// A wire format.
pub trait Dialect: Send + Sync + 'static {
    /// Its name.
    fn api(&self) -> Api;

    /// Whether a request is in this format, by path (its tail: hosts add prefixes) and headers. `segments`: those of the head's path as
    /// servers read them ([`path::split`]), in lower case.
    fn recognise_at(&self, head: &RequestHead<'_>, segments: &[&str]) -> Recognised;

    /// The same where the path has not been read yet.
    fn recognise(&self, head: &RequestHead<'_>) -> Recognised {
        self.recognise_at(head, &path::split(&path::canonical(head.path)))
    }

    /// Reads what the request asks. An empty body (a `GET`) is a request too. Unknown or odd fields are ignored;
    /// only a body that is not this format at all is an error.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where the body is not JSON or not an object.
    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError>;

    /// How a successful answer is framed, where the content type alone would mislead. `None`: sniff ([`Framing::sniff`]).
    fn framing(&self, exchange: &Exchange, content_type: Option<&str>) -> Option<Framing> {
        let _ = (exchange, content_type);
        None
    }

    /// Reads a whole (unary) JSON answer.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where it cannot be understood: the text in it could not be judged.
    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError>;

    /// Reads one event of a stream. Events without text push nothing. Unknown event types are ignored.
    ///
    /// # Errors
    /// [`DialectError::Malformed`] where its data cannot be understood.
    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError>;

    /// Changes a request for another attempt by splicing its JSON: a reminder in the format's own place for instructions,
    /// another temperature, another model. Everything else stays byte for byte.
    ///
    /// # Errors
    /// [`DialectError::Unsupported`] where the format has no place for it, [`DialectError::Malformed`] where the body is not JSON.
    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError>;

    /// An answer in place of the model's, before anything left: the API's own refusal or content-filter ending,
    /// unary or streamed as the client expects, such that the official SDK returns normally.
    fn refusal(&self, refusal: &Refusal<'_>) -> Reply;

    /// The end of a stream of which a part has left: closes every open block and gives the native filter reason.
    /// For SSE, ends with the comment `: steadfast verdict=block rule="…"` where a rule is given ([`reading::sse_comment`]).
    fn epilogue(&self, cut: &Cut<'_>) -> Bytes;

    /// An error in this API's shape.
    fn error(&self, error: &ApiError<'_>) -> Reply;
}

/// The known formats, in the order they are asked.
#[derive(Clone)]
pub struct Dialects(Vec<Arc<dyn Dialect>>);

impl Dialects {
    /// Every format that ships.
    #[must_use]
    pub fn builtin() -> Self {
        Dialects(vec![
            Arc::new(openai_chat::OpenAiChat),
            Arc::new(openai_completions::OpenAiCompletions),
            Arc::new(openai_responses::OpenAiResponses),
            Arc::new(anthropic_messages::AnthropicMessages),
            Arc::new(anthropic_complete::AnthropicComplete),
            Arc::new(bedrock::Bedrock),
            Arc::new(gemini::Gemini),
            Arc::new(gemini_interactions::GeminiInteractions),
            Arc::new(ollama::Ollama::Chat),
            Arc::new(ollama::Ollama::Generate),
            Arc::new(cohere::Cohere),
            Arc::new(tgi::Generation),
        ])
    }

    /// These formats and no others.
    #[must_use]
    pub fn new(dialects: Vec<Arc<dyn Dialect>>) -> Self {
        Dialects(dialects)
    }

    /// Adds a format, asked before the others.
    #[must_use]
    pub fn with(mut self, dialect: Arc<dyn Dialect>) -> Self {
        self.0.insert(0, dialect);
        self
    }

    /// The format of a request and whether its answer holds text; `None` where no format knows it.
    #[must_use]
    pub fn recognise(&self, head: &RequestHead<'_>) -> Option<(&Arc<dyn Dialect>, Recognised)> {
        // Read once for all of them: most are asked in vain.
        let canonical = path::canonical(head.path);
        let segments = path::split(&canonical);
        self.0.iter().find_map(|dialect| match dialect.recognise_at(head, &segments) {
            Recognised::No => None,
            found => Some((dialect, found)),
        })
    }

    /// The format of a request to an api that is known: of those that go by that name the one that knows the request, else the first.
    #[must_use]
    pub fn recognise_as(&self, api: Api, head: &RequestHead<'_>) -> Option<(&Arc<dyn Dialect>, Recognised)> {
        let named = || self.0.iter().filter(|dialect| dialect.api() == api);
        let known = named().find_map(|dialect| match dialect.recognise(head) {
            Recognised::No => None,
            found => Some((dialect, found)),
        });
        known.or_else(|| named().next().map(|dialect| (dialect, Recognised::Judged)))
    }

    /// The format of that name.
    #[must_use]
    pub fn named(&self, api: Api) -> Option<&Arc<dyn Dialect>> {
        self.0.iter().find(|dialect| dialect.api() == api)
    }
}

impl std::fmt::Debug for Dialects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|dialect| dialect.api().as_str())).finish()
    }
}

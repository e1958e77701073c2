//! What a request says, in words common to every format.

use super::Api;
use crate::frame::Framing;
use crate::text::Str;

/// One turn of the conversation that the client sent along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether the assistant said it (else the user, a tool or the system).
    pub assistant: bool,
    /// XXH3 of its text: enough to tie conversations together, nothing to leak.
    pub digest: u64,
}

/// What may name the conversation, in the order formats offer it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHints {
    /// `user`, `metadata.user_id`, `safety_identifier`: who asks.
    pub user: Option<Str>,
    /// `conversation`, `conversation.id`, `prompt_cache_key`, `metadata.session_id`: which conversation.
    pub conversation: Option<Str>,
    /// `previous_response_id`: the answer this request continues.
    pub previous: Option<Str>,
}

/// One request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The format.
    pub api: Api,
    /// Which of the format's shapes the request is in, where it has several (of Bedrock the model family, of Cohere the version).
    pub variant: Option<&'static str>,
    /// The model asked for (from the body or, where the format puts it there, the path).
    pub model: Option<Str>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// How it asked for the stream to be framed, where the format leaves that to the client (Gemini's `alt=sse`).
    pub framing: Option<Framing>,
    /// How many answers it asked for (`n`, `candidateCount`, prompts); at least 1.
    pub candidates: u32,
    /// The system prompt's text (all system and developer parts before the first user turn joined by a line feed), if any.
    pub system: Option<Str>,
    /// The text of the last user turn, if any.
    pub user: Option<Str>,
    /// Whether the client will parse the answer: a forced tool call or a JSON schema.
    pub structured: bool,
    /// Earlier turns (system prompt excluded), oldest first, the last user turn included.
    pub history: Vec<Turn>,
    /// What may name the conversation.
    pub hints: SessionHints,
}

impl Exchange {
    /// A request of which nothing is known but its format.
    #[must_use]
    pub fn unknown(api: Api) -> Self {
        Exchange {
            api,
            variant: None,
            model: None,
            stream: false,
            framing: None,
            candidates: 1,
            system: None,
            user: None,
            structured: false,
            history: Vec::new(),
            hints: SessionHints::default(),
        }
    }
}

/// What another attempt changes in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amendment<'a> {
    /// The persona's reminder, added where the format keeps instructions.
    pub reminder: Option<&'a str>,
    /// The sampling temperature.
    pub temperature: Option<f32>,
    /// The model (a fallback upstream may call it differently).
    pub model: Option<&'a str>,
}

impl Amendment<'_> {
    /// Whether the request stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reminder.is_none() && self.temperature.is_none() && self.model.is_none()
    }
}

//! Ollama's own API: `/api/chat` and `/api/generate`, streamed as one JSON object a line unless the request says otherwise. (Its
//! OpenAI-compatible paths are OpenAI's formats.)
//!
//! The two endpoints differ in where the text is, so each is a [`Dialect`]; both go by the name of `ollama`.

mod read;
mod request;
mod write;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;

use super::path;
use super::{
    Amendment, Api, ApiError, Cut, Dialect, DialectError, Exchange, Facts, Reading, Recognised, Refusal, Reply, RequestHead,
};
use crate::frame::{Event, Framing};

/// One of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ollama {
    /// `/api/chat`: messages.
    Chat,
    /// `/api/generate`: a prompt.
    Generate,
}

impl Dialect for Ollama {
    fn api(&self) -> Api {
        Api::Ollama
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        let endpoint = match tail {
            [.., "api", "chat"] => Ollama::Chat,
            [.., "api", "generate"] => Ollama::Generate,
            [
                ..,
                "api",
                "tags" | "show" | "ps" | "version" | "pull" | "push" | "create" | "copy" | "delete" | "embed" | "embeddings"
                | "web_search" | "web_fetch",
            ]
            | [.., "api", "blobs", _] => return Recognised::Textless,
            _ => return Recognised::No,
        };
        match *head.method {
            _ if endpoint != *self => Recognised::No,
            Method::POST => Recognised::Judged,
            ref method if path::textless(method) => Recognised::Textless,
            _ => Recognised::No,
        }
    }

    fn read_request(&self, _: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        request::read(body)
    }

    fn framing(&self, exchange: &Exchange, content_type: Option<&str>) -> Option<Framing> {
        // Without its label a line looks like a document.
        let labelled = content_type.is_some_and(|kind| kind.contains("json") || kind.contains("event-stream"));
        (exchange.stream && !labelled).then_some(Framing::Ndjson)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        read::reply(body, facts, out)
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        read::event(&event.data, facts, out)
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        request::amend(*self, body, amendment)
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        write::refusal(*self, refusal)
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        write::epilogue(*self, cut)
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        write::error(error)
    }
}

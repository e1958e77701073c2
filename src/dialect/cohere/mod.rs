//! Cohere: chat of both versions, and the first version's text generation. Knows no host of it; Bedrock reads its answers with this.
//!
//! The second version answers with a message of content parts, streamed as server-sent events that open and close them. The first
//! answers with one text, streamed as lines, the last of which repeats the whole answer; generation may give several texts.
//!
//! `/v1/chat` is also Writer's path, in the shape of Chat Completions. Cohere's own clients name themselves; for others give the route
//! `api = "cohere-chat"`.

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
use crate::frame::Event;

/// [`Exchange::variant`] of the first version's chat.
pub(super) const V1: &str = "v1";
/// [`Exchange::variant`] of the first version's generation.
pub(super) const GENERATE: &str = "generate";

/// The Cohere formats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cohere;

impl Dialect for Cohere {
    fn api(&self) -> Api {
        Api::CohereChat
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        let found = match tail {
            [.., "v1" | "v2", "chat"] | [.., "v1", "generate"] => Recognised::Judged,
            [.., "v1" | "v2", "embed" | "rerank" | "tokenize" | "detokenize" | "classify" | "check-api-key"] => {
                Recognised::Textless
            }
            _ => return Recognised::No,
        };
        match *head.method {
            Method::POST => found,
            ref method if path::textless(method) => Recognised::Textless,
            _ => Recognised::No,
        }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        request::read(head, body)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        read::reply(body, facts, out)
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        read::event(&event.data, facts, out)
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        request::amend(body, amendment)
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        match refusal.exchange.variant {
            Some(V1 | GENERATE) => write::first::refusal(refusal),
            _ => write::second::refusal(refusal),
        }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        match cut.exchange.variant {
            Some(V1 | GENERATE) => write::first::epilogue(cut),
            _ => write::second::epilogue(cut),
        }
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        write::error(error)
    }
}

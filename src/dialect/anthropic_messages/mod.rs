//! Anthropic Messages: the native API, the hosts that speak it, and Claude on Vertex (`:rawPredict`, `:streamRawPredict`).
//!
//! An answer is one candidate: a list of content blocks (text, thinking, tool calls), which a stream opens and closes one by one.

mod read;
mod request;
mod write;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;

use super::{
    Amendment, Api, ApiError, Cut, Dialect, DialectError, Exchange, Facts, Reading, Recognised, Refusal, Reply, RequestHead,
};
use crate::frame::Event;

pub(super) use write::{JSON, SSE, error};

/// The Anthropic Messages format.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnthropicMessages;

impl Dialect for AnthropicMessages {
    fn api(&self) -> Api {
        Api::AnthropicMessages
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        // Some of these paths other APIs have too; the SDKs send this header with every request. But anybody can send it, so it
        // must not make an answer of another format textless.
        let named = head.headers.contains_key("anthropic-version");
        let found = match tail {
            [.., "messages", "count_tokens"] => Recognised::Textless,
            // Answers in a form that is not read: not judged, so they follow the policy's `on_unknown` and are counted.
            [.., "messages", "batches", _, "results"] => return Recognised::No,
            [.., "messages", "batches"] | [.., "messages", "batches", _] | [.., "messages", "batches", _, _] => {
                Recognised::Textless
            }
            [.., "v1", "messages"] => Recognised::Judged,
            [.., "messages"] if named => Recognised::Judged,
            [.., "anthropic", "models", model] => match model.rsplit_once(':') {
                Some(("count-tokens", "rawpredict")) => Recognised::Textless,
                Some((_, "rawpredict" | "streamrawpredict")) => Recognised::Judged,
                _ => return Recognised::No,
            },
            [.., "v1", "models"] | [.., "v1", "models", _] if named && *head.method == Method::GET => Recognised::Textless,
            // A file's content may be a batch's output, on a host that lists both APIs: it follows `on_unknown` too.
            [.., "v1", "files"] | [.., "v1", "files", _] if named => Recognised::Textless,
            _ => return Recognised::No,
        };
        if [Method::OPTIONS, Method::HEAD].contains(head.method) { Recognised::Textless } else { found }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        request::read(head, body)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        read::reply(body, facts, out)
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        read::event(event, facts, out)
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        request::amend(body, amendment)
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        write::refusal(refusal)
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        write::epilogue(cut)
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        write::error(error)
    }
}

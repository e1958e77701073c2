//! OpenAI Responses, and the hosts that speak it (Azure, xAI, DeepSeek, OpenRouter, Copilot, Codex, Bedrock).
//!
//! An answer is one candidate: a list of output items (messages, reasoning, tool calls). In background mode the `POST` returns a
//! queued object without text and the text comes from `GET /responses/<id>`, so that is judged too, and so is cancelling, which
//! returns the same object, and what an answer was given (`input_items`), among which are the answers before it.

mod read;
mod request;
mod shape;
mod write;

/// [`Exchange::variant`]: what an answer was given is asked for, a list.
const ITEMS: &str = "items";

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;

use super::openai;
use super::{
    Amendment, Api, ApiError, Cut, Dialect, DialectError, Exchange, Facts, Reading, Recognised, Refusal, Reply, RequestHead,
};
use crate::frame::Event;

/// The OpenAI Responses format.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn api(&self) -> Api {
        Api::OpenAiResponses
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        let found = match tail {
            [.., "responses", "compact" | "input_tokens"] => Recognised::Textless,
            [.., "responses", _] if *head.method == Method::DELETE => Recognised::Textless,
            // Earlier answers are among what an answer was given, withheld ones too.
            [.., "responses"] | [.., "responses", _] | [.., "responses", _, "cancel" | "input_items"] => Recognised::Judged,
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
        openai::error(error)
    }
}

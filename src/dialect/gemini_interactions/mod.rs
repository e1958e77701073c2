//! Gemini's Interactions API: `/interactions`, answers made of steps, streamed as `step.*` events; also its first version, whose answers
//! were made of `outputs` and `content.*` events.
//!
//! It goes by the name of `gemini`, whose errors it shares. An interaction is one candidate. In the background the `POST` returns no text
//! and the text comes from a `GET`, so that is judged too, and so is cancelling, which returns the same object.

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
use super::{gemini, path};
use crate::frame::Event;

/// The Interactions format.
#[derive(Clone, Copy, Debug, Default)]
pub struct GeminiInteractions;

impl Dialect for GeminiInteractions {
    fn api(&self) -> Api {
        Api::Gemini
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        // The word is common: only below a version, or a location of Vertex.
        let place = match tail {
            [place @ .., "interactions"] | [place @ .., "interactions", _] | [place @ .., "interactions", _, "cancel"] => place,
            _ => return Recognised::No,
        };
        match place {
            [.., version] if matches!(*version, "v1" | "v1alpha" | "v1beta" | "v1beta1") => {}
            [.., "locations", _] => {}
            _ => return Recognised::No,
        }
        match *head.method {
            Method::POST | Method::GET => Recognised::Judged,
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
        gemini::error(error)
    }
}

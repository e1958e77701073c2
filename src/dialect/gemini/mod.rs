//! Gemini and Vertex AI `generateContent` and `streamGenerateContent`, under whatever path the host puts before the method.
//!
//! A stream is a run of whole answers whose parts continue each other, as server-sent events (`alt=sse`) or as one JSON array. It has
//! no end mark of its own, and the official Python client takes every line that is no `data:` for JSON: no comment may be sent.

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

pub(super) use write::{JSON, SSE, error};

/// The Gemini format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gemini;

impl Dialect for Gemini {
    fn api(&self) -> Api {
        Api::Gemini
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        let found = match tail.last().and_then(|last| last.rsplit_once(':')) {
            Some((_, "generatecontent" | "streamgeneratecontent")) => Recognised::Judged,
            Some((
                _,
                "counttokens"
                | "computetokens"
                | "embedcontent"
                | "batchembedcontents"
                | "asyncbatchembedcontent"
                | "uploadtofilesearchstore"
                | "importfile",
            )) => Recognised::Textless,
            // Older models answer `:predict` with text, embedding models with numbers.
            Some((model, "predict")) if model.contains("embedding") => Recognised::Textless,
            Some(_) => return Recognised::No,
            None => {
                let named = head.headers.contains_key("x-goog-api-key") || path::parameter(head.query, "key").is_some();
                let version = |name: &str| matches!(name, "v1beta" | "v1alpha" | "v1beta1") || (name == "v1" && named);
                match tail {
                    // `…/v1beta/cachedContents/ID`, on Vertex below a project and a location; stores hold documents and operations.
                    [.., "cachedcontents"] | [.., "cachedcontents", _] => Recognised::Textless,
                    [.., at, "filesearchstores"]
                    | [.., at, "filesearchstores", _]
                    | [.., at, "filesearchstores", _, _]
                    | [.., at, "filesearchstores", _, _, _]
                        if version(at) =>
                    {
                        Recognised::Textless
                    }
                    [.., at, "models"] | [.., at, "models", _] if version(at) && *head.method == Method::GET => {
                        Recognised::Textless
                    }
                    [.., at, "files"] | [.., at, "files", _] if version(at) => Recognised::Textless,
                    _ => return Recognised::No,
                }
            }
        };
        if [Method::OPTIONS, Method::HEAD].contains(head.method) { Recognised::Textless } else { found }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        request::read(head, body)
    }

    fn framing(&self, exchange: &Exchange, content_type: Option<&str>) -> Option<Framing> {
        let events = content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
        exchange.framing.filter(|framing| *framing == Framing::JsonArray && !events)
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

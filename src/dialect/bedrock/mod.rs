//! Amazon Bedrock: Converse and InvokeModel, whole and streamed.
//!
//! A Converse answer is one candidate: a list of content blocks (text, reasoning, tool calls), which a stream of binary frames brings
//! piece by piece. InvokeModel speaks each model family's own JSON, many of them that of another API, whose reader then reads it. The
//! model and whether the client gets a stream are in the path.
//!
//! Most clients sign their requests (AWS Signature Version 4). The signature covers the path, the host and the body, so the guard
//! sends a signed request on as it came, and again only as it came: a retry asks the same thing once more, while its date is fresh
//! (five minutes). A reminder, another temperature or another model would be refused by AWS, so the guard does not try them there
//! and the configuration refuses them for routes whose api is `bedrock-converse`. Requests with a Bedrock API key
//! (`authorization: Bearer …`, the client's or the gateway's own) are changed like any other: [`Dialect::amend`] is for those.

mod converse;
mod family;
mod invoke;
mod invoke_write;
mod request;
mod write;

#[cfg(test)]
mod invoke_tests;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;

use super::{
    Amendment, Api, ApiError, Cut, Dialect, DialectError, Exchange, Facts, Reading, Recognised, Refusal, Reply, RequestHead,
};
use crate::frame::Event;
use family::Family;

/// Models that give no text: their answers are not held, whatever they weigh.
const TEXTLESS: [&str; 6] = [
    "amazon.titan-embed-",
    "amazon.nova-2-multimodal-embeddings-",
    "cohere.embed-",
    "twelvelabs.marengo-embed-",
    "amazon.rerank-",
    "cohere.rerank-",
];

/// [`Exchange::variant`] of an InvokeModel request of which nobody can say the family; `None` is Converse.
const INVOKE: &str = "invoke";

/// The Bedrock runtime's formats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bedrock;

impl Dialect for Bedrock {
    fn api(&self) -> Api {
        Api::BedrockConverse
    }

    fn recognise_at(&self, head: &RequestHead<'_>, tail: &[&str]) -> Recognised {
        // A model may be named by an ARN, which holds slashes.
        let of_model = tail.iter().position(|segment| *segment == "model").is_some_and(|at| at + 2 < tail.len());
        let found = match tail.last() {
            Some(&("converse" | "converse-stream")) if of_model => Recognised::Judged,
            Some(&("invoke" | "invoke-with-response-stream")) if of_model => {
                // Names that only AWS gives, with or without a region before them.
                let named = |model: &str| TEXTLESS.iter().any(|name| model.starts_with(name));
                let model = tail[tail.len() - 2];
                let textless = named(model) || model.split_once('.').is_some_and(|(_, model)| named(model));
                if textless { Recognised::Textless } else { Recognised::Judged }
            }
            Some(&"count-tokens") if of_model => Recognised::Textless,
            // The answer is put into a bucket.
            Some(&"async-invoke") if tail.len() == 1 => Recognised::Textless,
            // It gives back what it was given.
            Some(&"apply") if matches!(tail, ["guardrail", _, "version", _, "apply"]) => Recognised::Textless,
            _ => return Recognised::No,
        };
        if [Method::OPTIONS, Method::HEAD].contains(head.method) { Recognised::Textless } else { found }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        request::read(head, body)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        invoke::reply(body, facts, out)
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        if invoke::is_chunk(event) {
            return invoke::chunk(event, facts, out);
        }
        converse::event(&event.name, &event.data, facts, out)
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        request::amend(body, amendment)
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        match refusal.exchange.variant {
            Some(INVOKE) => invoke_write::refusal(None, refusal),
            Some(name) => invoke_write::refusal(Family::named(name), refusal),
            None => write::refusal(refusal),
        }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        match cut.exchange.variant {
            Some(INVOKE) => invoke_write::epilogue(None, cut),
            Some(name) => invoke_write::epilogue(Family::named(name), cut),
            None => write::epilogue(cut),
        }
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        write::error(error)
    }
}

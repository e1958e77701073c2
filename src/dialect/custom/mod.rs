//! A wire format that its operator describes: where an answer's texts are, how a stream is framed and how it ends, and what a withheld
//! answer looks like. Knows no configuration file: it is given a [`Spec`].
//!
//! An answer is one candidate; where a pointer finds several texts, they are read as one. Text of another type than a string, and an
//! answer or a stream's end before which nothing was found, are errors, so that an API that changes does not pass unjudged.

mod check;
mod pointer;
mod template;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

pub use check::Fault;
pub use pointer::Pointer;
pub use template::{Template, Values};

use super::json::{Raw, number, quote};
use super::reading::sse_comment;
use super::{
    Amendment, Api, ApiError, Cut, Delta, Dialect, DialectError, Exchange, Extent, Facts, Mark, Reading, Recognised, Refusal,
    Reply, RequestHead, Turn, path,
};
use crate::frame::{Event, Framing};
use crate::text::{Channel, Str};
pub(super) use pointer::root;

const REQUEST: &str = "request";
const TEXT: &str = "text where the format was said to have some";
const NOTHING: DialectError = DialectError::Malformed("answer: nothing is where the format was said to have it");

/// A format's description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// Its name, for people.
    pub name: String,
    /// Tails of paths whose answers are judged; a segment `*` is any one.
    pub paths: Vec<String>,
    /// Tails of paths whose answers are streams, whatever the request says.
    pub stream_paths: Vec<String>,
    /// Tails of paths without assistant text.
    pub textless: Vec<String>,
    /// The request.
    pub request: RequestSpec,
    /// The whole answer.
    pub answer: AnswerSpec,
    /// The stream, if there is one.
    pub stream: Option<StreamSpec>,
    /// What a withheld answer is replaced by.
    pub block: BlockSpec,
}

/// Where things are in a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestSpec {
    /// The model.
    pub model: Option<Pointer>,
    /// Instructions. Also where a reminder goes.
    pub system: Option<Pointer>,
    /// What the user says; of several the last.
    pub user: Option<Pointer>,
    /// Whether a stream is asked for.
    pub stream: Option<Pointer>,
    /// The sampling temperature.
    pub temperature: Option<Pointer>,
    /// What names the conversation.
    pub conversation: Option<Pointer>,
}

/// Where things are in an answer, or in a stream's event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerSpec {
    /// What the reader sees.
    pub text: Vec<Pointer>,
    /// Reasoning.
    pub reasoning: Vec<Pointer>,
    /// Arguments of tool calls: text or JSON.
    pub tools: Vec<Pointer>,
    /// Why the answer ended.
    pub finish: Option<Pointer>,
    /// The answer's id.
    pub id: Option<Pointer>,
    /// The model that answered.
    pub model: Option<Pointer>,
    /// An error; where it is there, an answer needs no text.
    pub error: Option<Pointer>,
}

/// A stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSpec {
    /// [`Framing::Sse`] or [`Framing::Ndjson`].
    pub framing: Framing,
    /// Where things are in an event.
    pub event: AnswerSpec,
    /// Texts that repeat the whole answer so far.
    pub whole: Vec<Pointer>,
    /// The data of the event that ends it, where that is no JSON (`[DONE]`).
    pub done: Option<String>,
    /// Names of events that hold no text, and need not be JSON.
    pub ignore: Vec<String>,
}

/// What a withheld answer is replaced by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockSpec {
    /// In place of a whole answer.
    pub answer: Option<Template>,
    /// In place of a stream.
    pub stream: Option<Template>,
    /// The end of a stream of which a part has left.
    pub cut: Option<Template>,
    /// An error.
    pub error: Option<Template>,
}

/// A described format.
#[derive(Clone, Debug)]
pub struct Custom {
    spec: Spec,
    paths: Vec<Vec<String>>,
    stream_paths: Vec<Vec<String>>,
    textless: Vec<Vec<String>>,
}

impl Custom {
    /// The format of a description, which is tried out first: what the gateway would say in the model's place must be readable as the
    /// description says answers are.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(spec: Spec) -> Result<Self, Vec<Fault>> {
        let tails = |paths: &[String]| paths.iter().map(|path| path::segments(path)).collect();
        let (paths, stream_paths, textless) = (tails(&spec.paths), tails(&spec.stream_paths), tails(&spec.textless));
        let custom = Custom { spec, paths, stream_paths, textless };
        let faults = check::faults(&custom);
        if faults.is_empty() { Ok(custom) } else { Err(faults) }
    }

    /// Its description.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    fn streams(&self, path: &str) -> bool {
        ends_in(&path::segments(path), &self.stream_paths)
    }

    /// Reads what a document says; whether it has anything where something was said to be.
    fn read<'a>(spec: &AnswerSpec, document: Raw<'a>, facts: &mut Facts, out: &mut Reading<'a>) -> Result<bool, DialectError> {
        let mut found = false;
        for (pointers, channel) in
            [(&spec.text, Channel::Answer), (&spec.reasoning, Channel::Reasoning), (&spec.tools, Channel::ToolCall)]
        {
            for pointer in pointers {
                for raw in pointer.find(document)? {
                    found = true;
                    let text = match channel {
                        Channel::ToolCall if !raw.is_string() && !raw.is_null() => Some(Cow::Borrowed(raw.json())),
                        _ => raw.text(TEXT)?,
                    };
                    if let Some(text) = text.filter(|text| !text.is_empty()) {
                        out.deltas.push(Delta::append(0, channel, 0, text));
                    }
                }
            }
        }
        let said = |pointer: &Option<Pointer>| pointer.as_ref().and_then(|pointer| pointer.last(document));
        facts.id = said(&spec.id).and_then(Raw::shared).or_else(|| facts.id.take());
        facts.model = said(&spec.model).and_then(Raw::shared).or_else(|| facts.model.take());
        facts.said |= found;
        if said(&spec.error).is_some() {
            facts.said = true;
            out.marks.push(Mark::Error);
        }
        if let Some(reason) = said(&spec.finish) {
            let reason = reason.shared().unwrap_or_else(|| Str::from(reason.json()));
            if !matches!(&*reason, "" | "false") {
                out.marks.push(Mark::Finish { candidate: 0, reason });
            }
        }
        Ok(found || !out.marks.is_empty())
    }

    fn render(&self, template: &Option<Template>, values: &Values<'_>) -> String {
        template.as_ref().map(|template| template.render(values)).unwrap_or_default()
    }
}

impl Dialect for Custom {
    fn api(&self) -> Api {
        Api::Custom
    }

    fn recognise_at(&self, head: &RequestHead<'_>, segments: &[&str]) -> Recognised {
        if ends_in(segments, &self.textless) {
            return Recognised::Textless;
        }
        if !ends_in(segments, &self.paths) && !ends_in(segments, &self.stream_paths) {
            return Recognised::No;
        }
        if [Method::OPTIONS, Method::HEAD].contains(head.method) { Recognised::Textless } else { Recognised::Judged }
    }

    fn read_request(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<Exchange, DialectError> {
        let mut exchange = Exchange::unknown(Api::Custom);
        exchange.stream = self.streams(head.path);
        if body.trim_ascii().is_empty() {
            return Ok(exchange);
        }
        let document = root(body)?;
        let request = &self.spec.request;
        let last = |pointer: &Option<Pointer>| pointer.as_ref().and_then(|pointer| pointer.last(document));
        // Routes may be chosen by it, so it must be one.
        let model = request.model.as_ref().map_or(Ok(Vec::new()), |pointer| pointer.find(document))?.pop();
        exchange.model = model.and_then(Raw::shared);
        exchange.stream |= last(&request.stream).and_then(Raw::bool) == Some(true);
        let found = request.system.as_ref().and_then(|pointer| pointer.find(document).ok()).unwrap_or_default();
        let system: Vec<Str> = found.into_iter().filter_map(Raw::shared).filter(|text| !text.is_empty()).collect();
        exchange.system = (!system.is_empty()).then(|| Str::from(system.join("\n")));
        exchange.user = last(&request.user).and_then(Raw::shared);
        exchange.hints.conversation = last(&request.conversation).and_then(Raw::shared);
        exchange.history.extend(exchange.user.iter().map(|text| Turn { assistant: false, digest: xxh3_64(text.as_bytes()) }));
        Ok(exchange)
    }

    fn framing(&self, exchange: &Exchange, _content_type: Option<&str>) -> Option<Framing> {
        // Lines look like one document, and are often called that; server-sent events look like nothing else.
        let stream = self.spec.stream.as_ref().filter(|_| exchange.stream)?;
        (stream.framing == Framing::Ndjson).then_some(Framing::Ndjson)
    }

    fn read_reply<'a>(&self, body: &'a [u8], facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        if !Custom::read(&self.spec.answer, root(body)?, facts, out)? {
            return Err(NOTHING);
        }
        out.marks.push(Mark::Candidate(0));
        Ok(())
    }

    fn read_event<'a>(&self, event: &'a Event, facts: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let Some(stream) = &self.spec.stream else {
            return Err(DialectError::Malformed("stream: the format was said to have none"));
        };
        let data = event.data.trim_ascii();
        if data.is_empty() || stream.ignore.iter().any(|name| name.as_bytes() == &*event.name && !name.is_empty()) {
            return Ok(());
        }
        if stream.done.as_deref().is_some_and(|done| done.as_bytes() == data) {
            return end(facts, out);
        }
        let document = root(data)?;
        Custom::read(&stream.event, document, facts, out)?;
        let mut whole = String::new();
        for pointer in &stream.whole {
            for raw in pointer.find(document)? {
                facts.said = true;
                whole.push_str(&raw.text(TEXT)?.unwrap_or_default());
            }
        }
        if !whole.is_empty() {
            out.deltas.push(Delta { candidate: 0, channel: Channel::Answer, part: 0, text: whole.into(), extent: Extent::Whole });
        }
        if stream.done.is_none() && out.marks.iter().any(|mark| matches!(mark, Mark::Finish { .. })) {
            return end(facts, out);
        }
        Ok(())
    }

    fn amend(&self, body: &[u8], amendment: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        let request = &self.spec.request;
        let mut body = std::str::from_utf8(body).map_err(|_| DialectError::Malformed(REQUEST))?.to_owned();
        let mut set = |pointer: &Option<Pointer>, json: &str, what: &'static str| {
            let pointer = pointer.as_ref().ok_or(DialectError::Unsupported(what))?;
            let amended = pointer.set(&body, json, what)?;
            body = String::from_utf8(amended).map_err(|_| DialectError::Malformed(REQUEST))?;
            Ok::<_, DialectError>(())
        };
        if let Some(model) = amendment.model {
            set(&request.model, &quote(model), "the model")?;
        }
        if let Some(temperature) = amendment.temperature {
            set(&request.temperature, &number(temperature), "the temperature")?;
        }
        if let Some(reminder) = amendment.reminder {
            let system = request.system.as_ref().and_then(|pointer| pointer.last(root(body.as_bytes()).ok()?));
            let text = match system {
                Some(raw) => format!("{}\n\n{reminder}", raw.str().ok_or(DialectError::Unsupported("the system prompt"))?),
                None => reminder.to_owned(),
            };
            let pointer = request.system.as_ref().ok_or(DialectError::Unsupported("the system prompt"))?;
            return pointer.set(&body, &quote(&text), "the system prompt");
        }
        Ok(body.into_bytes())
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        let values = Values {
            message: refusal.message,
            id: refusal.facts.id.as_deref().unwrap_or(refusal.request_id),
            model: refusal.facts.model.as_deref().or(refusal.exchange.model.as_deref()).unwrap_or_default(),
            code: "content_filter",
        };
        let block = &self.spec.block;
        let streamed = self.spec.stream.as_ref().filter(|_| refusal.stream).map(|stream| (stream, &block.stream));
        let (content_type, template) = match streamed {
            Some((stream, template)) if stream.framing == Framing::Ndjson => ("application/x-ndjson", template),
            Some((_, template)) => ("text/event-stream; charset=utf-8", template),
            None => ("application/json", &block.answer),
        };
        Reply { status: StatusCode::OK, content_type, body: Bytes::from(self.render(template, &values)) }
    }

    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        let made = format!("steadfast-{}", cut.now);
        let values = Values {
            message: "",
            id: cut.facts.id.as_deref().unwrap_or(&made),
            model: cut.facts.model.as_deref().or(cut.exchange.model.as_deref()).unwrap_or_default(),
            code: "content_filter",
        };
        let mut out = if cut.progress.terminal { String::new() } else { self.render(&self.spec.block.cut, &values) };
        if self.spec.stream.as_ref().is_some_and(|stream| stream.framing == Framing::Sse) {
            out.extend(cut.rule.map(sse_comment));
        }
        Bytes::from(out)
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        let values = Values { message: error.message, id: error.request_id, model: "", code: error.code };
        let default = Template::new(r#"{"error":{"message":"{message}","code":"{code}","request_id":"{id}"}}"#);
        let template = self.spec.block.error.as_ref().unwrap_or(&default);
        Reply { status: error.status, content_type: "application/json", body: Bytes::from(template.render(&values)) }
    }
}

/// A stream's end. Where nothing came before it, the texts are elsewhere than they were said to be.
fn end(facts: &Facts, out: &mut Reading<'_>) -> Result<(), DialectError> {
    out.marks.push(Mark::Terminal);
    if facts.said { Ok(()) } else { Err(NOTHING) }
}

/// Whether a path ends in one of these tails.
fn ends_in(segments: &[impl AsRef<str>], tails: &[Vec<String>]) -> bool {
    tails.iter().any(|tail| {
        let Some(skipped) = segments.len().checked_sub(tail.len()) else { return false };
        segments[skipped..].iter().zip(tail).all(|(segment, wanted)| wanted == "*" || segment.as_ref() == wanted)
    })
}

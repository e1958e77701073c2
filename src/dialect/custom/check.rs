//! Tries a described format out on what the gateway itself would say in it: a template that its own description cannot read would leave
//! clients with an answer that they cannot read either.

use bytes::Bytes;

use super::pointer::root;
use super::{Custom, Template, Values};
use crate::dialect::{Dialect, Extent, Facts, Mark, Reading};
use crate::frame::{Framer, Framing};
use crate::text::Channel;

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting, dotted from the format's own table: `block.answer`.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

/// Has everything that a text can have that templates might trip over.
const SAMPLE: &str = "A \"sample\" \\ — line\ntwo {id}";
const NO_EVENTS: &str = "its events cannot be read as this format's";
const END: &str = "each event needs its own end: in SSE a blank line, else a line end";
const ENDLESS: &str = "does not end as this format's streams do";
const FINISH: &str = "end it with what stream.done says, or with a finish";
const PLACE: &str = "put {message} where the format's text is said to be";
const VALUES: Values<'static> = Values { message: SAMPLE, id: "id-1", model: "model-1", code: "code-1" };

/// Everything that is wrong with a description.
pub(super) fn faults(custom: &Custom) -> Vec<Fault> {
    let spec = &custom.spec;
    let mut faults = Vec::new();
    let mut fault = |key, message: &str, help| faults.push(Fault { key, message: message.to_owned(), help });
    if spec.paths.is_empty() && spec.stream_paths.is_empty() {
        fault("paths", "there is no path", "say which requests are in this format, like paths = [\"/v1/talk\"]");
    }
    let anywhere = custom.paths.iter().chain(&custom.stream_paths).chain(&custom.textless);
    if anywhere.clone().any(Vec::is_empty) {
        fault("paths", "a path is empty", "write it like \"/v1/talk\"");
    }
    if spec.answer.text.is_empty() && !spec.paths.is_empty() {
        fault("answer.text", "missing", "say where the text of an answer is, like text = [\"/reply/text\"]");
    }
    match &spec.block.answer {
        None if !spec.paths.is_empty() => {
            fault("block.answer", "missing", "the body of an answer in the model's place, with {message} in it")
        }
        Some(template) if spec.answer.text.is_empty() || said_whole(custom, template).as_deref() == Some(SAMPLE) => {}
        Some(template) if root(template.render(&VALUES).as_bytes()).is_err() => {
            fault("block.answer", "is no JSON once its placeholders are filled in", "placeholders are {message}, {id}, {model}");
        }
        Some(_) => fault("block.answer", "read as an answer of this format, it does not say {message} and nothing else", PLACE),
        None => {}
    }
    if let Some(stream) = &spec.stream {
        if stream.event.text.is_empty() && stream.whole.is_empty() {
            fault("stream.text", "missing", "say where the text of an event is, like text = [\"/delta\"]");
        }
        match &spec.block.stream {
            None => fault("block.stream", "missing", "the events of an answer in the model's place, with {message} in them"),
            Some(template) => match said_streamed(custom, template) {
                Err(()) => fault("block.stream", NO_EVENTS, END),
                Ok((text, _)) if text != SAMPLE => {
                    fault("block.stream", "read as a stream of this format, it does not say {message} and nothing else", PLACE);
                }
                Ok((_, false)) => fault("block.stream", ENDLESS, FINISH),
                Ok(_) => {}
            },
        }
        match &spec.block.cut {
            None => fault("block.cut", "missing", "the events that end a stream of which a part has left"),
            Some(template) => match said_streamed(custom, template) {
                Err(()) => fault("block.cut", NO_EVENTS, END),
                Ok((text, _)) if !text.is_empty() => {
                    fault("block.cut", "says something", "leave text out: the client has what was good")
                }
                Ok((_, false)) => fault("block.cut", ENDLESS, FINISH),
                Ok(_) => {}
            },
        }
    } else if !spec.stream_paths.is_empty() {
        fault("stream", "missing", "stream_paths are said to stream: say how");
    }
    if spec.block.error.as_ref().is_some_and(|template| root(template.render(&VALUES).as_bytes()).is_err()) {
        fault("block.error", "is no JSON once its placeholders are filled in", "placeholders are {message}, {code}, {id}");
    }
    faults
}

/// What a body says, read as an answer.
fn said_whole(custom: &Custom, template: &Template) -> Option<String> {
    let body = template.render(&VALUES);
    let mut reading = Reading::default();
    custom.read_reply(body.as_bytes(), &mut Facts::default(), &mut reading).ok()?;
    Some(reading.deltas.iter().filter(|delta| delta.channel == Channel::Answer).map(|delta| &*delta.text).collect())
}

/// What a body says, read as a stream, and whether it ends like one.
fn said_streamed(custom: &Custom, template: &Template) -> Result<(String, bool), ()> {
    let body = template.render(&VALUES);
    let framing = custom.spec.stream.as_ref().map_or(Framing::Sse, |stream| stream.framing);
    // An event that has no end of its own would swallow the next.
    if !body.ends_with(if framing == Framing::Ndjson { "\n" } else { "\n\n" }) && !body.ends_with("\r\n\r\n") {
        return Err(());
    }
    let mut framer = Framer::new(framing, usize::MAX);
    framer.push(Bytes::from(body));
    let (mut text, mut ends) = (String::new(), false);
    // What ends a stream may follow what others said.
    let mut facts = Facts { said: true, ..Facts::default() };
    while let Some(event) = framer.finish().map_err(drop)? {
        let mut reading = Reading::default();
        custom.read_event(&event, &mut facts, &mut reading).map_err(drop)?;
        for delta in reading.deltas.iter().filter(|delta| delta.channel == Channel::Answer) {
            if delta.extent == Extent::Whole {
                text.clear();
            }
            text.push_str(&delta.text);
        }
        ends |= reading.marks.contains(&Mark::Terminal);
    }
    let has_end = custom.spec.stream.as_ref().is_some_and(|stream| stream.done.is_some() || stream.event.finish.is_some());
    Ok((text, ends || !has_end))
}

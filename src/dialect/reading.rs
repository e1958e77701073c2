//! What reading an answer yields: pieces of text, and marks that say where the stream stands.

use std::borrow::Cow;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::text::{Channel, Lane, Str};

/// Whether a piece continues the text or repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Comes after what the part already has.
    Append,
    /// The part's whole text (a `…done` event, a final object, a cumulative message). If it equals what the part already has,
    /// it is covered; if not, the inspector judges it as new text: no format's repetition is a way past the guard.
    Whole,
}

/// A piece of an answer's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta<'a> {
    /// The answer's index in the response.
    pub candidate: u32,
    /// The channel.
    pub channel: Channel,
    /// Which part of the channel (content block, output item, tool call): parts of one channel form one text, in order of
    /// arrival, but tool calls are a text each.
    pub part: u32,
    /// The text. Borrowed from the event where it needs no unescaping.
    pub text: Cow<'a, str>,
    /// Continues or repeats.
    pub extent: Extent,
}

impl<'a> Delta<'a> {
    /// A piece that continues the text.
    #[must_use]
    pub fn append(candidate: u32, channel: Channel, part: u32, text: Cow<'a, str>) -> Self {
        Delta { candidate, channel, part, text, extent: Extent::Append }
    }

    /// The whole text of a part.
    #[must_use]
    pub fn whole(candidate: u32, channel: Channel, part: u32, text: Cow<'a, str>) -> Self {
        Delta { candidate, channel, part, text, extent: Extent::Whole }
    }

    /// The lane it is windowed in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        let call = if self.channel == Channel::ToolCall { self.part } else { 0 };
        Lane { candidate: self.candidate, channel: self.channel, call }
    }
}

/// A block or item that a stream has opened and must close again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its index in the format (`index`, `output_index`).
    pub index: u32,
    /// The format's own type word (`text`, `thinking`, `tool_use`, `message`, `output_text`, …).
    pub kind: Str,
    /// Its id, if the format has one.
    pub id: Option<Str>,
    /// Anything more the dialect needs to close it (say `content_index`).
    pub inner: Option<u32>,
}

/// Something an event says about the stream. Applied to [`Progress`] when the event is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The answer's envelope is open (`message_start`, `response.created`).
    Started,
    /// A block is open.
    Open(Block),
    /// The block of that index and kind is closed.
    Close {
        /// Its index.
        index: u32,
        /// Its type word; `None` closes every block of that index (some formats do not say what they close).
        kind: Option<Str>,
    },
    /// The event's sequence number.
    Sequence(u64),
    /// A tool call's name.
    Tool {
        /// The answer.
        candidate: u32,
        /// The call's part, as in its deltas.
        part: u32,
        /// The function.
        name: Str,
    },
    /// A candidate exists (so that one without text is known).
    Candidate(u32),
    /// A candidate has ended, with the reason as spelled on the wire.
    Finish {
        /// The answer.
        candidate: u32,
        /// The reason.
        reason: Str,
    },
    /// The upstream reports an error inside the stream or in place of an answer.
    Error,
    /// The format's end of stream (`[DONE]`, `message_stop`, `response.completed`).
    Terminal,
}

/// What reading one event or one body yields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Text, in order.
    pub deltas: SmallVec<[Delta<'a>; 2]>,
    /// Marks, in order.
    pub marks: SmallVec<[Mark; 2]>,
}

/// What an answer says of itself; the same from event to event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The answer's id.
    pub id: Option<Str>,
    /// The model that answered.
    pub model: Option<Str>,
    /// `created` / `created_at`, seconds since 1970.
    pub created: Option<i64>,
    /// `system_fingerprint`, where given.
    pub fingerprint: Option<Str>,
    /// Input tokens billed.
    pub input_tokens: Option<u64>,
    /// Output tokens billed (the last value seen).
    pub output_tokens: Option<u64>,
    /// Tool calls seen so far, for formats that do not number them.
    pub calls: u32,
    /// The stream's lines end in CRLF.
    pub crlf: bool,
    /// Text (be it empty) or an error has been where the format has them, for formats that others describe.
    pub said: bool,
}

/// What the client has been sent of one part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The answer.
    pub candidate: u32,
    /// The channel.
    pub channel: Channel,
    /// The part.
    pub part: u32,
    /// Its text so far.
    pub text: String,
}

/// How much of a stream has been released.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The envelope is open.
    pub started: bool,
    /// Open blocks, in order of opening.
    pub open: Vec<Block>,
    /// Blocks that were open and are closed, in order of closing.
    pub closed: Vec<Block>,
    /// The last sequence number.
    pub sequence: Option<u64>,
    /// Candidates seen, and their finish reason once given.
    pub candidates: BTreeMap<u32, Option<Str>>,
    /// Names of tool calls by (candidate, part).
    pub tools: BTreeMap<(u32, u32), Str>,
    /// The end of the stream has been sent.
    pub terminal: bool,
    /// The texts the client has, by part, in order of arrival.
    pub texts: Vec<Released>,
}

impl Progress {
    /// How many blocks, calls and candidates it remembers.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.open.len() + self.closed.len() + self.tools.len() + self.candidates.len()
    }

    /// Takes in one mark.
    pub fn apply(&mut self, mark: &Mark) {
        match mark {
            Mark::Started => self.started = true,
            Mark::Open(block) => self.open.push(block.clone()),
            Mark::Close { index, kind } => {
                let closes = |block: &mut Block| block.index == *index && kind.as_ref().is_none_or(|kind| block.kind == *kind);
                self.closed.extend(self.open.extract_if(.., closes));
            }
            Mark::Sequence(number) => self.sequence = Some(*number),
            Mark::Tool { candidate, part, name } => {
                self.tools.insert((*candidate, *part), name.clone());
            }
            Mark::Candidate(candidate) => {
                self.candidates.entry(*candidate).or_default();
            }
            Mark::Finish { candidate, reason } => {
                self.candidates.insert(*candidate, Some(reason.clone()));
            }
            Mark::Error => {}
            Mark::Terminal => self.terminal = true,
        }
    }
}

/// The SSE comment that ends a cut stream. The rule's name is the operator's own, so it is safe to send; line feeds in it are not.
#[must_use]
pub fn sse_comment(rule: &str) -> String {
    let rule: String = rule.chars().map(|c| if c == '"' || c.is_control() { '\'' } else { c }).collect();
    format!(": steadfast verdict=block rule=\"{rule}\"\n\n")
}

//! Words for the text of an answer: channels, lanes, spans. Knows nothing of wire formats.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A cheap shared string.
pub type Str = Arc<str>;

/// Which part of an answer a piece of text belongs to. All of them are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// What the reader sees.
    Answer,
    /// Text in a refusal field.
    Refusal,
    /// Reasoning or thinking text.
    Reasoning,
    /// Arguments of a tool call, as JSON text.
    ToolCall,
}

impl Channel {
    /// The name used in incidents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::Answer => "answer",
            Channel::Refusal => "refusal",
            Channel::Reasoning => "reasoning",
            Channel::ToolCall => "tool_call",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One run of text that is windowed on its own: a candidate's channel, and for tool calls which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The answer's index in the response.
    pub candidate: u32,
    /// The channel.
    pub channel: Channel,
    /// The tool call's index; 0 for the other channels, whose parts form one text.
    pub call: u32,
}

/// The most lanes that an answer is judged in. The model's words decide how many calls it makes, and each lane costs memory and windows
/// of its own; no known client or host comes near as many.
pub const MAX_LANES: usize = 1024;

/// Where in the answer something is: bytes of the lane's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lane.
    pub lane: Lane,
    /// Bytes of the lane's text.
    pub bytes: Range<usize>,
}

/// The largest index `<= at` that is a char boundary of `text`.
#[must_use]
pub fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The smallest index `>= at` that is a char boundary of `text`.
#[must_use]
pub fn ceil_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

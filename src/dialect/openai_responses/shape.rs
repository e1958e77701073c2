//! The shapes of Responses answers: what is read of a response, an output item, a content part and a stream's event. Every field may be
//! missing and of any type; what must be text is checked where it is read.

use serde::Deserialize;

use crate::dialect::json::Raw;

#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) created_at: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) status: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) output: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) output_text: Option<Raw<'a>>,
    /// What an answer was given, as a list: earlier answers are among it.
    #[serde(borrow, default)]
    pub(super) data: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow, default)]
    pub(super) reason: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Usage<'a> {
    #[serde(borrow, default)]
    pub(super) input_tokens: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) output_tokens: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) role: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) summary: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) input: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) code: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) action: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) actions: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) operation: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) queries: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) revised_prompt: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) transcript: Option<Raw<'a>>,
}

/// `action` of a shell call, `operation` of a patch.
#[derive(Deserialize)]
pub(super) struct Work<'a> {
    #[serde(borrow, default)]
    pub(super) commands: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) diff: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) path: Option<Raw<'a>>,
}

#[derive(Deserialize)]
pub(super) struct StreamEvent<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) sequence_number: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) output_index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) content_index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) summary_index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) command_index: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) item_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) transcript: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) input: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) code: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) diff: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) command: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) part: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) item: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) response: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Option<Raw<'a>>,
}

//! Policies: rules from scores, signals, drift and the request to an action. Pure: no IO, no clock.

use std::time::Duration;

use crate::dialect::Exchange;
use crate::score::{Label, Scores, Signals};
use crate::text::{Channel, Str};
use crate::verdict::Action;

/// Whether verdicts change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are decided and recorded, and nothing changes.
    Shadow,
}

/// How streams are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamMode {
    /// No text leaves before its window is scored.
    Hold,
    /// Nothing leaves before the whole answer is scored.
    Buffer,
    /// Text leaves at once; a violation cuts the stream.
    Observe,
}

/// What to do with what could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Fail closed.
    Block,
    /// Fail open, counted as unscored.
    Allow,
}

/// Size of the scored windows, in tokens (estimated: [`crate::window`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// Tokens in a window.
    pub tokens: usize,
    /// New tokens from one window to the next.
    pub stride: usize,
}

/// What a retry changes and what follows when retries are spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Further upstream calls at most.
    pub attempts: u32,
    /// Adds the persona's reminder to the request.
    pub reanchor: bool,
    /// Another temperature.
    pub temperature: Option<f32>,
    /// Goes to the route's fallback upstreams instead of the same one.
    pub fallback: bool,
    /// When attempts or budget are spent, or bytes have already left: `block`, `flag` or `allow`.
    pub then: Action,
}

/// The client's answer when the model's is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockReply {
    /// 200: an answer in the caller's wire format with its own refusal ending. 4xx: that API's error shape.
    pub status: u16,
    /// The sentence shown.
    pub message: Str,
}

/// A conversation's state, as rules see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SessionFacts {
    /// How far it has moved from its persona (CUSUM of score residuals, in standard deviations).
    pub drift: f64,
    /// Judged turns before this one.
    pub turns: u64,
    /// Flagged, retried or blocked turns before this one.
    pub flags: u64,
}

/// What a rule is asked about: one window of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The window's scores (model and detectors).
    pub scores: &'a Scores,
    /// The window's signals.
    pub signals: &'a Signals,
    /// The channel.
    pub channel: Channel,
    /// The lane's text up to the end of the window: patterns look here, across events and windows.
    pub text: &'a str,
    /// Bytes of `text` that earlier windows have already been asked about: a pattern counts if it ends after this.
    pub seen: usize,
    /// The request.
    pub exchange: &'a Exchange,
    /// The conversation.
    pub session: &'a SessionFacts,
}

/// A rule that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its place in [`Policy::rules`].
    pub rule: usize,
    /// Its action.
    pub action: Action,
    /// The labels that were over their threshold.
    pub labels: Vec<Label>,
    /// Bytes of the text that a pattern matched.
    pub span: Option<std::ops::Range<usize>>,
}

/// A policy.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: Str,
    /// Whether verdicts change anything.
    pub mode: Mode,
    /// How streams are let through.
    pub stream: StreamMode,
    /// Window size.
    pub window: WindowSpec,
    /// The classifier failed.
    pub on_error: Fallback,
    /// The queue is full or a deadline passed.
    pub on_overload: Fallback,
    /// Traffic in no known api.
    pub on_unknown: Fallback,
    /// Guard time for one window.
    pub deadline: Duration,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The client's answer to a block.
    pub block: BlockReply,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name: a metric label, so letters, digits, spaces and `-_.'` only.
    pub name: Str,
    /// What is done.
    pub action: Action,
    /// How, if the action is retry.
    pub retry: Option<Retry>,
}

impl Policy {
    /// The most severe action that fires (the first of equals).
    #[must_use]
    pub fn judge(&self, evidence: &Evidence<'_>) -> Option<Hit> {
        let _ = evidence;
        None
    }

    /// How many bytes at the end of `text` may be the beginning of a pattern's match: in `hold` they do not leave yet.
    #[must_use]
    pub fn open_tail(&self, text: &str) -> usize {
        let _ = text;
        0
    }
}

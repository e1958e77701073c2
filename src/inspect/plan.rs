//! What an inspector is given, and what it says is to be done.

use std::sync::Arc;

use bytes::Bytes;

use crate::detect::Detectors;
use crate::dialect::{Dialect, Exchange};
use crate::policy::{Policy, Retry, SessionFacts};
use crate::text::{Span, Str};
use crate::verdict::Verdict;

/// What one exchange is inspected with.
#[derive(Clone)]
pub struct Plan {
    /// The wire format.
    pub dialect: Arc<dyn Dialect>,
    /// The request.
    pub exchange: Arc<Exchange>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// Detectors beside the model.
    pub detectors: Detectors,
    /// The conversation.
    pub session: SessionFacts,
    /// Whether a scorer answers [`Step::Score`]; without one, detectors and patterns judge alone.
    pub scored: bool,
    /// Asked, once, when the answer needs a retry and no byte has left; `None`: never possible.
    pub gate: Option<Arc<dyn RetryGate>>,
    /// The response's content type.
    pub content_type: Option<Str>,
    /// Whether a whole answer must be held whatever the policy says (its body is compressed, its conversation drifts).
    pub whole: bool,
    /// Only watch, whatever the policy's mode: judge everything, cut nothing.
    pub watch: bool,
    /// Bytes that may be held.
    pub held_limit: usize,
}

/// Decides whether an answer may be thrown away for another attempt.
pub trait RetryGate: Send + Sync + 'static {
    /// Whether another attempt is made. Saying yes spends it. `committed`: bytes have left, so it cannot be.
    fn may_retry(&self, retry: &Retry, committed: bool) -> bool;
}

/// A window to score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its number: give it back with the result.
    pub id: u64,
    /// Where it is in the answer.
    pub span: Span,
    /// Its text.
    pub text: Str,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Score this and call [`Inspector::judge`](super::Inspector::judge). Several may be out at once.
    Score(Window),
    /// Send these original bytes.
    Release {
        /// The bytes.
        bytes: Bytes,
        /// Whether there is answer text among them.
        text: bool,
    },
    /// The answer is over and everything has been released.
    End(Box<Verdict>),
    /// Send nothing more of the answer. If bytes were released ([`Inspector::committed`](super::Inspector::committed)) the stream ends with
    /// [`Inspector::epilogue`](super::Inspector::epilogue); else the caller may retry or refuse.
    Cut(Box<Verdict>),
}

//! Scoring: text windows to label probabilities, off the async runtime. The traits here know no model; `onnx` is the one file that
//! names `ort`.

pub mod cache;
#[cfg(feature = "onnx")]
pub mod cascade;
#[cfg(feature = "onnx")]
pub mod catalog;
#[cfg(feature = "onnx")]
pub mod classifier;
#[cfg(feature = "onnx")]
pub mod encode;
#[cfg(feature = "onnx")]
pub mod load;
pub mod manifest;
pub mod normalized;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod pool;
pub mod queue;
#[cfg(feature = "onnx")]
pub mod runtime;
#[cfg(feature = "onnx")]
pub mod student;
#[cfg(feature = "onnx")]
mod unigram;
pub mod warmup;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::score::Scores;
use crate::text::Str;

/// What the classifier sees beside the window: the same for a whole exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// The persona line; empty if there is none.
    pub persona: String,
    /// The last user turn; empty if there is none.
    pub user: String,
}

/// One window to score.
#[derive(Clone, Debug)]
pub struct Job {
    /// Persona and user turn.
    pub context: Arc<Context>,
    /// The window's text.
    pub text: Str,
    /// Whose window it is: the queue is fair between streams.
    pub stream: u64,
    /// How long the caller will wait.
    pub deadline: Duration,
}

/// A window's scores and how they came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The probabilities.
    pub scores: Scores,
    /// Which stage decided.
    pub stage: Stage,
    /// Whether the verdict cache answered.
    pub cached: bool,
    /// Time in the queue.
    pub queued: Duration,
    /// Time in the classifier.
    pub computed: Duration,
}

/// A stage of the cascade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The cheap first stage said "clean".
    First,
    /// The classifier.
    Second,
}

impl Stage {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::First => "first",
            Stage::Second => "second",
        }
    }
}

/// Why a window could not be scored. A bounded set: it is a metric label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The queue is full.
    #[error("the classifier's queue is full")]
    Overloaded,
    /// The deadline passed.
    #[error("the classifier did not answer within {0:?}")]
    Deadline(Duration),
    /// The classifier failed.
    #[error("the classifier failed: {0}")]
    Failed(Str),
}

/// A boxed future.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the guard sees: asynchronous, shared. Dropping the future cancels the job if it has not begun.
pub trait Scorer: Send + Sync + 'static {
    /// Scores one window.
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>>;

    /// Windows waiting.
    fn queue_length(&self) -> usize {
        0
    }
}

/// What a thread owns: synchronous, exclusive.
pub trait Classifier: Send {
    /// Scores one window: every label, calibrated; and which stage decided.
    ///
    /// # Errors
    /// [`ScoreError::Failed`] when the model cannot be run.
    fn classify(&mut self, context: &Context, text: &str) -> Result<(Scores, Stage), ScoreError>;
}

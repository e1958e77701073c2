//! The seam for rule-based detectors that stand beside the model: synchronous, pure, on the raw text.

pub mod prose;

use std::ops::Range;

use crate::score::{Label, Score, Signals, Source};
use crate::text::Channel;

/// What a detector found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The label it raises.
    pub label: Label,
    /// How sure it is.
    pub score: Score,
    /// Bytes of the lane's text.
    pub span: Range<usize>,
    /// For the incident: `said "I'm Grok"; persona is Aria`. May quote the answer, so it never leaves by a header or a metric.
    pub evidence: String,
}

/// A rule-based detector. Called once for each window, with the lane's whole text up to the window's end.
pub trait Detector: Send + Sync + 'static {
    /// Whose findings these are.
    fn source(&self) -> Source;

    /// Looks at `text`, of which `text[..seen]` has been looked at by earlier calls (a finding counts if it reaches past `seen`;
    /// look back as far as a finding may be long, not over the whole text). `last`: nothing follows.
    fn examine(&self, channel: Channel, text: &str, seen: usize, last: bool) -> Option<Finding>;

    /// Measures `text`, the lane's whole text so far, by signals that are no labels; look at a bounded part of it. `asked`: the user's
    /// last turn.
    fn measure(&self, channel: Channel, text: &str, asked: Option<&str>) -> Signals {
        let _ = (channel, text, asked);
        Signals::default()
    }
}

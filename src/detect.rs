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

    /// The same with a memory of one lane, which is asked in place of [`Detector::examine`]: it must find what that finds, and need not
    /// look at every byte again to know that there is nothing. `None`: this detector remembers nothing.
    fn watch(&self, channel: Channel) -> Option<Box<dyn Watch>> {
        let _ = channel;
        None
    }

    /// Measures `text`, the lane's whole text so far, by signals that are no labels; look at a bounded part of it. `asked`: the user's
    /// last turn.
    fn measure(&self, channel: Channel, text: &str, asked: Option<&str>) -> Signals {
        let _ = (channel, text, asked);
        Signals::default()
    }
}

/// A detector's memory of one lane's text as it grows.
pub trait Watch: Send {
    /// Looks at what `text`, the lane's whole text so far, has more than at the last call. `last`: nothing follows.
    fn look(&mut self, text: &str, last: bool) -> Option<Finding>;
}

/// A detector at one lane: its watch if it has one, else how far it has looked.
pub(crate) enum Watched {
    /// It remembers.
    Watch(Box<dyn Watch>),
    /// It looks back over the text each time.
    Examine {
        /// Bytes that it has looked at.
        seen: usize,
    },
}

impl Watched {
    /// A detector before the first byte of a lane.
    pub(crate) fn new(detector: &dyn Detector, channel: Channel) -> Self {
        detector.watch(channel).map_or(Watched::Examine { seen: 0 }, Watched::Watch)
    }

    /// See [`Watch::look`].
    pub(crate) fn look(&mut self, detector: &dyn Detector, channel: Channel, text: &str, last: bool) -> Option<Finding> {
        match self {
            Watched::Watch(watch) => watch.look(text, last),
            Watched::Examine { seen } => {
                let seen = std::mem::replace(seen, text.len());
                detector.examine(channel, text, seen, last)
            }
        }
    }
}

/// The watch of a detector that measures and finds nothing.
pub(crate) struct Silent;

impl Watch for Silent {
    fn look(&mut self, _: &str, _: bool) -> Option<Finding> {
        None
    }
}

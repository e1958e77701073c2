//! The seams for what stands beside the model, synchronous, pure, on the raw text: detectors, which find labels, and gauges, which measure
//! signals.

pub mod prose;

use std::ops::Range;
use std::sync::Arc;

use crate::score::{Label, Score, Signals, Source};
use crate::text::{Channel, Str};

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
    /// look at every byte again to know that there is nothing. `None`, for every channel alike: this detector remembers nothing, so it is
    /// asked window by window, also where others let text out at once.
    fn watch(&self, channel: Channel) -> Option<Box<dyn Watch>> {
        let _ = channel;
        None
    }
}

/// Measures how an answer speaks: signals, which are no labels. It finds nothing.
pub trait Gauge: Send + Sync + 'static {
    /// Begins an exchange. `asked`: the user's last turn.
    fn begin(self: Arc<Self>, asked: Option<&Str>) -> Box<dyn Measure>;
}

/// A gauge's memory of one exchange.
pub trait Measure: Send {
    /// Measures `text`, the whole text so far of the lane with this number; look at a bounded part of it. A lane's text only grows.
    fn measure(&mut self, lane: usize, channel: Channel, text: &str) -> Signals;
}

/// What listens to an answer beside the model.
#[derive(Clone, Default)]
pub struct Detectors {
    /// What finds labels.
    pub finding: Arc<[Box<dyn Detector>]>,
    /// What measures signals.
    pub gauges: Arc<[Arc<dyn Gauge>]>,
}

impl From<Vec<Box<dyn Detector>>> for Detectors {
    fn from(finding: Vec<Box<dyn Detector>>) -> Self {
        Detectors { finding: finding.into(), ..Detectors::default() }
    }
}

/// When a detector's memory is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// In the middle of the text, wherever it happens to end: what depends on what follows waits for it ([`Watch::open`]), so that
    /// what is found depends on the text alone and not on how it comes.
    Passing,
    /// A window ends here and is judged now: all that [`Detector::examine`] would find.
    Window,
    /// Nothing follows.
    End,
}

/// A detector's memory of one lane's text as it grows.
pub trait Watch: Send {
    /// Looks at what `text`, the lane's whole text so far, has more than at the last call.
    fn look(&mut self, text: &str, moment: Moment) -> Option<Finding>;

    /// Bytes at the end of the text of the last [`Moment::Passing`] that a finding may still be about, so that they must not leave yet. It
    /// must come back to 0 within some hundred bytes.
    fn open(&self) -> usize {
        0
    }
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
    pub(crate) fn look(&mut self, detector: &dyn Detector, channel: Channel, text: &str, moment: Moment) -> Option<Finding> {
        match self {
            Watched::Watch(watch) => watch.look(text, moment),
            Watched::Examine { seen } => {
                let seen = std::mem::replace(seen, text.len());
                detector.examine(channel, text, seen, moment == Moment::End)
            }
        }
    }

    /// See [`Watch::open`].
    pub(crate) fn open(&self) -> usize {
        match self {
            Watched::Watch(watch) => watch.open(),
            Watched::Examine { .. } => 0,
        }
    }

    /// Whether the detector remembers.
    pub(crate) fn remembers(&self) -> bool {
        matches!(self, Watched::Watch(_))
    }
}

/// The watch of a detector to which a channel says nothing.
pub(crate) struct Silent;

impl Watch for Silent {
    fn look(&mut self, _: &str, _: Moment) -> Option<Finding> {
        None
    }
}

//! The inspector: one synchronous state machine for JSON and for streams. Bytes go in; windows to score, bytes to release and at most
//! one verdict come out. No clock, no tasks, no IO, so it can be tested as a table and fuzzed.
//!
//! Upstream bytes are cut into events, events into text, text into windows. An event is released, in order and byte for byte, once
//! every window that covers its text has been judged well. What could not be understood or scored follows the policy and is noted.

mod escapes;
#[cfg(test)]
mod event_tests;
mod events;
#[cfg(test)]
mod fixtures;
mod judge;
mod lane;
mod places;
mod plan;
mod queue;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::detect::{Finding, Measure};
use crate::dialect::{DialectError, Facts, Progress, Reading};
use crate::frame::{Event, Framer, Framing, sniff, sse};
use crate::policy::{Mode, StreamMode};
use crate::score::{Scores, Source};
use crate::verdict::{Unscored, Verdict};
use crate::window::Windower;

use events::Watching;
use lane::{Full, Lanes};
use queue::{Held, Queue};

pub use plan::{Plan, RetryGate, Step, Window};

/// How bytes are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// Not known before the framing is.
    Undecided,
    /// Held until judged, window by window.
    Windows,
    /// Held until the whole answer is judged.
    Whole,
    /// Released at once; a violation cuts.
    AtOnce,
}

/// A window that awaits its verdict.
#[derive(Debug)]
struct Pending {
    id: u64,
    lane: usize,
    span: std::ops::Range<usize>,
    seen: usize,
    last: bool,
    /// Whether the text's signals are measured here.
    measured: bool,
    findings: Vec<(Finding, Source)>,
    result: Option<Result<Scores, Unscored>>,
}

/// The state machine.
pub struct Inspector {
    plan: Plan,
    delivery: Delivery,
    framing: Option<Framing>,
    framer: Option<Framer>,
    /// Bytes that came before the framing was known.
    prefix: Vec<u8>,
    facts: Facts,
    progress: Progress,
    lanes: Lanes,
    /// What the detectors remember of each lane.
    watching: Vec<Watching>,
    /// What the gauges remember of the exchange; `None` before the first measurement.
    measures: Option<Vec<Box<dyn Measure>>>,
    /// Nobody scores, and the detectors remember: text is judged event by event.
    by_event: bool,
    /// The beginning is held for a whole window, for a retry may be wanted.
    opening: bool,
    /// Bytes of text that have been looked at event by event.
    passed: usize,
    queue: Queue,
    windows: VecDeque<Pending>,
    next_id: u64,
    /// Windows judged well, in order.
    judged: u64,
    steps: VecDeque<Step>,
    worst: Verdict,
    unscored: Vec<Unscored>,
    /// What the first thing was that could not be read.
    unread: Option<&'static str>,
    windows_cut: u32,
    committed: bool,
    /// What the last event that left lacks to be whole: a line break, as a rule nothing.
    unended: &'static str,
    /// Events without text at the beginning may leave.
    prefix_open: bool,
    /// What follows cannot be understood, and the policy lets it through.
    blind: bool,
    finished: bool,
    done: bool,
    /// Lanes that cuts have looked at.
    #[cfg(test)]
    looked_at: usize,
}

impl Inspector {
    /// An inspector for one answer.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let shadow = plan.watch || plan.policy.mode == Mode::Shadow;
        Inspector {
            delivery: if shadow { Delivery::AtOnce } else { Delivery::Undecided },
            by_event: !plan.scored && !plan.policy.withholds_by_measures(),
            opening: false,
            plan,
            framing: None,
            framer: None,
            prefix: Vec::new(),
            facts: Facts::default(),
            progress: Progress::default(),
            lanes: Lanes::new(),
            watching: Vec::new(),
            measures: None,
            passed: 0,
            queue: Queue::default(),
            windows: VecDeque::new(),
            next_id: 1,
            judged: 0,
            steps: VecDeque::new(),
            worst: Verdict::allow(),
            unscored: Vec::new(),
            unread: None,
            windows_cut: 0,
            committed: false,
            unended: "",
            prefix_open: false,
            blind: false,
            finished: false,
            done: false,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Takes in a piece of the upstream's body.
    pub fn push(&mut self, chunk: Bytes) {
        if self.done || chunk.is_empty() {
            return;
        }
        if self.shadow() {
            // Shadow changes nothing: not even when bytes leave.
            self.committed = true;
            self.steps.push_back(Step::Release { bytes: chunk.clone(), text: false });
        }
        if self.blind {
            self.hold(Held::opaque(chunk));
            return self.release();
        }
        match self.framed(chunk) {
            Some(chunk) => self.feed(chunk),
            None => return,
        }
        if !self.done && self.held_bytes() > self.plan.held_limit {
            self.over_limit();
        }
        self.release();
    }

    /// Takes in the result of a window.
    pub fn judge(&mut self, id: u64, result: Result<Scores, Unscored>) {
        if let Err(reason @ (Unscored::Overload | Unscored::Deadline)) = result
            && self.is_lost_without(id, reason)
        {
            // Nothing of it will leave, so its other windows need not be scored: there is no time for all as it is.
            self.let_through(reason);
            return;
        }
        if let Ok(at) = self.windows.binary_search_by_key(&id, |window| window.id) {
            self.windows[at].result = Some(result);
        }
        self.apply();
        self.release();
    }

    /// The upstream's body has ended well.
    pub fn finish(&mut self) {
        if self.done || self.finished {
            return;
        }
        if self.framer.is_none() && !self.prefix.is_empty() {
            // Too short to tell: let the format's own reading decide.
            let rest = Bytes::from(std::mem::take(&mut self.prefix));
            self.begin(Framing::Json);
            self.feed(rest);
        }
        if let Some(mut framer) = self.framer.take() {
            while !self.done && !self.blind {
                match framer.finish() {
                    Ok(Some(event)) => {
                        self.read(event);
                        self.bound(&mut framer);
                    }
                    Ok(None) => break,
                    Err(error) => self.unframed(error, framer.rest()),
                }
            }
        }
        if !self.done {
            self.cut_windows(true);
            // Not before the last windows are cut: what ends an answer is that none of them is open.
            self.finished = true;
            self.apply();
        }
        self.release();
    }

    /// Text has been held for long enough: cut windows over what there is.
    pub fn force(&mut self) {
        if !self.done && self.delivery == Delivery::Windows {
            self.prefix_open = self.prefix_open || !self.lanes.pending();
            self.cut_windows(false);
            self.apply();
            self.release();
        }
    }

    /// The body's coding cannot be undone: what it says stays unknown.
    pub fn undecodable(&mut self, reason: Unscored) {
        if !self.done {
            self.unread.get_or_insert("content coding");
            self.unreadable(reason, Vec::new());
            self.release();
        }
    }

    /// The next thing to do, if any.
    pub fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Finds the framing from the first bytes; gives back what is to be fed once it is known.
    fn framed(&mut self, chunk: Bytes) -> Option<Bytes> {
        if self.framer.is_some() {
            return Some(chunk);
        }
        let content_type = self.plan.content_type.as_deref();
        if content_type.is_some_and(sniff::foreign) {
            // Its clients read other characters than these bytes say here.
            let chunks = [Bytes::from(std::mem::take(&mut self.prefix)), chunk];
            self.unread.get_or_insert("character set");
            self.unreadable(Unscored::Unreadable, chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect());
            self.release();
            return None;
        }
        let first = if self.prefix.is_empty() { &chunk[..] } else { &self.prefix[..] };
        let known = self.plan.dialect.framing(&self.plan.exchange, content_type).or_else(|| Framing::sniff(content_type, first));
        let chunk = if self.prefix.is_empty() {
            chunk
        } else {
            self.prefix.extend_from_slice(&chunk);
            Bytes::from(std::mem::take(&mut self.prefix))
        };
        let known = known.or_else(|| Framing::sniff(content_type, &chunk));
        if let Some(framing) = known {
            self.begin(framing);
            return Some(chunk);
        }
        if chunk.len() >= 64 {
            // Nothing we know begins like this.
            self.unread.get_or_insert("beginning: neither JSON nor a stream of events");
            self.unreadable(Unscored::Unreadable, vec![chunk]);
            self.release();
        } else {
            self.prefix = chunk.into();
        }
        None
    }

    fn begin(&mut self, framing: Framing) {
        self.framing = Some(framing);
        self.framer = Some(Framer::new(framing, self.plan.held_limit));
        if self.delivery == Delivery::Undecided {
            self.delivery = match self.plan.policy.stream {
                _ if framing == Framing::Json || self.plan.whole => Delivery::Whole,
                StreamMode::Hold => Delivery::Windows,
                StreamMode::Buffer => Delivery::Whole,
                StreamMode::Observe => Delivery::AtOnce,
            };
        }
        self.opening = self.delivery == Delivery::Windows && self.plan.gate.is_some() && self.plan.policy.retries();
    }

    fn feed(&mut self, chunk: Bytes) {
        let Some(mut framer) = self.framer.take() else { return };
        framer.push(chunk);
        while !self.done && !self.blind {
            match framer.next() {
                Some(Ok(event)) => {
                    self.read(event);
                    self.bound(&mut framer);
                }
                Some(Err(error)) => self.unframed(error, framer.rest()),
                None => break,
            }
        }
        self.framer = Some(framer);
    }

    /// Reads one event and queues it; cuts windows when enough text has come.
    fn read(&mut self, event: Event) {
        let mut reading = Reading::default();
        // Events without data say nothing, but for the bracket that ends an array: nothing may be written after it.
        let read = if self.framing == Some(Framing::Sse) && sse::ambiguous(&event) {
            Err(DialectError::Malformed("event: clients differ in how they read it"))
        } else if event.data.is_empty() && self.framing != Some(Framing::JsonArray) {
            Ok(())
        } else if self.framing == Some(Framing::Json) {
            self.plan.dialect.read_reply(&event.data, &mut self.facts, &mut reading)
        } else {
            self.plan.dialect.read_event(&event, &mut self.facts, &mut reading)
        };
        let mut held = Held::opaque(event.raw.clone());
        match read {
            Ok(()) => {
                let mut full = false;
                // Of a whole answer that is judged as it comes nobody asks for tokens.
                let (spec, uncounted) = (self.plan.policy.window, self.by_event && self.delivery == Delivery::Whole);
                let windower = || if uncounted { Windower::uncounted(spec) } else { Windower::new(spec) };
                for delta in &reading.deltas {
                    match self.lanes.push(delta, windower) {
                        Ok(Some(lane)) => held.grew(self.lanes[lane].end(lane)),
                        Ok(None) => {}
                        Err(Full) => full = true,
                    }
                }
                held.marks = std::mem::take(&mut reading.marks);
                for lane in &mut self.lanes[self.watching.len()..] {
                    let watching = Watching::new(&self.plan.detectors.finding, lane.lane.channel);
                    self.by_event &= watching.remembers();
                    self.watching.push(watching);
                    if uncounted && !self.by_event {
                        lane.windower = Windower::new(spec);
                        lane.windower.push(&lane.text);
                    }
                }
                // The text of lanes beyond the limit is not kept, so it cannot be judged.
                if full && !self.let_through(Unscored::TooLarge) {
                    return;
                }
            }
            Err(DialectError::Malformed(what) | DialectError::Unsupported(what)) => {
                drop(reading);
                self.unread.get_or_insert(what);
                if !self.let_through(Unscored::Unreadable) {
                    return;
                }
            }
        }
        let grown: SmallVec<[usize; 2]> = held.ends.iter().map(|end| end.lane).collect();
        self.hold(held);
        if self.delivery == Delivery::AtOnce {
            self.release();
        }
        if self.by_event {
            return self.event(&grown);
        }
        // Only what has grown can have become due. Where nothing waits for a window, windows are cut only when full: fewer of them,
        // over the same text.
        let due = grown.iter().any(|lane| match self.delivery {
            Delivery::Whole => self.lanes[*lane].windower.full(),
            _ => self.lanes[*lane].windower.due(),
        });
        if due {
            self.cut_windows(false);
            self.apply();
        }
    }

    fn shadow(&self) -> bool {
        self.plan.watch || self.plan.policy.mode == Mode::Shadow
    }

    /// Queues an event, unless its bytes have already left.
    fn hold(&mut self, held: Held) {
        if self.shadow() {
            held.marks.iter().for_each(|mark| self.progress.apply(mark));
        } else {
            self.queue.push(held);
        }
    }
}

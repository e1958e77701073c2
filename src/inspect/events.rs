//! Where no classifier judges: patterns and detectors take an event's text as it comes, so it leaves at once, but for what may yet
//! become something forbidden. A window is then what an event brought, and its end belongs to the next one where that is still open.

use super::{Delivery, Inspector};
use crate::detect::{Detector, Finding, Moment, Watched};
use crate::score::Source;
use crate::text::{Channel, floor_char_boundary};
use crate::window::Windower;

/// Bytes of a whole answer after which it is judged as far as it has come: a bad one need not be read to its end.
const PIECE: usize = 4 << 10;
/// Bytes that are judged at once, at most: what is looked for in them may cost more than their length.
const AT_ONCE: usize = 16 << 10;
/// Bytes of others after which a lane that has not grown is taken to stand still.
const STILL: usize = 64;
/// Bytes from one measurement of the signals to the next: about as many as a window brings where a classifier judges.
const MEASURE: usize = 240;

/// What the detectors remember of one lane.
pub(super) struct Watching {
    watched: Vec<Watched>,
    /// Bytes of the text when its signals were last measured.
    measured: usize,
    /// What other lanes have grown by since this one did.
    still: usize,
}

impl Watching {
    pub(super) fn new(detectors: &[Box<dyn Detector>], channel: Channel) -> Self {
        let watched = detectors.iter().map(|detector| Watched::new(&**detector, channel)).collect();
        Watching { watched, measured: 0, still: 0 }
    }

    pub(super) fn remembers(&self) -> bool {
        self.watched.iter().all(Watched::remembers)
    }

    pub(super) fn look(
        &mut self,
        detectors: &[Box<dyn Detector>],
        channel: Channel,
        text: &str,
        moment: Moment,
        findings: &mut Vec<(Finding, Source)>,
    ) {
        for (detector, watch) in detectors.iter().zip(&mut self.watched) {
            findings.extend(watch.look(&**detector, channel, text, moment).map(|finding| (finding, detector.source())));
        }
    }

    /// Bytes at the end of the text that a detector may still object to.
    fn open(&self) -> usize {
        self.watched.iter().map(Watched::open).max().unwrap_or(0)
    }

    pub(super) fn is_due_to_measure(&mut self, len: usize, moment: Moment) -> bool {
        let fresh = len - self.measured;
        let due = fresh >= MEASURE || (moment == Moment::End && fresh > 0);
        if due {
            self.measured = len;
        }
        due
    }
}

impl Inspector {
    /// An event has been queued that brought text to these lanes.
    pub(super) fn event(&mut self, grown: &[usize]) {
        if grown.is_empty() {
            return;
        }
        let bytes = self.lanes.text_bytes();
        let brought = bytes - std::mem::replace(&mut self.passed, bytes);
        let mut windowers = grown.iter().map(|index| &self.lanes[*index].windower);
        let waits = match self.delivery {
            Delivery::Whole => !windowers.any(|windower| windower.fresh() >= PIECE),
            _ => self.opening && !windowers.any(Windower::due),
        };
        if waits {
            return;
        }
        self.opening = false;
        let open = self.lanes.take_open(false);
        for index in open.iter().copied() {
            if self.lanes[index].windower.pending() {
                self.judge_lane(index, Moment::Passing);
            } else {
                self.stand_still(index, brought);
            }
        }
        self.lanes.keep_open(open);
        self.cover();
        self.apply();
    }

    /// Judges what a lane has more than at the last time.
    fn judge_lane(&mut self, index: usize, moment: Moment) {
        let id = loop {
            let lane = &mut self.lanes[index];
            let seen = lane.windower.covered();
            let end = floor_char_boundary(&lane.text, seen + AT_ONCE);
            let span = lane.windower.cover(end);
            let ends = end == lane.text.len();
            self.windows_cut += 1;
            let id = self.pend(index, span, seen, if ends { moment } else { Moment::Passing }, true);
            if ends {
                break id;
            }
        };
        let lane = &mut self.lanes[index];
        let watching = &mut self.watching[index];
        watching.still = 0;
        let holds = self.delivery == Delivery::Windows && moment != Moment::End;
        let tail = if holds { self.plan.policy.open_tail(&lane.text).max(watching.open()) } else { 0 };
        lane.cleared = lane.text.len() - tail;
        lane.cleared_by = id;
        lane.asked_last = moment == Moment::End;
    }

    /// Others have gone on: what would complete something at this lane's end is not coming, or not here, and they wait for it.
    fn stand_still(&mut self, index: usize, brought: usize) {
        let watching = &mut self.watching[index];
        watching.still += brought;
        if watching.still >= STILL {
            self.close_lane(index);
        }
    }

    /// Judges a lane's end as if nothing followed, and clears it.
    fn close_lane(&mut self, index: usize) {
        self.ask_again(index);
        let lane = &mut self.lanes[index];
        lane.asked_last = true;
        lane.cleared = lane.text.len();
        lane.cleared_by = self.next_id - 1;
    }

    /// Text has waited for long enough, or (`last`) nothing follows.
    pub(super) fn settle_lanes(&mut self, last: bool) {
        self.opening = false;
        let open = self.lanes.take_open(last);
        for index in open.iter().copied() {
            let lane = &self.lanes[index];
            let (pending, idle) = (lane.windower.pending(), lane.text.len() == lane.len_at_cut);
            let waits = pending || lane.cleared < lane.text.len();
            if last && pending {
                self.judge_lane(index, Moment::End);
            } else if last && !lane.asked_last && !lane.text.is_empty() || waits && idle {
                self.close_lane(index);
            } else if waits {
                self.judge_lane(index, Moment::Window);
            }
            let lane = &mut self.lanes[index];
            lane.len_at_cut = lane.text.len();
        }
        self.lanes.keep_open(open);
        self.cover();
    }
}

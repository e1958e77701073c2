//! What an inspector can be asked about its answer: how far it is, what was found, what has left. Changes nothing.

use bytes::Bytes;

use super::lane::LaneState;
use super::{Delivery, Inspector};
use crate::dialect::{Cut, Facts, Progress};
use crate::frame::{Framer, Framing};
use crate::text::Lane;
use crate::verdict::{Unscored, Verdict};

impl Inspector {
    /// Whether bytes have been released.
    #[must_use]
    pub fn committed(&self) -> bool {
        self.committed
    }

    /// Whether a [`Step::Cut`](super::Step::Cut) or [`Step::End`](super::Step::End) has been given.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// Windows that await their result.
    #[must_use]
    pub fn windows_out(&self) -> usize {
        self.windows.len()
    }

    /// Windows cut so far.
    #[must_use]
    pub fn windows_cut(&self) -> u32 {
        self.windows_cut
    }

    /// Bytes held back.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.queue.bytes() + self.framer.as_ref().map_or(0, Framer::held) + self.prefix.len()
    }

    /// Whether answer text is held that no window covers yet.
    #[must_use]
    pub fn text_waits(&self) -> bool {
        self.delivery == Delivery::Windows && self.queue.uncovered()
    }

    /// Whether the upstream should wait: the hold is full and its windows are being scored.
    #[must_use]
    pub fn full(&self) -> bool {
        !self.windows.is_empty() && self.held_bytes() >= self.plan.held_limit / 2
    }

    /// The framing, once known.
    #[must_use]
    pub fn streamed(&self) -> Option<bool> {
        self.framing.map(|framing| framing != Framing::Json)
    }

    /// Whether the answer is a stream that leaves window by window.
    #[must_use]
    pub fn held_by_window(&self) -> bool {
        self.delivery == Delivery::Windows && !self.blind
    }

    /// Whether the rest of the answer leaves unjudged, since it cannot be judged and the policy lets it through.
    #[must_use]
    pub fn blind(&self) -> bool {
        self.blind
    }

    /// The verdict so far.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.worst
    }

    /// What could not be scored, each reason once.
    #[must_use]
    pub fn unscored(&self) -> &[Unscored] {
        &self.unscored
    }

    /// What of the answer could not be read, in words for the log, where something could not; never its text.
    #[must_use]
    pub fn unread(&self) -> Option<&'static str> {
        self.unread
    }

    /// What the answer says of itself.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The lanes and their texts so far, as they are judged: of a call's arguments the escapes are undone.
    pub fn texts(&self) -> impl Iterator<Item = (Lane, &str)> {
        self.lanes.iter().map(|lane| (lane.lane, lane.text.as_str()))
    }

    /// The lanes and their texts so far, as they came.
    pub fn sources(&self) -> impl Iterator<Item = (Lane, &str)> {
        self.lanes.iter().map(|lane| (lane.lane, lane.source()))
    }

    /// The lanes and as much of their texts as the client has, as they came.
    pub fn delivered(&self) -> impl Iterator<Item = (Lane, &str)> {
        self.lanes.iter().map(|lane| (lane.lane, lane.delivered()))
    }

    /// How much of the answer has been released.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = self.progress.clone();
        progress.texts = self.lanes.iter().flat_map(LaneState::released_parts).collect();
        progress
    }

    /// The bytes that end a stream of which a part has been released. `now`: seconds since 1970.
    #[must_use]
    pub fn epilogue(&self, rule: Option<&str>, now: u64) -> Bytes {
        let progress = self.progress();
        let cut = Cut { exchange: &self.plan.exchange, facts: &self.facts, progress: &progress, rule, now };
        let epilogue = self.plan.dialect.epilogue(&cut);
        if self.unended.is_empty() || epilogue.is_empty() {
            return epilogue;
        }
        // The last event that left lacks its end (the body stopped there): without one, the epilogue would run into it.
        [self.unended.as_bytes(), &epilogue].concat().into()
    }
}

//! The lanes of an answer as the inspector keeps them: each one's text so far, which part of the format each stretch came from, and
//! how far it has been judged and cleared for release.

use std::ops::{Deref, DerefMut, Range};

use smallvec::SmallVec;

use super::places::Places;
use crate::dialect::{Delta, Extent, Released};
use crate::policy::WindowSpec;
use crate::text::{Lane, MAX_LANES};
use crate::window::Windower;

/// The lanes, in the order they came.
#[derive(Debug)]
pub(super) struct Lanes {
    states: Vec<LaneState>,
    places: Places<Lane>,
    /// Lanes whose text is not all cleared: what the next cut has to look at.
    open: Vec<usize>,
    text_bytes: usize,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Lanes { states: Vec::new(), places: Places::new(), open: Vec::new(), text_bytes: 0 }
    }

    /// Takes in a delta: the number of the lane that grew by it, if one did.
    ///
    /// # Errors
    /// [`Full`] where it begins a lane and there are as many as an answer may have.
    pub(super) fn push(&mut self, delta: &Delta<'_>, spec: WindowSpec) -> Result<Option<usize>, Full> {
        let lane = delta.lane();
        if self.places.len() == MAX_LANES && self.places.find(lane).is_none() {
            return Err(Full);
        }
        let number = self.places.number(lane);
        if number == self.states.len() {
            self.states.push(LaneState::new(lane, spec));
        }
        let state = &mut self.states[number];
        let before = state.text.len();
        if !state.push(delta) {
            return Ok(None);
        }
        self.text_bytes += state.text.len() - before;
        if !state.open {
            state.open = true;
            self.open.push(number);
        }
        Ok(Some(number))
    }

    /// The length of all texts together.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// The lanes that a cut has to look at, by their number; all of them before the `last`. Those that stay open are to be given
    /// back with [`Lanes::keep_open`].
    pub(super) fn take_open(&mut self, last: bool) -> Vec<usize> {
        let mut open = std::mem::take(&mut self.open);
        if last {
            open.clear();
            open.extend(0..self.states.len());
        }
        open.sort_unstable();
        open.iter().for_each(|number| self.states[*number].open = false);
        open
    }

    /// Puts those lanes of a cut that are not cleared to their ends before the next one.
    pub(super) fn keep_open(&mut self, mut cut: Vec<usize>) {
        cut.retain(|number| {
            let state = &mut self.states[*number];
            state.open = state.cleared < state.text.len();
            state.open
        });
        self.open = cut;
    }

    /// Whether some text is in no window yet.
    pub(super) fn pending(&self) -> bool {
        self.open.iter().any(|number| self.states[*number].windower.pending())
    }
}

impl Deref for Lanes {
    type Target = [LaneState];
    fn deref(&self) -> &[LaneState] {
        &self.states
    }
}

impl DerefMut for Lanes {
    fn deref_mut(&mut self) -> &mut [LaneState] {
        &mut self.states
    }
}

/// There are [`MAX_LANES`] lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A lane's state.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    pub(super) text: String,
    pub(super) windower: Windower,
    /// The stretches of the text that came from each part, in order.
    parts: Vec<(u32, SmallVec<[Range<usize>; 1]>)>,
    places: Places<u32>,
    /// Whether [`Lanes::open`] has it.
    open: bool,
    /// Bytes that may leave once window `cleared_by` is judged well.
    pub(super) cleared: usize,
    pub(super) cleared_by: u64,
    /// The text's length at the last cut: a lane that has not grown since holds no open tail back.
    pub(super) len_at_cut: usize,
    /// Whether detectors and patterns have been asked about this text as if nothing followed.
    pub(super) asked_last: bool,
    /// Bytes whose events have left.
    pub(super) released: usize,
}

impl LaneState {
    pub(super) fn new(lane: Lane, spec: WindowSpec) -> Self {
        LaneState {
            lane,
            text: String::new(),
            windower: Windower::new(spec),
            parts: Vec::new(),
            places: Places::new(),
            open: false,
            cleared: 0,
            cleared_by: 0,
            len_at_cut: 0,
            asked_last: false,
            released: 0,
        }
    }

    /// Takes in a delta; returns whether the text grew.
    fn push(&mut self, delta: &Delta<'_>) -> bool {
        let fresh: &str = match delta.extent {
            Extent::Append => &delta.text,
            Extent::Whole => match self.beyond(delta.part, &delta.text) {
                Some(fresh) => fresh,
                None => return false,
            },
        };
        if fresh.is_empty() {
            return false;
        }
        let start = self.text.len();
        self.text.push_str(fresh);
        self.windower.push(fresh);
        let part = self.places.number(delta.part);
        if part == self.parts.len() {
            self.parts.push((delta.part, SmallVec::new()));
        }
        let stretches = &mut self.parts[part].1;
        match stretches.last_mut() {
            Some(stretch) if stretch.end == start => stretch.end = self.text.len(),
            _ => stretches.push(start..self.text.len()),
        }
        true
    }

    /// What a part's whole text says that its deltas did not: `None` if nothing; what follows if it continues them; all of it if it
    /// contradicts them, or if other parts have come between, since what follows would be judged after their text.
    fn beyond<'t>(&self, part: u32, whole: &'t str) -> Option<&'t str> {
        let mut rest = whole;
        let stretches = self.places.find(part).map_or(&[][..], |part| &self.parts[part].1);
        for stretch in stretches {
            match rest.strip_prefix(&self.text[stretch.clone()]) {
                Some(after) => rest = after,
                None => return Some(whole),
            }
        }
        let apart = stretches.last().is_some_and(|stretch| stretch.end < self.text.len());
        (!rest.is_empty()).then_some(if apart { whole } else { rest })
    }

    /// What the client has of this lane, by part.
    pub(super) fn released_parts(&self) -> impl Iterator<Item = Released> + '_ {
        self.parts.iter().map(|(part, stretches)| {
            let text = stretches
                .iter()
                .map(|stretch| &self.text[stretch.start.min(self.released)..stretch.end.min(self.released)])
                .collect();
            Released { candidate: self.lane.candidate, channel: self.lane.channel, part: *part, text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Channel;
    use std::borrow::Cow;

    fn lane() -> LaneState {
        LaneState::new(Lane { candidate: 0, channel: Channel::Answer, call: 0 }, WindowSpec { tokens: 128, stride: 48 })
    }

    fn append(part: u32, text: &str) -> Delta<'_> {
        Delta::append(0, Channel::Answer, part, Cow::Borrowed(text))
    }

    fn whole(part: u32, text: &str) -> Delta<'_> {
        Delta::whole(0, Channel::Answer, part, Cow::Borrowed(text))
    }

    #[test]
    fn repetition_is_covered_and_anything_more_is_new_text() {
        let mut state = lane();
        assert!(state.push(&append(0, "Good ")));
        assert!(state.push(&append(1, "other")));
        assert!(state.push(&append(0, "day")));
        assert!(!state.push(&whole(0, "Good day")));
        assert!(state.push(&whole(0, "Good day, fool")));
        assert!(state.text.ends_with(", fool"));
        assert!(state.push(&whole(1, "something else")));
        assert!(state.text.ends_with("something else"));
        assert!(state.push(&whole(7, "never streamed")));
        assert!(state.push(&whole(0, "Good day, foolish one")));
        assert!(state.text.ends_with("never streamedGood day, foolish one"), "judged in one run");
    }

    #[test]
    fn released_parts_stop_where_the_release_stopped() {
        let mut state = lane();
        state.push(&append(0, "abc"));
        state.push(&append(1, "def"));
        state.released = 4;
        let texts: Vec<_> = state.released_parts().map(|r| (r.part, r.text)).collect();
        assert_eq!(texts, [(0, "abc".to_owned()), (1, "d".to_owned())]);
    }
}

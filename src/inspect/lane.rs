//! One lane of an answer as the inspector keeps it: its text so far, which part of the format each stretch came from, and how far
//! it has been judged and cleared for release.

use std::ops::Range;

use crate::dialect::{Delta, Extent, Released};
use crate::policy::WindowSpec;
use crate::text::Lane;
use crate::window::Windower;

/// A lane's state.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    pub(super) text: String,
    pub(super) windower: Windower,
    /// Which part each stretch of the text came from, in order.
    parts: Vec<(u32, Range<usize>)>,
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
            cleared: 0,
            cleared_by: 0,
            len_at_cut: 0,
            asked_last: false,
            released: 0,
        }
    }

    /// Takes in a delta; returns whether the text grew.
    pub(super) fn push(&mut self, delta: &Delta<'_>) -> bool {
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
        match self.parts.last_mut() {
            Some((part, range)) if *part == delta.part => range.end = self.text.len(),
            _ => self.parts.push((delta.part, start..self.text.len())),
        }
        true
    }

    /// What a part's whole text says that its deltas did not: `None` if nothing; what follows if it continues them; all of it if it
    /// contradicts them.
    fn beyond<'t>(&self, part: u32, whole: &'t str) -> Option<&'t str> {
        let mut rest = whole;
        for (_, range) in self.parts.iter().filter(|(of, _)| *of == part) {
            match rest.strip_prefix(&self.text[range.clone()]) {
                Some(after) => rest = after,
                None => return Some(whole),
            }
        }
        (!rest.is_empty()).then_some(rest)
    }

    /// What the client has of this lane, by part.
    pub(super) fn released_parts(&self) -> impl Iterator<Item = Released> + '_ {
        let mut order: Vec<u32> = Vec::new();
        for (part, _) in &self.parts {
            if !order.contains(part) {
                order.push(*part);
            }
        }
        order.into_iter().map(|part| {
            let text = self
                .parts
                .iter()
                .filter(|(of, _)| *of == part)
                .map(|(_, range)| &self.text[range.start.min(self.released)..range.end.min(self.released)])
                .collect();
            Released { candidate: self.lane.candidate, channel: self.lane.channel, part, text }
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

//! The lanes of an answer as the inspector keeps them: each one's text so far, which part of the format each stretch came from, and
//! how far it has been judged and cleared for release.

use std::ops::{Deref, DerefMut, Range};

use smallvec::SmallVec;

use super::escapes::Escapes;
use super::places::Places;
use super::queue::End;
use crate::dialect::{Delta, Extent, Released};
use crate::text::{Channel, Lane, MAX_LANES, ceil_char_boundary, floor_char_boundary};
use crate::window::Windower;

/// How much of a part's text is judged again with what continues it where other parts have come between, in bytes: as far as patterns and
/// detectors look back.
const CONTEXT: usize = 4 << 10;

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

    /// Takes in a delta: the number of the lane that grew by it, if one did. `windower`: for a lane that begins with it.
    ///
    /// # Errors
    /// [`Full`] where it begins a lane and there are as many as an answer may have.
    pub(super) fn push(&mut self, delta: &Delta<'_>, windower: impl FnOnce() -> Windower) -> Result<Option<usize>, Full> {
        let lane = delta.lane();
        if self.places.len() == MAX_LANES && self.places.find(lane).is_none() {
            return Err(Full);
        }
        let number = self.places.number(lane);
        if number == self.states.len() {
            self.states.push(LaneState::new(lane, windower()));
        }
        let state = &mut self.states[number];
        let before = state.source().len();
        if !state.push(delta) {
            return Ok(None);
        }
        self.text_bytes += state.source().len() - before;
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
    /// What is judged.
    pub(super) text: String,
    pub(super) windower: Windower,
    /// A call's arguments as they came; of other lanes that is the text.
    coded: Option<Box<Coded>>,
    parts: Vec<Part>,
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
    /// Bytes of the source whose events have left.
    released: usize,
}

/// A text that is judged without its escapes.
#[derive(Debug, Default)]
struct Coded {
    source: String,
    escapes: Escapes,
}

/// A part of the format: a block, an item, a call.
#[derive(Debug)]
struct Part {
    number: u32,
    /// The stretches of the lane's source that came from it, in order.
    stretches: SmallVec<[Range<usize>; 1]>,
    /// The stretches before this one are of a text that has been contradicted since.
    since: usize,
}

impl Part {
    fn now(&self) -> &[Range<usize>] {
        &self.stretches[self.since..]
    }
}

/// What a part's whole text says that its deltas did not.
#[derive(Debug, PartialEq, Eq)]
enum Beyond<'t> {
    /// Nothing.
    Nothing,
    /// This continues them, behind what is known already.
    More {
        /// The end of what is known, where other parts have come between: what follows would be judged after their text.
        known: &'t str,
        more: &'t str,
    },
    /// They said something else.
    Other,
}

impl LaneState {
    pub(super) fn new(lane: Lane, windower: Windower) -> Self {
        LaneState {
            lane,
            text: String::new(),
            windower,
            coded: (lane.channel == Channel::ToolCall).then(Box::default),
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

    /// The text as it came.
    pub(super) fn source(&self) -> &str {
        self.coded.as_ref().map_or(&self.text, |coded| &coded.source)
    }

    /// As much of it as has left.
    pub(super) fn delivered(&self) -> &str {
        &self.source()[..floor_char_boundary(self.source(), self.released)]
    }

    /// How far this lane, which has that number, has come.
    pub(super) fn end(&self, lane: usize) -> End {
        End { lane, text: self.text.len(), source: self.source().len() }
    }

    /// What had come by then has left.
    pub(super) fn release(&mut self, end: &End) {
        self.released = end.source;
    }

    /// Takes in a delta; returns whether anything has come.
    fn push(&mut self, delta: &Delta<'_>) -> bool {
        let (known, fresh, other): (&str, &str, bool) = match delta.extent {
            Extent::Append => ("", &delta.text, false),
            Extent::Whole => match self.beyond(delta.part, &delta.text) {
                Beyond::Nothing => return false,
                Beyond::More { known, more } => (known, more, false),
                Beyond::Other => ("", &delta.text, true),
            },
        };
        if fresh.is_empty() {
            return false;
        }
        self.append(known);
        let start = self.source().len();
        self.append(fresh);
        let end = self.source().len();
        let number = self.places.number(delta.part);
        if number == self.parts.len() {
            self.parts.push(Part { number: delta.part, stretches: SmallVec::new(), since: 0 });
        }
        let part = &mut self.parts[number];
        if other {
            part.since = part.stretches.len();
        }
        match part.stretches.last_mut() {
            Some(stretch) if !other && stretch.end == start => stretch.end = end,
            _ => part.stretches.push(start..end),
        }
        true
    }

    fn append(&mut self, piece: &str) {
        let before = self.text.len();
        match &mut self.coded {
            Some(coded) => {
                coded.source.push_str(piece);
                coded.escapes.undo(piece, &mut self.text);
            }
            None => self.text.push_str(piece),
        }
        self.windower.push(&self.text[before..]);
    }

    fn beyond<'t>(&self, part: u32, whole: &'t str) -> Beyond<'t> {
        let (mut rest, source) = (whole, self.source());
        let stretches = self.places.find(part).map_or(&[][..], |part| self.parts[part].now());
        for stretch in stretches {
            match rest.strip_prefix(&source[stretch.clone()]) {
                Some(after) => rest = after,
                None => return Beyond::Other,
            }
        }
        if rest.is_empty() {
            return Beyond::Nothing;
        }
        let known = &whole[..whole.len() - rest.len()];
        let apart = stretches.last().is_some_and(|stretch| stretch.end < source.len());
        let from = if apart { ceil_char_boundary(known, known.len().saturating_sub(CONTEXT)) } else { known.len() };
        Beyond::More { known: &known[from..], more: rest }
    }

    /// What the client has of this lane, by part.
    pub(super) fn released_parts(&self) -> impl Iterator<Item = Released> + '_ {
        let (source, released) = (self.source(), self.released);
        self.parts.iter().map(move |part| {
            let text =
                part.stretches.iter().map(|stretch| &source[stretch.start.min(released)..stretch.end.min(released)]).collect();
            Released { candidate: self.lane.candidate, channel: self.lane.channel, part: part.number, text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::WindowSpec;
    use crate::text::Channel;
    use std::borrow::Cow;

    fn windower() -> Windower {
        Windower::new(WindowSpec { tokens: 128, stride: 48 })
    }

    fn lane() -> LaneState {
        LaneState::new(Lane { candidate: 0, channel: Channel::Answer, call: 0 }, windower())
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
        let len = state.text.len();
        for repeated in [whole(0, "Good day, foolish one"), whole(1, "something else"), whole(7, "never streamed")] {
            assert!(!state.push(&repeated), "{repeated:?}");
        }
        assert!(state.push(&whole(1, "other")), "a client may go back to it");
        assert_eq!(state.text.len(), len + "other".len());
    }

    #[test]
    fn a_text_that_is_said_whole_again_and_again_is_judged_once() {
        let mut state = lane();
        let mut said = String::new();
        for sentence in 0..400 {
            said.push_str(&format!("Sentence {sentence} of a long text that is sent whole each time. "));
            state.push(&whole(0, &said));
            state.push(&append(1, "x"));
        }
        assert!(state.text.len() < said.len() + 400 * (CONTEXT + 100), "{} bytes judged of {}", state.text.len(), said.len());
        let released: Vec<_> = {
            state.release(&state.end(0));
            state.released_parts().map(|part| part.text).collect()
        };
        assert_eq!(released, [said, "x".repeat(400)]);
    }

    #[test]
    fn a_calls_arguments_are_judged_without_their_escapes() {
        let call = |text: &'static str| Delta::append(0, Channel::ToolCall, 3, Cow::Borrowed(text));
        let mut state = LaneState::new(call("").lane(), windower());
        for piece in [r#"{"say":"\u0049 am \u0"#, r"04", r#"7rok""#] {
            assert!(state.push(&call(piece)));
        }
        let half = state.end(0);
        assert!(state.push(&call(r#"}\"#)));
        assert_eq!(state.text, r#"{"say":"I am Grok"}"#);
        assert_eq!(state.windower.fresh(), state.text.len());
        let sent = r#"{"say":"\u0049 am \u0047rok""#;
        assert!(!state.push(&Delta::whole(0, Channel::ToolCall, 3, Cow::Owned(format!("{sent}}}\\")))));
        state.release(&half);
        assert_eq!(state.released_parts().map(|part| part.text).collect::<Vec<_>>(), [sent]);
    }

    #[test]
    fn released_parts_stop_where_the_release_stopped() {
        let mut state = lane();
        state.push(&append(0, "abc"));
        state.push(&append(1, "def"));
        state.release(&End { lane: 0, text: 4, source: 4 });
        let texts: Vec<_> = state.released_parts().map(|r| (r.part, r.text)).collect();
        assert_eq!(texts, [(0, "abc".to_owned()), (1, "d".to_owned())]);
    }
}

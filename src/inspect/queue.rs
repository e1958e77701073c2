//! The hold: events in order of arrival, each with what must be judged before it may leave.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::dialect::Mark;

/// How far a lane has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) lane: usize,
    /// Bytes of its text as it is judged.
    pub(super) text: usize,
    /// Bytes of it as it came.
    pub(super) source: usize,
}

/// An event that has not left.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) raw: Bytes,
    pub(super) marks: SmallVec<[Mark; 2]>,
    /// How far the lanes have come whose text it carries.
    pub(super) ends: SmallVec<[End; 1]>,
    /// The window that must be judged well before it leaves; `None` while no window covers its text.
    need: Option<u64>,
}

impl Held {
    /// Bytes without text of their own: they leave in their turn.
    pub(super) fn opaque(raw: Bytes) -> Self {
        Held { raw, marks: SmallVec::new(), ends: SmallVec::new(), need: None }
    }

    /// The memory that it takes, in about: an upstream may send nothing but line breaks.
    fn weight(&self) -> usize {
        self.raw.len().max(size_of::<Held>())
    }

    /// A lane has come this far by it.
    pub(super) fn grew(&mut self, end: End) {
        match self.ends.last_mut() {
            Some(last) if last.lane == end.lane => *last = end,
            _ => self.ends.push(end),
        }
    }
}

/// The hold.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<Held>,
    /// What they weigh: see [`Held::weight`].
    bytes: usize,
    /// Events at the front whose need is known.
    covered: usize,
    /// Events with text among those not covered.
    waiting: usize,
}

impl Queue {
    pub(super) fn push(&mut self, held: Held) {
        self.bytes += held.weight();
        self.waiting += usize::from(!held.ends.is_empty());
        self.events.push_back(held);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether text is held that no window covers yet.
    pub(super) fn uncovered(&self) -> bool {
        self.waiting > 0
    }

    /// Settles the needs of events from the first uncovered one on, for as long as `need` knows them.
    /// `need(ends)`: the window that clears this text, or `None` if it is not cleared yet.
    pub(super) fn cover(&mut self, need: impl Fn(&[End]) -> Option<u64>) {
        while let Some(held) = self.events.get_mut(self.covered) {
            let found = if held.ends.is_empty() { Some(0) } else { need(&held.ends) };
            let Some(found) = found else { break };
            self.waiting -= usize::from(!held.ends.is_empty());
            held.need = Some(found);
            self.covered += 1;
        }
    }

    /// Takes the events at the front that may leave once windows up to `judged` are good; calls `each` for each of them in order.
    /// Returns their bytes (without copying when it is one event) and whether there is text among them.
    pub(super) fn take(&mut self, judged: u64, mut each: impl FnMut(&Held)) -> Option<(Bytes, bool)> {
        let mut first: Option<Bytes> = None;
        let mut joined: Option<BytesMut> = None;
        let mut text = false;
        while let Some(held) = self.events.front()
            && held.need.is_some_and(|need| need <= judged)
        {
            each(held);
            text |= !held.ends.is_empty();
            self.bytes -= held.weight();
            self.covered -= 1;
            let raw = self.events.pop_front().map(|held| held.raw).unwrap_or_default();
            match (&first, &mut joined) {
                (None, _) => first = Some(raw),
                (Some(_), Some(joined)) => joined.extend_from_slice(&raw),
                (Some(one), None) => {
                    let mut both = BytesMut::with_capacity(one.len() + raw.len());
                    both.extend_from_slice(one);
                    both.extend_from_slice(&raw);
                    joined = Some(both);
                }
            }
        }
        let bytes = joined.map(BytesMut::freeze).or(first)?;
        Some((bytes, text))
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Queue::default();
    }
}

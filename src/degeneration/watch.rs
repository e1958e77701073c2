//! The memory of one lane. What is a sign by itself is looked at when it has come; what shows in many words is looked at by steps of
//! the text, so that it does not matter in which pieces the text comes.

use super::skim::{Signs, Skim};
use super::{examine, marks};
use crate::detect::{Finding, Moment, Watch};
use crate::score::Score;
use crate::text::{Channel, floor_char_boundary};

/// Bytes from one look at the words to the next, and where they seem to repeat themselves.
const STEP: usize = 400;
const SHORT_STEP: usize = 80;
/// Bytes for which a template token waits: whether it is only talked about shows behind it.
const WAITS: usize = 48;

/// What is remembered of one lane.
pub(super) struct DegenerationWatch {
    channel: Channel,
    skim: Skim,
    /// Bytes whose words have been looked at.
    seen: usize,
    /// Bytes in which marks have been looked for.
    marked: usize,
    /// Steps that have been taken.
    steps: usize,
    /// A step found what cannot be surer: the next ones can say no more, and a text that goes on like that would have each look closer.
    certain: bool,
    open: usize,
}

impl DegenerationWatch {
    /// Before the first byte.
    pub fn new(channel: Channel) -> Self {
        DegenerationWatch { channel, skim: Skim::new(), seen: 0, marked: 0, steps: 0, certain: false, open: 0 }
    }

    /// Looks at the words of each step that the text has completed.
    fn step(&mut self, text: &str) -> Option<Finding> {
        let mut found = None;
        if self.certain {
            self.steps = text.len() / SHORT_STEP;
            self.seen = self.seen.max(floor_char_boundary(text, self.steps * SHORT_STEP));
        }
        while (self.steps + 1) * SHORT_STEP <= text.len() {
            self.steps += 1;
            let end = self.steps * SHORT_STEP;
            let text = &text[..floor_char_boundary(text, end)];
            if text.len() <= self.seen {
                continue;
            }
            self.skim.read(text);
            let whole = end.is_multiple_of(STEP);
            if !whole && !self.skim.repeats(text, self.seen) {
                continue;
            }
            let signs = self.skim.signs(text, self.seen);
            let seen = std::mem::replace(&mut self.seen, text.len());
            found = stronger(found, examine(self.channel, text, seen, false, signs));
            self.certain = found.as_ref().is_some_and(|found| found.score == Score::ONE);
            if self.certain {
                return found;
            }
        }
        found
    }

    /// Looks for marks, and at those that have come whole.
    fn mark(&mut self, text: &str) -> Option<Finding> {
        if self.channel == Channel::ToolCall {
            return None;
        }
        // The last ones wait for what follows them.
        let late = floor_char_boundary(text, text.len().saturating_sub(WAITS - 1)).max(self.marked);
        let end = marks::template(text, late).unwrap_or(text.len());
        self.open = (text.len() - end).max(marks::half_a_turn(text));
        let seen = std::mem::replace(&mut self.marked, end);
        let text = &text[..end];
        let template = marks::template(text, seen).is_some();
        let signs = Signs { turns: marks::turn(text, seen), broken: marks::broken(text, seen), template, ..Signs::NONE };
        examine(self.channel, text, seen, false, signs)
    }
}

fn stronger(one: Option<Finding>, other: Option<Finding>) -> Option<Finding> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.score > one.score { other } else { one }),
        (one, other) => one.or(other),
    }
}

impl Watch for DegenerationWatch {
    fn look(&mut self, text: &str, moment: Moment) -> Option<Finding> {
        if moment == Moment::Passing {
            let found = self.step(text);
            return stronger(found, self.mark(text));
        }
        let last = moment == Moment::End;
        self.skim.read(text);
        self.open = 0;
        let seen = std::mem::replace(&mut self.seen, text.len());
        let marked = std::mem::replace(&mut self.marked, text.len());
        let (words, marks) = (self.skim.signs(text, seen), marks::signs(text, marked));
        if seen == marked {
            return examine(self.channel, text, seen, last, words.and(marks));
        }
        stronger(examine(self.channel, text, seen, last, words), examine(self.channel, text, marked, last, marks))
    }

    fn open(&self) -> usize {
        self.open
    }
}

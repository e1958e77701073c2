//! The distributions of a stream's label scores and of its distances from the persona's voice and register: when one of them moves as a
//! whole, since which answer.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::drift::{Monitor, Moved, RECENT};
use crate::score::{Label, Signals};
use crate::text::Str;
use crate::verdict::Verdict;

/// A distribution that has moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Of what: a label or a signal.
    pub quantity: &'static str,
    /// How far and since when.
    pub moved: Moved,
}

/// What is watched: every label, then every signal.
const QUANTITIES: usize = Label::COUNT + Signals::NAMES.len();

/// A stream's distributions.
#[derive(Debug)]
pub(super) struct Shifts {
    monitors: [Monitor; QUANTITIES],
    /// When the latest answers ended and which requests they were to.
    answers: VecDeque<(SystemTime, Str)>,
}

impl Default for Shifts {
    fn default() -> Self {
        Shifts { monitors: std::array::from_fn(|_| Monitor::default()), answers: VecDeque::new() }
    }
}

impl Shifts {
    /// Takes in an answer. Returns what has moved, and when and with which request that began. A push moves many scores at once: the
    /// one that moved furthest is told.
    pub(super) fn take(&mut self, verdict: &Verdict, request: &Str, now: SystemTime) -> Option<(Shift, SystemTime, Str)> {
        if self.answers.len() == RECENT {
            self.answers.pop_front();
        }
        self.answers.push_back((now, request.clone()));
        let mut furthest: Option<Shift> = None;
        for (monitor, (quantity, value)) in self.monitors.iter_mut().zip(measured(verdict)) {
            if let Some(moved) = monitor.take(value)
                && furthest.as_ref().is_none_or(|shift| moved.index > shift.moved.index)
            {
                furthest = Some(Shift { quantity, moved });
            }
        }
        let shift = furthest?;
        let first = self.answers.len().saturating_sub(shift.moved.ago);
        let (since, request) = self.answers.get(first)?.clone();
        Some((shift, since, request))
    }

    /// Whether distributions were compared with the last answer.
    pub(super) fn compared(&self) -> bool {
        self.monitors.iter().any(Monitor::compared)
    }

    /// Each quantity's index, where it has been compared.
    pub(super) fn indices(&self) -> impl Iterator<Item = (&'static str, f64)> {
        names().zip(&self.monitors).filter_map(|(name, monitor)| Some((name, monitor.index()?)))
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    Label::ALL.into_iter().map(Label::as_str).chain(Signals::NAMES)
}

fn measured(verdict: &Verdict) -> impl Iterator<Item = (&'static str, Option<f64>)> {
    let labels = Label::ALL.into_iter().map(|label| Some(f64::from(verdict.scores.get(label).get())));
    let signals = Signals::NAMES.into_iter().map(|name| verdict.signals.get(name).map(|score| f64::from(score.get())));
    names().zip(labels.chain(signals))
}

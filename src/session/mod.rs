//! Conversations over several requests: which one a request belongs to, and what is remembered of it. Knows requests' heads and what
//! they say; no server, no policy's rules, no configuration file.
//!
//! Remembered is one small [`State`] a conversation: numbers, no text. Names that clients give are hashed together with who calls before
//! they are kept anywhere.

mod key;
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::sync::Arc;

pub use key::{Caller, KeyPart, Request, SessionKey, Trail};
pub use memory::MemorySessions;
#[cfg(feature = "redis")]
pub use redis::RedisSessions;

use crate::drift::{Baseline, Cusum, Ewma, Residuals, Sums};
use crate::infer::BoxFuture;
use crate::policy::Measures;
use crate::text::Str;

/// What is remembered of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// A CUSUM for each quantity of its turns, in standard deviations.
    pub sums: Sums,
    /// Where it is now: the exponentially weighted mean of pooled residuals.
    pub mean: f64,
    /// Judged turns.
    pub turns: u64,
    /// Of those, flagged, retried or blocked.
    pub flags: u64,
    /// The turn after which the drift was last 0: it began with the next.
    pub calm: u64,
    /// What is done about it from the next request on.
    pub measures: Measures,
}

/// One judged turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// How far it is from harmless ones; what could not be measured leaves its sum as it is.
    pub residuals: Residuals,
    /// Whether it was flagged, retried or blocked.
    pub flagged: bool,
    /// What its answer asks to be done, whether or not there is any drift.
    pub asked: Measures,
    /// What was being done when it was asked for: it goes on until the drift is 0 again.
    pub held: Measures,
}

/// The charts that states are kept with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charts {
    /// For the drift.
    pub cusum: Cusum,
    /// For the mean.
    pub ewma: Ewma,
}

impl State {
    /// Of a conversation of which only the drift is known: it is taken for that of the labels.
    #[must_use]
    pub fn drifting(drift: f64) -> State {
        State { sums: Sums([drift, 0.0, 0.0]), ..State::default() }
    }

    /// Its drift, in standard deviations: the highest of its sums.
    #[must_use]
    pub fn drift(&self) -> f64 {
        self.sums.drift()
    }

    /// The state after one more turn.
    #[must_use]
    pub fn after(&self, turn: Turn, charts: &Charts) -> State {
        let sums = self.sums.after(&turn.residuals, &charts.cusum);
        let drift = sums.drift();
        let turns = self.turns + 1;
        State {
            sums,
            mean: charts.ewma.next(self.mean, turn.residuals.pooled()),
            turns,
            flags: self.flags + u64::from(turn.flagged),
            calm: if drift > 0.0 { self.calm } else { turns },
            measures: if drift > 0.0 { self.measures.and(turn.held).and(turn.asked) } else { turn.asked },
        }
    }
}

/// A conversation as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// What it is called in incidents and on the dashboard: a hash, the same for all of its turns.
    pub name: Str,
    /// The route of its last turn.
    pub route: Str,
    /// Its state.
    pub state: State,
    /// When its last turn ended, in seconds since 1970.
    pub updated: u64,
}

/// A turn to be remembered.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where.
    pub place: Place,
    /// The turn.
    pub turn: Turn,
    /// The charts.
    pub charts: Charts,
    /// The conversation's name, if it is new.
    pub name: Str,
    /// The route.
    pub route: Str,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// Where a turn belongs.
#[derive(Clone, Debug)]
pub enum Place {
    /// The conversation of that key: brought up to date where it is, however many turns of it end at once.
    At(SessionKey),
    /// A conversation that is known by its history: what was `before` (as recalled), one turn on, is kept under the keys of the longer
    /// history. What was before stays, for the turn may be asked for again.
    After {
        /// What was recalled.
        before: Option<Conversation>,
        /// The keys of the history with this turn.
        keys: Vec<SessionKey>,
    },
}

/// Conversations' state cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session store cannot be reached: {0}")]
pub struct SessionError(pub String);

/// A store of conversations. Shared; bounded by its own means.
pub trait Sessions: Send + Sync + 'static {
    /// The metric label: `memory`, `redis`.
    fn store(&self) -> &'static str;

    /// The conversation of the first of these keys that is known.
    fn recall(&self, keys: Vec<SessionKey>) -> BoxFuture<Result<Option<Conversation>, SessionError>>;

    /// Remembers a turn; returns the conversation after it.
    fn record(&self, record: Record) -> BoxFuture<Result<Conversation, SessionError>>;

    /// The conversations with the highest drift, at most so many, and how many there are.
    fn list(&self, most: usize) -> BoxFuture<Result<(Vec<Conversation>, u64), SessionError>>;
}

/// Sorts conversations by drift, the highest first, and keeps at most so many.
fn worst_first(conversations: &mut Vec<Conversation>, most: usize) {
    conversations.sort_by(|a, b| b.state.drift().total_cmp(&a.state.drift()).then(b.updated.cmp(&a.updated)));
    conversations.truncate(most);
}

/// How a route's conversations are followed.
#[derive(Clone)]
pub struct Tracking {
    /// Where they are kept.
    pub sessions: Arc<dyn Sessions>,
    /// What names them; the first that is there counts.
    pub key: Arc<[KeyPart]>,
    /// What harmless turns look like.
    pub baseline: Arc<Baseline>,
    /// The charts.
    pub charts: Charts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_knows_since_when_it_drifts_and_calms_down() {
        let charts = Charts::default();
        let turn = |residual| {
            let residuals = Residuals::of_labels(residual);
            Turn { residuals, flagged: residual > 2.0, asked: Measures::NONE, held: Measures::NONE }
        };
        let states: Vec<State> = [-0.5, 0.2, 2.5, 2.5, f64::NAN, -3.0, -3.0]
            .into_iter()
            .scan(State::default(), |state, residual| {
                *state = state.after(turn(residual), &charts);
                Some(*state)
            })
            .collect();
        assert_eq!(states[3].drift(), 3.5);
        assert_eq!((states[3].turns, states[3].flags, states[3].calm), (4, 2, 2));
        assert_eq!((states[4].drift(), states[4].turns), (3.5, 5), "what could not be measured moves nothing");
        assert_eq!((states[6].drift(), states[6].calm), (0.0, 7));
    }

    #[test]
    fn what_is_done_about_a_conversation_ends_when_it_is_calm() {
        let (remind, buffer) = (Measures::from_bits(1), Measures::from_bits(2));
        let none = Measures::NONE;
        let after = |state: State, residual, asked, held| {
            state.after(Turn { residuals: Residuals::of_labels(residual), flagged: false, asked, held }, &Charts::default())
        };
        let drifting = after(State::drifting(6.0), 2.0, none, remind);
        assert_eq!((drifting.drift(), drifting.measures), (7.25, remind));
        let better = after(drifting, -2.0, buffer, remind);
        assert_eq!((better.drift(), better.measures), (4.5, remind.and(buffer)), "it goes on while there is drift");
        let unknown = after(better, f64::NAN, none, none);
        assert_eq!(unknown.measures, better.measures);
        let calm = after(after(better, -3.0, none, remind), -3.0, none, remind);
        assert_eq!((calm.drift(), calm.measures), (0.0, none));
        assert_eq!(after(calm, -3.0, remind, none).measures, remind, "what an answer asks for is done once in any case");
    }
}

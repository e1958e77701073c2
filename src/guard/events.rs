//! What the guard tells whoever watches it: metrics, incidents and the dashboard hang here, from above.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::circuit::{Circuit, Way};
use crate::dialect::{Api, Facts};
use crate::infer::Scored;
use crate::policy::{Measures, Mode, SessionFacts};
use crate::session::State;
use crate::text::{Channel, Str};
use crate::verdict::{Unscored, Verdict};

/// Who an exchange is, known from its head on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The gateway's request id (a ULID).
    pub request_id: Str,
    /// The request's path, without its query. User data: never a metric label.
    pub path: Str,
    /// The route's name: its path, or what the library user called it. Bounded by configuration.
    pub route: Str,
    /// The policy's name.
    pub policy: Str,
    /// The policy's mode.
    pub mode: Mode,
    /// The persona's name, if the route has one.
    pub persona: Option<Str>,
    /// The wire format; `None` for traffic in no known api.
    pub api: Option<Api>,
    /// The model asked for. User data: a metric label only within a bound.
    pub model: Option<Str>,
    /// A hash of the system prompt, if there is one.
    pub prompt: Option<u64>,
    /// The conversation's key, if it has one. User data: never a metric label.
    pub session: Option<Str>,
    /// The caller's `traceparent` as it came, for watchers that continue its trace.
    pub traceparent: Option<Str>,
}

/// How an exchange's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// All of it was delivered.
    Complete,
    /// The guard answered in the model's place before anything left.
    Refused,
    /// The guard ended the stream after a part had left.
    Cut,
    /// The client went away.
    ClientLeft,
    /// The upstream broke off.
    UpstreamBroke,
    /// The program was told not to wait for it any longer. The guard alone takes this for [`Ending::ClientLeft`]: who stops it knows better.
    GatewayStopped,
}

impl Ending {
    /// The name used in logs and incidents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Ending::Complete => "complete",
            Ending::Refused => "refused",
            Ending::Cut => "cut",
            Ending::ClientLeft => "client_left",
            Ending::UpstreamBroke => "upstream_broke",
            Ending::GatewayStopped => "gateway_stopped",
        }
    }

    /// Whether the client got all that it was to get.
    #[must_use]
    pub const fn whole(self) -> bool {
        matches!(self, Ending::Complete | Ending::Refused | Ending::Cut)
    }
}

/// A piece of the answer around what caused a verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The channel.
    pub channel: Option<Channel>,
    /// Up to 200 characters before.
    pub before: String,
    /// What caused it.
    pub matched: String,
    /// Up to 200 characters after.
    pub after: String,
    /// The lane's whole text.
    pub full: String,
}

/// An attempt that was judged and not used.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its verdict.
    pub verdict: Verdict,
    /// The text that caused it.
    pub excerpt: Excerpt,
    /// What the next attempt added to or changed in the request, in words for the incident.
    pub changed: String,
}

/// An exchange as a turn of its conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionTurn {
    /// The conversation before it, as its rules saw it.
    pub before: SessionFacts,
    /// The conversation after it; `None` where it was not recorded (nothing was judged, or the store cannot be reached).
    pub after: Option<State>,
}

/// What was done about a conversation that drifts, before this exchange's request went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steered {
    /// The rule that asked for it.
    pub rule: Str,
    /// What it asked for.
    pub wished: Measures,
    /// What could be done.
    pub taken: Measures,
    /// What was added or changed, in words for the incident.
    pub changed: String,
    /// What could not be done and why; empty where all was.
    pub failed: String,
}

/// An exchange of a route with a circuit.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The circuit.
    pub circuit: Arc<Circuit>,
    /// Which way the exchange went.
    pub way: Way,
}

/// One exchange, told at the end of its body.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Who.
    pub subject: Subject,
    /// Whether the answer was a stream.
    pub streamed: bool,
    /// The status sent to the client.
    pub status: u16,
    /// The final verdict. `None` where nothing was judged (an error status, unknown traffic): see `unscored`.
    pub verdict: Option<Verdict>,
    /// The text that caused the verdict, where one did.
    pub excerpt: Excerpt,
    /// What could not be scored, each reason once.
    pub unscored: Vec<Unscored>,
    /// What of the answer could not be read, in words for the log; never its text.
    pub unread: Option<&'static str>,
    /// Upstream calls made.
    pub attempts: u32,
    /// The attempts before the last, with why each was not used.
    pub retried: Vec<Attempt>,
    /// What the answer says of itself.
    pub facts: Facts,
    /// Windows scored.
    pub windows: u32,
    /// Its conversation, where conversations are followed and something names this one.
    pub session: Option<SessionTurn>,
    /// What was done about its conversation, where a rule with the action reanchor asked for something.
    pub steered: Option<Steered>,
    /// How the route's circuit let it pass, if there is one.
    pub passage: Option<Passage>,
    /// Whether another upstream than the route's own, or another model than was asked for, answered from the first: because of its
    /// conversation or its circuit.
    pub spare: bool,
    /// How it ended.
    pub ending: Ending,
    /// When it ended: watchers are told one after another, and the last of them a little later.
    pub ended: Instant,
    /// From the request to the end of the body.
    pub total: Duration,
    /// From the upstream's last byte to the last byte released: what the guard added at the end.
    pub guard: Duration,
    /// The longest that text was held.
    pub held: Duration,
    /// From the request to the first text released.
    pub first_text: Option<Duration>,
}

impl Outcome {
    /// The verdict, unless it is a clean one of an answer that did not come to its end: nobody knows what else it would have said, so that is
    /// no allow.
    #[must_use]
    pub fn decided(&self) -> Option<&Verdict> {
        self.verdict.as_ref().filter(|verdict| self.ending.whole() || !verdict.is_clean())
    }
}

/// What became of a wish to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOutcome {
    /// Another attempt was made.
    Attempted,
    /// The retried answer was good.
    Recovered,
    /// The attempts were spent and the answer was still bad.
    Exhausted,
    /// The global retry budget was spent.
    Budget,
    /// The overall deadline had passed.
    Deadline,
    /// Bytes had already left.
    Committed,
    /// The wire format or the request cannot be amended as the rule asks.
    Unsupported,
}

impl RetryOutcome {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RetryOutcome::Attempted => "attempted",
            RetryOutcome::Recovered => "recovered",
            RetryOutcome::Exhausted => "exhausted",
            RetryOutcome::Budget => "budget",
            RetryOutcome::Deadline => "deadline",
            RetryOutcome::Committed => "committed",
            RetryOutcome::Unsupported => "unsupported",
        }
    }
}

/// A watcher. Called on the request's own task: it must not block.
pub trait Observe: Send + Sync + 'static {
    /// A window came back from the scorer.
    fn on_window(&self, subject: &Subject, scored: &Scored) {
        let _ = (subject, scored);
    }

    /// Text was released after having been held.
    fn on_hold(&self, subject: &Subject, held: Duration) {
        let _ = (subject, held);
    }

    /// A retry was wished for.
    fn on_retry(&self, subject: &Subject, outcome: RetryOutcome) {
        let _ = (subject, outcome);
    }

    /// An exchange is over.
    fn on_end(&self, outcome: &Outcome) {
        let _ = outcome;
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observe for Unobserved {}

/// Watches for several, in order.
#[derive(Clone, Default)]
pub struct Observers(pub Vec<Arc<dyn Observe>>);

impl Observe for Observers {
    fn on_window(&self, subject: &Subject, scored: &Scored) {
        self.0.iter().for_each(|observer| observer.on_window(subject, scored));
    }
    fn on_hold(&self, subject: &Subject, held: Duration) {
        self.0.iter().for_each(|observer| observer.on_hold(subject, held));
    }
    fn on_retry(&self, subject: &Subject, outcome: RetryOutcome) {
        self.0.iter().for_each(|observer| observer.on_retry(subject, outcome));
    }
    fn on_end(&self, outcome: &Outcome) {
        self.0.iter().for_each(|observer| observer.on_end(outcome));
    }
}

impl<T: Observe + ?Sized> Observe for Arc<T> {
    fn on_window(&self, subject: &Subject, scored: &Scored) {
        (**self).on_window(subject, scored);
    }
    fn on_hold(&self, subject: &Subject, held: Duration) {
        (**self).on_hold(subject, held);
    }
    fn on_retry(&self, subject: &Subject, outcome: RetryOutcome) {
        (**self).on_retry(subject, outcome);
    }
    fn on_end(&self, outcome: &Outcome) {
        (**self).on_end(outcome);
    }
}

//! Everything one exchange is judged with. Loaded once per exchange and swapped as a whole, so a reload never splits an exchange.

use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};

use super::circuit::Circuit;
use super::events::{Observe, Unobserved};
use crate::detect::Detectors;
use crate::dialect::{Api, Dialects};
use crate::drift::{self, Baseline};
use crate::infer::Scorer;
use crate::persona::Persona;
use crate::policy::Policy;
use crate::session::{Charts, KeyPart, Sessions, Tracking};
use crate::text::Str;

/// Bounds on what one exchange may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a judged request's body; beyond it 413.
    pub request_body: usize,
    /// Bytes of an answer that may be held (a whole JSON answer, or a stream's text while it is judged).
    pub held: usize,
    /// How long after the request a new attempt may still begin.
    pub retry_deadline: Duration,
    /// How many fallback upstreams the route has ([`super::Target::fallback`]).
    pub fallbacks: usize,
    /// Whether a request can be sent more than once. Where not, a rule that retries does what its `then` says.
    pub repeatable: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { request_body: 20 << 20, held: 50 << 20, retry_deadline: Duration::from_secs(60), fallbacks: 0, repeatable: true }
    }
}

/// What an exchange is judged with.
#[derive(Clone)]
pub struct Snapshot {
    /// The route's name, for metrics and incidents.
    pub route: Str,
    /// The policy.
    pub policy: Arc<Policy>,
    /// The persona.
    pub persona: Option<Arc<Persona>>,
    /// Rule-based detectors, and what measures signals.
    pub detectors: Detectors,
    /// The classifier; `None`: detectors and patterns judge alone.
    pub scorer: Option<Arc<dyn Scorer>>,
    /// The wire formats.
    pub dialects: Arc<Dialects>,
    /// The route's api, if it names one.
    pub api: Option<Api>,
    /// Whether upstreams are shown another credential than the client's: a signature of the client's counts for nothing then.
    pub own_credential: bool,
    /// What harmless turns look like.
    pub baseline: Arc<Baseline>,
    /// The drift that they do not reach: `session.limit` in rules.
    pub drift_limit: f64,
    /// The charts that it is for.
    pub charts: Charts,
    /// Where conversations are remembered; `None`: each request is its own.
    pub tracking: Option<Tracking>,
    /// Opens when the route's model collapses; `None`: never.
    pub circuit: Option<Arc<Circuit>>,
    /// Bounds.
    pub limits: Limits,
    /// The global retry budget, shared by all routes.
    pub budget: Arc<dyn Budget + Send + Sync>,
    /// Who is told.
    pub observe: Arc<dyn Observe>,
}

impl Snapshot {
    /// A snapshot with this policy, every built-in wire format, and nothing else.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Snapshot {
            route: "guard".into(),
            policy: Arc::new(policy),
            persona: None,
            detectors: Detectors::default(),
            scorer: None,
            dialects: Arc::new(Dialects::builtin()),
            api: None,
            own_credential: false,
            baseline: Arc::default(),
            drift_limit: drift::LIMIT,
            charts: Charts::default(),
            tracking: None,
            circuit: None,
            limits: Limits::default(),
            budget: Arc::new(TpsBudget::default()),
            observe: Arc::new(Unobserved),
        }
    }

    /// Scores windows with this.
    #[must_use]
    pub fn with_scorer(mut self, scorer: Arc<dyn Scorer>) -> Self {
        self.scorer = Some(scorer);
        self
    }

    /// Judges answers as this persona's, with these detectors.
    #[must_use]
    pub fn with_persona(mut self, persona: Arc<Persona>, detectors: Detectors) -> Self {
        self.persona = Some(persona);
        self.detectors = detectors;
        self
    }

    /// Follows conversations by these parts of requests and remembers them there.
    #[must_use]
    pub fn with_sessions(mut self, sessions: Arc<dyn Sessions>, key: Arc<[KeyPart]>) -> Self {
        self.tracking = Some(Tracking { sessions, key, baseline: self.baseline.clone(), charts: self.charts });
        self
    }

    /// Tells this watcher.
    #[must_use]
    pub fn with_observer(mut self, observe: Arc<dyn Observe>) -> Self {
        self.observe = observe;
        self
    }
}

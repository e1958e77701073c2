//! A circuit breaker for a route whose model collapses as a whole: it opens on what its answers came to, sends requests elsewhere or
//! refuses them, and closes when the answers to a few requests that go through all the same are good. Knows no upstreams and no metrics.
//!
//! What counts are judged answers of the route's own upstream. An answer that could not be scored, and an upstream that gave none, say
//! nothing of the model: for those there are `on_error` and fallbacks. Each replica has a circuit of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::policy::{CircuitSpec, Mode, Policy};
use crate::text::Str;

/// Which way an exchange goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// To the route's own upstream: the circuit is closed.
    Own,
    /// There too, to see whether it is well again.
    Probe,
    /// Not there.
    Away,
}

/// A circuit's state. In this order it is the value of `steadfast_circuit_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Requests go to the route's own upstream.
    Closed,
    /// They do not, and the last one that did all the same was answered well.
    HalfOpen,
    /// They do not.
    Open,
}

/// A circuit has changed its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The route.
    pub route: Str,
    /// Its policy.
    pub policy: Str,
    /// Whether the policy acts. In shadow mode a circuit opens and closes, and requests go on as before.
    pub mode: Mode,
    /// Its new state.
    pub phase: Phase,
    /// Why, in words.
    pub why: String,
    /// The request whose answer made it so.
    pub request: Str,
}

/// Who is told of changes. Called on the request's own task: it must not block.
pub type Told = Arc<dyn Fn(&Change) + Send + Sync>;

/// A route's circuit.
pub struct Circuit {
    spec: CircuitSpec,
    route: Str,
    policy: Str,
    mode: Mode,
    state: Mutex<State>,
    told: Told,
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("route", &self.route).field("spec", &self.spec).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Whether each of the last answers was bad, and how many were; while it is closed.
    answers: VecDeque<bool>,
    bad: usize,
    open: Option<Open>,
    /// It has closed, and the fleet's chart has not been told to begin anew.
    forget: bool,
}

#[derive(Debug)]
struct Open {
    /// When a request was last sent through.
    probed: Instant,
    /// Good answers to such requests, in a row.
    good: u32,
}

impl Circuit {
    /// A closed circuit for a route, if its policy has one.
    #[must_use]
    pub fn of(policy: &Policy, route: Str, told: Told) -> Option<Self> {
        let (spec, mode) = (policy.circuit?, policy.mode);
        Some(Circuit { spec, route, policy: policy.name.clone(), mode, state: Mutex::default(), told })
    }

    /// Whether it is what a policy asks for.
    #[must_use]
    pub fn is_of(&self, policy: &Policy) -> bool {
        policy.circuit == Some(self.spec) && policy.mode == self.mode && policy.name == self.policy
    }

    /// Its settings.
    #[must_use]
    pub fn spec(&self) -> &CircuitSpec {
        &self.spec
    }

    /// Its state.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state().phase()
    }

    /// Which way an exchange goes that begins now.
    #[must_use]
    pub fn enter(&self, now: Instant) -> Way {
        match &mut self.state().open {
            None => Way::Own,
            Some(open) if now.saturating_duration_since(open.probed) >= self.spec.probe => {
                open.probed = now;
                Way::Probe
            }
            Some(_) => Way::Away,
        }
    }

    /// An answer has been judged. `bad`: the most severe action that it or an attempt before it came to is at least the circuit's.
    pub fn judged(&self, way: Way, bad: bool, request: &Str, now: Instant) {
        let mut state = self.state();
        let change = match (&mut state.open, way) {
            (None, Way::Own | Way::Probe) => {
                let why = state.count(bad, &self.spec);
                why.map(|why| state.open(why, now))
            }
            (Some(open), Way::Probe) => {
                let before = open.good;
                open.good = if bad { 0 } else { open.good + 1 };
                match open.good {
                    good if good >= self.spec.close => {
                        let why = format!("{good} answers in a row to requests that went through were good");
                        *state = State { forget: true, ..State::default() };
                        Some((Phase::Closed, why))
                    }
                    0 if before > 0 => Some((Phase::Open, "an answer to a request that went through was bad again".to_owned())),
                    1 if before == 0 => Some((Phase::HalfOpen, "an answer to a request that went through was good".to_owned())),
                    _ => None,
                }
            }
            // Asked for before the circuit opened, or answered by another.
            (Some(_), Way::Own) | (_, Way::Away) => None,
        };
        drop(state);
        self.tell(change, request);
    }

    /// The fleet's chart of the route's own upstream stands here. Returns whether the chart is to begin anew: the circuit has closed, and
    /// what was added up before says nothing of what answers now.
    pub fn fleet(&self, drift: f64, request: &Str, now: Instant) -> bool {
        let Some(limit) = self.spec.fleet_drift else { return false };
        let mut state = self.state();
        if std::mem::take(&mut state.forget) {
            return true;
        }
        let change = (state.open.is_none() && drift >= limit)
            .then(|| state.open(format!("the route's fleet drift reached {drift:.1} (circuit.fleet_drift: {limit})"), now));
        drop(state);
        self.tell(change, request);
        false
    }

    fn tell(&self, change: Option<(Phase, String)>, request: &Str) {
        if let Some((phase, why)) = change {
            let (route, policy, mode) = (self.route.clone(), self.policy.clone(), self.mode);
            (self.told)(&Change { route, policy, mode, phase, why, request: request.clone() });
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn phase(&self) -> Phase {
        match &self.open {
            None => Phase::Closed,
            Some(Open { good: 0, .. }) => Phase::Open,
            Some(_) => Phase::HalfOpen,
        }
    }

    fn open(&mut self, why: String, now: Instant) -> (Phase, String) {
        *self = State { open: Some(Open { probed: now, good: 0 }), ..State::default() };
        (Phase::Open, why)
    }

    /// Counts an answer; why the circuit opens, if it does. It need not wait for a full window where what is bad is enough already.
    fn count(&mut self, bad: bool, spec: &CircuitSpec) -> Option<String> {
        let rate = spec.rate?;
        self.answers.push_back(bad);
        self.bad += usize::from(bad);
        if self.answers.len() > spec.answers {
            self.bad -= usize::from(self.answers.pop_front() == Some(true));
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        let (count, limit) = (self.bad as f64, rate * spec.answers as f64);
        (bad && count >= limit).then(|| {
            format!(
                "{} of the last {} answers came to {} or worse (circuit.rate: {rate})",
                self.bad,
                self.answers.len(),
                spec.bad
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Calibration, Detour};
    use crate::verdict::Action;
    use std::time::Duration;

    struct Watched(Circuit, Arc<Mutex<Vec<Phase>>>, Instant);

    fn circuit(rate: Option<f64>, fleet_drift: Option<f64>) -> Watched {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let told: Told = Arc::new(move |change: &Change| sink.lock().unwrap().push(change.phase));
        let mut policy = Policy::parse("", None, &Calibration::NONE).unwrap();
        policy.circuit = Some(CircuitSpec {
            fleet_drift,
            rate,
            answers: 10,
            bad: Action::Retry,
            then: Detour::Block,
            probe: Duration::from_secs(30),
            close: 3,
        });
        Watched(Circuit::of(&policy, "/".into(), told).unwrap(), seen, Instant::now())
    }

    impl Watched {
        /// An exchange after so many seconds: the way it went.
        fn exchange(&self, seconds: u64, bad: bool) -> Way {
            let now = self.2 + Duration::from_secs(seconds);
            let way = self.0.enter(now);
            self.0.judged(way, bad, &"r".into(), now);
            way
        }

        fn told(&self) -> Vec<Phase> {
            std::mem::take(&mut self.1.lock().unwrap())
        }
    }

    #[test]
    fn it_opens_at_its_rate_and_not_on_one_bad_answer_in_ten() {
        let quiet = circuit(Some(0.3), None);
        for index in 0..500 {
            assert_eq!(quiet.exchange(0, index % 10 == 0 || index % 10 == 5), Way::Own);
        }
        assert!(quiet.told().is_empty());
        let early = circuit(Some(0.3), None);
        for bad in [true, true, true] {
            assert_eq!(early.exchange(0, bad), Way::Own);
        }
        assert_eq!((early.0.phase(), early.told()), (Phase::Open, vec![Phase::Open]), "three of ten it is, whatever follows");
        assert_eq!(early.exchange(1, false), Way::Away);
    }

    #[test]
    fn probes_are_few_and_close_it_only_in_a_row() {
        let circuit = circuit(Some(0.3), None);
        (0..3).for_each(|_| assert_eq!(circuit.exchange(0, true), Way::Own));
        let mut probes = 0;
        for second in 1..=95 {
            // A hundred requests a second: one in thirty seconds goes through.
            for _ in 0..100 {
                if circuit.exchange(second, second < 60) == Way::Probe {
                    probes += 1;
                }
            }
        }
        assert_eq!(probes, 3);
        assert_eq!(circuit.told(), [Phase::Open, Phase::HalfOpen], "at 30 bad, at 60 and 90 good");
        assert_eq!(circuit.exchange(120, true), Way::Probe);
        for second in [150, 180, 210] {
            assert_eq!(circuit.exchange(second, false), Way::Probe);
        }
        assert_eq!(circuit.told(), [Phase::Open, Phase::HalfOpen, Phase::Closed]);
        // What was counted before it opened is forgotten.
        assert_eq!(circuit.exchange(211, true), Way::Own);
        assert_eq!(circuit.exchange(211, true), Way::Own);
        assert_eq!(circuit.0.phase(), Phase::Closed);
    }

    #[test]
    fn late_answers_and_those_of_others_change_nothing() {
        let Watched(circuit, _, now) = circuit(Some(0.3), None);
        let judged = |way, bad| circuit.judged(way, bad, &"r".into(), now);
        (0..10).for_each(|_| judged(Way::Away, true));
        assert_eq!(circuit.phase(), Phase::Closed);
        (0..3).for_each(|_| judged(Way::Own, true));
        (0..10).for_each(|_| judged(Way::Own, false));
        assert_eq!(circuit.phase(), Phase::Open, "they were asked for before it opened");
    }

    #[test]
    fn the_fleets_chart_opens_it_and_begins_anew_when_it_has_closed() {
        let circuit = circuit(None, Some(8.0));
        let fleet = |drift| circuit.0.fleet(drift, &"r".into(), circuit.2);
        assert!(!fleet(7.9));
        assert_eq!(circuit.0.phase(), Phase::Closed);
        assert!(!fleet(8.0));
        assert_eq!(circuit.told(), [Phase::Open]);
        for second in [30, 60, 90] {
            assert_eq!(circuit.exchange(second, false), Way::Probe);
        }
        assert_eq!(circuit.0.phase(), Phase::Closed);
        assert!(fleet(9.0), "the chart still stands where it was, and is told once");
        assert!(!fleet(0.0));
        assert_eq!(circuit.0.phase(), Phase::Closed);
    }
}

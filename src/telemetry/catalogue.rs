//! Every metric's name, type, labels and buckets, in one file. Knows nothing of how they are fed or shown.
//!
//! `docs/metrics.md` is compared with this table by a test: a metric that is in one and not in the other fails it. No label takes
//! its value from user data without a bound: routes, policies, rules, personas and upstreams are bounded by configuration, models by
//! [`super::models`], the rest are enums.

use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What all names begin with.
pub const NAMESPACE: &str = "steadfast";

/// A family's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets with these upper bounds (`+Inf` is added).
    Histogram(&'static [f64]),
}

impl Kind {
    /// The type's name in documentation and exposition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// One metric family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// Its name without [`NAMESPACE`].
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its label names.
    pub labels: &'static [&'static str],
    /// What it counts, for people.
    pub help: &'static str,
}

// The guard should add between a tenth of a millisecond (no classifier) and a few windows' inference; the policy's deadline, 2 s by
// default, is the far end. Five buckets below 10 ms because that is where a regression shows first.
const GUARD: Kind = Kind::Histogram(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0]);
// Held for one window: the tokens that fill it (48 at 5 ms is 240 ms) and its inference. The target is 250 ms, so it is a boundary.
const HOLD: Kind = Kind::Histogram(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 2.0, 5.0, 10.0]);
// People feel tenths of a second up to two, and reasoning models take up to a minute.
const FIRST_TEXT: Kind = Kind::Histogram(&[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0]);
// Whole answers: from a cached completion to a long stream.
const UPSTREAM: Kind = Kind::Histogram(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0]);
// The first stage takes microseconds, one window 4 to 7 ms on one core; ten times that means that cores are shared.
const CLASSIFIER: Kind = Kind::Histogram(&[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02, 0.04, 0.08, 0.2, 0.5,
]);
const BATCH: Kind = Kind::Histogram(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
// Fine where thresholds lie (0.5 to 0.99) and at the very bottom, where nearly all answers are: a shift of the bulk is the first sign.
const SCORE: Kind =
    Kind::Histogram(&[0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0]);
// A CUSUM in standard deviations; alarm limits lie between 2.5 and 8.
const DRIFT: Kind = Kind::Histogram(&[0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 25.0]);

macro_rules! catalogue {
    ($($constant:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Family = Family { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)*

        /// Every family, in the order of the documentation.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

catalogue! {
    REQUESTS = "requests_total", Kind::Counter, ["route", "api", "code"],
        "Requests answered, by the status sent to the client. A block with status 200 is a 200 here.";
    VERDICTS = "verdicts_total", Kind::Counter, ["route", "policy", "rule", "action", "mode"],
        "Answers judged, attempts that were retried included. What could not be scored and was let through is in steadfast_unscored_total, never here.";
    ANSWERS = "answers_total", Kind::Counter, ["route", "persona", "model", "action"],
        "Answers judged, by the persona they were judged against and the model that was asked for; those withheld because they could not be judged are left out. Of models the first fifty that answer have a name, the others share one.";
    LABEL_HITS = "label_hits_total", Kind::Counter, ["route", "label"],
        "Answers in which a label fired a rule.";
    LABEL_SCORE = "label_score", SCORE, ["label"],
        "Each judged answer's highest probability of a label over its windows.";
    GUARD_DURATION = "guard_duration_seconds", GUARD, ["route", "api"],
        "Time the guard added: from the upstream's last byte to the last byte released.";
    STREAM_HOLD = "stream_hold_seconds", HOLD, ["route"],
        "How long text was held before it was released.";
    FIRST_TEXT_AFTER = "time_to_first_text_seconds", FIRST_TEXT, ["route"],
        "From the request to the first text released to the client.";
    UPSTREAM_DURATION = "upstream_duration_seconds", UPSTREAM, ["upstream", "code"],
        "One upstream call, from the request sent to the end of its body.";
    RETRIES = "retries_total", Kind::Counter, ["route", "outcome"],
        "Wishes to retry an answer, by what became of them. Each one attempted is billed by the provider.";
    WINDOWS_SCORED = "windows_scored_total", Kind::Counter, ["stage", "cached"],
        "Text windows scored, by the stage that decided and whether the cache answered.";
    CLASSIFIER_DURATION = "classifier_duration_seconds", CLASSIFIER, ["stage"],
        "Time in the classifier for one window that the cache did not answer, its wait in the queue left out.";
    CLASSIFIER_BATCH = "classifier_batch_size", BATCH, [],
        "Windows that the classifier took at once.";
    CLASSIFIER_QUEUE = "classifier_queue_length", Kind::Gauge, [],
        "Windows waiting for the classifier.";
    UNSCORED = "unscored_total", Kind::Counter, ["route", "reason"],
        "Answers of which a part could not be scored, by reason. The policy's on_error, on_overload and on_unknown say what became of them.";
    SESSION_DRIFT = "session_drift", DRIFT, ["route"],
        "Drift of the conversation after each judged turn, in standard deviations.";
    DRIFT_MEASURES = "drift_measures_total", Kind::Counter, ["route", "measure", "outcome"],
        "Requests of drifting conversations for which a rule with the action reanchor asked for a measure, by whether it could be taken.";
    SESSIONS = "sessions", Kind::Gauge, ["store"],
        "Conversations remembered.";
    INCIDENTS_DROPPED = "incidents_dropped_total", Kind::Counter, ["reason"],
        "Incidents that were not recorded. The verdicts themselves were carried out.";
    SPANS_DROPPED = "spans_dropped_total", Kind::Counter, ["reason"],
        "Spans of traces that were not delivered. The exchanges that they are of went on.";
    POLICY_RELOADS = "policy_reloads_total", Kind::Counter, ["result"],
        "Reloads of the configuration, policies and personas. After a failed one the old ones stay in force.";
    IN_FLIGHT = "in_flight_requests", Kind::Gauge, ["route"],
        "Requests whose response body has not ended.";
    BUILD = "build_info", Kind::Gauge, ["version", "classifier", "runtime"],
        "Always 1; its labels say what is running.";
    FLEET_DRIFT = "fleet_drift", Kind::Gauge, ["route"],
        "The route's collapse-rate CUSUM: log-likelihood in favour of a collapsed fleet.";
    FLEET_SHIFT = "fleet_shift", Kind::Gauge, ["route", "quantity"],
        "How far a distribution of the route's label scores or signals has moved from its baseline: population stability index.";
    CIRCUIT_STATE = "circuit_state", Kind::Gauge, ["route"],
        "The route's circuit in this replica: 0 closed, 1 half-open, 2 open. Only routes whose policy has a circuit.";
    CIRCUIT_EXCHANGES = "circuit_exchanges_total", Kind::Counter, ["route", "way"],
        "Exchanges while the route's circuit was not closed: sent through to see, moved to the fallback, refused.";
    CALIBRATION = "calibration_timestamp_seconds", Kind::Gauge, ["persona"],
        "When the persona's thresholds were calibrated, in seconds since 1970.";
}

impl Family {
    /// Its full name.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{NAMESPACE}_{}", self.name)
    }

    fn opts(&self) -> Opts {
        Opts::new(self.full_name(), self.help)
    }

    /// Registers it as a counter.
    ///
    /// # Panics
    /// If the table above holds an invalid or doubled name: never, since every start and every test builds all of it.
    pub(super) fn counter(&self, registry: &Registry) -> IntCounterVec {
        let counter = IntCounterVec::new(self.opts(), self.labels).expect("the catalogue's names are valid");
        registry.register(Box::new(counter.clone())).expect("the catalogue's names are unique");
        counter
    }

    /// Registers it as a gauge of whole numbers. Panics as [`Family::counter`].
    pub(super) fn gauge(&self, registry: &Registry) -> IntGaugeVec {
        let gauge = IntGaugeVec::new(self.opts(), self.labels).expect("the catalogue's names are valid");
        registry.register(Box::new(gauge.clone())).expect("the catalogue's names are unique");
        gauge
    }

    /// Registers it as a gauge of real numbers. Panics as [`Family::counter`].
    pub(super) fn float_gauge(&self, registry: &Registry) -> GaugeVec {
        let gauge = GaugeVec::new(self.opts(), self.labels).expect("the catalogue's names are valid");
        registry.register(Box::new(gauge.clone())).expect("the catalogue's names are unique");
        gauge
    }

    /// Registers it as a histogram. Panics as [`Family::counter`].
    pub(super) fn histogram(&self, registry: &Registry) -> HistogramVec {
        let Kind::Histogram(buckets) = self.kind else { unreachable!("{} is no histogram", self.name) };
        let opts = HistogramOpts::from(self.opts()).buckets(buckets.to_vec());
        let histogram = HistogramVec::new(opts, self.labels).expect("the catalogue's names and buckets are valid");
        registry.register(Box::new(histogram.clone())).expect("the catalogue's names are unique");
        histogram
    }
}

/// Name, type and help of the families that are not among these.
pub fn others(families: &[MetricFamily]) -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let named = |name: &str| families.iter().any(|family| family.name() == name);
    ALL.iter()
        .map(|family| (family.full_name(), family))
        .filter(move |(name, _)| !named(name))
        .map(|(name, family)| (name, family.kind.as_str(), family.help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for family in ALL {
            assert_eq!(
                family.kind == Kind::Counter,
                family.name.ends_with("_total"),
                "{}: counters alone end in _total",
                family.name
            );
            assert!(family.help.ends_with('.'), "{}: help is a sentence", family.name);
            if let Kind::Histogram(buckets) = family.kind {
                assert!(!buckets.is_empty() && buckets.is_sorted_by(|a, b| a < b), "{}: buckets ascend", family.name);
            }
        }
    }
}

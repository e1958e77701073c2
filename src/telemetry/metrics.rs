//! The program's metrics: handles that the proxy, the guard's watcher and the admin server feed. Knows neither HTTP nor text; what
//! each family means is in [`super::catalogue`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::Format;
use super::catalogue as family;
use super::dropped::{Dropped, SpanDropped};
use super::models::{self, Models};
use super::values::{api_name, code, result, truth};
use crate::dialect::Api;
use crate::guard::Phase;
use crate::guard::events::RetryOutcome;
use crate::infer::Stage;
use crate::policy::Measures;
use crate::score::Label;
use crate::text::Str;
use crate::verdict::{Action, Unscored};

/// Routes that get label values of their own; the rest share `other`. Routes come from the configuration, so only a file with more
/// of them, or a thousand reloads that rename them, gets here.
pub const MAX_ROUTES: usize = 1000;

/// Where requests are counted that no route took.
pub const NO_ROUTE: &str = "none";

/// Where verdicts are counted that other gateways ask for over the admin port.
pub const ASKED: &str = "admin";

/// Every metric of the program. Shared; all methods are cheap and never block on IO.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    pub(super) verdicts: IntCounterVec,
    answers: IntCounterVec,
    models: Models,
    label_hits: IntCounterVec,
    label_score: [Histogram; Label::COUNT],
    guard_duration: HistogramVec,
    stream_hold: HistogramVec,
    first_text: HistogramVec,
    upstream_duration: HistogramVec,
    retries: IntCounterVec,
    windows_scored: [[IntCounter; 2]; 2],
    classifier_duration: [Histogram; 2],
    classifier_batch: Histogram,
    classifier_queue: IntGauge,
    unscored: IntCounterVec,
    session_drift: HistogramVec,
    drift_measures: IntCounterVec,
    sessions: IntGaugeVec,
    incidents_dropped: IntCounterVec,
    spans_dropped: IntCounterVec,
    policy_reloads: IntCounterVec,
    in_flight: IntGaugeVec,
    build: IntGaugeVec,
    fleet_drift: GaugeVec,
    fleet_shift: GaugeVec,
    circuit_state: IntGaugeVec,
    circuit_exchanges: IntCounterVec,
    calibration: GaugeVec,
    routes: ArcSwap<HashMap<Str, Arc<RouteMetrics>>>,
    /// Serialises the growth of `routes`.
    growing: Mutex<()>,
    queue_length: OnceLock<Probe>,
    session_count: OnceLock<(&'static str, Probe)>,
}

/// Asked at each scrape.
type Probe = Box<dyn Fn() -> usize + Send + Sync>;

/// One route's handles, its labels resolved once.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    /// The label's value: the route's name, or `other`.
    pub(super) name: Str,
    pub(super) hold: Histogram,
    pub(super) first_text: Histogram,
    pub(super) session_drift: Histogram,
    pub(super) label_hits: [IntCounter; Label::COUNT],
    pub(super) retries: [IntCounter; RETRY_OUTCOMES.len()],
    pub(super) unscored: [IntCounter; UNSCORED.len()],
    in_flight: IntGauge,
    /// Answers with status 200, which nearly all have, by api; made when the first comes.
    answered: [OnceLock<IntCounter>; APIS],
    /// Time the guard added, by api; made when the first answer is judged.
    guard: [OnceLock<Histogram>; APIS],
}

/// Every api and none.
const APIS: usize = Api::ALL.len() + 1;

/// Every outcome of a retry, by its discriminant.
const RETRY_OUTCOMES: [RetryOutcome; 7] = [
    RetryOutcome::Attempted,
    RetryOutcome::Recovered,
    RetryOutcome::Exhausted,
    RetryOutcome::Budget,
    RetryOutcome::Deadline,
    RetryOutcome::Committed,
    RetryOutcome::Unsupported,
];

/// What exchanges get while a circuit is not closed.
pub(super) const CIRCUIT_WAYS: [&str; 3] = ["probe", "fallback", "block"];

/// Every reason, by its discriminant.
const UNSCORED: [Unscored; 6] =
    [Unscored::Error, Unscored::Overload, Unscored::Deadline, Unscored::UnknownApi, Unscored::Unreadable, Unscored::TooLarge];

/// A request in flight: counted until it is dropped, so keep it in the response's body.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("routes", &self.routes.load().len()).finish_non_exhaustive()
    }
}

impl Metrics {
    /// All families, at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let label_score = family::LABEL_SCORE.histogram(r);
        let windows = family::WINDOWS_SCORED.counter(r);
        let classifier = family::CLASSIFIER_DURATION.histogram(r);
        let stages = [Stage::First, Stage::Second];
        let incidents_dropped = family::INCIDENTS_DROPPED.counter(r);
        let spans_dropped = family::SPANS_DROPPED.counter(r);
        let policy_reloads = family::POLICY_RELOADS.counter(r);
        // A counter that first appears at 1 has no rate: what is known to be possible begins at 0.
        for reason in Dropped::ALL {
            incidents_dropped.with_label_values(&[reason.as_str()]);
        }
        for reason in SpanDropped::ALL {
            spans_dropped.with_label_values(&[reason.as_str()]);
        }
        for good in [true, false] {
            policy_reloads.with_label_values(&[result(good)]);
        }
        Metrics {
            requests: family::REQUESTS.counter(r),
            verdicts: family::VERDICTS.counter(r),
            answers: family::ANSWERS.counter(r),
            models: Models::default(),
            label_hits: family::LABEL_HITS.counter(r),
            label_score: Label::ALL.map(|label| label_score.with_label_values(&[label.as_str()])),
            guard_duration: family::GUARD_DURATION.histogram(r),
            stream_hold: family::STREAM_HOLD.histogram(r),
            first_text: family::FIRST_TEXT_AFTER.histogram(r),
            upstream_duration: family::UPSTREAM_DURATION.histogram(r),
            retries: family::RETRIES.counter(r),
            windows_scored: stages
                .map(|stage| [false, true].map(|cached| windows.with_label_values(&[stage.as_str(), truth(cached)]))),
            classifier_duration: stages.map(|stage| classifier.with_label_values(&[stage.as_str()])),
            classifier_batch: family::CLASSIFIER_BATCH.histogram(r).with_label_values::<&str>(&[]),
            classifier_queue: family::CLASSIFIER_QUEUE.gauge(r).with_label_values::<&str>(&[]),
            unscored: family::UNSCORED.counter(r),
            session_drift: family::SESSION_DRIFT.histogram(r),
            drift_measures: family::DRIFT_MEASURES.counter(r),
            sessions: family::SESSIONS.gauge(r),
            incidents_dropped,
            spans_dropped,
            policy_reloads,
            in_flight: family::IN_FLIGHT.gauge(r),
            build: family::BUILD.gauge(r),
            fleet_drift: family::FLEET_DRIFT.float_gauge(r),
            fleet_shift: family::FLEET_SHIFT.float_gauge(r),
            circuit_state: family::CIRCUIT_STATE.gauge(r),
            circuit_exchanges: family::CIRCUIT_EXCHANGES.counter(r),
            calibration: family::CALIBRATION.float_gauge(r),
            routes: ArcSwap::default(),
            growing: Mutex::new(()),
            queue_length: OnceLock::new(),
            session_count: OnceLock::new(),
            registry,
        }
    }

    /// Says what is running. `classifier`: its name and version, `none` without one. Replaces what was said before.
    pub fn set_build(&self, version: &str, classifier: &str, runtime: &str) {
        self.build.reset();
        self.build.with_label_values(&[version, classifier, runtime]).set(1);
    }

    /// Where the length of the classifier's queue is read, at each scrape. The first call holds.
    pub fn set_queue_probe(&self, length: impl Fn() -> usize + Send + Sync + 'static) {
        // A second probe would belong to a second scorer, and the program has one.
        let _ = self.queue_length.set(Box::new(length));
    }

    /// Where the number of conversations remembered is read, at each scrape, and the store's name. The first call holds.
    pub fn set_session_probe(&self, store: &'static str, count: impl Fn() -> usize + Send + Sync + 'static) {
        let _ = self.session_count.set((store, Box::new(count)));
    }

    /// Makes a route's series exist, so that their rates are defined from the start.
    pub fn add_route(&self, route: &str) {
        self.route(route);
    }

    /// A request that was answered before the guard saw it, or beside it: no route, too many in flight, not allowed.
    /// The guard's own exchanges are counted by its watcher.
    pub fn answered(&self, route: &str, api: Option<Api>, status: u16) {
        self.request(&self.route(route), api, status);
    }

    /// A request enters. Keep the result in the response's body.
    #[must_use]
    pub fn enter(&self, route: &str) -> InFlight {
        let gauge = self.route(route).in_flight.clone();
        gauge.inc();
        InFlight(gauge)
    }

    /// An upstream call has ended. `status`: `None` where no answer came.
    pub fn upstream(&self, upstream: &str, status: Option<u16>, took: Duration) {
        let code = status.map_or("none", code);
        self.upstream_duration.with_label_values(&[upstream, code]).observe(took.as_secs_f64());
    }

    /// A reload was tried.
    pub fn reloaded(&self, good: bool) {
        self.policy_reloads.with_label_values(&[result(good)]).inc();
    }

    /// An incident was not recorded.
    pub fn incident_dropped(&self, reason: Dropped) {
        self.incidents_dropped.with_label_values(&[reason.as_str()]).inc();
    }

    /// Spans were not delivered.
    pub fn spans_dropped(&self, reason: SpanDropped, count: u64) {
        self.spans_dropped.with_label_values(&[reason.as_str()]).inc_by(count);
    }

    /// A conversation's drift after a judged turn, in standard deviations.
    pub fn session_drift(&self, route: &str, drift: f64) {
        self.route(route).session_drift.observe(drift);
    }

    /// Measures about a drifting conversation: those that a rule asked for, and those of them that were taken.
    pub fn measured(&self, route: &str, wished: Measures, taken: Measures) {
        let route = self.route(route);
        for name in wished.names() {
            let outcome = if taken.names().any(|other| other == name) { "taken" } else { "impossible" };
            self.drift_measures.with_label_values(&[&*route.name, name, outcome]).inc();
        }
    }

    /// A route's collapse-rate CUSUM.
    pub fn set_fleet_drift(&self, route: &str, cusum: f64) {
        let route = self.route(route);
        self.fleet_drift.with_label_values(&[&*route.name]).set(cusum);
    }

    /// How far the distribution of a label's scores or of a signal has moved.
    pub fn set_fleet_shift(&self, route: &str, quantity: &'static str, index: f64) {
        let route = self.route(route);
        self.fleet_shift.with_label_values(&[&*route.name, quantity]).set(index);
    }

    /// The state of a route's circuit; `None`: it has none.
    pub fn set_circuit(&self, route: &str, phase: Option<Phase>) {
        let route = self.route(route);
        let labels = [&*route.name];
        match phase {
            Some(phase) => {
                self.circuit_state.with_label_values(&labels).set(phase as i64);
                for way in CIRCUIT_WAYS {
                    self.circuit_exchanges.with_label_values(&[&*route.name, way]);
                }
            }
            // There may never have been one.
            None => drop(self.circuit_state.remove_label_values(&labels)),
        }
    }

    /// An exchange while the route's circuit was not closed.
    pub(super) fn detoured(&self, route: &RouteMetrics, way: &'static str) {
        self.circuit_exchanges.with_label_values(&[&*route.name, way]).inc();
    }

    /// When a persona's thresholds were calibrated, in seconds since 1970.
    pub fn set_calibration(&self, persona: &str, seconds: u64) {
        #[allow(clippy::cast_precision_loss, reason = "exact until the year 285,428,751")]
        self.calibration.with_label_values(&[persona]).set(seconds as f64);
    }

    /// Every family with its values at this moment.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        if let Some(length) = self.queue_length.get() {
            self.classifier_queue.set(i64::try_from(length()).unwrap_or(i64::MAX));
        }
        if let Some((store, count)) = self.session_count.get() {
            self.sessions.with_label_values(&[*store]).set(i64::try_from(count()).unwrap_or(i64::MAX));
        }
        self.registry.gather()
    }

    /// The metrics page: every family, those without values too.
    #[must_use]
    pub fn page(&self, format: Format) -> String {
        let families = self.gather();
        format.render(&families, family::others(&families))
    }

    pub(super) fn request(&self, route: &RouteMetrics, api: Option<Api>, status: u16) {
        let counter = || self.requests.with_label_values(&[&*route.name, api_name(api), code(status)]);
        match status {
            200 => route.answered[api_index(api)].get_or_init(counter).inc(),
            _ => counter().inc(),
        }
    }

    pub(super) fn guarded(&self, route: &RouteMetrics, api: Option<Api>, added: Duration) {
        let histogram = || self.guard_duration.with_label_values(&[&*route.name, api_name(api)]);
        route.guard[api_index(api)].get_or_init(histogram).observe(added.as_secs_f64());
    }

    pub(super) fn window(&self, stage: Stage, cached: bool, computed: Duration) {
        let stage = match stage {
            Stage::First => 0,
            Stage::Second => 1,
        };
        self.windows_scored[stage][usize::from(cached)].inc();
        if !cached {
            self.classifier_duration[stage].observe(computed.as_secs_f64());
            if stage == 1 {
                // `Classifier::classify` takes one window: a runtime that takes several will say how many.
                self.classifier_batch.observe(1.0);
            }
        }
    }

    pub(super) fn count_unscored(&self, route: &RouteMetrics, reason: &str) {
        self.unscored.with_label_values(&[&*route.name, reason]).inc();
    }

    /// A judged answer, by whom it was asked of and whom it should be.
    pub(super) fn answer(&self, route: &RouteMetrics, persona: Option<&str>, model: Option<&str>, action: Action) {
        let (persona, model) = (persona.unwrap_or(models::NONE), self.models.name(model));
        self.answers.with_label_values(&[&*route.name, persona, model, action.as_str()]).inc();
    }

    pub(super) fn score(&self, label: Label, score: f32) {
        self.label_score[label.index()].observe(f64::from(score));
    }

    /// A route's handles, made at its first use.
    pub(super) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        if let Some(route) = self.routes.load().get(name) {
            return route.clone();
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = self.routes.load();
        let name = if routes.len() < MAX_ROUTES { name } else { "other" };
        if let Some(route) = routes.get(name) {
            return route.clone();
        }
        let route = Arc::new(self.resolve(name));
        let mut grown = HashMap::clone(&routes);
        grown.insert(name.into(), route.clone());
        self.routes.store(Arc::new(grown));
        route
    }

    fn resolve(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            hold: self.stream_hold.with_label_values(&[name]),
            first_text: self.first_text.with_label_values(&[name]),
            session_drift: self.session_drift.with_label_values(&[name]),
            label_hits: Label::ALL.map(|label| self.label_hits.with_label_values(&[name, label.as_str()])),
            retries: RETRY_OUTCOMES.map(|outcome| self.retries.with_label_values(&[name, outcome.as_str()])),
            unscored: UNSCORED.map(|reason| self.unscored.with_label_values(&[name, reason.as_str()])),
            in_flight: self.in_flight.with_label_values(&[name]),
            answered: Default::default(),
            guard: Default::default(),
            name: name.into(),
        }
    }
}

impl RouteMetrics {
    pub(super) fn retry(&self, outcome: RetryOutcome) -> &IntCounter {
        &self.retries[outcome as usize]
    }

    pub(super) fn unscored(&self, reason: Unscored) -> &IntCounter {
        &self.unscored[reason as usize]
    }
}

/// 0 for none.
fn api_index(api: Option<Api>) -> usize {
    api.map_or(0, |api| api as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_found_by_discriminant() {
        let metrics = Metrics::new();
        let route = metrics.route("/");
        for outcome in RETRY_OUTCOMES {
            route.retry(outcome).inc();
            assert_eq!(metrics.retries.with_label_values(&["/", outcome.as_str()]).get(), 1);
        }
        for reason in UNSCORED {
            route.unscored(reason).inc();
            assert_eq!(metrics.unscored.with_label_values(&["/", reason.as_str()]).get(), 1);
        }
        for api in Api::ALL.into_iter().map(Some).chain([None]) {
            metrics.request(&route, api, 200);
            assert_eq!(metrics.requests.with_label_values(&["/", api_name(api), "200"]).get(), 1);
            metrics.guarded(&route, api, Duration::ZERO);
            assert_eq!(metrics.guard_duration.with_label_values(&["/", api_name(api)]).get_sample_count(), 1);
        }
    }

    #[test]
    fn cardinality_is_bounded_whatever_comes() {
        let metrics = Metrics::new();
        for number in 0..MAX_ROUTES + 50 {
            metrics.add_route(&format!("/{number}"));
        }
        assert!(metrics.routes.load().len() <= MAX_ROUTES + 1, "{}", metrics.routes.load().len());
        assert_eq!(&*metrics.route("/one more").name, "other");
        let codes: std::collections::HashSet<_> = (0..=u16::MAX).map(code).collect();
        assert!(codes.len() < 70, "{codes:?}");
        assert_eq!((code(200), code(299), code(599), code(0), code(1234)), ("200", "2xx", "5xx", "none", "none"));
    }

    #[test]
    fn a_request_is_in_flight_until_its_guard_is_dropped() {
        let metrics = Metrics::new();
        let gauge = metrics.in_flight.with_label_values(&["/"]);
        let (one, two) = (metrics.enter("/"), metrics.enter("/"));
        assert_eq!(gauge.get(), 2);
        drop(one);
        drop(two);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn the_queue_is_read_when_scraped() {
        let metrics = Metrics::new();
        metrics.set_queue_probe(|| 17);
        let _ = metrics.gather();
        assert_eq!(metrics.classifier_queue.get(), 17);
    }

    #[test]
    fn build_info_is_one_series() {
        let metrics = Metrics::new();
        metrics.set_build("0.1.0", "none", "none");
        metrics.set_build("0.1.0", "collapse 3", "onnxruntime");
        let families = metrics.gather();
        let build = families.iter().find(|family| family.name() == "steadfast_build_info").unwrap();
        assert_eq!(build.get_metric().len(), 1);
    }
}

//! Everything that a reload may change, built as a whole and swapped as a whole: an exchange sees one of them from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};

use super::admission::Admission;
use super::auth::ClientKeys;
use super::route::Matcher;
use super::tls;
use super::upstream::Upstream;
use crate::config::{self, Config, Files};
use crate::dialect::{Api, Dialects};
use crate::document::Problem;
use crate::guard::events::{Observe, Unobserved};
use crate::guard::{Circuit, Limits, Snapshot, Told};
use crate::infer::Scorer;
use crate::policy::{Calibration, Policy};
use crate::score::Label;
use crate::session::{Charts, Sessions, Tracking};
use crate::telemetry::Metrics;
use crate::text::Str;

/// How long after a request a new attempt may still begin.
const RETRY_DEADLINE: Duration = Duration::from_secs(60);

/// What reloads do not change.
#[derive(Clone)]
pub struct Basis {
    /// The classifier; `None`: detectors and patterns judge alone.
    pub scorer: Option<Arc<dyn Scorer>>,
    /// The wire formats.
    pub dialects: Arc<Dialects>,
    /// Who is told of verdicts.
    pub observe: Arc<dyn Observe>,
    /// What the classifier offers to policies.
    pub calibration: Calibration,
    /// Its name and version; `None` without one.
    pub classifier: Option<Str>,
    /// Where traffic is counted.
    pub metrics: Arc<Metrics>,
    /// The global retry budget.
    pub budget: Arc<dyn Budget + Send + Sync>,
    /// Where conversations are remembered; `None`: each request is its own.
    pub sessions: Option<Arc<dyn Sessions>>,
    /// Who is told when a route's circuit opens and closes.
    pub circuit_told: Told,
}

impl Default for Basis {
    fn default() -> Self {
        Basis {
            scorer: None,
            dialects: Arc::new(Dialects::builtin()),
            observe: Arc::new(Unobserved),
            calibration: Calibration::NONE,
            classifier: None,
            metrics: Arc::new(Metrics::new()),
            budget: Arc::new(TpsBudget::default()),
            sessions: None,
            circuit_told: Arc::new(|_| {}),
        }
    }
}

impl Basis {
    /// What exchanges are judged with under a policy, in character.
    #[must_use]
    pub fn snapshot(&self, config: &Config, policy: Arc<Policy>, (persona, detectors): config::Character) -> Snapshot {
        let thresholds =
            Label::ALL.map(|label| self.calibration.threshold(label).map_or(0.5, |threshold| threshold.get().into()));
        let baseline = Arc::new(persona.baseline(thresholds));
        let drift_limit = persona.drift_limit();
        let charts = Charts { cusum: persona.drift_chart(), ..Charts::default() };
        let tracking = self.sessions.clone().map(|sessions| Tracking {
            sessions,
            key: config.session.key.clone().into(),
            baseline: baseline.clone(),
            charts,
        });
        Snapshot {
            route: "guard".into(),
            policy,
            persona: Some(persona),
            detectors,
            scorer: self.scorer.clone(),
            dialects: config.dialects(&self.dialects),
            api: None,
            own_credential: false,
            baseline,
            drift_limit,
            charts,
            tracking,
            circuit: None,
            limits: Limits {
                request_body: usize::try_from(config.limits.request_body).unwrap_or(usize::MAX),
                held: usize::try_from(config.limits.response_body).unwrap_or(usize::MAX),
                retry_deadline: RETRY_DEADLINE,
                fallbacks: 0,
                repeatable: true,
            },
            budget: self.budget.clone(),
            observe: self.observe.clone(),
        }
    }
}

/// The configuration in force.
pub struct Live {
    /// As it was read.
    pub config: Arc<Config>,
    /// Every file that was read for it.
    pub files: Files,
    /// TLS for the data port, if it speaks it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Every wire format, the described ones first.
    pub dialects: Arc<Dialects>,
    /// Routes, first match wins.
    pub routes: Vec<Arc<Route>>,
    /// Who may call; `None`: anyone.
    pub keys: Option<ClientKeys>,
    /// How many at once.
    pub admission: Admission,
    /// What is no mistake and yet worth knowing.
    pub notes: Vec<Problem>,
}

/// A configuration that cannot come into force.
#[derive(Debug)]
pub struct Bad {
    /// Every mistake.
    pub problems: Vec<Problem>,
    /// Every file that was read.
    pub files: Files,
}

/// A route, ready for use.
pub struct Route {
    /// Its name.
    pub name: Str,
    /// Its conditions.
    pub matcher: Matcher,
    /// The wire format that its requests are in, if it names one.
    pub api: Option<Api>,
    /// Bytes of the path that the upstream is not told.
    pub strip: usize,
    /// Its upstream, then its fallbacks.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What its exchanges are judged with.
    pub snapshot: Arc<Snapshot>,
}

impl Live {
    /// Builds what a configuration describes. From `previous` it takes over what has not changed and is worth keeping: connections to
    /// upstreams, the count of exchanges under way, circuits.
    ///
    /// # Errors
    /// Every mistake in policies and personas, and what is wrong with TLS.
    pub fn build(config: Config, basis: &Basis, previous: Option<&Live>) -> Result<Self, Bad> {
        let mut problems = Vec::new();
        let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
        for upstream in &config.upstreams {
            let kept = previous
                .into_iter()
                .flat_map(|live| &live.routes)
                .flat_map(|route| &route.upstreams)
                .find(|other| other.is(upstream, &config.limits));
            match kept {
                Some(kept) => upstreams.push(kept.clone()),
                None => match Upstream::new(upstream, &config.limits, basis.metrics.clone()) {
                    Ok(made) => upstreams.push(Arc::new(made)),
                    Err(error) => {
                        problems.push(Problem::of_file(&format!("upstream {:?}", upstream.name), error.to_string(), None))
                    }
                },
            }
        }
        let dialects = config.dialects(&basis.dialects);
        let mut parts = config::Parts::new(&basis.calibration).for_classifier(basis.classifier.as_deref());
        let (mut routes, mut notes) = (Vec::new(), Vec::new());
        for route in &config.routes {
            let persona = parts.persona(&route.persona);
            let policy = parts.policy(&route.policy, persona.as_ref().map(|(persona, _)| &**persona));
            let named = |name: &str| upstreams.iter().find(|upstream| &*upstream.name == name).cloned();
            let targets: Vec<Arc<Upstream>> =
                std::iter::once(&route.upstream).chain(&route.fallback).filter_map(|name| named(name)).collect();
            let (Some(policy), Some(character)) = (policy, persona) else { continue };
            problems.extend(config::unfit(&config, route, &policy));
            notes.extend(config::idle(route, &policy, &character.0));
            let name: Str = route.name.as_str().into();
            let api = route.api.or_else(|| targets.first().and_then(|upstream| upstream.config.api));
            let mut snapshot = basis.snapshot(&config, policy, character);
            snapshot.route = name.clone();
            snapshot.api = api;
            snapshot.dialects = dialects.clone();
            snapshot.own_credential = targets.iter().all(|upstream| upstream.config.replaces_authorization());
            snapshot.limits.fallbacks = targets.len().saturating_sub(1);
            snapshot.circuit = circuit(&snapshot, basis, previous);
            basis.metrics.add_route(&name);
            if let Some(persona) = &snapshot.persona
                && let Some(calibrated_at) = persona.thresholds.calibrated_at
            {
                basis.metrics.set_calibration(&persona.name, calibrated_at);
            }
            routes.push(Arc::new(Route {
                name,
                matcher: Matcher::new(route),
                api,
                strip: if route.strip_prefix { route.path.trim_end_matches('/').len() } else { 0 },
                upstreams: targets,
                snapshot: Arc::new(snapshot),
            }));
        }
        let (found, read) = parts.finish();
        problems.extend(found);
        let mut files = config.files.clone();
        files.extend(read);
        let tls = config.server.tls.as_ref().and_then(|tls| {
            files.note(&tls.cert);
            files.note(&tls.key);
            tls::server_config(tls).map_err(|error| problems.push(Problem::of_file("server.tls", error.to_string(), None))).ok()
        });
        if !problems.is_empty() {
            return Err(Bad { problems, files });
        }
        let admission = match previous {
            Some(live) if live.admission.limit() == config.limits.in_flight => live.admission.clone(),
            _ => Admission::new(config.limits.in_flight),
        };
        for route in &routes {
            basis.metrics.set_circuit(&route.name, route.snapshot.circuit.as_ref().map(|circuit| circuit.phase()));
        }
        notes.sort();
        notes.dedup();
        for note in &notes {
            tracing::warn!("{note}");
        }
        let keys = config.server.client_keys.as_ref().map(ClientKeys::new);
        Ok(Live { config: Arc::new(config), files, dialects, routes, tls, keys, admission, notes })
    }
}

/// The circuit that a route's policy asks for: the one that the route had, where nothing about it has changed.
fn circuit(snapshot: &Snapshot, basis: &Basis, previous: Option<&Live>) -> Option<Arc<Circuit>> {
    let kept = previous
        .and_then(|live| live.routes.iter().find(|route| route.name == snapshot.route))
        .and_then(|route| route.snapshot.circuit.clone())
        .filter(|circuit| circuit.is_of(&snapshot.policy));
    kept.or_else(|| Circuit::of(&snapshot.policy, snapshot.route.clone(), basis.circuit_told.clone()).map(Arc::new))
}

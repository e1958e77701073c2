//! The program put together: configuration, classifier, watchers, listeners, reloading, and how all of it stops. What `steadfast serve`,
//! the demo and the tests start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
#[cfg(feature = "redis")]
use secrecy::ExposeSecret;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::health::Health;
use super::live::{Basis, Live};
use super::operate::administer;
use super::patience::Patience;
use super::reload::Reloader;
use super::serve::{self, Phase, Server};
use super::stack::Gateway;
use super::stopping::Stopping;
use crate::admin::Classifier;
use crate::config::{ClassifierPath, Config, IncidentStore, SessionStore, Sources};
use crate::document::Problem;
use crate::guard::Change;
use crate::guard::events::{Observe, Observers};
use crate::incidents::{self, Incident, Incidents};
use crate::policy::Calibration;
#[cfg(feature = "redis")]
use crate::session::RedisSessions;
use crate::session::{MemorySessions, Sessions};
#[cfg(feature = "otel")]
use crate::telemetry;
use crate::telemetry::{ExchangeLog, Fleet, Metrics, Tracer};

/// Golden texts that a classifier is proved on before the program is ready; `steadfast classifier verify` asks about all of them.
#[cfg(feature = "onnx")]
const GOLDEN: usize = 2;

/// Why the program could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in the configuration, its policies and personas, or the classifier.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// A listener or a thread.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// The incident store.
    #[error("incidents.store: {0}; name a file that can be written, or \"none\"")]
    Incidents(#[from] incidents::OpenError),
    /// The exporter of traces.
    #[cfg(feature = "otel")]
    #[error("telemetry.otlp: traces cannot be sent: {0}")]
    Traces(#[from] telemetry::traces::StartError),
}

impl From<Vec<Problem>> for StartError {
    fn from(problems: Vec<Problem>) -> Self {
        StartError::Problems(problems)
    }
}

/// The running program.
pub struct Program {
    /// The data port's address.
    pub listen: SocketAddr,
    /// The admin port's address, if there is one.
    pub admin: Option<SocketAddr>,
    /// The address for Envoy's external processing calls, if they are served.
    pub ext_proc: Option<SocketAddr>,
    /// What the admin endpoints stand on.
    pub parts: Parts,
    phase: watch::Sender<Phase>,
    admin_phase: watch::Sender<Phase>,
    serving: JoinHandle<()>,
    administering: Option<JoinHandle<()>>,
    grace: Duration,
    drain_delay: Duration,
    stopping: Arc<Stopping>,
    traces: Traces,
}

/// The parts of a running program that others look at.
#[derive(Clone)]
pub struct Parts {
    /// The configuration in force.
    pub live: Arc<ArcSwap<Live>>,
    /// Readiness.
    pub health: Arc<Health>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Kept verdicts, if they are kept.
    pub incidents: Option<Incidents>,
    /// Reloads.
    pub reloader: Reloader,
    /// Scorer, wire formats, watchers.
    pub basis: Basis,
    /// The classifier; `None` without one.
    pub classifier: Option<Classifier>,
    /// When the program started.
    pub started: SystemTime,
}

/// A classifier that is ready, or none.
pub struct Judge {
    /// Puts scorer and calibration into a basis.
    pub basis: Basis,
    /// What it is; `None` without one.
    pub classifier: Option<Classifier>,
}

impl Program {
    /// Starts everything. When this returns, requests are answered.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(sources: Sources) -> Result<Self, StartError> {
        Self::start_watched(sources, None).await
    }

    /// Starts everything, with one more watcher.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start_watched(sources: Sources, watcher: Option<Arc<dyn Observe>>) -> Result<Self, StartError> {
        let config = sources.load()?;
        let health = Arc::new(Health::default());
        // Ports first: a port that is taken should not cost the time to load a model.
        let data = serve::bind(config.server.listen, "server.listen")?;
        let admin = config.server.admin.map(|addr| serve::bind(addr, "server.admin")).transpose()?;
        let envoy = config.server.ext_proc.map(|addr| serve::bind(addr, "server.ext_proc")).transpose()?;
        let ext_proc = envoy.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;
        let (listen, admin_addr) = (data.local_addr()?, admin.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?);

        let judge = judge(&config).await?;
        let mut basis = judge.basis;
        let (classifier, runtime) = match &judge.classifier {
            Some(classifier) => (format!("{} {}", classifier.name, classifier.version), classifier.runtime.clone()),
            None => ("none".to_owned(), "none".to_owned()),
        };
        basis.metrics.set_build(env!("CARGO_PKG_VERSION"), &classifier, &runtime);
        if let Some(scorer) = basis.scorer.clone() {
            basis.metrics.set_queue_probe(move || scorer.queue_length());
        }
        basis.sessions = Some(open_sessions(&config, &basis.metrics)?);
        let incidents = open_incidents(&config, &basis.metrics)?;
        let mut watchers: Vec<Arc<dyn Observe>> = vec![basis.metrics.clone(), Arc::new(ExchangeLog)];
        watchers.extend(incidents.clone().map(|incidents| Arc::new(incidents) as Arc<dyn Observe>));
        let kept = incidents.clone();
        watchers.push(Arc::new(Fleet::new(basis.metrics.clone(), move |alarm| {
            if let Some(incidents) = &kept {
                incidents.record(Incident::of_fleet(alarm, SystemTime::now()));
            }
        })));
        let (kept, metrics) = (incidents.clone(), basis.metrics.clone());
        basis.circuit_told = Arc::new(move |change| circuit_changed(change, &metrics, kept.as_ref()));
        let (tracer, traces) = open_traces(&config, &basis.metrics)?;
        watchers.extend(tracer.clone().map(|tracer| tracer as Arc<dyn Observe>));
        watchers.extend(watcher);
        let stopping = Arc::new(Stopping::new(Observers(watchers)));
        basis.observe = stopping.clone();

        let (grace, drain_delay) = (config.server.shutdown_grace, config.server.drain_delay);
        let patience =
            Patience { head: config.limits.header_read, idle: config.limits.client_idle, stall: config.limits.client_stall };
        let live = Arc::new(ArcSwap::from_pointee(Live::build(config, &basis, None).map_err(|bad| bad.problems)?));
        let reloader = Reloader::start(sources, basis.clone(), live.clone())?;
        health.set_warm();

        let parts = Parts {
            live: live.clone(),
            health: health.clone(),
            metrics: basis.metrics.clone(),
            incidents,
            reloader,
            basis: basis.clone(),
            classifier: judge.classifier,
            started: SystemTime::now(),
        };
        let (phase, receiver) = watch::channel(Phase::Serving);
        let (admin_phase, admin_receiver) = watch::channel(Phase::Serving);
        let handler = Gateway::new(live.clone(), basis.metrics.clone(), tracer);
        let tls = live.load().tls.clone().map(|first| {
            let live = live.clone();
            Arc::new(move || live.load().tls.clone().unwrap_or_else(|| first.clone())) as serve::Tls
        });
        let envoy = serve_envoy(envoy, patience, handler.clone(), receiver.clone());
        let data = Server { listener: data, tls, patience, handler }.run(receiver);
        let serving = tokio::spawn(async move {
            tokio::join!(data, envoy);
        });
        let administering = admin.map(|listener| administer(listener, patience, &parts, admin_receiver));
        health.set_listening();
        let admin = admin_addr;
        Ok(Program {
            listen,
            admin,
            ext_proc,
            parts,
            phase,
            admin_phase,
            serving,
            administering,
            grace,
            drain_delay,
            stopping,
            traces,
        })
    }

    /// Stops: not ready at once, new connections still taken for the drain delay, then what has begun may end within the grace, and the
    /// rest is cut. The admin port stays open until then. `hurry`: when it resolves, the rest is cut at once.
    pub async fn stop(self, hurry: impl Future<Output = ()>) {
        let Program { parts, phase, admin_phase, serving, administering, grace, drain_delay, stopping, traces, .. } = self;
        parts.health.set_stopping();
        let mut serving = std::pin::pin!(serving);
        let drain = async {
            if !drain_delay.is_zero() {
                tracing::info!(delay = ?drain_delay, "stopping: still taking connections, no longer ready");
                tokio::time::sleep(drain_delay).await;
            }
            tracing::info!(grace = ?grace, "stopping: waiting for what has begun");
            phase.send_replace(Phase::Draining);
            tokio::time::timeout(grace, serving.as_mut()).await.is_ok()
        };
        let drained = tokio::select! {
            drained = drain => drained,
            () = hurry => false,
        };
        if !drained {
            tracing::warn!("stopping: cutting off what has not ended");
            stopping.cut();
            phase.send_replace(Phase::Cut);
            let _ = serving.await;
        }
        admin_phase.send_replace(Phase::Cut);
        if let Some(administering) = administering {
            let _ = administering.await;
        }
        if let Some(incidents) = parts.incidents {
            incidents.close();
        }
        #[cfg(feature = "otel")]
        if let Some(exporter) = traces {
            exporter.stop().await;
        }
        #[cfg(not(feature = "otel"))]
        let () = traces;
        tracing::info!("stopped");
    }
}

/// Loads the classifier, on a thread of its own: it computes.
///
/// # Errors
/// Every mistake in its manifest, or the first thing that is wrong with it.
pub async fn judge(config: &Config) -> Result<Judge, Vec<Problem>> {
    let (reply, answer) = oneshot::channel();
    let classifier = config.classifier.clone();
    let load = move || {
        let _ = reply.send(load(&classifier));
    };
    let unstarted =
        |error: &dyn std::fmt::Display| vec![Problem::of_file("classifier", format!("no thread to load it: {error}"), None)];
    std::thread::Builder::new().name("classifier".to_owned()).spawn(load).map_err(|error| unstarted(&error))?;
    answer.await.map_err(|error| unstarted(&error))?
}

/// Loads the classifier on this thread.
///
/// # Errors
/// As [`judge`].
pub fn load(classifier: &crate::config::Classifier) -> Result<Judge, Vec<Problem>> {
    match &classifier.path {
        ClassifierPath::None => Ok(Judge { basis: Basis::default(), classifier: None }),
        #[cfg(feature = "onnx")]
        ClassifierPath::Folder(folder) => {
            use crate::config::Runtime;
            use crate::infer::onnx;
            let options = crate::infer::load::Options {
                workers: classifier.workers,
                queue: classifier.queue,
                cache: classifier.cache as u64,
                runtime: match classifier.runtime {
                    Runtime::Auto => onnx::Runtime::Auto,
                    Runtime::OnnxRuntime => onnx::Runtime::OnnxRuntime,
                    Runtime::Tract => onnx::Runtime::Tract,
                },
                golden: GOLDEN,
                first_stage: classifier.first_stage,
            };
            let loaded = crate::infer::load::load(folder, &options).map_err(|error| error.into_problems(folder))?;
            let basis = Basis {
                calibration: loaded.thresholds.calibration(),
                scorer: Some(loaded.scorer),
                classifier: Some(format!("{} {}", loaded.manifest.name, loaded.manifest.version).into()),
                ..Basis::default()
            };
            let (name, version) = (loaded.manifest.name.to_string(), loaded.manifest.version.to_string());
            Ok(Judge { basis, classifier: Some(Classifier { name, version, runtime: loaded.runtime }) })
        }
        #[cfg(not(feature = "onnx"))]
        ClassifierPath::Folder(folder) => Err(vec![Problem::of_file(
            &folder.display().to_string(),
            "this build cannot run classifiers",
            Some("build with the feature onnx, or set classifier.path = \"none\""),
        )]),
    }
}

/// A basis to check policies against when the classifier is bad: it takes every rule on labels, whatever its threshold.
#[must_use]
pub fn without_classifier() -> Basis {
    Basis { calibration: Calibration::new(|_| Some(0.5)), ..Basis::default() }
}

/// Where conversations are remembered. As the classifier, it is made once: a reload does not change it.
fn open_sessions(config: &Config, metrics: &Metrics) -> Result<Arc<dyn Sessions>, Vec<Problem>> {
    match &config.session.store {
        SessionStore::Memory => {
            let sessions = MemorySessions::new(config.session.ttl);
            let counted = sessions.clone();
            metrics.set_session_probe(sessions.store(), move || counted.count());
            Ok(Arc::new(sessions))
        }
        #[cfg(feature = "redis")]
        SessionStore::Redis(url) => {
            let ca = match &config.session.ca {
                None => None,
                Some(path) => Some(std::fs::read(path).map_err(|error| {
                    vec![Problem::of_file("session.ca", format!("{} cannot be read: {error}", path.display()), None)]
                })?),
            };
            let key = if ca.is_some() { "session.store or session.ca" } else { "session.store" };
            let sessions = RedisSessions::new(url.expose_secret(), ca, config.session.ttl)
                .map_err(|error| vec![Problem::of_file(key, error.0, Some("write it like \"redis://host:6379/0\""))])?;
            let counted = sessions.clone();
            metrics.set_session_probe(sessions.store(), move || counted.count());
            Ok(Arc::new(sessions))
        }
        #[cfg(not(feature = "redis"))]
        SessionStore::Redis(_) => Err(vec![Problem::of_file(
            "session.store",
            "this build cannot keep conversations in Redis",
            Some("build with the feature redis, or set session.store = \"memory\""),
        )]),
    }
}

/// A route's circuit has opened or closed: everybody is told.
fn circuit_changed(change: &Change, metrics: &Metrics, incidents: Option<&Incidents>) {
    metrics.set_circuit(&change.route, Some(change.phase));
    tracing::warn!(
        route = &*change.route,
        policy = &*change.policy,
        state = ?change.phase,
        request_id = &*change.request,
        "the route's circuit changes: {}",
        change.why
    );
    if let (Some(incidents), Some(incident)) = (incidents, Incident::of_circuit(change, SystemTime::now())) {
        incidents.record(incident);
    }
}

fn open_incidents(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Incidents>, incidents::OpenError> {
    let IncidentStore::File(path) = &config.incidents.store else { return Ok(None) };
    let options = incidents::Options { path: path.clone(), text: config.incidents.text, keep: config.incidents.keep };
    let metrics = metrics.clone();
    Incidents::open(options, move |reason| metrics.incident_dropped(reason)).map(Some)
}

/// Serves Envoy's external processing calls, where they are served.
#[cfg(feature = "extproc")]
async fn serve_envoy(
    listener: Option<tokio::net::TcpListener>,
    patience: Patience,
    gateway: Gateway,
    phase: watch::Receiver<Phase>,
) {
    if let Some(listener) = listener {
        Server { listener, tls: None, patience, handler: super::extproc::ExtProc::new(gateway) }.run(phase).await;
    }
}

/// The configuration has refused `server.ext_proc` where this build cannot serve it.
#[cfg(not(feature = "extproc"))]
async fn serve_envoy(_: Option<tokio::net::TcpListener>, _: Patience, _: Gateway, _: watch::Receiver<Phase>) {}

/// What sends traces, while the program runs.
#[cfg(feature = "otel")]
type Traces = Option<telemetry::traces::Exporter>;
#[cfg(not(feature = "otel"))]
type Traces = ();

#[cfg(feature = "otel")]
fn open_traces(config: &Config, metrics: &Arc<Metrics>) -> Result<(Option<Arc<Tracer>>, Traces), StartError> {
    let Some(otlp) = &config.telemetry.otlp else { return Ok((None, None)) };
    let (tracer, spans) = Tracer::new(metrics.clone(), telemetry::traces::QUEUE);
    let exporter = telemetry::traces::Exporter::start(otlp, spans, metrics.clone())?;
    Ok((Some(Arc::new(tracer)), Some(exporter)))
}

/// The configuration has refused `telemetry.otlp` where this build cannot send traces.
#[cfg(not(feature = "otel"))]
#[expect(clippy::unnecessary_wraps, reason = "as the one above")]
fn open_traces(_: &Config, _: &Arc<Metrics>) -> Result<(Option<Arc<Tracer>>, Traces), StartError> {
    Ok((None, ()))
}

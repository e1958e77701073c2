//! The admin server: health, metrics, the dashboard and its API, on a port of its own and never on the data port.
//!
//! It asks the running gateway through [`Gateway`] and knows nothing of proxying. Model output that it shows (incidents) was written by
//! an attacker at worst, and its pages are the operator's: see [`access`] for who may ask, and `dashboard` for how text is shown.

pub mod access;
mod dashboard;
mod error;
mod health;
mod incidents;
mod judge;
mod operate;
mod sessions;
mod status;
mod verdicts;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

pub use access::Access;
pub use sessions::sessions;

use crate::document::Problem;
use crate::guard::Snapshot;
use crate::incidents::Incidents;
use crate::infer::BoxFuture;
use crate::policy::Policy;
use crate::telemetry::Metrics;

/// The largest body that the API takes: a long conversation to score.
const BODY: usize = 4 << 20;

/// What the admin server asks of the running gateway.
pub trait Gateway: Send + Sync + 'static {
    /// What must be good before traffic is wanted: the classifier is warm, the configuration is good, the program is not stopping.
    fn checks(&self) -> Vec<Check>;

    /// The classifier in use; `None` without one.
    fn classifier(&self) -> Option<Classifier>;

    /// The routes in force, in the order they are tried.
    fn routes(&self) -> Vec<Route>;

    /// Reads a policy as the configuration would, with the thresholds of the classifier in use.
    ///
    /// # Errors
    /// Every mistake in it.
    fn read_policy(&self, text: &str) -> Result<Policy, Vec<Problem>>;

    /// Reads the configuration, policies and personas again; a bad one changes nothing. Counts itself in the metrics. Returns the settings
    /// that have changed and only count after a restart.
    fn reload(&self) -> BoxFuture<Result<Vec<&'static str>, Vec<Problem>>>;

    /// The configuration in force, secrets removed.
    fn config(&self) -> Value;

    /// Conversations remembered; `None` where none are.
    fn sessions(&self) -> BoxFuture<Option<Value>> {
        Box::pin(std::future::ready(None))
    }
}

/// One condition of being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `classifier`, `config`, `draining`, …
    pub name: &'static str,
    /// Whether it holds.
    pub good: bool,
    /// More, for people: `warming up`, `collapse 3 on onnxruntime`.
    pub detail: String,
}

/// The classifier in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What runs it.
    pub runtime: String,
}

/// A route in force.
#[derive(Clone)]
pub struct Route {
    /// What its exchanges are judged with: its name, policy, persona.
    pub snapshot: Arc<Snapshot>,
    /// Its upstream's name.
    pub upstream: String,
}

/// What the admin server is made of.
#[derive(Clone)]
pub struct Admin {
    /// The running gateway.
    pub gateway: Arc<dyn Gateway>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The incidents; `None` where none are kept.
    pub incidents: Option<Incidents>,
    /// Who may ask.
    pub access: Arc<Access>,
    /// When the program started.
    pub started: SystemTime,
}

impl Admin {
    /// The admin server's pages, to be served on a listener of its own.
    pub fn router(self) -> Router {
        // Health and metrics are asked for by machines under whatever name they know the gateway, and say nothing of anybody.
        let open = Router::new()
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(health::metrics));
        let page = Router::new().route("/", get(dashboard::page));
        let api = Router::new()
            .route("/api/status", get(status::status))
            .route("/api/incidents", get(incidents::list))
            .route("/api/incidents/{id}", get(incidents::one))
            .route("/api/incidents/{id}/review", post(incidents::review))
            .route("/api/score", post(judge::score))
            .route("/api/simulate", post(judge::simulate))
            .route("/api/sessions", get(operate::sessions))
            .route("/api/config", get(operate::config))
            .route("/api/reload", post(operate::reload))
            .merge(verdicts::router())
            .layer(middleware::from_fn_with_state(self.access.clone(), access::api));
        let page = page.layer(middleware::from_fn_with_state(self.access.clone(), access::page));
        open.merge(page)
            .merge(api)
            .fallback(error::no_such_page)
            .method_not_allowed_fallback(error::wrong_method)
            .layer(middleware::map_response(harden))
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self)
    }

    /// The route of that name, or the first. `None`: there is no such route.
    fn route(&self, name: Option<&str>) -> Option<Route> {
        self.gateway.routes().into_iter().find(|route| name.is_none_or(|name| *route.snapshot.route == *name))
    }
}

/// Headers of every response: nothing here is to be cached, guessed at, framed or embedded by another site.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"));
    response
}

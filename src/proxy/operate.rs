//! The running gateway as the admin server sees it, and the admin server on the proxy's own listener.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::body::GatewayBody;
use super::patience::{Busy, Patience};
use super::program::Parts;
use super::serve::{Handler, Peer, Phase, Server};
use crate::admin::{self, Access, Admin, Check, Classifier};
use crate::document::Problem;
use crate::infer::BoxFuture;
use crate::policy::Policy;

impl admin::Gateway for Parts {
    fn checks(&self) -> Vec<Check> {
        self.health.checks(&self.classifier.as_ref().map_or_else(
            || "no classifier".to_owned(),
            |classifier| format!("{} {} on {}", classifier.name, classifier.version, classifier.runtime),
        ))
    }

    fn classifier(&self) -> Option<Classifier> {
        self.classifier.clone()
    }

    fn routes(&self) -> Vec<admin::Route> {
        let of_route = |route: &Arc<super::live::Route>| admin::Route {
            snapshot: route.snapshot.clone(),
            upstream: route.upstreams.first().map(|upstream| upstream.name.to_string()).unwrap_or_default(),
        };
        self.live.load().routes.iter().map(of_route).collect()
    }

    fn read_policy(&self, text: &str) -> Result<Policy, Vec<Problem>> {
        Policy::parse(text, None, &self.basis.calibration)
    }

    fn reload(&self) -> BoxFuture<Result<Vec<&'static str>, Vec<Problem>>> {
        let reloader = self.reloader.clone();
        Box::pin(async move { reloader.reload().await.map(|reloaded| reloaded.restart_needed) })
    }

    fn sessions(&self) -> BoxFuture<Option<Value>> {
        let Some(sessions) = self.basis.sessions.clone() else { return Box::pin(std::future::ready(None)) };
        Box::pin(async move { Some(admin::sessions(&*sessions).await) })
    }

    fn config(&self) -> Value {
        self.live.load().config.redacted()
    }
}

/// Serves the admin pages on a listener of their own, within the same time limits as the data port.
pub(super) fn administer(
    listener: TcpListener,
    patience: Patience,
    parts: &Parts,
    phase: watch::Receiver<Phase>,
) -> JoinHandle<()> {
    let server = &parts.live.load().config.server;
    if server.admin_token.is_none() && server.admin.is_some_and(|admin| !admin.ip().is_loopback()) {
        tracing::warn!(
            "whoever reaches the admin port may read incidents, which quote answers; set server.admin_token, or listen on 127.0.0.1"
        );
    }
    let token = server.admin_token.as_ref().map(crate::config::Secret::expose);
    let admin = Admin {
        gateway: Arc::new(parts.clone()),
        metrics: parts.metrics.clone(),
        incidents: parts.incidents.clone(),
        access: Arc::new(Access::new(server.admin_hosts.clone(), token)),
        started: parts.started,
    };
    let server = Server { listener, tls: None, patience, handler: Routed(admin.router()) };
    tokio::spawn(server.run(phase))
}

/// An axum router behind the proxy's own server.
#[derive(Clone)]
struct Routed(axum::Router);

impl Handler for Routed {
    type Body = GatewayBody<Busy, axum::body::Body>;

    async fn handle(&self, request: Request<Incoming>, _: Peer, busy: Busy) -> Response<Self::Body> {
        let response = match self.0.clone().oneshot(request.map(axum::body::Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        response.map(|body| GatewayBody::new(body, busy))
    }
}

//! The layer and the service: `tower`'s view of the guard.

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{BoxError, GuardedBody, ReplayBody};
use super::exchange;
use super::snapshot::Snapshot;
use crate::infer::BoxFuture;
use crate::text::Str;

/// Where a service finds its snapshot.
#[derive(Clone)]
enum Live {
    Shared(Arc<ArcSwap<Snapshot>>),
    Fixed(Arc<Snapshot>),
}

/// Wraps a service that answers as an LLM API does, so that its answers are judged.
///
/// The guard never errors of its own: what it withholds it answers in the API's own words, and `Error` is the inner service's.
#[derive(Clone)]
pub struct GuardLayer {
    live: Arc<ArcSwap<Snapshot>>,
}

impl GuardLayer {
    /// A layer that judges with `snapshot`.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        GuardLayer { live: Arc::new(ArcSwap::from_pointee(snapshot)) }
    }

    /// Replaces the snapshot for exchanges that begin from now on, in every service made by this layer.
    pub fn swap(&self, snapshot: Snapshot) {
        self.live.store(Arc::new(snapshot));
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;
    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService { inner, live: Live::Shared(self.live.clone()), request_id: None }
    }
}

/// A service whose answers are judged.
#[derive(Clone)]
pub struct GuardService<S> {
    inner: S,
    live: Live,
    request_id: Option<Str>,
}

impl<S> GuardService<S> {
    /// A service with a snapshot of its own: what a gateway uses that picks the snapshot by route.
    #[must_use]
    pub fn new(inner: S, snapshot: Arc<Snapshot>) -> Self {
        GuardService { inner, live: Live::Fixed(snapshot), request_id: None }
    }

    /// For one exchange, which goes by this id.
    #[must_use]
    pub fn known_as(self, request_id: Str) -> Self {
        GuardService { request_id: Some(request_id), ..self }
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for GuardService<S>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqB: Body + Send + 'static,
    ReqB::Data: Send,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<GuardedBody>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        // The ready service goes into the future; its clone has not been polled ready.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let snapshot = match &self.live {
            Live::Shared(live) => live.load_full(),
            Live::Fixed(snapshot) => snapshot.clone(),
        };
        Box::pin(exchange::run(inner, snapshot, request, self.request_id.clone()))
    }
}

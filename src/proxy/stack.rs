//! One request through the gateway, from the outside in. The order is written here once, with the reason for each height.
//!
//! Steps, not `tower` layers: only the guard needs to wrap a service (it calls it more than once); the rest looks at a request once, and
//! as plain calls it costs no boxed future each.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CONTENT_TYPE, EXPECT};
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tower_service::Service;

use super::admission::Permit;
use super::body::{ClientBody, GatewayBody, Rest, UpstreamBody};
use super::fault::Fault;
use super::headers::{self, Origin};
use super::live::{Live, Route};
use super::patience::Busy;
use super::route::{self, Asked, Pick};
use super::serve::{Handler, Peer};
use crate::dialect::json::{self, Members};
use crate::dialect::{Dialect, Recognised, RequestHead};
use crate::guard::{Failure, GuardService, GuardedBody, ReplayBody, Target};
use crate::infer::BoxFuture;
use crate::session::Caller;
use crate::telemetry::metrics::NO_ROUTE;
use crate::telemetry::traces::{Exchange, Number};
use crate::telemetry::{InFlight, Metrics, Tracer};
use crate::text::Str;

/// How much of a request that was refused is still read, as a multiple of what may be read, and for how long: so that its sender sees
/// the answer and not a reset.
const DRAIN: (u64, Duration) = (4, Duration::from_secs(10));

/// The gateway: what every connection calls.
#[derive(Clone)]
pub struct Gateway {
    live: Arc<ArcSwap<Live>>,
    metrics: Arc<Metrics>,
    tracer: Option<Arc<Tracer>>,
}

/// What is kept until the end of an exchange's body.
pub struct Kept {
    _busy: Busy,
    _flight: Option<Flight>,
}

/// An exchange that may begin.
pub(super) struct Begun {
    /// Its route.
    pub(super) route: Arc<Route>,
    /// Its request's body, which may have been read.
    pub(super) body: ClientBody,
    /// Its place, held until the answer is over.
    pub(super) flight: Flight,
}

/// An admitted exchange.
pub(super) struct Flight {
    _permit: Permit,
    _counted: InFlight,
}

impl Gateway {
    /// A gateway that does what `live` says at each moment.
    #[must_use]
    pub fn new(live: Arc<ArcSwap<Live>>, metrics: Arc<Metrics>, tracer: Option<Arc<Tracer>>) -> Self {
        Gateway { live, metrics, tracer }
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        request_id: &Str,
    ) -> (Response<GuardedBody>, Option<Flight>) {
        // One view of the configuration for the whole exchange, before anything is decided by it.
        let live = self.live.load_full();
        let (mut head, incoming) = request.into_parts();

        // What is not HTTP from here on cannot be judged, so it is refused before anyone is asked.
        if head.method == Method::CONNECT || headers::wants_upgrade(&head.headers) {
            return (self.refuse(&live, &Fault::Upgrade, None, &head, request_id), None);
        }

        // Strangers learn nothing of routes or load: keys come before both. The key used is taken out, so that no route, log or upstream
        // below can see it.
        if let Some(keys) = &live.keys {
            // Who calls keeps conversations apart, and the key that tells is about to go.
            head.extensions.insert(Caller::of(&head.headers));
            if !keys.admit(&mut head.headers) {
                return (self.refuse(&live, &Fault::NoKey, None, &head, request_id), None);
            }
        }

        let (body, mut rest) = ClientBody::new(incoming, live.config.limits.client_stall);
        // Who waits for a word before sending too much sends nothing that must be read.
        if head.headers.contains_key(EXPECT) && body.size_hint().lower() > live.config.limits.request_body {
            rest = None;
        }
        let Begun { route, body, flight } = match self.begin(&live, &head, body, &mut rest, request_id).await {
            Ok(begun) => begun,
            Err(refusal) => return (refusal, None),
        };

        // The guard wraps the upstream, so that header hygiene and credentials, below it, apply to each of its attempts, and what it reads
        // of the client's headers (session, idempotency) is still there.
        let host = headers::host(head.uri.authority(), &head.headers);
        let origin = Arc::new(Origin { ip: peer.ip, tls: peer.tls, host });
        let trace = self.tracer.as_ref().and_then(|tracer| tracer.exchange(request_id, &head.headers));
        let forward = Forward { route: route.clone(), origin, request_id: request_id.clone(), trace };
        let mut guard = GuardService::new(forward, route.snapshot.clone()).known_as(request_id.clone());
        let response = match guard.call(Request::from_parts(head, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        self.finish_reading(&response.status(), &live, &mut rest).await;
        (response, Some(flight))
    }

    /// The configuration in force.
    #[cfg(feature = "extproc")]
    pub(super) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// A request's route and its place among those under way; where there is none, the answer that says so.
    pub(super) async fn begin(
        &self,
        live: &Live,
        head: &request::Parts,
        body: ClientBody,
        rest: &mut Option<Rest>,
        request_id: &str,
    ) -> Result<Begun, Response<GuardedBody>> {
        // The route decides everything below: limits by route, policy, upstream. It may need the model, and so the body.
        let (route, body) = match self.route(live, head, body).await {
            Ok(routed) => routed,
            Err(fault) => {
                self.finish_reading(&fault.failure().status, live, rest).await;
                return Err(self.refuse(live, &fault, None, head, request_id));
            }
        };
        // Admission is last before the work begins: what is refused above holds no place, and the place is held until the body is over.
        let Some(permit) = live.admission.admit() else {
            return Err(self.refuse(live, &Fault::Busy(live.admission.limit()), Some(&route), head, request_id));
        };
        let flight = Flight { _permit: permit, _counted: self.metrics.enter(&route.name) };
        Ok(Begun { route, body, flight })
    }

    /// The route of a request, and its body, which may have been read on the way.
    async fn route(&self, live: &Live, head: &request::Parts, body: ClientBody) -> Result<(Arc<Route>, ClientBody), Fault> {
        let host = headers::host(head.uri.authority(), &head.headers);
        let asked =
            Asked { path: head.uri.path(), host: host.as_ref().and_then(|host| host.to_str().ok()), headers: &head.headers };
        let matchers = || live.routes.iter().map(|route| &route.matcher);
        match route::pick(matchers(), &asked) {
            Pick::Route(index) => Ok((live.routes[index].clone(), body)),
            Pick::None => Err(Fault::NoRoute),
            Pick::NeedsModel => {
                let (model, body) = self.model(live, head, body).await?;
                let index = route::pick_with_model(matchers(), &asked, model.as_deref()).ok_or(Fault::NoRoute)?;
                Ok((live.routes[index].clone(), body))
            }
        }
    }

    /// The model that a request asks for. Its body is read for it, unless it is in no known format: that is streamed untouched, and a
    /// route with a model does not take it. One that cannot be read, or names two models, must not choose a laxer route.
    async fn model(&self, live: &Live, head: &request::Parts, body: ClientBody) -> Result<(Option<Str>, ClientBody), Fault> {
        let seen = request_head(head);
        let json = head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        let dialect = match live.dialects.recognise(&seen) {
            Some((dialect, Recognised::Judged)) => dialect,
            Some((dialect, Recognised::Textless)) if json => dialect,
            _ => return Ok((None, body)),
        };
        let limit = live.config.limits.request_body;
        if body.size_hint().lower() > limit {
            return Err(Fault::TooLarge(limit));
        }
        let bytes = match Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)).collect().await {
            Ok(bytes) => bytes.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Fault::TooLarge(limit)),
            Err(error) => return Err(Fault::Failed(client_failure(&*error))),
        };
        let exchange = dialect.read_request(&seen, &bytes).map_err(|_| Fault::NoModel)?;
        if json::read::<Members<'_>>(&bytes, "request").is_ok_and(|request| request.only("model", "request").is_err()) {
            return Err(Fault::NoModel);
        }
        Ok((exchange.model, ClientBody::whole(bytes)))
    }

    /// An answer of the proxy's own, in the caller's format.
    pub(super) fn refuse(
        &self,
        live: &Live,
        fault: &Fault,
        route: Option<&Route>,
        head: &request::Parts,
        request_id: &str,
    ) -> Response<GuardedBody> {
        let dialect = dialect(live, route, head);
        let response = fault.respond(dialect.map(|dialect| &**dialect), request_id);
        let api = dialect.map(|dialect| dialect.api());
        self.metrics.answered(route.map_or(NO_ROUTE, |route| &route.name), api, response.status().as_u16());
        let failure = fault.failure();
        tracing::info!(request_id, code = failure.code, path = head.uri.path(), "a request was refused: {}", failure.message);
        response
    }

    /// Reads on where a request was refused for its size.
    async fn finish_reading(&self, status: &StatusCode, live: &Live, rest: &mut Option<Rest>) {
        if *status == StatusCode::PAYLOAD_TOO_LARGE
            && let Some(rest) = rest.take()
        {
            rest.drain(live.config.limits.request_body.saturating_mul(DRAIN.0), DRAIN.1).await;
        }
    }
}

impl Handler for Gateway {
    type Body = GatewayBody<Kept>;

    async fn handle(&self, request: Request<Incoming>, peer: Peer, busy: Busy) -> Response<Self::Body> {
        let mut buffer = [0; ulid::ULID_LEN];
        let request_id: Str = Str::from(&*ulid::Ulid::new().array_to_str(&mut buffer));
        let (response, flight) = self.exchange(request, peer, &request_id).await;
        response.map(|body| GatewayBody::new(body, Kept { _busy: busy, _flight: flight }))
    }
}

/// The upstreams of a route as the guard sees them. It never errors: a failure is an answer that the guard words.
#[derive(Clone)]
struct Forward {
    route: Arc<Route>,
    origin: Arc<Origin>,
    request_id: Str,
    /// Where the calls' spans hang, if the exchange is traced.
    trace: Option<Exchange>,
}

impl Service<Request<ReplayBody>> for Forward {
    type Response = Response<UpstreamBody>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.forward(request).await) })
    }
}

impl Forward {
    async fn forward(&self, request: Request<ReplayBody>) -> Response<UpstreamBody> {
        let target = request.extensions().get::<Target>().copied().unwrap_or_default();
        let first = target.fallback.map_or(0, |fallback| fallback + 1);
        let mut targets = self.route.upstreams.iter().skip(first).peekable();
        let mut next = Some(request);
        let mut number = Number { attempt: target.attempt, target: 0 };
        while let (Some(upstream), Some(request)) = (targets.next(), next.take()) {
            // A copy for the next one, where there is a next one and the body can be sent twice.
            next = targets.peek().and_then(|_| copy(&request));
            let call = self.trace.as_ref().map(|trace| trace.call(number, &upstream.name));
            number.target += 1;
            let error = match upstream.call(request, &self.origin, self.route.strip, call).await {
                Ok(response) => return response,
                Err(error) => error,
            };
            tracing::warn!(
                request_id = &*self.request_id,
                route = &*self.route.name,
                upstream = &*upstream.name,
                attempt = target.attempt,
                %error,
                "an upstream gave no answer"
            );
            if next.is_none() || !error.unsent() {
                return failed(error.failure(&upstream.name));
            }
        }
        failed(Failure {
            status: StatusCode::BAD_GATEWAY,
            code: "upstream_unreachable",
            message: "the route has no such upstream".to_owned(),
        })
    }
}

/// The format that a request is in, as its route says or as it looks.
fn dialect<'l>(live: &'l Live, route: Option<&Route>, head: &request::Parts) -> Option<&'l Arc<dyn Dialect>> {
    let seen = request_head(head);
    let named = route.and_then(|route| route.api).and_then(|api| live.dialects.recognise_as(api, &seen));
    named.or_else(|| live.dialects.recognise(&seen)).map(|(dialect, _)| dialect)
}

fn copy(request: &Request<ReplayBody>) -> Option<Request<ReplayBody>> {
    let mut copy = Request::new(request.body().try_clone()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

fn failed(failure: Failure) -> Response<UpstreamBody> {
    let mut response = Response::new(UpstreamBody::none());
    *response.status_mut() = failure.status;
    response.extensions_mut().insert(failure);
    response
}

fn request_head(head: &request::Parts) -> RequestHead<'_> {
    RequestHead { method: &head.method, path: head.uri.path(), query: head.uri.query(), headers: &head.headers }
}

fn client_failure(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Failure {
    Failure::find(error).cloned().unwrap_or(Failure {
        status: StatusCode::BAD_REQUEST,
        code: "request_incomplete",
        message: "the request body ended early".to_owned(),
    })
}

//! One upstream: a pooled client with time limits, and how its failures are told. Knows no route and no policy.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::UpstreamBody;
use super::connect::{ConnectTimeout, Connector, ConnectorError};
use super::headers::{self, Origin};
use crate::config::{self, Limits, Protocol};
use crate::guard::signature::Signature;
use crate::guard::{BoxError, Failure, ReplayBody};
use crate::telemetry::Metrics;
use crate::telemetry::traces::Call;
use crate::text::Str;

/// Idle connections kept to one upstream.
const POOL: usize = 512;
/// How long they are kept.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// An upstream that can be called.
pub struct Upstream {
    /// Its name.
    pub name: Str,
    /// As it was configured.
    pub config: config::Upstream,
    limits: Times,
    scheme: Scheme,
    authority: Authority,
    /// What stands before the path, without a slash at its end.
    base: String,
    client: Client<Connector, Outgoing>,
    /// For signed requests: over HTTP/2 their `host` could not differ from the authority.
    plain: OnceLock<Client<Connector, Outgoing>>,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
}

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection. Nothing has been sent: another upstream may be asked.
    #[error("{0}")]
    Unreachable(BoxError),
    /// A connection was not there in time. Nothing has been sent.
    #[error("{0}")]
    ConnectTimeout(BoxError),
    /// No head in time.
    #[error("no answer within {0:?} (limits.upstream_first_byte)")]
    FirstByte(Duration),
    /// It broke off, or what it said is no HTTP.
    #[error("{0}")]
    Broke(BoxError),
    /// The client's side of it failed.
    #[error("{0}")]
    Client(Failure),
}

impl CallError {
    /// Whether nothing has been sent, so that the same request may go elsewhere.
    #[must_use]
    pub fn unsent(&self) -> bool {
        matches!(self, CallError::Unreachable(_) | CallError::ConnectTimeout(_))
    }

    /// How it is told to the client: without addresses.
    #[must_use]
    pub fn failure(&self, upstream: &str) -> Failure {
        let (status, code, message) = match self {
            CallError::Unreachable(_) => {
                (StatusCode::BAD_GATEWAY, "upstream_unreachable", format!("the upstream {upstream:?} cannot be reached"))
            }
            CallError::ConnectTimeout(_) => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", format!("no connection to the upstream {upstream:?} in time"))
            }
            CallError::FirstByte(limit) => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                format!("the upstream {upstream:?} did not answer within {limit:?}"),
            ),
            CallError::Broke(_) => {
                (StatusCode::BAD_GATEWAY, "upstream_broke", format!("the upstream {upstream:?} broke off before it answered"))
            }
            CallError::Client(failure) => return failure.clone(),
        };
        Failure { status, code, message }
    }
}

impl Upstream {
    /// An upstream as configured.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: &config::Upstream, limits: &Limits, metrics: Arc<Metrics>) -> Result<Self, ConnectorError> {
        let limits = times(limits);
        let parts = config.url.clone().into_parts();
        let http2 = config.protocol == Protocol::Http2;
        let client = client(Connector::new(config, config.protocol, limits.connect)?, http2);
        Ok(Upstream {
            name: config.name.as_str().into(),
            config: config.clone(),
            limits,
            scheme: parts.scheme.unwrap_or(Scheme::HTTP),
            authority: parts.authority.unwrap_or_else(|| Authority::from_static("invalid")),
            base: config.url.path().trim_end_matches('/').to_owned(),
            client,
            plain: OnceLock::new(),
            metrics,
        })
    }

    /// Whether a reload may keep it, with its connections.
    #[must_use]
    pub fn is(&self, config: &config::Upstream, limits: &Limits) -> bool {
        self.config == *config && self.limits == times(limits)
    }

    /// Sends a request. `strip` bytes of its path are left out. `call`: its span, where traces are made.
    ///
    /// # Errors
    /// [`CallError`]: no answer.
    pub async fn call(
        &self,
        request: Request<ReplayBody>,
        origin: &Origin,
        strip: usize,
        call: Option<Call>,
    ) -> Result<Response<UpstreamBody>, CallError> {
        let started = Instant::now();
        let method = request.method().clone();
        let result = self.send(request, origin, strip, call.as_ref()).await;
        let metrics = self.metrics.clone();
        let (name, host) = (self.name.clone(), self.authority.clone());
        let ended = move |status| {
            let took = started.elapsed();
            metrics.upstream(&name, status, took);
            if let Some(call) = call {
                call.end(&method, host.host(), status, took);
            }
        };
        let (mut parts, body) = match result {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                ended(None);
                return Err(CallError::Broke("it switched protocols, which nobody asked for".into()));
            }
            Ok(response) => response.into_parts(),
            Err(error) => {
                ended(None);
                return Err(error);
            }
        };
        headers::to_client(&mut parts.headers);
        // The version is a hop's own as well: an upstream's HTTP/1.0 would take keep-alive and chunks from a client that knows better.
        parts.version = Version::HTTP_11;
        let status = parts.status.as_u16();
        Ok(Response::from_parts(parts, UpstreamBody::new(body, self.limits.idle, move || ended(Some(status)))))
    }

    async fn send(
        &self,
        request: Request<ReplayBody>,
        origin: &Origin,
        strip: usize,
        call: Option<&Call>,
    ) -> Result<Response<Incoming>, CallError> {
        let (mut parts, body) = request.into_parts();
        // Anybody can write a signature. Beside a credential of ours it must not choose the host: that would send the credential where the
        // client likes.
        let signature = Signature::of(&parts.headers, parts.uri.query()).filter(|_| self.config.credential.is_none());
        let origin = self.config.forwarded.then_some(origin);
        headers::to_upstream(&mut parts.headers, origin, self.config.credential.as_ref(), signature.as_ref());
        if let Some((name, value)) = call.map(Call::traceparent)
            && !signature.as_ref().is_some_and(|signature| signature.covers(&name))
        {
            parts.headers.insert(name, value);
        }
        parts.uri = self.uri(parts.uri.path_and_query(), strip)?;
        // The connection has the last word on the version; a request that names HTTP/2 is refused by HTTP/1 ones.
        parts.version = Version::HTTP_11;
        parts.extensions = http::Extensions::new();
        let progress = body.try_clone().is_none().then(Arc::<Progress>::default);
        let request = Request::from_parts(parts, Outgoing { body, progress: progress.clone() });
        let client = if signature.is_some() && self.config.protocol == Protocol::Auto { self.plain()? } else { &self.client };
        let mut answer = client.request(request);
        let mut seen = 0;
        loop {
            match tokio::time::timeout(self.limits.first_byte, &mut answer).await {
                Ok(answer) => return answer.map_err(classify),
                // A long upload is no silence.
                Err(_) => match progress.as_ref().map_or(0, |progress| progress.0.load(Ordering::Relaxed)) {
                    moved if moved > seen => seen = moved,
                    _ => return Err(CallError::FirstByte(self.limits.first_byte)),
                },
            }
        }
    }

    fn uri(&self, asked: Option<&PathAndQuery>, strip: usize) -> Result<Uri, CallError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        let asked = asked.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        parts.path_and_query = Some(if self.base.is_empty() && strip == 0 {
            asked
        } else {
            let rest = asked.as_str().get(strip..).unwrap_or_default();
            let slash = if rest.starts_with('/') { "" } else { "/" };
            format!("{}{slash}{rest}", self.base).parse().map_err(|_| bad_target())?
        });
        Uri::from_parts(parts).map_err(|_| bad_target())
    }

    fn plain(&self) -> Result<&Client<Connector, Outgoing>, CallError> {
        if let Some(client) = self.plain.get() {
            return Ok(client);
        }
        let connector = Connector::new(&self.config, Protocol::Http1, self.limits.connect);
        let connector = connector.map_err(|error| CallError::Unreachable(error.into()))?;
        Ok(self.plain.get_or_init(|| client(connector, false)))
    }
}

fn times(limits: &Limits) -> Times {
    Times { connect: limits.upstream_connect, first_byte: limits.upstream_first_byte, idle: limits.upstream_idle }
}

fn client(connector: Connector, http2: bool) -> Client<Connector, Outgoing> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL)
        .http2_only(http2)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_keep_alive_timeout(Duration::from_secs(20))
        .build(connector)
}

fn bad_target() -> CallError {
    CallError::Client(Failure {
        status: StatusCode::BAD_REQUEST,
        code: "bad_target",
        message: "the request's path cannot be sent on".to_owned(),
    })
}

fn classify(error: legacy::Error) -> CallError {
    if let Some(failure) = Failure::find(&error) {
        return CallError::Client(failure.clone());
    }
    let chain = std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |error| error.source());
    let timeout = chain.clone().any(|error| {
        error.is::<ConnectTimeout>()
            || error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    });
    // The outermost says only "client error": the reason is in what it wraps.
    let text: Vec<String> = chain.skip(1).map(ToString::to_string).collect();
    let text: BoxError = if text.is_empty() { error.to_string() } else { text.join(": ") }.into();
    match (error.is_connect(), timeout) {
        (true, true) => CallError::ConnectTimeout(text),
        (true, false) => CallError::Unreachable(text),
        (false, _) => CallError::Broke(text),
    }
}

/// How much of an upload has gone.
#[derive(Default)]
struct Progress(AtomicU64);

/// A request's body on its way to an upstream.
struct Outgoing {
    body: ReplayBody,
    progress: Option<Arc<Progress>>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let (Some(progress), Poll::Ready(_)) = (&this.progress, &frame) {
            progress.0.fetch_add(1, Ordering::Relaxed);
        }
        frame
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

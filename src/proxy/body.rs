//! The bodies between hyper and the guard: the client's request, the upstream's answer, and what the client is sent. They add time limits
//! and what must last as long as the body does. Know no route.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::patience::Timer;
#[cfg(feature = "extproc")]
use crate::guard::Erased;
use crate::guard::{BoxError, Failure, GuardedBody};

/// A client's request body. Silence in the middle of it ends it; what is left of it when it is dropped can be drained ([`Rest`]).
pub struct ClientBody {
    source: Source,
    stall: Duration,
    timer: Timer,
    rest: Option<Rest>,
}

enum Source {
    Incoming(Option<Incoming>),
    #[cfg(feature = "extproc")]
    Streamed(Erased),
    Whole(Option<Bytes>),
}

/// What was not read of a request's body.
#[derive(Clone, Default)]
pub struct Rest(Arc<Mutex<Option<Incoming>>>);

impl ClientBody {
    /// A body from the wire.
    pub fn new(incoming: Incoming, stall: Duration) -> (Self, Option<Rest>) {
        if incoming.is_end_stream() {
            return (ClientBody::whole(Bytes::new()), None);
        }
        let rest = Rest::default();
        let source = Source::Incoming(Some(incoming));
        (ClientBody { source, stall, timer: Timer::default(), rest: Some(rest.clone()) }, Some(rest))
    }

    /// A body from elsewhere, whose time limits are its sender's.
    #[cfg(feature = "extproc")]
    pub(super) fn streamed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let source = Source::Streamed(http_body_util::BodyExt::boxed_unsync(body));
        ClientBody { source, stall: Duration::ZERO, timer: Timer::default(), rest: None }
    }

    /// A body that has been read.
    pub fn whole(bytes: Bytes) -> Self {
        let source = Source::Whole((!bytes.is_empty()).then_some(bytes));
        ClientBody { source, stall: Duration::ZERO, timer: Timer::default(), rest: None }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let incoming = match &mut this.source {
            Source::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            #[cfg(feature = "extproc")]
            Source::Streamed(body) => return Pin::new(body).poll_frame(cx),
            Source::Incoming(None) => return Poll::Ready(None),
            Source::Incoming(Some(incoming)) => incoming,
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.timer.disarm();
                Poll::Ready(frame.map(|frame| {
                    frame.map_err(|error| {
                        tracing::debug!(%error, "a request broke off");
                        failure(StatusCode::BAD_REQUEST, "request_incomplete", "the request body ended early")
                    })
                }))
            }
            Poll::Pending => {
                ready!(this.timer.poll(cx, this.stall));
                let message = format!("nothing of the request body came for {:?} (limits.client_stall)", this.stall);
                Poll::Ready(Some(Err(failure(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            #[cfg(feature = "extproc")]
            Source::Streamed(body) => body.size_hint(),
            Source::Incoming(incoming) => incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            #[cfg(feature = "extproc")]
            Source::Streamed(body) => body.is_end_stream(),
            Source::Whole(bytes) => bytes.is_none(),
            Source::Incoming(incoming) => incoming.as_ref().is_none_or(Body::is_end_stream),
        }
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let (Source::Incoming(incoming), Some(rest)) = (&mut self.source, &self.rest)
            && let Some(incoming) = incoming.take()
            && !incoming.is_end_stream()
        {
            *rest.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(incoming);
        }
    }
}

impl Rest {
    /// Reads and forgets up to `limit` bytes within `time`. A client that is still sending when it is answered and cut off would see a
    /// reset in place of the answer.
    pub async fn drain(self, limit: u64, time: Duration) {
        let incoming = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(mut incoming) = incoming else { return };
        let mut left = limit;
        let read = async {
            while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                if size > left {
                    return;
                }
                left -= size;
            }
        };
        let _ = tokio::time::timeout(time, read).await;
    }
}

/// An upstream's answer. Silence in the middle of it ends it.
pub struct UpstreamBody {
    incoming: Option<Incoming>,
    idle: Duration,
    timer: Timer,
    ended: Option<Ended>,
}

/// Called once an upstream's answer is over.
type Ended = Box<dyn FnOnce() + Send>;

impl UpstreamBody {
    /// An answer from the wire. `ended` is called when it is over, however it ends.
    pub(super) fn new(incoming: Incoming, idle: Duration, ended: impl FnOnce() + Send + 'static) -> Self {
        UpstreamBody { incoming: Some(incoming), idle, timer: Timer::default(), ended: Some(Box::new(ended)) }
    }

    /// No answer.
    pub(super) fn none() -> Self {
        UpstreamBody { incoming: None, idle: Duration::ZERO, timer: Timer::default(), ended: None }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.timer.disarm();
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(this.timer.poll(cx, this.idle));
                this.incoming = None;
                let message = format!("the upstream fell silent in its answer for {:?} (limits.upstream_idle)", this.idle);
                Poll::Ready(Some(Err(failure(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended();
        }
    }
}

/// What the client is sent, with everything that lasts as long as the exchange does.
pub struct GatewayBody<K, B = GuardedBody> {
    inner: B,
    _kept: K,
}

impl<K, B> GatewayBody<K, B> {
    /// A body; `kept` is dropped with it.
    pub fn new(inner: B, kept: K) -> Self {
        GatewayBody { inner, _kept: kept }
    }
}

impl<K: Unpin, B: Body<Data = Bytes> + Unpin> Body for GatewayBody<K, B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

fn failure(status: StatusCode, code: &'static str, message: impl Into<String>) -> BoxError {
    Box::new(Failure { status, code, message: message.into() })
}

//! The bodies that pass through the guard: what goes upstream, and what the client reads.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use super::live::Live;
use super::report::Report;
use crate::guard::events::Ending;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of no particular type.
pub type Erased = UnsyncBoxBody<Bytes, BoxError>;

/// Hides a body's type.
pub(super) fn erase<B>(body: B) -> Erased
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_frame(|frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        .map_err(Into::into)
        .boxed_unsync()
}

/// What goes upstream: a cheap copy that can be sent again, or the client's untouched stream.
pub struct ReplayBody(Replay);

enum Replay {
    Bytes(Option<Bytes>),
    Stream(Erased),
}

impl ReplayBody {
    pub(super) fn bytes(bytes: Bytes) -> Self {
        ReplayBody(Replay::Bytes((!bytes.is_empty()).then_some(bytes)))
    }

    pub(super) fn stream(body: Erased) -> Self {
        ReplayBody(Replay::Stream(body))
    }

    /// The same once more, where it is bytes in memory: an inner service that could not even connect may go elsewhere with it.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Replay::Bytes(bytes) => Some(ReplayBody(Replay::Bytes(bytes.clone()))),
            Replay::Stream(body) if body.is_end_stream() => Some(ReplayBody(Replay::Bytes(None))),
            Replay::Stream(_) => None,
        }
    }
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Replay::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Replay::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Replay::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Replay::Stream(body) => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Replay::Bytes(bytes) => bytes.is_none(),
            Replay::Stream(body) => body.is_end_stream(),
        }
    }
}

/// What the client reads.
pub struct GuardedBody {
    kind: Kind,
    report: Option<Box<Report>>,
}

enum Kind {
    /// Not judged: the upstream's bytes as they come.
    Pass(Erased),
    /// The gateway's own words.
    Own(Option<Bytes>),
    /// Judged while it streams.
    Live(Box<Live>),
}

impl GuardedBody {
    pub(super) fn pass(body: Erased, report: Box<Report>) -> Self {
        GuardedBody { kind: Kind::Pass(body), report: Some(report) }
    }

    pub(super) fn own(bytes: Bytes, report: Box<Report>) -> Self {
        GuardedBody { kind: Kind::Own(Some(bytes)), report: Some(report) }
    }

    pub(super) fn live(live: Box<Live>, report: Box<Report>) -> Self {
        GuardedBody { kind: Kind::Live(live), report: Some(report) }
    }

    /// A body that is not the guard's business: for answers that a gateway gives without asking an upstream.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        GuardedBody { kind: Kind::Own(Some(bytes)), report: None }
    }

    fn end(&mut self, ending: Ending) {
        if let Some(report) = self.report.take() {
            report.end(ending, if let Kind::Live(live) = &self.kind { Some(live) } else { None });
        }
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Pass(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                match &frame {
                    None => this.end(Ending::Complete),
                    Some(Err(_)) => this.end(Ending::UpstreamBroke),
                    Some(Ok(_)) => {}
                }
                Poll::Ready(frame)
            }
            Kind::Own(bytes) => match bytes.take() {
                Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => {
                    this.end(Ending::Refused);
                    Poll::Ready(None)
                }
            },
            Kind::Live(live) => {
                if let Some(report) = &mut this.report
                    && let Err(error) = ready!(live.poll_fill(cx, report))
                {
                    this.end(Ending::UpstreamBroke);
                    return Poll::Ready(Some(Err(error)));
                }
                // The last bytes wait for the conversation's record: the next request may come as soon as they have left.
                if let Some(report) = this.report.as_mut().filter(|_| live.is_over()) {
                    ready!(report.poll_turn(cx, live));
                }
                let frame = live.next_frame();
                if frame.is_none() {
                    let ending = if live.was_cut() { Ending::Cut } else { Ending::Complete };
                    this.end(ending);
                }
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass(body) => body.size_hint(),
            Kind::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Live(live) => live.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Pass(body) => body.is_end_stream(),
            Kind::Own(bytes) => bytes.is_none(),
            Kind::Live(live) => live.is_end(),
        }
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        // A server need not poll past the last frame, so what is over is told here; what is not over was left by the client.
        let over = match &self.kind {
            Kind::Pass(body) => body.is_end_stream(),
            Kind::Own(_) => true,
            Kind::Live(live) => live.is_end(),
        };
        let ending = match &self.kind {
            _ if !over => Ending::ClientLeft,
            Kind::Own(_) => Ending::Refused,
            Kind::Live(live) if live.was_cut() => Ending::Cut,
            _ => Ending::Complete,
        };
        self.end(ending);
    }
}

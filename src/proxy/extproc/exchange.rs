//! One exchange that Envoy carries: its messages become a request for the guard and the upstream's answer, and what the guard lets out
//! becomes messages again. Judges nothing itself.
//!
//! Envoy asks the upstream, and once: a rule that wants another attempt gets what its `then` says.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};
use tower_service::Service;

use super::headers;
use super::messages::{
    BodyMutation, BodyResponse, Came, CommonResponse, Do, FULL_DUPLEX_STREAMED, HeadersResponse, HttpBody, HttpStatus,
    ImmediateResponse, ProcessingRequest, ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};
use crate::guard::{BoxError, Failure, GuardService, GuardedBody, ReplayBody, RequestId};
use crate::infer::BoxFuture;
use crate::proxy::body::ClientBody;
use crate::proxy::fault::Fault;
use crate::proxy::headers::{strip_ours, to_client, wants_upgrade};
use crate::proxy::stack::{Begun, Gateway};
use crate::session::Caller;
use crate::text::Str;

/// Pieces of a body that wait for the guard; then Envoy is read no further.
const PIECES: usize = 16;

/// The largest piece of a request's body that is sent to Envoy at once.
const PIECE: usize = 64 << 10;

type Sender = mpsc::Sender<Result<ProcessingResponse, Status>>;

/// Runs one exchange. What it has to say goes into `out`; dropped in the middle, the client has left.
pub(super) async fn run(gateway: Gateway, mut inbound: Streaming<ProcessingRequest>, out: Sender) {
    let Ok(Some(first)) = inbound.message().await else { return };
    let (head, bodiless) = match begin(first) {
        Ok(begun) => begun,
        Err(status) => {
            tracing::warn!(error = status.message(), "Envoy's ext_proc filter is not set up as it must be");
            let _ = out.send(Err(status)).await;
            return;
        }
    };
    let (request, request_pieces) = mpsc::channel(PIECES);
    let (response, response_pieces) = mpsc::channel(PIECES);
    let (answered, answer) = oneshot::channel();
    let trailers = Arc::<Trailers>::default();
    let incoming =
        Incoming { request: Some(request), answered: Some(answered), response: Some(response), trailers: trailers.clone() };
    let body = if bodiless { ClientBody::whole(Bytes::new()) } else { ClientBody::streamed(Pieces::new(request_pieces)) };
    let mirror = Mirror::new(Ends {
        out: out.clone(),
        told: head.headers.clone(),
        bodiless,
        answer,
        pieces: response_pieces,
        trailers: trailers.clone(),
    });
    let judged = judge(&gateway, head, body, mirror, &out, &trailers);
    let mut judged = std::pin::pin!(judged);
    // Both on one task: when the exchange is over, nothing more is read.
    tokio::select! {
        () = &mut judged => return,
        () = incoming.feed(inbound) => {}
    }
    judged.await;
}

/// The request's head, and whether no body follows it.
fn begin(first: ProcessingRequest) -> Result<(request::Parts, bool), Status> {
    let wrong = |what: &str| Err(Status::failed_precondition(format!("steadfast needs {what} in the ext_proc filter")));
    if first.observability_mode {
        return wrong("observability_mode: false");
    }
    if let Some(config) = &first.protocol_config {
        let modes = [("request_body_mode", config.request_body_mode), ("response_body_mode", config.response_body_mode)];
        if let Some((name, _)) = modes.into_iter().find(|(_, mode)| *mode != FULL_DUPLEX_STREAMED) {
            return wrong(&format!("processing_mode.{name}: FULL_DUPLEX_STREAMED"));
        }
    }
    let Some(Came::RequestHeaders(came)) = first.request else { return wrong("processing_mode.request_header_mode: SEND") };
    match came.headers.as_ref().and_then(headers::request) {
        Some(head) => Ok((head, came.end_of_stream)),
        None => Err(Status::invalid_argument("the request's head has no method or no path")),
    }
}

async fn judge(gateway: &Gateway, mut head: request::Parts, body: ClientBody, mirror: Mirror, out: &Sender, trailers: &Trailers) {
    let request_id: Str = ulid::Ulid::new().to_string().into();
    let live = gateway.live();
    head.extensions.insert(Caller::of(&head.headers));
    let begun = if head.method == Method::CONNECT || wants_upgrade(&head.headers) {
        Err(gateway.refuse(&live, &Fault::Upgrade, None, &head, &request_id))
    } else {
        gateway.begin(&live, &head, body, &mut None, &request_id).await
    };
    let Begun { route, body, flight: _flight } = match begun {
        Ok(begun) => begun,
        Err(refusal) => return immediate(refusal, out).await,
    };
    head.extensions.insert(RequestId(request_id));
    let mut snapshot = (*route.snapshot).clone();
    snapshot.limits.repeatable = false;
    snapshot.limits.fallbacks = 0;
    let mut guard = GuardService::new(mirror, Arc::new(snapshot));
    let response = match guard.call(Request::from_parts(head, body)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let Some(answer) = response.extensions().get::<Mirrored>().cloned() else { return immediate(response, out).await };
    let (parts, body) = response.into_parts();
    let common = CommonResponse { header_mutation: Some(headers::changes(&answer.headers, &parts.headers)), body_mutation: None };
    tell(out, Do::ResponseHeaders(HeadersResponse { response: Some(common) })).await;
    deliver(body, answer.bodiless, out, trailers).await;
}

/// Sends what the guard lets out of an answer.
async fn deliver(mut body: GuardedBody, bodiless: bool, out: &Sender, trailers: &Trailers) {
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if !data.is_empty() && !bodiless => tell(out, Do::ResponseBody(piece(data, false))).await,
            Ok(_) => {}
            // The upstream broke off, which Envoy knows better: the call's error has it end the client's stream as broken too.
            Err(error) => {
                tracing::debug!(%error, "an answer broke off under Envoy");
                let _ = out.send(Err(Status::aborted("the answer broke off"))).await;
                return;
            }
        }
    }
    if trailers.response.load(Ordering::Relaxed) {
        tell(out, Do::ResponseTrailers(TrailersResponse::default())).await;
    } else if !bodiless {
        tell(out, Do::ResponseBody(piece(Bytes::new(), true))).await;
    }
}

/// An answer of our own in place of the upstream's.
async fn immediate(response: Response<GuardedBody>, out: &Sender) {
    let (parts, body) = response.into_parts();
    // It is in memory: it cannot break off.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reply = ImmediateResponse {
        status: Some(HttpStatus { code: parts.status.as_u16().into() }),
        headers: Some(headers::all(&parts.headers)),
        body,
        details: "steadfast".to_owned(),
    };
    tell(out, Do::Immediate(reply)).await;
}

/// If nobody listens any more, the exchange is about to be dropped.
async fn tell(out: &Sender, what: Do) {
    let _ = out.send(Ok(ProcessingResponse { response: Some(what) })).await;
}

fn piece(body: Bytes, end_of_stream: bool) -> BodyResponse {
    let streamed_response = Some(StreamedBodyResponse { body, end_of_stream });
    BodyResponse {
        response: Some(CommonResponse { header_mutation: None, body_mutation: Some(BodyMutation { streamed_response }) }),
    }
}

/// Which bodies ended with trailers: Envoy wants an answer to those, and then the body's last piece is not marked as such.
#[derive(Default)]
struct Trailers {
    request: AtomicBool,
    response: AtomicBool,
}

/// A piece of a body.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// Sorts Envoy's messages.
struct Incoming {
    request: Option<mpsc::Sender<Piece>>,
    answered: Option<oneshot::Sender<Answer>>,
    response: Option<mpsc::Sender<Piece>>,
    trailers: Arc<Trailers>,
}

/// The head of the upstream's answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bodiless: bool,
}

impl Incoming {
    /// Reads to the end of the call.
    async fn feed(mut self, mut inbound: Streaming<ProcessingRequest>) {
        loop {
            let came = match inbound.message().await {
                Ok(Some(message)) => message.request,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "Envoy's call broke off");
                    return;
                }
            };
            match came {
                Some(Came::RequestBody(body)) => push(&mut self.request, body).await,
                Some(Came::RequestTrailers(trailers)) => {
                    self.trailers.request.store(true, Ordering::Relaxed);
                    finish(&mut self.request, trailers.trailers.as_ref()).await;
                }
                Some(Came::ResponseHeaders(came)) => {
                    let head = came.headers.as_ref().and_then(headers::response);
                    if let (Some((status, headers)), Some(answered)) = (head, self.answered.take()) {
                        let _ = answered.send(Answer { status, headers, bodiless: came.end_of_stream });
                    }
                }
                Some(Came::ResponseBody(body)) => push(&mut self.response, body).await,
                Some(Came::ResponseTrailers(trailers)) => {
                    self.trailers.response.store(true, Ordering::Relaxed);
                    finish(&mut self.response, trailers.trailers.as_ref()).await;
                }
                Some(Came::RequestHeaders(_)) | None => {}
            }
        }
    }
}

/// Hands on a piece. Where nobody wants more (the answer was cut), it is forgotten.
async fn push(pieces: &mut Option<mpsc::Sender<Piece>>, body: HttpBody) {
    let Some(sender) = pieces else { return };
    let kept = body.body.is_empty() || sender.send(Piece::Data(body.body)).await.is_ok();
    if kept && body.end_of_stream {
        let _ = sender.send(Piece::End).await;
    }
    if !kept || body.end_of_stream {
        *pieces = None;
    }
}

async fn finish(pieces: &mut Option<mpsc::Sender<Piece>>, trailers: Option<&super::messages::HeaderMap>) {
    if let Some(sender) = pieces.take() {
        let _ = sender.send(Piece::Trailers(trailers.map(headers::fields).unwrap_or_default())).await;
    }
}

/// A body that comes in pieces.
struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    over: bool,
}

impl Pieces {
    fn new(receiver: mpsc::Receiver<Piece>) -> Self {
        Pieces { receiver, over: false }
    }

    fn none() -> Self {
        Pieces { receiver: mpsc::channel(1).1, over: true }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(cx).map(|piece| {
            self.over = !matches!(piece, Some(Piece::Data(_)));
            match piece {
                Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
                Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Some(Piece::End) => None,
                None => Some(Err("Envoy broke off".into())),
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

/// Response extension: the answer is the upstream's, with these headers as Envoy has them.
#[derive(Clone)]
struct Mirrored {
    headers: HeaderMap,
    bodiless: bool,
}

/// The upstream as the guard sees it: Envoy, told to go on, and what comes of it.
#[derive(Clone)]
struct Mirror(Arc<Mutex<Option<Ends>>>);

struct Ends {
    out: Sender,
    /// The request's headers as Envoy has them.
    told: HeaderMap,
    bodiless: bool,
    answer: oneshot::Receiver<Answer>,
    pieces: mpsc::Receiver<Piece>,
    trailers: Arc<Trailers>,
}

impl Mirror {
    fn new(ends: Ends) -> Self {
        Mirror(Arc::new(Mutex::new(Some(ends))))
    }
}

impl Service<Request<ReplayBody>> for Mirror {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody>) -> Self::Future {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let Some(ends) = ends else {
                return Ok(failed(StatusCode::BAD_GATEWAY, "upstream_unreachable", "Envoy asks the upstream once"));
            };
            Ok(ends.forward(request).await)
        })
    }
}

impl Ends {
    async fn forward(self, request: Request<ReplayBody>) -> Response<Pieces> {
        let (mut parts, mut body) = request.into_parts();
        strip_ours(&mut parts.headers);
        let common = CommonResponse { header_mutation: Some(headers::changes(&self.told, &parts.headers)), body_mutation: None };
        tell(&self.out, Do::RequestHeaders(HeadersResponse { response: Some(common) })).await;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return failed(StatusCode::BAD_REQUEST, "request_incomplete", "the request body ended early");
            };
            let Ok(mut data) = frame.into_data() else { continue };
            while !data.is_empty() {
                let next = data.split_to(data.len().min(PIECE));
                tell(&self.out, Do::RequestBody(piece(next, false))).await;
            }
        }
        if self.trailers.request.load(Ordering::Relaxed) {
            tell(&self.out, Do::RequestTrailers(TrailersResponse::default())).await;
        } else if !self.bodiless {
            tell(&self.out, Do::RequestBody(piece(Bytes::new(), true))).await;
        }
        let Ok(Answer { status, headers, bodiless }) = self.answer.await else {
            return failed(StatusCode::BAD_GATEWAY, "upstream_broke", "Envoy broke off before there was an answer");
        };
        let mut response = Response::new(if bodiless { Pieces::none() } else { Pieces::new(self.pieces) });
        *response.status_mut() = status;
        response.extensions_mut().insert(Mirrored { headers: headers.clone(), bodiless });
        *response.headers_mut() = headers;
        to_client(response.headers_mut());
        response
    }
}

fn failed(status: StatusCode, code: &'static str, message: &str) -> Response<Pieces> {
    let mut response = Response::new(Pieces::none());
    *response.status_mut() = status;
    response.extensions_mut().insert(Failure { status, code, message: message.to_owned() });
    response
}

//! Envoy's external processing: verdicts for a gateway that carries the traffic itself. gRPC on a listener of its own; each exchange goes
//! through the guard as on the data port (`exchange.rs`), with Envoy's streams in place of sockets.

mod exchange;
mod headers;
mod messages;

use std::future::Ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::body::GatewayBody;
use super::patience::Busy;
use super::serve::{Handler, Peer};
use super::stack::Gateway;
use messages::{ProcessingRequest, ProcessingResponse};

const METHOD: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// Bytes of one message of Envoy's: a piece of a body is far smaller, a head may not be.
const MESSAGE: usize = 16 << 20;

/// Messages that wait for Envoy. It takes them as fast as its own client does.
const WAITING: usize = 8;

/// Answers Envoy's external processor calls.
#[derive(Clone)]
pub struct ExtProc {
    gateway: Gateway,
}

impl ExtProc {
    /// Judges as this gateway does.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        ExtProc { gateway }
    }
}

impl Handler for ExtProc {
    type Body = GatewayBody<Busy, tonic::body::Body>;

    async fn handle(&self, request: Request<Incoming>, _: Peer, busy: Busy) -> Response<Self::Body> {
        let response = if request.uri().path() == METHOD {
            let codec = ProstCodec::<ProcessingResponse, ProcessingRequest>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(MESSAGE);
            grpc.streaming(Process(self.gateway.clone()), request).await
        } else {
            Status::unimplemented("only envoy.service.ext_proc.v3.ExternalProcessor/Process is served here").into_http()
        };
        response.map(|body| GatewayBody::new(body, busy))
    }
}

struct Process(Gateway);

impl Service<tonic::Request<Streaming<ProcessingRequest>>> for Process {
    type Response = tonic::Response<Answers>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Streaming<ProcessingRequest>>) -> Self::Future {
        let (sender, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(exchange::run(self.0.clone(), request.into_inner(), sender));
        std::future::ready(Ok(tonic::Response::new(Answers { receiver, task })))
    }
}

/// What Envoy is told. Dropped (Envoy has reset the call, because its client left), it ends the exchange.
struct Answers {
    receiver: mpsc::Receiver<Result<ProcessingResponse, Status>>,
    task: JoinHandle<()>,
}

impl Stream for Answers {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! Listeners and connections: accepts, speaks HTTP/1.1 and HTTP/2 (by ALPN, or by prior knowledge in the clear), and stops gracefully.
//! Knows no route and no upstream: it is given a handler.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::headers;
use super::patience::{Activity, Busy, Patience, Patient};
use crate::guard::BoxError;

/// How far a server is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// No new connections; those there are finish what they have begun.
    Draining,
    /// Everything is dropped.
    Cut,
}

/// The other side of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// The same as headers show it, written once for all requests of the connection.
    pub ip: HeaderValue,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// Answers requests. `busy` is to live as long as the answer's body: it is how the connection knows that it is in use.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer's body.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request.
    fn handle(&self, request: Request<Incoming>, peer: Peer, busy: Busy) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Gives the TLS configuration for a new connection: certificates are renewed while the gateway runs.
pub type Tls = Arc<dyn Fn() -> Arc<rustls::ServerConfig> + Send + Sync>;

/// One listener with what it needs.
pub struct Server<H> {
    /// The socket.
    pub listener: TcpListener,
    /// TLS, if spoken.
    pub tls: Option<Tls>,
    /// How long clients may take.
    pub patience: Patience,
    /// Who answers.
    pub handler: H,
}

/// Binds a listener.
///
/// # Errors
/// With the address and what to do, where it is taken or not ours.
pub fn bind(addr: SocketAddr, key: &str) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    // A restart must not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    let bound = socket.bind(&addr.into()).and_then(|()| socket.listen(4096));
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {addr} ({key}): {error}")))?;
    TcpListener::from_std(socket.into())
}

impl<H: Handler> Server<H> {
    /// Serves until `phase` is [`Phase::Cut`], or [`Phase::Draining`] and every connection is done.
    pub async fn run(self, mut phase: watch::Receiver<Phase>) {
        let Server { listener, tls, patience, handler } = self;
        // Each connection holds a receiver: when all are gone, so are the connections.
        let (sender, receiver) = watch::channel(*phase.borrow());
        let mut accepting = true;
        while accepting {
            tokio::select! {
                changed = phase.changed() => {
                    let now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Cut };
                    accepting = now == Phase::Serving;
                    sender.send_replace(now);
                }
                accepted = listener.accept() => match accepted {
                    Ok((socket, addr)) => {
                        let (tls, handler, receiver) = (tls.clone(), handler.clone(), receiver.clone());
                        spawn(async move { connection(socket, addr, tls, patience, handler, receiver).await });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: others must finish first.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop((listener, receiver));
        loop {
            tokio::select! {
                () = sender.closed() => return,
                changed = phase.changed() => {
                    let now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Cut };
                    sender.send_replace(now);
                    if now == Phase::Cut {
                        sender.closed().await;
                        return;
                    }
                }
            }
        }
    }
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

async fn connection<H: Handler>(
    socket: TcpStream,
    addr: SocketAddr,
    tls: Option<Tls>,
    patience: Patience,
    handler: H,
    mut phase: watch::Receiver<Phase>,
) {
    // Tokens are small and wanted at once.
    let _ = socket.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let peer = Peer { addr, ip: headers::shown(addr.ip()), tls: tls.is_some() };
    let socket = Patient::new(socket, patience, activity.clone());
    match tls {
        None => http(socket, activity, peer, handler, phase).await,
        Some(tls) => {
            let handshake = tokio::time::timeout(patience.head, TlsAcceptor::from(tls()).accept(socket));
            let accepted = tokio::select! {
                accepted = handshake => accepted,
                _ = phase.wait_for(|phase| *phase == Phase::Cut) => return,
            };
            match accepted {
                Ok(Ok(socket)) => {
                    if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
                        activity.set_http2();
                    }
                    http(socket, activity, peer, handler, phase).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, client = %addr.ip(), "a TLS handshake failed"),
                Err(_) => tracing::debug!(client = %addr.ip(), "a TLS handshake took too long"),
            }
        }
    }
}

async fn http<H: Handler>(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    activity: Arc<Activity>,
    peer: Peer,
    handler: H,
    mut phase: watch::Receiver<Phase>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // No `half_close`: a client that ends its side of the connection is taken to have left, as nginx and Envoy take it. The end of a client
    // that gave up looks the same, and answers here are slow and paid for: its call must be ended at once, and not when the first write fails,
    // which for a whole answer is after all of it. The price: who half-closes to say that all is sent (`nc -N`; HTTP libraries do not) gets no
    // answer.
    // Its own limit counts idle time as time for a head; ours ([`Patient`]) does not.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(64 << 10)
        .max_concurrent_streams(1024);
    let client = peer.addr.ip();
    let service = service_fn(move |request| {
        let (handler, peer, busy) = (handler.clone(), peer.clone(), activity.begin());
        async move { Ok::<_, Infallible>(handler.handle(request, peer, busy).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, %client, "a connection ended badly");
                }
                return;
            }
            changed = phase.changed() => {
                let now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Cut };
                match now {
                    Phase::Serving => {}
                    Phase::Draining => connection.as_mut().graceful_shutdown(),
                    Phase::Cut => return,
                }
            }
        }
    }
}

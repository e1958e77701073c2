//! Stopping: not ready at once, what has begun may end, what does not end is cut, and nothing new begins.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::client::Piece;
use crate::support::upstream::Step;
use crate::support::{Client, Folder, Gateway, Process, Script, Upstream, eventually};

const UNKNOWN: &str = "/v1/unknown/thing";

/// A gateway with this grace, before an upstream whose stream waits for `gate`.
async fn streaming(server: &str, gate: &Arc<Notify>) -> (Upstream, Gateway) {
    let upstream = Upstream::always(Script::sse().chunk("one").gate(gate).chunk("two").end(&[])).await;
    let more = format!("[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{server}\n");
    let gateway = Gateway::before(&upstream.url(), &more).await;
    (upstream, gateway)
}

#[tokio::test]
async fn streams_end_within_the_grace() {
    let gate = Arc::new(Notify::new());
    let (_upstream, gateway) = streaming("shutdown_grace = \"10s\"", &gate).await;
    let (addr, admin) = (gateway.addr, gateway.admin);
    assert_eq!(Client::get(admin, "/readyz").await.status(), 200);
    let mut idle = Client::connect(addr).await;
    let mut client = Client::connect(addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    let mut framing = Client::framing(&client.head().await);
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"one".to_vec()));

    let stopping = gateway.stopping();
    let ready = Client::get(admin, "/readyz").await;
    assert_eq!(ready.status(), 503, "{}", ready.text());
    assert_eq!(Client::get(admin, "/livez").await.status(), 200, "it still lives");
    assert!(idle.closed().await < Duration::from_secs(2), "idle connections are closed");
    eventually("the data port is closed", || std::net::TcpStream::connect(addr).is_err()).await;
    assert!(!stopping.is_finished());

    gate.notify_one();
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"two".to_vec()));
    assert_eq!(client.piece(&mut framing).await, Piece::End(vec![]));
    client.closed().await;
    stopping.await.unwrap();
    assert!(TcpStream::connect(admin).await.is_err());
}

#[tokio::test]
async fn http2_streams_end_within_the_grace_and_no_new_ones_begin() {
    use http_body_util::{BodyExt, Full};
    let gate = Arc::new(Notify::new());
    let (_upstream, gateway) = streaming("shutdown_grace = \"10s\"", &gate).await;
    let socket = TcpStream::connect(gateway.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(socket);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let get = || http::Request::builder().uri("http://localhost/x").body(Full::<bytes::Bytes>::default()).unwrap();
    let mut body = sender.send_request(get()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let stopping = gateway.stopping();
    // The GOAWAY takes a moment; then the connection takes no more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = async { sender.ready().await.is_err() || sender.send_request(get()).await.is_err() };
    assert!(tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap());
    gate.notify_one();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "two");
    stopping.await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn answers_given_while_stopping_say_that_the_connection_ends() {
    let gate = Arc::new(Notify::new());
    let upstream = Upstream::always(Script::new().gate(&gate).head(200, &["content-length: 2"]).send("ok")).await;
    let gateway = Gateway::before(&upstream.url(), "").await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    eventually("it is upstream", || upstream.seen().len() == 1).await;
    let stopping = gateway.stopping();
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.notify_one();
    let answer = client.answer().await;
    assert_eq!((answer.text().as_str(), answer.header("connection").as_deref()), ("ok", Some("close")));
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_and_looks_broken() {
    let gate = Arc::new(Notify::new());
    let (upstream, gateway) = streaming("shutdown_grace = \"100ms\"", &gate).await;
    let mut client = Client::connect(gateway.addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    let mut framing = Client::framing(&client.head().await);
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"one".to_vec()));
    gateway.stopping().await.unwrap();
    assert_eq!(client.piece(&mut framing).await, Piece::Broken);
    gate.notify_one();
    drop(upstream);
}

#[tokio::test]
async fn connections_are_taken_during_the_drain_delay() {
    let upstream = Upstream::always(Script::json(200, "{}")).await;
    let more = "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_delay = \"300ms\"\n";
    let gateway = Gateway::before(&upstream.url(), more).await;
    let (addr, admin) = (gateway.addr, gateway.admin);
    let stopping = gateway.stopping();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(Client::get(admin, "/readyz").await.status(), 503);
    assert_eq!(Client::get(addr, UNKNOWN).await.status(), 200);
    stopping.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn the_program_stops_on_sigterm_with_status_0() {
    let gate = Arc::new(Notify::new());
    let upstream = Upstream::always(Script::sse().chunk("one").gate(&gate).chunk("two").end(&[])).await;
    let folder = Folder::before(&upstream.url(), "");
    folder.write("policy.toml", "");
    let mut process = Process::serve(folder.root(), &[]);
    let mut client = Client::connect(process.addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    let mut framing = Client::framing(&client.head().await);
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"one".to_vec()));
    process.signal("TERM");
    eventually("it says so", || process.log().contains("stopping: waiting")).await;
    gate.notify_one();
    assert_eq!(client.piece(&mut framing).await, Piece::Data(b"two".to_vec()));
    assert_eq!(client.piece(&mut framing).await, Piece::End(vec![]));
    assert!(process.ended().await.success());
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let upstream = Upstream::always(Script::sse().chunk("one").then(Step::UntilGone)).await;
    let folder = Folder::before(&upstream.url(), "");
    folder.write("policy.toml", "");
    let mut process = Process::serve(folder.root(), &[]);
    let mut client = Client::connect(process.addr).await;
    client.send("GET", UNKNOWN, &[], b"").await;
    client.head().await;
    process.signal("TERM");
    eventually("it waits", || process.log().contains("stopping: waiting")).await;
    process.signal("INT");
    assert!(process.ended().await.success());
    eventually("the upstream is let go", || upstream.gone() == 1).await;
    let log = process.log();
    let exchange =
        log.lines().find(|line| line.contains(r#""ending""#)).unwrap_or_else(|| panic!("no exchange is in the log:\n{log}"));
    assert!(exchange.contains(r#""ending":"gateway_stopped""#), "the client had not left: {exchange}");
}

//! The two floors. `bare`: a plain reverse proxy on hyper-util, the least that a proxy in this language costs. `inspect`: the same, which
//! also takes each answer in, cuts it into events, parses them, and searches the text: the least that a guard with a free classifier costs.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use tokio::net::TcpListener;

type Body = BoxBody<Bytes, hyper::Error>;

/// What is looked for: nothing here says it.
const FORBIDDEN: &[u8] = b"project nightfall";

/// Serves for ever. Prints its address once it listens.
pub async fn serve(to: SocketAddr, inspect: bool) -> std::io::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let client = client.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            *request.uri_mut() = Uri::try_from(format!("http://{to}{path}")).expect("an address and a path");
            let client = client.clone();
            async move {
                let response = client.request(request).await.expect("the upstream answers");
                Ok::<_, Infallible>(if inspect { inspected(response).await } else { response.map(BodyExt::boxed) })
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, alias = "message")]
    delta: Part<'a>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    content: Option<std::borrow::Cow<'a, str>>,
}

/// Whether an answer, or an event of one, may pass; adds its text to `text`.
fn good(json: &[u8], text: &mut String) -> bool {
    if json == b"[DONE]" {
        return true;
    }
    let answer: Answer<'_> = serde_json::from_slice(json).expect("the upstream's JSON");
    let from = text.len().saturating_sub(FORBIDDEN.len());
    for choice in answer.choices {
        text.push_str(choice.delta.content.as_deref().unwrap_or_default());
    }
    memchr::memmem::find(&text.as_bytes()[from..], FORBIDDEN).is_none()
}

async fn inspected(response: Response<Incoming>) -> Response<Body> {
    let (parts, mut body) = response.into_parts();
    if !parts.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        let whole = body.collect().await.expect("a whole answer").to_bytes();
        assert!(good(&whole, &mut String::new()));
        return Response::from_parts(parts, Full::new(whole).map_err(|never| match never {}).boxed());
    }
    let (mut buffer, mut text) = (BytesMut::new(), String::new());
    let frames = futures_util::stream::poll_fn(move |cx| {
        loop {
            if let Some(end) = memchr::memmem::find(&buffer, b"\n\n") {
                let event = buffer.split_to(end + 2).freeze();
                assert!(good(event[..end].strip_prefix(b"data: ").unwrap_or(&event), &mut text));
                return std::task::Poll::Ready(Some(Ok(Frame::data(event))));
            }
            match std::task::ready!(std::pin::Pin::new(&mut body).poll_frame(cx)) {
                Some(Ok(frame)) => buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => return std::task::Poll::Ready(Some(Err(error))),
                None => return std::task::Poll::Ready(None),
            }
        }
    });
    use hyper::body::Body as _;
    Response::from_parts(parts, BodyExt::boxed(StreamBody::new(frames)))
}

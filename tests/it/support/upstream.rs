//! A scripted upstream on a real socket, written by hand on raw TCP so that it can do wrong things: split anywhere, pause, reset, lie
//! about lengths, forget trailers. HTTP/1.1 only.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One thing the upstream does.
#[derive(Clone)]
pub enum Step {
    /// Writes these bytes as they are, in one piece, and flushes.
    Send(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Waits until the test says go.
    Gate(Arc<Notify>),
    /// Sends every byte of the request's body back as it arrives, as chunks (only after [`Script::early`]).
    Echo,
    /// Reads and forgets what is left of the request's body.
    Drain,
    /// Waits until the other side has left.
    UntilGone,
    /// Closes the connection.
    Close,
    /// Resets the connection (RST).
    Reset,
}

/// What the upstream does with one request.
#[derive(Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
    early: bool,
}

impl Script {
    /// Nothing yet.
    pub fn new() -> Self {
        Script::default()
    }

    /// The steps begin before the request's body has been read.
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// Adds a step.
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds raw bytes.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Adds a wait.
    pub fn pause(self, millis: u64) -> Self {
        self.then(Step::Pause(Duration::from_millis(millis)))
    }

    /// Adds a wait for the test.
    pub fn gate(self, gate: &Arc<Notify>) -> Self {
        self.then(Step::Gate(gate.clone()))
    }

    /// A head with these header lines (each without its line end); no body yet.
    pub fn head(self, status: u16, headers: &[&str]) -> Self {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for line in headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.send(head)
    }

    /// One chunk of a chunked body.
    pub fn chunk(self, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(b"\r\n");
        self.send(bytes)
    }

    /// The end of a chunked body, with trailers.
    pub fn end(self, trailers: &[&str]) -> Self {
        let mut bytes = "0\r\n".to_owned();
        for line in trailers {
            bytes.push_str(line);
            bytes.push_str("\r\n");
        }
        bytes.push_str("\r\n");
        self.send(bytes)
    }

    /// A whole JSON answer.
    pub fn json(status: u16, body: &str) -> Self {
        Script::whole(status, "application/json", body.as_bytes())
    }

    /// A whole answer with a length.
    pub fn whole(status: u16, content_type: &str, body: &[u8]) -> Self {
        let content_type = format!("content-type: {content_type}");
        let length = format!("content-length: {}", body.len());
        Script::new().head(status, &[&content_type, &length]).send(body)
    }

    /// The head of a stream of server-sent events, chunked.
    pub fn sse() -> Self {
        Script::new().head(200, &["content-type: text/event-stream", "transfer-encoding: chunked"])
    }

    /// A whole stream: one chunk for each of `pieces`, `millis` apart.
    pub fn stream<P: AsRef<[u8]>>(pieces: &[P], millis: u64) -> Self {
        Script::streamed("text/event-stream", pieces, millis)
    }

    /// A whole stream of another content type.
    pub fn streamed<P: AsRef<[u8]>>(content_type: &str, pieces: &[P], millis: u64) -> Self {
        let content_type = format!("content-type: {content_type}");
        let mut script = Script::new().head(200, &[&content_type, "transfer-encoding: chunked"]);
        for piece in pieces {
            script = script.chunk(piece);
            if millis > 0 {
                script = script.pause(millis);
            }
        }
        script.end(&[])
    }

    /// The same bytes on the wire, but each write holds only `size` of them.
    pub fn split_every(mut self, size: usize) -> Self {
        let steps = std::mem::take(&mut self.steps);
        for step in steps {
            match step {
                Step::Send(bytes) => self.steps.extend(bytes.chunks(size.max(1)).map(|part| Step::Send(part.to_vec()))),
                other => self.steps.push(other),
            }
        }
        self
    }
}

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// The request target, undecoded.
    pub target: String,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, dechunked (as much as was read before the steps ended).
    pub body: Vec<u8>,
    /// Trailer lines.
    pub trailers: Vec<(String, String)>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Seen {
    /// The header's value; several are joined by `", "`.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a test can ask of the upstream while it runs.
#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    gone: AtomicUsize,
}

type Respond = dyn Fn(&Seen, usize) -> Script + Send + Sync;

/// The upstream. Stops when dropped.
pub struct Upstream {
    addr: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// Answers every request with the same script.
    pub async fn always(script: Script) -> Self {
        Upstream::start(move |_, _| script.clone()).await
    }

    /// Answers the requests with these scripts in turn, the last one for ever.
    pub async fn in_turn(scripts: Vec<Script>) -> Self {
        assert!(!scripts.is_empty());
        Upstream::start(move |_, number| scripts[number.min(scripts.len() - 1)].clone()).await
    }

    /// Answers each request (its head, and how many came before it) with a script.
    pub async fn start(respond: impl Fn(&Seen, usize) -> Script + Send + Sync + 'static) -> Self {
        Upstream::run(Arc::new(respond), false).await
    }

    /// Answers each request, its body included, with a script.
    pub async fn answering(respond: impl Fn(&Seen, usize) -> Script + Send + Sync + 'static) -> Self {
        Upstream::run(Arc::new(respond), true).await
    }

    async fn run(respond: Arc<Respond>, body_first: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let shared = log.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let (buffer, log, respond) = (VecDeque::new(), shared.clone(), respond.clone());
                let connection = Connection { socket, buffer, log, respond, body_first, number };
                connections.spawn(connection.run());
            }
        });
        Upstream { addr, log, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far. A request is here once its head has been read; its body grows while it is read.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "expected one request upstream");
        seen.into_iter().next().unwrap()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// How often the other side left before the script was done.
    pub fn gone(&self) -> usize {
        self.log.gone.load(Ordering::SeqCst)
    }
}

/// A port on which nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

struct Connection {
    socket: TcpStream,
    buffer: VecDeque<u8>,
    log: Arc<Log>,
    respond: Arc<Respond>,
    body_first: bool,
    number: usize,
}

enum BodyLength {
    Fixed(usize),
    Chunked,
}

impl Connection {
    async fn run(mut self) {
        while let Some(head) = self.read_head().await {
            let length = match (head.header("transfer-encoding"), head.header("content-length")) {
                (Some(coding), _) if coding.contains("chunked") => BodyLength::Chunked,
                (_, Some(length)) => BodyLength::Fixed(length.parse().unwrap()),
                _ => BodyLength::Fixed(0),
            };
            let index = {
                let mut seen = self.log.seen.lock().unwrap();
                seen.push(Seen { connection: self.number, ..head.clone() });
                seen.len() - 1
            };
            let mut body = Some(length);
            if self.body_first && !self.read_body(&mut body, index, false).await {
                return self.left();
            }
            let seen = if self.body_first { self.log.seen.lock().unwrap()[index].clone() } else { head };
            let script = (self.respond)(&seen, index);
            if !script.early && !self.read_body(&mut body, index, false).await {
                return self.left();
            }
            for step in script.steps {
                let kept = match step {
                    Step::Send(bytes) => self.socket.write_all(&bytes).await.is_ok(),
                    Step::Pause(time) => {
                        tokio::time::sleep(time).await;
                        true
                    }
                    Step::Gate(gate) => {
                        gate.notified().await;
                        true
                    }
                    Step::Echo => self.read_body(&mut body, index, true).await,
                    Step::Drain => self.read_body(&mut body, index, false).await,
                    Step::UntilGone => {
                        while self.fill().await {}
                        false
                    }
                    Step::Close => return,
                    Step::Reset => {
                        let socket = self.socket.into_std().unwrap();
                        let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                        return;
                    }
                };
                if !kept {
                    return self.left();
                }
            }
            if !self.read_body(&mut body, index, false).await {
                return self.left();
            }
        }
    }

    fn left(&self) {
        self.log.gone.fetch_add(1, Ordering::SeqCst);
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        let mut bytes = [0; 16384];
        match self.socket.read(&mut bytes).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend(&bytes[..count]);
                true
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8(line).expect("an ASCII line").trim_end().to_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn header_lines(&mut self) -> Option<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(headers);
            }
            let (name, value) = line.split_once(':').expect("a header line");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn read_head(&mut self) -> Option<Seen> {
        let line = self.line().await?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next().expect("a target").to_owned());
        Some(Seen { method, target, headers: self.header_lines().await?, ..Seen::default() })
    }

    /// Reads the body, once; false if the other side left in the middle of it.
    async fn read_body(&mut self, length: &mut Option<BodyLength>, index: usize, echo: bool) -> bool {
        match length.take() {
            None => true,
            Some(BodyLength::Fixed(length)) => self.take(length, index, echo).await,
            Some(BodyLength::Chunked) => loop {
                let Some(line) = self.line().await else { return false };
                let size = usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).expect("a chunk size");
                if size == 0 {
                    let Some(trailers) = self.header_lines().await else { return false };
                    self.log.seen.lock().unwrap()[index].trailers = trailers;
                    return true;
                }
                if !self.take(size, index, echo).await || self.line().await.is_none() {
                    return false;
                }
            },
        }
    }

    async fn take(&mut self, mut count: usize, index: usize, echo: bool) -> bool {
        while count > 0 {
            if self.buffer.is_empty() && !self.fill().await {
                return false;
            }
            let some: Vec<u8> = self.buffer.drain(..self.buffer.len().min(count)).collect();
            count -= some.len();
            if echo {
                let mut chunk = format!("{:x}\r\n", some.len()).into_bytes();
                chunk.extend_from_slice(&some);
                chunk.extend_from_slice(b"\r\n");
                if self.socket.write_all(&chunk).await.is_err() {
                    return false;
                }
            }
            self.log.seen.lock().unwrap()[index].body.extend(some);
        }
        true
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}

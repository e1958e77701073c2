//! A client on raw TCP that shows exactly what came over the wire and when: no pooling, no decoding but of chunks. HTTP/1.1 only.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

/// One connection to the gateway.
pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    ended: bool,
}

/// An answer's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The header's value; several are joined by `", "`.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// Its body, dechunked.
    pub body: Vec<u8>,
    /// Each chunk (or read, where there are no chunks) and when it came, from the request on.
    pub pieces: Vec<(Duration, Vec<u8>)>,
    /// Trailer lines.
    pub trailers: Vec<(String, String)>,
    /// Whether it ended as its framing says it should; false where the connection broke.
    pub complete: bool,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of it.
    Data(Vec<u8>),
    /// Its proper end, with trailers.
    End(Vec<(String, String)>),
    /// The connection broke.
    Broken,
}

/// How an answer's body ends.
#[derive(Debug)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// In chunks.
    Chunked,
    /// With the connection.
    Close,
}

impl Client {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Client { socket, buffer: Vec::new(), ended: false }
    }

    /// One request on a connection of its own, and its whole answer.
    pub async fn request(addr: SocketAddr, method: &str, target: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
        let mut client = Client::connect(addr).await;
        client.send(method, target, headers, body.as_ref()).await;
        client.answer().await
    }

    /// `POST`s JSON and reads the whole answer.
    pub async fn post(addr: SocketAddr, target: &str, json: &str) -> Answer {
        Client::request(addr, "POST", target, &["content-type: application/json"], json).await
    }

    /// `GET`s and reads the whole answer.
    pub async fn get(addr: SocketAddr, target: &str) -> Answer {
        Client::request(addr, "GET", target, &[], "").await
    }

    /// Writes a request with a length (unless the headers say otherwise).
    pub async fn send(&mut self, method: &str, target: &str, headers: &[&str], body: &[u8]) {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        let has = |name: &str| headers.iter().any(|line| line.to_ascii_lowercase().starts_with(name));
        if !has("host:") {
            bytes.extend_from_slice(b"host: localhost\r\n");
        }
        for line in headers {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if !has("content-length:") && !has("transfer-encoding:") && (!body.is_empty() || method == "POST") {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        self.raw(&bytes).await;
    }

    /// Writes bytes as they are. A gateway that has closed already is no error here: its answer may still be read.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// Writes one chunk of a chunked request; an empty one ends it.
    pub async fn chunk(&mut self, bytes: &[u8]) {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.raw(&chunk).await;
    }

    /// Reads an answer's head; `None` where the connection ended first. Informational heads are skipped.
    pub async fn try_head(&mut self) -> Option<Head> {
        loop {
            let status_line = self.line().await?;
            let status: u16 = status_line.split(' ').nth(1)?.parse().ok()?;
            let headers = self.header_lines().await?;
            if status >= 200 || status == 101 {
                return Some(Head { status, headers });
            }
        }
    }

    /// Reads an answer's head.
    pub async fn head(&mut self) -> Head {
        self.try_head().await.expect("an answer")
    }

    /// How the body after `head` is framed.
    pub fn framing(head: &Head) -> Framing {
        if head.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            Framing::Chunked
        } else if let Some(length) = head.header("content-length") {
            Framing::Length(length.parse().unwrap())
        } else if matches!(head.status, 101 | 204 | 304) {
            Framing::Length(0)
        } else {
            Framing::Close
        }
    }

    /// Reads the next part of a body.
    pub async fn piece(&mut self, framing: &mut Framing) -> Piece {
        match framing {
            Framing::Length(0) => Piece::End(Vec::new()),
            Framing::Length(left) => {
                if self.buffer.is_empty() && !self.fill().await {
                    return Piece::Broken;
                }
                let count = self.buffer.len().min(*left);
                *left -= count;
                Piece::Data(self.buffer.drain(..count).collect())
            }
            Framing::Chunked => {
                let Some(line) = self.line().await else { return Piece::Broken };
                let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
                if size == 0 {
                    return self.header_lines().await.map_or(Piece::Broken, Piece::End);
                }
                while self.buffer.len() < size + 2 {
                    if !self.fill().await {
                        return Piece::Broken;
                    }
                }
                let data = self.buffer.drain(..size).collect();
                self.buffer.drain(..2);
                Piece::Data(data)
            }
            Framing::Close => {
                if self.buffer.is_empty() && !self.fill().await {
                    return Piece::End(Vec::new());
                }
                Piece::Data(std::mem::take(&mut self.buffer))
            }
        }
    }

    /// Reads a whole answer.
    pub async fn answer(&mut self) -> Answer {
        let start = Instant::now();
        let head = self.head().await;
        let mut framing = Client::framing(&head);
        let mut answer = Answer { head, body: Vec::new(), pieces: Vec::new(), trailers: Vec::new(), complete: false };
        loop {
            match self.piece(&mut framing).await {
                Piece::Data(data) => {
                    answer.body.extend_from_slice(&data);
                    answer.pieces.push((start.elapsed(), data));
                }
                Piece::End(trailers) => {
                    answer.trailers = trailers;
                    answer.complete = true;
                    return answer;
                }
                Piece::Broken => return answer,
            }
        }
    }

    /// Ends this side of the connection and goes on reading.
    pub async fn end_sending(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Waits until the gateway closes the connection, and says after how long.
    pub async fn closed(&mut self) -> Duration {
        let start = Instant::now();
        while self.fill().await {}
        start.elapsed()
    }

    /// Reads more; false where the connection ended.
    async fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let mut bytes = [0; 16384];
        let read =
            tokio::time::timeout(PATIENCE, self.socket.read(&mut bytes)).await.expect("the gateway said nothing for too long");
        match read {
            Ok(0) | Err(_) => {
                self.ended = true;
                false
            }
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                true
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
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
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

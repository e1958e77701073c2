//! HTTP/1.1 messages over a plain socket, as little of it as the load generator and the scripted upstream need: what is measured is the
//! proxy between them, so they must cost less than it does.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection and what has been read ahead of it.
pub struct Wire {
    pub socket: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

/// The head of a message.
pub struct Head {
    /// Start line and header lines, in lower case.
    pub text: String,
    length: Option<usize>,
    pub chunked: bool,
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a message")
}

impl Wire {
    pub fn new(socket: TcpStream) -> Self {
        let _ = socket.set_nodelay(true);
        Wire { socket, buffer: Vec::with_capacity(16 << 10), start: 0 }
    }

    pub async fn connect(addr: std::net::SocketAddr) -> io::Result<Self> {
        Ok(Wire::new(TcpStream::connect(addr).await?))
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads more; false at the end of the connection.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        Ok(self.socket.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next message's head; none if the connection ended before it.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = memchr::memmem::find(self.rest(), b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.rest()[..end]).to_ascii_lowercase();
                self.start += end + 4;
                let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let length = value("content-length:").and_then(|value| value.parse().ok());
                let chunked = value("transfer-encoding:") == Some("chunked");
                return Ok(Some(Head { text, length, chunked }));
            }
            if !self.fill().await? {
                return if self.rest().is_empty() { Ok(None) } else { Err(ended()) };
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.rest()) {
                let line = String::from_utf8_lossy(&self.rest()[..end]).trim_end().to_owned();
                self.start += end + 1;
                return Ok(line);
            }
            if !self.fill().await? {
                return Err(ended());
            }
        }
    }

    /// Appends the next `count` bytes to `body`.
    async fn take(&mut self, mut count: usize, body: &mut Vec<u8>) -> io::Result<()> {
        while count > 0 {
            if self.rest().is_empty() && !self.fill().await? {
                return Err(ended());
            }
            let some = count.min(self.rest().len());
            body.extend_from_slice(&self.rest()[..some]);
            self.start += some;
            count -= some;
        }
        Ok(())
    }

    /// The next chunk of a chunked body, into `body`; false at its end.
    pub async fn chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let line = self.line().await?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| ended())?;
        self.take(size, body).await?;
        // The chunk's own line end, or that of the empty trailer section.
        self.line().await?;
        Ok(size > 0)
    }

    /// The whole body.
    pub async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match head.length {
            Some(length) => self.take(length, &mut body).await?,
            None if head.chunked => while self.chunk(&mut body).await? {},
            None => {}
        }
        Ok(body)
    }
}

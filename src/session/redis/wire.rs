//! As much of Redis' protocol (RESP 2) as conversations need: an address, a connection, commands out, replies in. Knows no sessions.
//! Every length is bounded: what a broken server says must not fill the memory.

use std::io;
use std::str::FromStr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// Bytes of a text in a reply.
const LONGEST: usize = 1 << 20;
/// Items of a list in a reply.
const MOST: usize = 100_000;
/// Lists within lists.
const DEEPEST: usize = 4;

/// Where Redis is, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: u32,
}

impl Address {
    /// Reads a URL. The fault says nothing of its parts, one of which is a password.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        if url.starts_with("rediss://") {
            return Err("TLS (rediss://) is not spoken to Redis; use redis:// within a trusted network, or a local tunnel");
        }
        let rest = url.strip_prefix("redis://").ok_or("the URL must begin with redis://")?;
        let (rest, database) = match rest.rsplit_once('/') {
            Some((rest, "")) => (rest, 0),
            Some((rest, number)) => (rest, number.parse().map_err(|_| "the database after the host must be a number")?),
            None => (rest, 0),
        };
        let (credentials, host) = rest.rsplit_once('@').map_or((None, rest), |(credentials, host)| (Some(credentials), host));
        let (user, password) = match credentials.map(|text| text.split_once(':').unwrap_or(("", text))) {
            None => (None, None),
            Some((user, password)) => {
                let decoded = |text: &str| decoded(text).ok_or("the user or the password has a broken percent code");
                (Some(decoded(user)?).filter(|user| !user.is_empty()), Some(decoded(password)?))
            }
        };
        // An IPv6 address stands in brackets, for it has colons of its own.
        let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, "6379"),
            Some((host, port)) => (host, port.strip_prefix(':').ok_or("the port must follow the host after a colon")?),
            None => host.split_once(':').unwrap_or((host, "6379")),
        };
        if host.is_empty() {
            return Err("the URL names no host");
        }
        let port = port.parse().map_err(|_| "the port must be a number")?;
        Ok(Address { host: host.to_owned(), port, user, password, database })
    }
}

/// Text with `%XX` in it.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            let (code, more) = more.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
            rest = more;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// There is no connection (any more).
    #[error("{0}")]
    Closed(#[from] io::Error),
    /// Redis says no: the first word of what it says, without the rest, which may quote the command.
    #[error("it refused the command ({0})")]
    Refused(String),
    /// That is no Redis.
    #[error("what answers does not speak the Redis protocol")]
    Protocol,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// A text, a number or a status, as its bytes.
    Text(Vec<u8>),
    /// Nothing is there.
    Nothing,
    /// Several.
    List(Vec<Reply>),
    /// The command failed, and why.
    Error(String),
}

impl Reply {
    pub(super) fn list(&self) -> Option<&[Reply]> {
        if let Reply::List(list) = self { Some(list) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Reply::Text(text) = self { std::str::from_utf8(text).ok() } else { None }
    }

    pub(super) fn number<T: FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }

    /// The error's kind, where it is one: `NOAUTH`, `OOM`, `ERR`.
    pub(super) fn error(&self) -> Option<&str> {
        if let Reply::Error(error) = self { error.split(' ').next() } else { None }
    }
}

/// A connection. After an error it is of no more use.
pub(super) struct Connection(BufStream<TcpStream>);

impl Connection {
    /// Connects, and says who asks.
    pub(super) async fn open(address: &Address) -> Result<Self, WireError> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection(BufStream::new(stream));
        let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
        if let Some(password) = &address.password {
            let words = std::iter::once("AUTH").chain(address.user.as_deref()).chain([password.as_str()]);
            commands.push(words.map(|word| word.as_bytes().to_vec()).collect());
        }
        if address.database > 0 {
            commands.push(vec![b"SELECT".to_vec(), address.database.to_string().into_bytes()]);
        }
        let replies = connection.exchange(&commands).await?;
        match replies.iter().find_map(Reply::error) {
            Some(error) => Err(WireError::Refused(error.to_owned())),
            None => Ok(connection),
        }
    }

    /// Sends commands together, and reads as many replies.
    pub(super) async fn exchange(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, WireError> {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for word in command {
                bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.0.write_all(&bytes).await?;
        self.0.flush().await?;
        let mut replies = Vec::with_capacity(commands.len());
        for _ in commands {
            replies.push(self.reply().await?);
        }
        Ok(replies)
    }

    /// Reads one reply. Lists are kept on a stack, for an async function cannot call itself.
    async fn reply(&mut self) -> Result<Reply, WireError> {
        let mut open: Vec<(usize, Vec<Reply>)> = Vec::new();
        loop {
            let line = self.line().await?;
            let (kind, rest) = line.split_first().ok_or(WireError::Protocol)?;
            let rest = std::str::from_utf8(rest).map_err(|_| WireError::Protocol)?;
            let length = || rest.parse::<i64>().map_err(|_| WireError::Protocol);
            let mut reply = match kind {
                b'+' | b':' => Reply::Text(rest.as_bytes().to_vec()),
                b'-' => Reply::Error(rest.to_owned()),
                b'$' => match usize::try_from(length()?) {
                    Ok(length) if length <= LONGEST => {
                        let mut text = vec![0; length + 2];
                        self.0.read_exact(&mut text).await?;
                        text.truncate(length);
                        Reply::Text(text)
                    }
                    Ok(_) => return Err(WireError::Protocol),
                    Err(_) => Reply::Nothing,
                },
                b'*' => match usize::try_from(length()?) {
                    Ok(0) => Reply::List(Vec::new()),
                    Ok(length) if length <= MOST && open.len() < DEEPEST => {
                        open.push((length, Vec::new()));
                        continue;
                    }
                    Ok(_) => return Err(WireError::Protocol),
                    Err(_) => Reply::Nothing,
                },
                _ => return Err(WireError::Protocol),
            };
            loop {
                let Some((length, mut list)) = open.pop() else { return Ok(reply) };
                list.push(reply);
                if list.len() < length {
                    open.push((length, list));
                    break;
                }
                reply = Reply::List(list);
            }
        }
    }

    /// A line without its end.
    async fn line(&mut self) -> Result<Vec<u8>, WireError> {
        let mut line = Vec::new();
        (&mut self.0).take(64 << 10).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(WireError::Closed(io::ErrorKind::UnexpectedEof.into()));
        }
        if !line.ends_with(b"\r\n") {
            return Err(WireError::Protocol);
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> (String, u16, Option<String>, Option<String>, u32) {
        let Address { host, port, user, password, database } =
            Address::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"));
        (host, port, user, password, database)
    }

    #[test]
    fn urls_are_read() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(address("redis://localhost"), ("localhost".to_owned(), 6379, None, None, 0));
        assert_eq!(address("redis://r:7000/2"), ("r".to_owned(), 7000, None, None, 2));
        assert_eq!(address("redis://:p%40ss@r/"), ("r".to_owned(), 6379, None, some("p@ss"), 0));
        assert_eq!(address("redis://me:a:b@[::1]:7/1"), ("::1".to_owned(), 7, some("me"), some("a:b"), 1));
        for url in ["http://x", "redis://", "redis://h:port", "redis://h/x", "redis://:%4@h", "rediss://h", "redis://[::1]7"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    async fn answered(bytes: &'static [u8]) -> Result<Reply, WireError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(bytes).await.unwrap();
        });
        let url = format!("redis://{address}/0");
        let mut connection = Connection::open(&Address::parse(&url).unwrap()).await.unwrap();
        let reply = connection.reply().await;
        server.await.unwrap();
        reply
    }

    #[tokio::test]
    async fn replies_are_read_and_nonsense_is_refused() {
        let text = |text: &str| Reply::Text(text.as_bytes().to_vec());
        assert_eq!(answered(b"+OK\r\n").await.unwrap(), text("OK"));
        assert_eq!(answered(b":42\r\n").await.unwrap().number::<u64>(), Some(42));
        assert_eq!(answered(b"$-1\r\n").await.unwrap(), Reply::Nothing);
        assert_eq!(answered(b"-NOAUTH say who you are\r\n").await.unwrap().error(), Some("NOAUTH"));
        let list = answered(b"*3\r\n$3\r\n1.5\r\n*2\r\n$2\r\n\r\n\r\n$-1\r\n:7\r\n").await.unwrap();
        assert_eq!(list, Reply::List(vec![text("1.5"), Reply::List(vec![text("\r\n"), Reply::Nothing]), text("7")]));
        for nonsense in [&b"HTTP/1.1 400\r\n"[..], b"$9999999\r\n", b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", b"*x\r\n", b"+no end", b""]
        {
            assert!(answered(nonsense).await.is_err(), "{nonsense:?}");
        }
    }
}

//! The scripted upstream: OpenAI Chat Completions, one prepared answer as JSON, or a stream of paced tokens that carry the time they left at.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::{TcpListener, TcpStream};

use super::wire::Wire;

/// The answer's text, 1.0 KB: with its envelope, 1.2 KB.
pub const TEXT: &str = "The lighthouse on the northern cape was finished in the spring of 1874, after eleven years of building. Its first keeper, \
    a former ship's carpenter, wrote down the weather three times a day, and his notebooks are kept in the town's museum. Visitors may climb \
    the 213 steps between May and September; in winter the path along the cliff is closed because of ice. From the gallery one sees the \
    harbour, two small islands where puffins nest, and on clear evenings the mountains of the mainland. The lamp itself was changed to \
    electricity in 1931. Before that, oil had to be carried up by hand, about forty litres each night. A storm in 1953 broke several panes, \
    yet the light never failed. Today everything runs without a keeper, and engineers come twice a year to look after the batteries. If you \
    plan a visit, bring a warm jacket, take the early bus from the railway station, and leave at least three hours for the walk back.";

/// Tokens of a stream.
pub const TOKENS: usize = 200;

/// Nanoseconds since 1970: the two ends of a stream are on one machine.
pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// The text with a number at both ends, so that none of its windows is in a cache.
pub fn numbered(number: u64, time: u64) -> String {
    format!("Note {number}, {time}. {TEXT} So much for note {number}, {time}. ")
}

/// The answer as JSON. `number` makes its text one of its own, where a cache must not know it; `times`: how often it says it, each time with
/// another number.
pub fn document(number: Option<u64>, times: u64) -> String {
    let text = match number {
        None => TEXT.to_owned(),
        Some(number) => (0..times).map(|time| numbered(number, time)).collect(),
    };
    format!(
        "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\
         \"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":20,\"completion_tokens\":190,\"total_tokens\":210}}}}"
    )
}

/// The word at a place of a stream.
pub fn word(index: usize) -> &'static str {
    thread_local!(static WORDS: Vec<&'static str> = TEXT.split_inclusive(' ').collect());
    WORDS.with(|words| words[index % words.len()])
}

fn event(index: usize) -> String {
    let (word, time) = (word(index), now());
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"bench\",\
         \"system_fingerprint\":\"{time}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
}

/// Serves for ever. Prints its address once it listens.
pub async fn serve(pace: Duration) -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("{}", listener.local_addr()?);
    let document = document(None, 1);
    let whole: &'static [u8] =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{document}", document.len())
            .into_bytes()
            .leak();
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(connection(Wire::new(socket), whole, pace));
    }
}

async fn connection(mut wire: Wire, whole: &'static [u8], pace: Duration) -> std::io::Result<()> {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    while let Some(head) = wire.head().await? {
        let body = wire.body(&head).await?;
        if memchr::memmem::find(&body, b"\"stream\":true").is_some() {
            stream(&mut wire.socket, pace).await?;
        } else if memchr::memmem::find(&body, b"\"vary\"").is_some() {
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let times = if memchr::memmem::find(&body, b"\"long\"").is_some() { 40 } else { 1 };
            let document = self::document(Some(number), times);
            let length = document.len();
            wire.send(
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{document}")
                    .as_bytes(),
            )
            .await?;
        } else {
            wire.send(whole).await?;
        }
    }
    Ok(())
}

async fn stream(socket: &mut TcpStream, pace: Duration) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    let mut ticks = tokio::time::interval(pace);
    for index in 0..TOKENS {
        ticks.tick().await;
        let event = event(index);
        socket.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
    }
    let last = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"bench\",\
                \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    socket.write_all(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()).as_bytes()).await
}

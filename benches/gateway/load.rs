//! The load: requests over kept connections, and paced streams of which every token is checked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::upstream::{TEXT, TOKENS, now, word};
use super::wire::Wire;

/// What a load saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Answers, or streams, that were right to the last byte.
    pub done: usize,
    /// The time of the whole.
    pub wall: Duration,
    /// Seconds: of answers, from request to last byte; of streams, each token from leaving the upstream to its arrival.
    pub delays: Vec<f64>,
    /// Seconds from a stream's request to its first token.
    pub first: Vec<f64>,
    /// Seconds between one token and the next, the longest of each stream.
    pub gaps: Vec<f64>,
}

/// The value below which a share of the sorted values lies.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
    sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// A request for an answer.
pub fn request(path: &str, body: &str) -> Arc<[u8]> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nauthorization: Bearer sk-bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into()
}

/// Its body; `more`: fields that tell the upstream what to answer.
pub fn asked(more: &str) -> String {
    format!("{{\"model\":\"bench\",\"messages\":[{{\"role\":\"user\",\"content\":\"Tell me about the lighthouse.\"}}]{more}}}")
}

/// `count` requests over `connections` connections. `vary`: each answer is one that was not given before.
pub async fn json(to: SocketAddr, path: &str, connections: usize, count: usize, vary: bool) -> io::Result<Seen> {
    let request = request(path, &asked(if vary { ",\"vary\":1" } else { "" }));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _ in 0..connections {
        let request = request.clone();
        tasks.spawn(async move {
            let mut wire = Wire::connect(to).await?;
            let mut delays = Vec::with_capacity(count / connections);
            for _ in 0..count / connections {
                let start = Instant::now();
                wire.send(&request).await?;
                let head = wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let body = wire.body(&head).await?;
                delays.push(start.elapsed().as_secs_f64());
                let right = head.text.starts_with("http/1.1 200") && memchr::memmem::find(&body, TEXT.as_bytes()).is_some();
                if !right {
                    return Err(io::Error::other(format!("not the answer: {}\n{}", head.text, String::from_utf8_lossy(&body))));
                }
            }
            Ok::<_, io::Error>(delays)
        });
    }
    let mut seen = Seen::default();
    while let Some(delays) = tasks.join_next().await {
        seen.delays.extend(delays.expect("no panic")?);
    }
    seen.wall = start.elapsed();
    seen.done = seen.delays.len();
    Ok(seen)
}

/// `count` streams at once. Every one must give each token once, in order, and its end.
pub async fn streams(to: SocketAddr, path: &str, count: usize) -> io::Result<Seen> {
    let request = request(path, &asked(",\"stream\":true"));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for index in 0..count {
        let request = request.clone();
        tasks.spawn(async move {
            // Not all in one instant: real callers come when they come.
            tokio::time::sleep(Duration::from_micros(u64::try_from(index).unwrap_or_default() * 700)).await;
            stream(to, &request).await
        });
    }
    let mut seen = Seen::default();
    while let Some(one) = tasks.join_next().await {
        let one = one.expect("no panic")?;
        seen.delays.extend(one.delays);
        seen.first.extend(one.first);
        seen.gaps.extend(one.gaps);
        seen.done += 1;
    }
    seen.wall = start.elapsed();
    Ok(seen)
}

async fn stream(to: SocketAddr, request: &[u8]) -> io::Result<Seen> {
    let mut wire = Wire::connect(to).await?;
    let start = Instant::now();
    wire.send(request).await?;
    let head = wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if !head.text.starts_with("http/1.1 200") {
        return Err(io::Error::other(format!("not a stream: {}", head.text)));
    }
    let mut seen = Seen { delays: Vec::with_capacity(TOKENS), ..Seen::default() };
    let (mut body, mut at, mut last, mut longest, mut over) = (Vec::with_capacity(64 << 10), 0, start, Duration::ZERO, false);
    while wire.chunk(&mut body).await? {
        let (arrived, time) = (Instant::now(), now());
        while let Some(end) = memchr::memmem::find(&body[at..], b"\n\n") {
            let event = std::str::from_utf8(&body[at..at + end]).map_err(io::Error::other)?;
            at += end + 2;
            let after = |key: &str| event.split_once(key).and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value);
            if event.starts_with("data: [DONE]") {
                over = true;
            } else if let Some(content) = after("\"content\":\"") {
                let sent: u64 = after("\"system_fingerprint\":\"").and_then(|time| time.parse().ok()).unwrap_or_default();
                if content != word(seen.delays.len()) {
                    return Err(io::Error::other(format!("token {} is {content:?}", seen.delays.len())));
                }
                if seen.delays.is_empty() {
                    seen.first.push(start.elapsed().as_secs_f64());
                } else {
                    longest = longest.max(arrived - last);
                }
                last = arrived;
                #[allow(clippy::cast_precision_loss, reason = "nanoseconds of seconds")]
                seen.delays.push(time.saturating_sub(sent) as f64 / 1e9);
            }
        }
    }
    if seen.delays.len() != TOKENS || !over {
        return Err(io::Error::other(format!("the stream ended after {} tokens", seen.delays.len())));
    }
    seen.gaps.push(longest.as_secs_f64());
    Ok(seen)
}

//! More than the classifier can do: answers are offered at a fixed rate whatever comes of them (an open loop, as callers are), and each is
//! sorted by what the caller got. Then the same light load beside a few very long answers: is it served in its turn?
//!
//! Fails where an answer that nobody judged gets out though the policy blocks, or where one is called judged that is not whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::load::{self, quantile};
use super::process::Process;
use super::subjects::{self, Fallback};
use super::table::{Row, Table};
use super::upstream::TEXT;
use super::wire::Wire;
use super::{CHAT, Size};

/// Long answers at once beside the light load.
const LONG: usize = 4;

/// What became of one answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Judged and let through whole.
    Judged,
    /// Withheld, for nobody could judge it in time.
    Shed,
    /// Let through whole, and said to be unjudged.
    Unjudged,
}

struct Arrival {
    fate: Fate,
    /// Seconds from the moment it was due.
    delay: f64,
}

async fn one(to: SocketAddr, request: &[u8], due: Instant) -> std::io::Result<Arrival> {
    let mut wire = Wire::connect(to).await?;
    wire.send(request).await?;
    let head = wire.head().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let body = wire.body(&head).await?;
    let delay = due.elapsed().as_secs_f64();
    let verdict = head.text.lines().find_map(|line| line.strip_prefix("x-steadfast-verdict: "));
    let whole = memchr::memmem::find(&body, TEXT.as_bytes()).is_some();
    let fate = match (verdict, whole) {
        (Some("allow" | "flag"), true) => Fate::Judged,
        (Some("unscored"), true) => Fate::Unjudged,
        (Some("block"), false) if memchr::memmem::find(&body, &TEXT.as_bytes()[..20]).is_none() => Fate::Shed,
        _ => return Err(std::io::Error::other(format!("not an answer: {}\n{}", head.text, String::from_utf8_lossy(&body)))),
    };
    Ok(Arrival { fate, delay })
}

/// One answer after the other is due, `rate` a second for so long.
async fn offer(to: SocketAddr, rate: f64, long: Duration) -> Vec<Arrival> {
    let request: Arc<[u8]> = load::request(CHAT, &load::asked(",\"vary\":1"));
    let (start, each) = (Instant::now(), Duration::from_secs_f64(1.0 / rate));
    let mut tasks = JoinSet::new();
    let mut due = start;
    while due < start + long {
        tokio::time::sleep_until(due.into()).await;
        let request = request.clone();
        tasks.spawn(async move { one(to, &request, due).await });
        due += each;
    }
    tasks.join_all().await.into_iter().map(|one| one.unwrap_or_else(|error| panic!("a wrong answer: {error}"))).collect()
}

/// Answers judged a second where eight callers each wait for theirs.
async fn capacity(to: SocketAddr, count: usize) -> f64 {
    let request: Arc<[u8]> = load::request(CHAT, &load::asked(",\"vary\":1"));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let request = request.clone();
        tasks.spawn(async move {
            let mut judged = 0;
            for _ in 0..count / 8 {
                let seen = one(to, &request, Instant::now()).await.unwrap_or_else(|error| panic!("a wrong answer: {error}"));
                judged += u32::from(seen.fate == Fate::Judged);
            }
            judged
        });
    }
    let judged: u32 = tasks.join_all().await.into_iter().sum();
    f64::from(judged.max(1)) / start.elapsed().as_secs_f64()
}

/// Long answers one after the other, for ever.
async fn long_answers(to: SocketAddr) {
    let request: Arc<[u8]> = load::request(CHAT, &load::asked(",\"vary\":1,\"long\":1"));
    let mut tasks = JoinSet::new();
    for _ in 0..LONG {
        let request = request.clone();
        tasks.spawn(async move {
            loop {
                if let Err(error) = one(to, &request, Instant::now()).await {
                    panic!("a wrong answer: {error}");
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

#[allow(clippy::cast_precision_loss, reason = "counts")]
fn row(name: String, rate: f64, long: Duration, seen: &[Arrival]) -> Row {
    let of = |fate| seen.iter().filter(move |one| one.fate == fate);
    let delays = |fate| of(fate).map(|one| one.delay * 1e3).collect::<Vec<_>>();
    let share = |fate| of(fate).count() as f64 / seen.len() as f64 * 100.0;
    let judged = delays(Fate::Judged);
    Row {
        name,
        values: vec![
            rate,
            judged.len() as f64 / long.as_secs_f64(),
            quantile(&judged, 0.5),
            quantile(&judged, 0.99),
            share(Fate::Shed),
            quantile(&delays(Fate::Shed), 0.5),
            share(Fate::Unjudged),
        ],
    }
}

fn check(seen: &[Arrival], fallback: Fallback) {
    match fallback {
        Fallback::Block => assert!(seen.iter().all(|one| one.fate != Fate::Unjudged), "an answer got out that nobody judged"),
        Fallback::Allow => {
            assert!(seen.iter().all(|one| one.fate != Fate::Shed), "an answer was withheld that the policy lets through")
        }
    }
}

/// Both tables.
pub async fn measure(size: &Size, to: &Process) {
    if subjects::raw(1).is_none() {
        println!("Overload: not measured, {} is missing\n", subjects::CLASSIFIER);
        return;
    }
    let columns =
        ["offered/s", "judged/s", "p50 ms", "p99 ms", "withheld unjudged, %", "after ms (p50)", "let through unjudged, %"];
    let long = Duration::from_secs(size.seconds);
    let mut table = Table::new("Answers of 1.2 KB, each a new text, at fixed rates", &columns);
    let mut fair = Table::new(&format!("Light load beside {LONG} answers of 40 KB at a time"), &columns);
    let mut known = None;
    for fallback in [Fallback::Block, Fallback::Allow] {
        let process = subjects::overloaded(fallback, to.addr);
        let capacity = match known {
            Some(capacity) => capacity,
            None => *known.insert(capacity(process.addr, size.scored).await),
        };
        let word = fallback.word();
        for share in [0.5, 0.9, 1.5, 3.0] {
            eprintln!("overload: on_overload = {word:?}, {share} of what the classifier can do");
            let seen = offer(process.addr, capacity * share, long).await;
            check(&seen, fallback);
            table.push(row(format!("{share} × capacity, {word}"), capacity * share, long, &seen));
        }
        if fallback == Fallback::Block {
            let rate = capacity * 0.5;
            let alone = offer(process.addr, rate, long).await;
            let beside = tokio::select! {
                seen = offer(process.addr, rate, long) => seen,
                () = long_answers(process.addr) => unreachable!("they go on for ever"),
            };
            check(&beside, fallback);
            fair.push(row("alone".to_owned(), rate, long, &alone));
            fair.push(row("beside long answers".to_owned(), rate, long, &beside));
        }
    }
    table.print_plain();
    fair.print_plain();
}

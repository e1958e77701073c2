//! Recorded provider traffic through the guard. Allowed, every answer reaches the client byte for byte, compressed ones too, however
//! it was split. With one window judged bad, at the beginning, in the middle or at the end, the client gets that format's own ending and
//! nothing of the window. Needs the recordings, as `traffic.rs` does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use steadfast::dialect::{Api, Dialect, Dialects, Facts, Reading, Recognised, RequestHead};
use steadfast::frame::Framing;
use steadfast::guard::{GuardLayer, Snapshot};
use steadfast::infer::{BoxFuture, Job, ScoreError, Scored, Scorer, Stage};
use steadfast::policy::{Calibration, Policy};
use steadfast::score::{Label, Score, Scores, Source};
use tower::ServiceExt as _;

use crate::support::recordings::{Answer, files, headers, headers_of, put, read, rows, say, split, split_path};
use crate::support::{Client, Gateway, Script, Upstream};
use crate::traffic::api;

/// Nothing that was recorded says it.
const POLICY: &str = "[[rule]]\nname = \"never\"\npatterns = ['zqxj nightfall']\naction = \"block\"\n";
const MESSAGE: &str = "Withheld by the test.";

/// One recorded exchange.
struct Row {
    file: String,
    api: Option<Api>,
    value: Value,
    /// The body as it came over the wire.
    wire: Bytes,
}

impl Row {
    fn name(&self) -> String {
        format!("{} {}", self.file, self.value["id"])
    }

    fn status(&self) -> u16 {
        u16::try_from(self.value["status"].as_u64().unwrap()).unwrap()
    }

    fn content(&self, name: &str) -> Option<String> {
        headers_of(&self.value["response_headers"], name).map(str::to_owned)
    }

    /// Whether its path is one whose answers are judged (embeddings, for one, are not).
    fn is_judged(&self) -> bool {
        let (path, query) = split_path(self.value["path"].as_str().unwrap());
        let (method, headers) = (self.value["method"].as_str().unwrap().parse().unwrap(), self.request_headers());
        let head = RequestHead { method: &method, path, query, headers: &headers };
        self.api.is_some() && matches!(Dialects::builtin().recognise(&head), Some((_, Recognised::Judged)))
    }

    /// Its request's headers, without those that are about the connection.
    fn request_headers(&self) -> HeaderMap {
        let mut headers = headers(&self.value["request_headers"]);
        for name in ["host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect"] {
            headers.remove(name);
        }
        headers
    }
}

fn recordings() -> Option<Vec<Row>> {
    let all = files()?.into_iter().flat_map(|(file, path)| {
        rows(&path).into_iter().map(move |value| {
            let wire = STANDARD.decode(value["response_body_base64"].as_str().unwrap_or_default()).unwrap();
            Row { api: api(&file), file: file.clone(), value, wire: Bytes::from(wire) }
        })
    });
    Some(all.collect())
}

/// A seed for splitting: another one for each row.
fn seed(index: usize) -> u64 {
    u64::try_from(index).unwrap() * 2 + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_pass_the_gateway_byte_for_byte() {
    let Some(rows) = recordings() else { return };
    let rows = Arc::new(rows);
    let served = rows.clone();
    let upstream = Upstream::answering(move |seen, _| {
        let mut words = seen.header("x-row").unwrap().split(' ').map(|word| word.parse::<usize>().unwrap()).collect::<Vec<_>>();
        let (index, at) = (words.remove(0), words.pop());
        let row = &served[index];
        let mut lines = vec!["transfer-encoding: chunked".to_owned()];
        let kept = ["content-type", "content-encoding", "x-request-id", "x-amzn-requestid"];
        lines.extend(kept.iter().filter_map(|name| Some(format!("{name}: {}", row.content(name)?))));
        let script = Script::new().head(row.status(), &lines.iter().map(String::as_str).collect::<Vec<_>>());
        // At one place, or into many small pieces; long bodies into larger ones.
        let pieces = match at {
            Some(at) => vec![row.wire.slice(..at), row.wire.slice(at..)],
            None if row.wire.len() > 64 << 10 => row.wire.chunks(1021).map(Bytes::copy_from_slice).collect(),
            None => split(&row.wire, seed(index)),
        };
        pieces.iter().filter(|piece| !piece.is_empty()).fold(script, |script, piece| script.chunk(piece)).end(&[])
    })
    .await;
    let gateway = Gateway::with_policy(&upstream.url(), POLICY).await;
    let send = |index: usize, at: Option<usize>| {
        let (row, addr) = (&rows[index], gateway.addr);
        async move {
            let mut lines: Vec<String> = row
                .request_headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            lines.push(format!("x-row: {index}{}", at.map_or_else(String::new, |at| format!(" {at}"))));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let (method, path) = (row.value["method"].as_str().unwrap(), row.value["path"].as_str().unwrap());
            let request = row.value["request_body"].as_str().unwrap_or_default();
            (index, Client::request(addr, method, path, &lines, request).await)
        }
    };
    let check = |index: usize, answer: &crate::support::client::Answer| {
        let row = &rows[index];
        let judged = row.is_judged() && row.status() < 300;
        let verdict = answer.header("x-steadfast-verdict");
        if answer.status() != row.status() || !answer.complete {
            Some(format!("{}: status {} for {}, complete {}", row.name(), answer.status(), row.status(), answer.complete))
        } else if answer.body != row.wire {
            Some(format!("{}: {} bytes for {}", row.name(), answer.body.len(), row.wire.len()))
        } else if answer.header("content-type") != row.content("content-type") {
            Some(format!("{}: content type {:?}", row.name(), answer.header("content-type")))
        } else if judged && !matches!(verdict.as_deref(), Some("allow" | "streaming")) {
            Some(format!("{}: passed with the verdict {verdict:?}", row.name()))
        } else {
            None
        }
    };

    let mut table: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut answers = futures_util::stream::iter((0..rows.len()).map(|index| send(index, None))).buffer_unordered(8);
    while let Some((index, answer)) = answers.next().await {
        let row = &rows[index];
        let line = table.entry(row.api.map_or("in no format", |api| api.as_str()).to_owned()).or_default();
        line.0 += 1;
        line.1 += usize::from(row.value["stream"] == true);
        let failure = check(index, &answer);
        line.2 += usize::from(failure.is_none());
        failures.extend(failure);
    }
    drop(answers);
    // One short stream of each format, split in two at every byte.
    let mut split_rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.value["stream"] == true && row.status() == 200) {
        let Some(api) = row.api else { continue };
        let shortest = split_rows.entry(api.as_str()).or_insert(index);
        if row.wire.len() < rows[*shortest].wire.len() && row.wire.len() > 200 {
            *shortest = index;
        }
    }
    let places = split_rows.values().flat_map(|&index| (1..rows[index].wire.len().min(1500)).map(move |at| (index, at)));
    let mut answers = futures_util::stream::iter(places.map(|(index, at)| send(index, Some(at)))).buffer_unordered(8);
    let mut splits = 0;
    while let Some((index, answer)) = answers.next().await {
        splits += 1;
        failures.extend(check(index, &answer));
    }
    let mut text = String::from("through the gateway     rows streams  bytes right\n");
    for (format, (rows, streams, right)) in &table {
        writeln!(text, "{format:<22} {rows:>5} {streams:>7} {right:>6}/{rows}").unwrap();
    }
    writeln!(text, "and {} streams split in two at every byte: {splits} times", split_rows.len()).unwrap();
    say(&text);
    assert!(failures.is_empty(), "{} wrong:\n{}", failures.len(), failures[..failures.len().min(20)].join("\n"));
}

/// Judges the window with one number bad and keeps all texts.
struct Nth {
    bad: usize,
    count: AtomicUsize,
    texts: Mutex<Vec<String>>,
}

impl Scorer for Nth {
    fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        self.texts.lock().unwrap().push(job.text.to_string());
        let mut scores = Scores::ZERO;
        if number == self.bad {
            scores.raise(Label::Hate, Score::ONE, Source::Model);
        }
        let scored = Scored { scores, stage: Stage::Second, cached: false, queued: Duration::ZERO, computed: Duration::ZERO };
        Box::pin(async move { Ok(scored) })
    }
}

/// What came of one row with one bad window.
struct Outcome {
    status: u16,
    content_type: Option<String>,
    body: Bytes,
    /// The windows' texts, in the order they were scored.
    windows: Vec<String>,
}

/// Sends a row's answer through the guard, an event or so at a time.
async fn guarded(row: &Row, bad: usize, stream: &str) -> Outcome {
    let policy = format!(
        "stream = \"{stream}\"\n[[rule]]\nname = \"bad\"\nlabels = [\"hate\"]\nat_least = 0.5\naction = \"block\"\n[block]\nmessage = \"{MESSAGE}\"\n"
    );
    let policy = Policy::parse(&policy, None, &Calibration::new(|_| None)).unwrap();
    let scorer = Arc::new(Nth { bad, count: AtomicUsize::new(0), texts: Mutex::default() });
    let layer = GuardLayer::new(Snapshot::new(policy).with_scorer(scorer.clone()));
    let kept: Vec<(&str, String)> =
        ["content-type", "content-encoding"].into_iter().filter_map(|name| Some((name, row.content(name)?))).collect();
    let (status, wire) = (row.status(), row.wire.clone());
    let app = Router::new()
        .fallback(move || {
            let pieces: Vec<Bytes> = wire.chunks(211).map(Bytes::copy_from_slice).collect();
            // Other tasks run between the pieces, so that windows are scored while the rest is on its way.
            let frames = futures_util::stream::iter(pieces).then(|piece| async {
                tokio::task::yield_now().await;
                Ok::<_, std::convert::Infallible>(piece)
            });
            let mut response = http::Response::builder().status(status);
            for (name, value) in &kept {
                response = response.header(*name, value);
            }
            let response = response.body(Body::from_stream(frames)).unwrap();
            async move { response }
        })
        .layer(layer);
    let mut request = Request::builder().method(row.value["method"].as_str().unwrap()).uri(row.value["path"].as_str().unwrap());
    *request.headers_mut().unwrap() = row.request_headers();
    let request = request.body(Body::from(row.value["request_body"].as_str().unwrap_or_default().to_owned())).unwrap();
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = body.collect().await.unwrap_or_else(|error| panic!("{}: {error}", row.name())).to_bytes();
    let windows = scorer.texts.lock().unwrap().clone();
    Outcome { status: parts.status.as_u16(), content_type, body, windows }
}

/// What a client reads in a body; an error where it is not well formed.
fn understood(
    dialect: &dyn Dialect,
    row: &Row,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<BTreeMap<u32, Answer>, String> {
    let request_headers = row.request_headers();
    let (path, query) = split_path(row.value["path"].as_str().unwrap());
    let method: Method = row.value["method"].as_str().unwrap().parse().unwrap();
    let head = RequestHead { method: &method, path, query, headers: &request_headers };
    let request = row.value["request_body"].as_str().unwrap_or_default();
    let framing =
        dialect.read_request(&head, request.as_bytes()).ok().and_then(|exchange| dialect.framing(&exchange, content_type));
    let framing = framing.or_else(|| Framing::sniff(content_type, &body[..body.len().min(64)])).ok_or("no framing")?;
    if framing != Framing::Json {
        return read(dialect, framing, vec![Bytes::copy_from_slice(body)], body);
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| format!("no JSON: {error}"))?;
    let mut answers = BTreeMap::new();
    let mut reading = Reading::default();
    dialect.read_reply(body, &mut Facts::default(), &mut reading).map_err(|error| error.to_string())?;
    put(&mut answers, &reading);
    Ok(answers)
}

/// The texts of an answer, one for each candidate and channel and, where the format has them, part.
fn texts(answers: &BTreeMap<u32, Answer>) -> Vec<String> {
    let mut lanes: BTreeMap<(u32, String, u32), String> = BTreeMap::new();
    for (candidate, answer) in answers {
        for (channel, parts) in &answer.texts {
            for (part, text) in parts {
                lanes.entry((*candidate, format!("{channel:?}"), *part)).or_default().push_str(text);
            }
        }
    }
    lanes.into_values().collect()
}

/// Why the outcome is not as it should be.
fn fault(dialect: &dyn Dialect, row: &Row, outcome: &Outcome, bad: usize) -> Option<String> {
    if bad >= outcome.windows.len() {
        // A slow machine cuts by the clock too, and then now and then one window more or less.
        return (outcome.body != row.wire).then(|| "changed though no window was bad".to_owned());
    }
    if outcome.status != 200 {
        return Some(format!("status {}", outcome.status));
    }
    let got = match understood(dialect, row, outcome.content_type.as_deref(), &outcome.body) {
        Ok(got) => got,
        Err(error) => {
            return Some(format!("what the client gets is not well formed: {error}\n{}", String::from_utf8_lossy(&outcome.body)));
        }
    };
    if got.values().all(|answer| answer.finish.is_none()) {
        return Some(format!("the client is not told that it is over:\n{}", String::from_utf8_lossy(&outcome.body)));
    }
    // The window's own text: what no window before it had shown. A good window may have let out some of what it begins with.
    let text = outcome.windows[bad].trim();
    let own = overlap(&outcome.windows[..bad], text);
    let seen = texts(&got).into_iter().any(|lane| own.len() >= 12 && lane.contains(own));
    let known = outcome.windows[..bad].iter().any(|window| window.contains(own));
    (seen && !known).then(|| format!("the client saw {own:?}"))
}

/// What is left of a window's text after the longest beginning that an earlier window ends with.
fn overlap<'a>(before: &[String], text: &'a str) -> &'a str {
    let longest = before
        .iter()
        .flat_map(|window| {
            let window = window.trim_end();
            (1..=text.len()).rev().filter(|at| text.is_char_boundary(*at)).find(|at| window.ends_with(&text[..*at]))
        })
        .max()
        .unwrap_or(0);
    &text[longest..]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_window_ends_every_recorded_answer_in_its_own_format() {
    let Some(rows) = recordings() else { return };
    let dialects = Dialects::builtin();
    let mut table: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut seen_at_once = 0;
    for row in rows.iter().filter(|row| row.status() == 200) {
        let Some(api) = row.api else { continue };
        // Beginning with none that is bad: how many windows it has, and that it passes.
        let good = guarded(row, usize::MAX, "hold").await;
        if good.body != row.wire {
            failures.push(format!("{}: changed though nothing was bad", row.name()));
        }
        let count = good.windows.len();
        let line = table.entry(api.as_str()).or_default();
        line.0 += 1;
        let (path, query) = split_path(row.value["path"].as_str().unwrap());
        let (method, headers) = (row.value["method"].as_str().unwrap().parse().unwrap(), row.request_headers());
        let head = RequestHead { method: &method, path, query, headers: &headers };
        let Some((dialect, _)) = dialects.recognise(&head) else { continue };
        let mut places = vec![0, count / 2, count.saturating_sub(1)];
        places.dedup();
        for bad in places.into_iter().filter(|bad| *bad < count) {
            let outcome = guarded(row, bad, "hold").await;
            let wrong = fault(&**dialect, row, &outcome, bad);
            line.1 += 1;
            line.2 += usize::from(wrong.is_none());
            // The check can fail: where text leaves at once, it sees what had left.
            if row.value["stream"] == true && bad > 0 {
                seen_at_once += usize::from(fault(&**dialect, row, &guarded(row, bad, "observe").await, bad).is_some());
            }
            failures.extend(wrong.map(|wrong| format!("{}, window {} of {count}: {wrong}", row.name(), bad + 1)));
        }
    }
    let mut text = String::from("one window bad          rows   cuts  well formed, nothing seen\n");
    for (format, (rows, cuts, right)) in &table {
        writeln!(text, "{format:<22} {rows:>5} {cuts:>6} {right:>6}/{cuts}").unwrap();
    }
    say(&text);
    assert!(seen_at_once > 20, "a guard that lets text out at once must be caught at it: {seen_at_once}");
    assert!(failures.is_empty(), "{} wrong:\n{}", failures.len(), failures[..failures.len().min(12)].join("\n"));
}

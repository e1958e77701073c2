//! Checks of parsers on arbitrary bytes: each takes an input apart, uses it, and panics where something that must hold does not.
//!
//! The first bytes of an input are choices (which format, which framing, where to cut), the rest is the text to be read. Also
//! included by the main package's tests (`tests/it/mutations.rs`), so it may use nothing but `steadfast`, `bytes`, `http` and
//! `serde_json`.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use steadfast::decode::{self, Encoding};
use steadfast::detect::Detectors;
use steadfast::dialect::{Amendment, Cut, Dialect, Dialects, Exchange, Extent, Facts, Progress, Reading, Refusal, RequestHead};
use steadfast::frame::{Event, FrameError, Framer, Framing};
use steadfast::inspect::{Inspector, Plan, Step};
use steadfast::persona::Persona;
use steadfast::policy::{Calibration, Policy, SessionFacts};
use steadfast::score::{Label, Score, Scores, Source};
use steadfast::text::Lane;

/// Larger inputs cost time and find nothing more.
pub const LIMIT: usize = 256 << 10;

/// Every framing, as choices count them.
pub const FRAMINGS: [Framing; 5] = [Framing::Json, Framing::Sse, Framing::Ndjson, Framing::JsonArray, Framing::EventStream];

/// The choices of an input and its text. An input too short to choose is all zeros.
fn choices<const N: usize>(data: &[u8]) -> ([usize; N], &[u8]) {
    let (first, text) = data.split_at_checked(N).unwrap_or((&[], data));
    let mut choices = [0; N];
    for (choice, byte) in choices.iter_mut().zip(first) {
        *choice = usize::from(*byte);
    }
    (choices, &text[..text.len().min(LIMIT)])
}

/// The text in pieces whose sizes repeat a short pattern.
fn pieces(text: &[u8], pattern: usize) -> Vec<Bytes> {
    let sizes = [1 + pattern % 7, 1 + pattern / 7 % 13, 1 + pattern % 31];
    let mut rest = text;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(*size));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = after;
    }
    pieces
}

fn framed(framing: Framing, limit: usize, pieces: &[Bytes]) -> (Vec<Event>, Vec<Bytes>, Option<FrameError>) {
    let mut framer = Framer::new(framing, limit);
    let mut events = Vec::new();
    for piece in pieces {
        framer.push(piece.clone());
        while let Some(event) = framer.next() {
            match event {
                Ok(event) => events.push(event),
                Err(error) => return (events, framer.rest(), Some(error)),
            }
        }
    }
    loop {
        match framer.finish() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, framer.rest(), None),
            Err(error) => return (events, framer.rest(), Some(error)),
        }
    }
}

/// Framing loses no byte, and finds the same events however the bytes come.
pub fn frames(data: &[u8]) {
    let ([framing, pattern, small], text) = choices::<3>(data);
    let framing = FRAMINGS[framing % FRAMINGS.len()];
    let limit = if small % 4 == 0 { 1 + small } else { LIMIT };
    let whole = [Bytes::copy_from_slice(text)];
    let (events, rest, error) = framed(framing, limit, &whole);
    let raws: Vec<u8> = events.iter().map(|event| &event.raw).chain(&rest).flatten().copied().collect();
    assert_eq!(raws, text, "{framing:?} loses bytes");
    assert!(events.iter().all(|event| event.raw.len() <= limit && !event.raw.is_empty()));
    let (again, _, as_well) = framed(framing, limit, &pieces(text, pattern));
    assert_eq!((events, error), (again, as_well), "{framing:?} depends on the pieces");
    let _ = Framing::sniff(None, text);
}

/// Of two formats that share a path one is known by its client.
fn headers() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-client-name"), HeaderValue::from_static("cohere"))])
}

/// A format by choice, with the path of a request that it takes for its own.
fn format(choice: usize) -> (Arc<dyn Dialect>, &'static str) {
    let paths = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/complete",
        "/v1beta/models/m:streamGenerateContent",
        "/v1beta/interactions",
        "/api/chat",
        "/api/generate",
        "/model/m/converse-stream",
        "/model/anthropic.claude-3-haiku/invoke-with-response-stream",
        "/v2/chat",
        "/v1/generate",
        "/v1/chat",
        "/generate_stream",
        "/model/meta.llama3-8b/invoke-with-response-stream",
    ];
    let path = paths[choice % paths.len()];
    let headers = headers();
    let head = RequestHead { method: &Method::POST, path, query: None, headers: &headers };
    let dialects = Dialects::builtin();
    match dialects.recognise(&head) {
        Some((dialect, _)) => (dialect.clone(), path),
        // A format that is not there yet, or no longer.
        None => format(0),
    }
}

/// Answers are read without panic, and what the gateway writes after any beginning of one can be read by whoever could read that.
pub fn answers(data: &[u8]) {
    let ([choice, framing, query, at], text) = choices::<4>(data);
    let (dialect, path) = format(choice);
    let framing = FRAMINGS[framing % FRAMINGS.len()];
    let headers = headers();
    let query = (query % 2 == 0).then_some("alt=sse");
    let head = RequestHead { method: &Method::POST, path, query, headers: &headers };
    let exchange = dialect.read_request(&head, br#"{"stream":true}"#).unwrap_or_else(|_| Exchange::unknown(dialect.api()));
    let (mut facts, mut progress) = (Facts::default(), Progress::default());
    if framing == Framing::Json {
        let _ = dialect.read_reply(text, &mut facts, &mut Reading::default());
        refuse(&*dialect, &exchange, &facts);
        return;
    }
    let (mut events, _, _) = framed(framing, LIMIT, &[Bytes::copy_from_slice(text)]);
    events.truncate(at);
    let mut sent = Vec::new();
    for event in &events {
        let mut reading = Reading::default();
        let silent = event.data.is_empty() && framing != Framing::JsonArray;
        if !silent && dialect.read_event(event, &mut facts, &mut reading).is_err() {
            // It would not be sent, nor anything after it.
            break;
        }
        reading.marks.iter().for_each(|mark| progress.apply(mark));
        sent.extend_from_slice(&event.raw);
    }
    let cut = Cut { exchange: &exchange, facts: &facts, progress: &progress, rule: Some("rule\n\"name\""), now: 1_800_000_000 };
    let epilogue = dialect.epilogue(&cut);
    let own = refuse(&*dialect, &exchange, &facts);
    // What is sent ends where an event ends, or the inspector ends it.
    let ended = match framing {
        Framing::Sse => [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| sent.ends_with(end)),
        Framing::Ndjson => sent.ends_with(b"\n"),
        _ => true,
    };
    if framing == own && (ended || sent.is_empty()) {
        let start = framed(framing, LIMIT, &[Bytes::from(sent.clone())]).0.len();
        sent.extend_from_slice(&epilogue);
        let (all, _, error) = framed(framing, 2 * LIMIT, &[Bytes::from(sent)]);
        assert_eq!(error, None, "{} cannot be framed after its epilogue", dialect.api().as_str());
        for event in all.iter().skip(start).filter(|event| !event.data.is_empty()) {
            let read = dialect.read_event(event, &mut Facts::default(), &mut Reading::default());
            assert!(read.is_ok(), "{} cannot read its own epilogue: {:?}", dialect.api().as_str(), event.data);
        }
    }
}

/// A refusal is a whole answer in the format's own words. Returns the framing of a streamed one.
fn refuse(dialect: &dyn Dialect, exchange: &Exchange, facts: &Facts) -> Framing {
    let mut own = Framing::Json;
    for stream in [false, true] {
        let message = "I can't \"do\" that.\n";
        let refusal = Refusal { exchange, facts, stream, message, request_id: "01JTEST", now: 1_800_000_000 };
        let reply = dialect.refusal(&refusal);
        let framing = dialect.framing(exchange, Some(reply.content_type)).filter(|_| stream);
        let framing = framing.or_else(|| Framing::sniff(Some(reply.content_type), &reply.body));
        own = framing.unwrap_or_else(|| panic!("{} refuses in no framing", dialect.api().as_str()));
        let (events, _, error) = framed(own, LIMIT, &[reply.body]);
        assert_eq!(error, None);
        for event in events {
            let mut reading = Reading::default();
            let read = match own {
                Framing::Json => dialect.read_reply(&event.data, &mut Facts::default(), &mut reading),
                _ if event.data.is_empty() => Ok(()),
                _ => dialect.read_event(&event, &mut Facts::default(), &mut reading),
            };
            assert!(read.is_ok(), "{} cannot read its own refusal", dialect.api().as_str());
        }
    }
    own
}

/// Requests are read without panic, and a request that was JSON is JSON after it was changed, with nothing lost.
pub fn requests(data: &[u8]) {
    let ([choice], text) = choices::<1>(data);
    let (dialect, path) = format(choice);
    let headers = headers();
    let head = RequestHead { method: &Method::POST, path, query: None, headers: &headers };
    let _ = dialect.read_request(&head, text);
    for method in [Method::GET, Method::POST] {
        let path = String::from_utf8_lossy(&text[..text.len().min(200)]);
        let seen = RequestHead { method: &method, path: &path, query: Some(&path), headers: &headers };
        for name in ["alt", "stream", "key"] {
            let _ = steadfast::dialect::path::parameter(seen.query, name);
        }
        if let Some((dialect, _)) = Dialects::builtin().recognise(&seen) {
            let _ = dialect.read_request(&seen, b"");
        }
    }
    let Ok(serde_json::Value::Object(before)) = serde_json::from_slice(text) else { return };
    for (reminder, temperature, model) in
        [(Some("Be \"Aria\"."), Some(0.3), Some("m")), (Some("r"), None, None), (None, Some(1.0), None)]
    {
        let Ok(after) = dialect.amend(text, &Amendment { reminder, temperature, model }) else { continue };
        let after: serde_json::Value = serde_json::from_slice(&after)
            .unwrap_or_else(|error| panic!("{} changed a request into no JSON: {error}", dialect.api().as_str()));
        assert!(before.keys().all(|name| after.get(name).is_some()), "{} lost a member", dialect.api().as_str());
    }
}

/// The word that the toy classifier takes offence at.
const BAD: &str = "BAD";

/// What came of one answer.
struct Ran {
    sent: Vec<u8>,
    cut: bool,
    committed: bool,
    /// Something of it could not be read.
    unread: bool,
    epilogue: Bytes,
}

impl Ran {
    /// What must not depend on the pieces. (The epilogue may: it tells the usage that has been read by then.)
    fn outcome(&self) -> (&[u8], bool, bool) {
        (&self.sent, self.cut, self.committed)
    }
}

fn run(plan: Plan, pieces: &[Bytes]) -> Ran {
    let mut inspector = Inspector::new(plan);
    let mut ran = Ran { sent: Vec::new(), cut: false, committed: false, unread: false, epilogue: Bytes::new() };
    let mut over = false;
    let mut work = |inspector: &mut Inspector, over: &mut bool| {
        while let Some(step) = inspector.next_step() {
            assert!(!*over, "something follows the end");
            match step {
                Step::Score(window) => {
                    let mut scores = Scores::ZERO;
                    if window.text.contains(BAD) {
                        scores.raise(Label::Hate, Score::ONE, Source::Model);
                    }
                    inspector.judge(window.id, Ok(scores));
                }
                Step::Release { bytes, .. } => ran.sent.extend_from_slice(&bytes),
                Step::End(_) => *over = true,
                Step::Cut(_) => (*over, ran.cut) = (true, true),
            }
        }
    };
    for piece in pieces {
        inspector.push(piece.clone());
        work(&mut inspector, &mut over);
    }
    inspector.finish();
    work(&mut inspector, &mut over);
    assert!(over, "an answer ends or is cut");
    ran.epilogue = inspector.epilogue(Some("rule"), 1_800_000_000);
    ran.committed = inspector.committed();
    ran.unread = !inspector.unscored().is_empty();
    ran
}

/// What leaves is a prefix of what came, all of it if nothing was cut; it does not depend on the pieces; and no bad word leaves.
pub fn inspector(data: &[u8]) {
    let ([choice, label, mode, pattern], text) = choices::<4>(data);
    let (dialect, path) = format(choice);
    let labels =
        ["text/event-stream", "application/json", "application/x-ndjson", "application/vnd.amazon.eventstream", "text/html"];
    let headers = headers();
    let head = RequestHead { method: &Method::POST, path, query: None, headers: &headers };
    let exchange = dialect.read_request(&head, br#"{"stream":true}"#).unwrap_or_else(|_| Exchange::unknown(dialect.api()));
    // Where what cannot be read is let through unjudged, nothing is promised of it.
    let strict = "on_unknown = \"block\"";
    let buffer = "on_unknown = \"block\"\nstream = \"buffer\"";
    let modes = [strict, buffer, "stream = \"observe\"", "on_error = \"allow\"", "mode = \"shadow\""];
    let mode = modes[mode % modes.len()];
    let policy = format!(
        "name = \"fuzz\"\nwindow = {{ tokens = 16, stride = 4 }}\n{mode}\n[[rule]]\nname = \"hate\"\nlabels = [\"hate\"]\nat_least = 0.5\naction = \"block\"\n"
    );
    let policy = Policy::parse(&policy, None, &Calibration::new(|_| None)).expect("the policy above is one");
    let exchange = Arc::new(exchange);
    let plan = Plan {
        dialect: dialect.clone(),
        exchange: exchange.clone(),
        policy: Arc::new(policy),
        detectors: Detectors::default(),
        session: SessionFacts::default(),
        scored: true,
        gate: None,
        content_type: Some(labels[label % labels.len()].into()),
        whole: false,
        watch: false,
        held_limit: LIMIT,
    };
    let whole = run(plan.clone(), &[Bytes::copy_from_slice(text)]);
    let split = run(plan, &pieces(text, pattern));
    for ran in [&whole, &split] {
        assert!(text.starts_with(&ran.sent), "what leaves is not what came");
        assert!(ran.cut || ran.sent == text, "bytes are lost");
        let own = refuse(&*dialect, &exchange, &Facts::default());
        let Some(texts) = read_all(&*dialect, own, &ran.sent) else { continue };
        if mode.starts_with(strict) {
            assert!(!texts.iter().any(|text| text.contains(BAD)), "a bad word has left");
        }
        if ran.cut && ran.committed {
            let whole = [&ran.sent[..], &ran.epilogue].concat();
            assert!(read_all(&*dialect, own, &whole).is_some(), "{} cannot be read to its end", dialect.api().as_str());
        }
    }
    // Where text leaves at once, how much has left when a verdict comes is a matter of time; so is it where what cannot be read cuts.
    let timed = mode.contains("observe") || mode.contains("shadow") || [&whole, &split].iter().any(|ran| ran.cut && ran.unread);
    if !timed {
        let (a, b) = (whole.sent.len(), split.sent.len());
        assert!(whole.outcome() == split.outcome(), "the outcome depends on the pieces: {a} bytes leave, or {b}");
    }
}

/// The texts of an answer, one for each candidate, channel and call, and each repetition apart; `None` where it is not in that framing
/// or cannot be read. Pieces of two parts of one channel that come by turns are one text, as they are to the inspector.
fn read_all(dialect: &dyn Dialect, framing: Framing, body: &[u8]) -> Option<Vec<String>> {
    let (events, _, error) = framed(framing, 2 * LIMIT, &[Bytes::copy_from_slice(body)]);
    let mut facts = Facts::default();
    let mut lanes: Vec<(Lane, String)> = Vec::new();
    let mut repeated = Vec::new();
    for event in events.iter().filter(|event| error.is_none() && !event.data.is_empty()) {
        let mut reading = Reading::default();
        match framing {
            Framing::Json => dialect.read_reply(&event.data, &mut facts, &mut reading).ok()?,
            _ => dialect.read_event(event, &mut facts, &mut reading).ok()?,
        }
        for delta in reading.deltas {
            let lane = delta.lane();
            match lanes.iter_mut().find(|(of, _)| *of == lane) {
                _ if delta.extent == Extent::Whole => repeated.push(delta.text.into_owned()),
                Some((_, text)) => text.push_str(&delta.text),
                None => lanes.push((lane, delta.text.into_owned())),
            }
        }
    }
    error.is_none().then(|| lanes.into_iter().map(|(_, text)| text).chain(repeated).collect())
}

/// Policies and personas are read without panic, and compressed bodies decoded within their limit.
pub fn files(data: &[u8]) {
    let ([kind], text) = choices::<1>(data);
    let encodings = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd];
    match kind % 6 {
        0 => drop(Policy::parse(&String::from_utf8_lossy(text), Some("policy.toml"), &Calibration::new(|_| Some(0.9)))),
        1 => drop(Persona::parse(&String::from_utf8_lossy(text), Some("persona.toml"))),
        encoding => {
            if let Ok(body) = decode::whole(encodings[encoding - 2], &[Bytes::copy_from_slice(text)], LIMIT) {
                assert!(body.len() <= LIMIT);
            }
        }
    }
}

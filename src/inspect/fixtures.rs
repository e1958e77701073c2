//! A toy wire format, policy and scorer for the inspector's tests, and what runs it over pieces of a body.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::detect::Detectors;
use crate::dialect::{
    Amendment, Api, ApiError, Block, Cut, Delta, Dialect, Exchange, Mark, Recognised, Refusal, Reply, RequestHead,
};
use crate::policy::{Policy, Retry, SessionFacts};
use crate::score::{Label, Score};
use crate::text::Channel;

/// SSE: `0a:text` is answer text of candidate 0, `1r:text` reasoning of candidate 1, `0W:text` the whole answer again, `c7:text` a call's
/// arguments, `end` the end, `block` a block that stays open, `!` malformed, all else without text. JSON: the whole body is candidate 0's
/// answer, unless it holds a `!`.
struct Toy;

impl Dialect for Toy {
    fn api(&self) -> Api {
        Api::Custom
    }
    fn recognise_at(&self, _: &RequestHead<'_>, _: &[&str]) -> Recognised {
        Recognised::Judged
    }
    fn read_request(&self, _: &RequestHead<'_>, _: &[u8]) -> Result<Exchange, DialectError> {
        Ok(Exchange::unknown(Api::Custom))
    }
    fn read_reply<'a>(&self, body: &'a [u8], _: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let text = std::str::from_utf8(body).map_err(|_| DialectError::Malformed("toy"))?;
        if text.contains('!') {
            return Err(DialectError::Malformed("toy"));
        }
        out.deltas.push(Delta::append(0, Channel::Answer, 0, Cow::Borrowed(text)));
        Ok(())
    }
    fn read_event<'a>(&self, event: &'a Event, _: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        let data = std::str::from_utf8(&event.data).map_err(|_| DialectError::Malformed("toy"))?;
        if data.starts_with('!') {
            return Err(DialectError::Malformed("toy"));
        }
        match data {
            "end" => out.marks.push(Mark::Terminal),
            "block" => out.marks.push(Mark::Open(Block { index: 0, kind: "text".into(), id: None, inner: None })),
            _ => {}
        }
        let Some((key, text)) = data.split_once(':') else { return Ok(()) };
        if let Some(call) = key.strip_prefix('c').and_then(|call| call.parse().ok()) {
            out.deltas.push(Delta::append(0, Channel::ToolCall, call, Cow::Borrowed(text)));
            return Ok(());
        }
        let candidate = u32::from(key.starts_with('1'));
        out.deltas.push(match key.chars().last() {
            Some('r') => Delta::append(candidate, Channel::Reasoning, 0, Cow::Borrowed(text)),
            Some('W') => Delta::whole(candidate, Channel::Answer, 0, Cow::Borrowed(text)),
            _ => Delta::append(candidate, Channel::Answer, 0, Cow::Borrowed(text)),
        });
        Ok(())
    }
    fn amend(&self, _: &[u8], _: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        Err(DialectError::Unsupported("a toy"))
    }
    fn refusal(&self, _: &Refusal<'_>) -> Reply {
        Reply { status: StatusCode::OK, content_type: "text/plain", body: Bytes::from_static(b"refused") }
    }
    fn epilogue(&self, cut: &Cut<'_>) -> Bytes {
        let texts: Vec<_> = cut.progress.texts.iter().map(|released| released.text.as_str()).collect();
        Bytes::from(format!("data: cut after {texts:?}\n\n"))
    }
    fn error(&self, error: &ApiError<'_>) -> Reply {
        Reply { status: error.status, content_type: "text/plain", body: Bytes::new() }
    }
}

const RULES: &str = r#"
[[rule]]
name = "hate"
labels = ["hate"]
at_least = 0.5
action = "block"

[[rule]]
name = "despair"
labels = ["despair"]
at_least = 0.5
action = "retry"
retry = { attempts = 1, then = "flag" }

[[rule]]
name = "swap"
labels = ["identity_swap"]
at_least = 0.5
action = "retry"
retry = { attempts = 1, then = "block" }

[[rule]]
name = "topic"
labels = ["topic_hijack"]
at_least = 0.5
action = "flag"

[[rule]]
name = "house words"
patterns = ['(?i)project nightfall']
action = "block"
"#;

pub(super) fn policy(head: &str) -> Policy {
    let text = format!("name = \"toy\"\nwindow = {{ tokens = 16, stride = 4 }}\n{head}\n{RULES}");
    Policy::parse(&text, Some("toy.toml"), &crate::policy::Calibration::new(|_| None))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What a model would say: words that stand for labels.
pub(super) fn score(text: &str) -> Result<Scores, Unscored> {
    let mut scores = Scores::ZERO;
    for (word, label) in
        [("BAD", Label::Hate), ("SAD", Label::Despair), ("TOPIC", Label::TopicHijack), ("SWAP", Label::IdentitySwap)]
    {
        if text.contains(word) {
            scores.raise(label, Score::ONE, Source::Model);
        }
    }
    if text.contains("ERR") { Err(Unscored::Error) } else { Ok(scores) }
}

pub(super) struct Yes(pub(super) AtomicU32);

impl RetryGate for Yes {
    fn may_retry(&self, _: &Retry, committed: bool) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        !committed
    }
}

pub(super) fn plan(policy: Policy) -> Plan {
    Plan {
        dialect: Arc::new(Toy),
        exchange: Arc::new(Exchange::unknown(Api::Custom)),
        policy: Arc::new(policy),
        detectors: Detectors::default(),
        session: SessionFacts::default(),
        scored: true,
        gate: Some(Arc::new(Yes(AtomicU32::new(0)))),
        content_type: Some("text/event-stream".into()),
        whole: false,
        watch: false,
        held_limit: 1 << 20,
    }
}

/// What came of one answer.
#[derive(Debug, PartialEq)]
pub(super) struct Ran {
    pub(super) sent: String,
    pub(super) verdict: Verdict,
    pub(super) cut: bool,
    pub(super) committed: bool,
    pub(super) unscored: Vec<Unscored>,
}

/// Feeds chunks; results come back after `lag` further chunks, the last asked first.
pub(super) fn run(plan: Plan, chunks: &[&[u8]], lag: usize) -> Ran {
    let mut inspector = Inspector::new(plan);
    let mut sent = Vec::new();
    let mut out: Vec<(usize, Window)> = Vec::new();
    let mut verdict = None;
    let mut step = |inspector: &mut Inspector, out: &mut Vec<(usize, Window)>, now: usize| {
        while let Some(step) = inspector.next_step() {
            match step {
                Step::Score(window) => out.push((now, window)),
                Step::Release { bytes, .. } => sent.extend_from_slice(&bytes),
                Step::End(end) => verdict = Some((*end, false)),
                Step::Cut(cut) => verdict = Some((*cut, true)),
            }
        }
    };
    for (now, chunk) in chunks.iter().enumerate() {
        inspector.push(Bytes::copy_from_slice(chunk));
        step(&mut inspector, &mut out, now);
        while let Some(index) = out.iter().rposition(|(asked, _)| asked + lag <= now) {
            let (_, window) = out.remove(index);
            inspector.judge(window.id, score(&window.text));
            step(&mut inspector, &mut out, now);
        }
    }
    inspector.finish();
    step(&mut inspector, &mut out, usize::MAX);
    while let Some((_, window)) = out.pop() {
        inspector.judge(window.id, score(&window.text));
        step(&mut inspector, &mut out, usize::MAX);
    }
    let (verdict, cut) = verdict.expect("an answer ends or is cut");
    Ran {
        sent: String::from_utf8(sent).expect("events are cut at their ends"),
        verdict,
        cut,
        committed: inspector.committed(),
        unscored: inspector.unscored().to_vec(),
    }
}

pub(super) fn sse(events: &[&str]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

pub(super) fn stream(head: &str, events: &[&str]) -> Ran {
    let body = sse(events);
    run(plan(policy(head)), &[body.as_bytes()], 0)
}

/// A body in pieces.
pub(super) fn chunked<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    at.push(body.len());
    at.sort_unstable();
    let mut start = 0;
    at.into_iter()
        .map(|end| {
            let piece = &body[start..end];
            start = end;
            piece
        })
        .collect()
}

//! A judged answer on its way: drives the inspector with the upstream's bytes and the scorer's results. The clock lives here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::body::{BoxError, Erased};
use super::report::Report;
use crate::decode::{self, Encoding};
use crate::infer::{self, BoxFuture, Job, ScoreError, Scored, Scorer};
use crate::inspect::{Inspector, Step, Window};
use crate::text::Str;
use crate::verdict::{Unscored, Verdict};

/// Windows of one answer that are scored at once. A few keep the classifier's threads busy; more would let one answer crowd out others.
const WINDOWS_AT_ONCE: usize = 4;

/// Windows of one answer that may wait before the upstream is read no further.
const WINDOWS_WAITING: usize = 8;

/// How long text is held for want of a full window before a short one is scored: the longest gap that holding adds.
const HOLD: Duration = Duration::from_millis(200);

/// How long the beginning of a stream (role chunks, pings) is held for the first text to be judged: until it leaves, a bad answer
/// can still be retried or refused as a whole.
const PATIENCE: Duration = Duration::from_secs(10);

/// How deep the classifier's queue may be for held text to be scored ahead of a full window.
const QUEUE_FOR_SHORT_WINDOWS: usize = 8;

/// What scoring needs beside the windows.
pub(super) struct Scoring {
    pub(super) scorer: Arc<dyn Scorer>,
    pub(super) context: Arc<infer::Context>,
    pub(super) stream: u64,
    pub(super) deadline: Duration,
}

/// What the hold's timer waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Text,
    Beginning,
}

/// An answer being judged.
pub(super) struct Live {
    upstream: Option<Erased>,
    pub(super) inspector: Inspector,
    scoring: Option<Scoring>,
    backlog: VecDeque<Window>,
    jobs: Vec<(u64, BoxFuture<Result<Scored, ScoreError>>)>,
    ready: VecDeque<Frame<Bytes>>,
    trailers: Option<HeaderMap>,
    encoded: Option<Encoded>,
    wait: Wait,
    timer: Option<Pin<Box<Sleep>>>,
    held_since: Option<Instant>,
    verdict: Option<Box<Verdict>>,
    cut: bool,
    over: bool,
    failed: Option<BoxError>,
}

/// A compressed body: judged decoded, forwarded as it came.
struct Encoded {
    encoding: Encoding,
    raw: Vec<Bytes>,
    size: usize,
    limit: usize,
    at_once: bool,
    /// More has come than is kept: it cannot be decoded.
    too_large: bool,
}

impl Live {
    pub(super) fn new(upstream: Erased, inspector: Inspector, scoring: Option<Scoring>) -> Self {
        Live {
            upstream: Some(upstream),
            inspector,
            scoring,
            backlog: VecDeque::new(),
            jobs: Vec::new(),
            ready: VecDeque::new(),
            trailers: None,
            encoded: None,
            wait: Wait::Nothing,
            timer: None,
            held_since: None,
            verdict: None,
            cut: false,
            over: false,
            failed: None,
        }
    }

    /// The body is compressed. `at_once`: it leaves as it comes (shadow), and is judged at its end.
    pub(super) fn encoded(mut self, encoding: Encoding, limit: usize, at_once: bool) -> Self {
        self.encoded = Some(Encoded { encoding, raw: Vec::new(), size: 0, limit, at_once, too_large: false });
        self
    }

    /// The verdict, once the answer is over or cut.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_deref()
    }

    pub(super) fn was_cut(&self) -> bool {
        self.cut
    }

    /// Whether nothing follows but what is ready.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn is_end(&self) -> bool {
        self.over && self.ready.is_empty()
    }

    pub(super) fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        self.ready.pop_front()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let ready: usize = self.ready.iter().filter_map(|frame| frame.data_ref().map(Bytes::len)).sum();
        let mut hint = SizeHint::new();
        hint.set_lower(ready as u64);
        if self.over {
            hint.set_upper(ready as u64);
        }
        hint
    }

    /// Waits for the first frame that may leave, the verdict, or the upstream's failure: until then nothing is committed.
    pub(super) async fn prime(&mut self, report: &mut Report) -> Result<(), BoxError> {
        std::future::poll_fn(|cx| self.poll_fill(cx, report)).await
    }

    /// Works until a frame is ready or all is over.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, report: &mut Report) -> Poll<Result<(), BoxError>> {
        loop {
            self.take_steps(report);
            if let Some(error) = self.failed.take() {
                self.over = true;
                return Poll::Ready(Err(error));
            }
            if !self.ready.is_empty() || self.over {
                return Poll::Ready(Ok(()));
            }
            self.start_jobs();
            if self.poll_jobs(cx, report) || self.poll_upstream(cx, report) || self.poll_timer(cx) {
                continue;
            }
            return Poll::Pending;
        }
    }

    fn take_steps(&mut self, report: &mut Report) {
        while let Some(step) = self.inspector.next_step() {
            match step {
                Step::Score(window) => self.backlog.push_back(window),
                Step::Release { bytes, text } => {
                    if text {
                        report.released_text(self.held_since.take());
                        self.wait = Wait::Nothing;
                        // What is still held has waited since about now: the next release measures its own gap.
                        self.held_since = (self.inspector.held_bytes() > 0).then(Instant::now);
                    }
                    if self.encoded.is_none() {
                        self.ready.push_back(Frame::data(bytes));
                    }
                }
                Step::End(verdict) => {
                    if let Some(encoded) = self.encoded.take()
                        && !encoded.at_once
                    {
                        self.ready.extend(encoded.raw.into_iter().map(Frame::data));
                    }
                    self.ready.extend(self.trailers.take().map(Frame::trailers));
                    self.close(verdict);
                }
                Step::Cut(verdict) => {
                    self.cut = true;
                    if self.inspector.committed() {
                        let bytes = self.inspector.epilogue(verdict.rule.as_deref(), super::unix_now());
                        if !bytes.is_empty() {
                            self.ready.push_back(Frame::data(bytes));
                        }
                    }
                    self.close(verdict);
                }
            }
        }
    }

    /// Nothing more is read or scored.
    fn close(&mut self, verdict: Box<Verdict>) {
        self.upstream = None;
        self.jobs.clear();
        self.backlog.clear();
        self.timer = None;
        self.verdict = Some(verdict);
        self.over = true;
    }

    fn start_jobs(&mut self) {
        let Some(scoring) = &self.scoring else { return };
        while self.jobs.len() < WINDOWS_AT_ONCE
            && let Some(window) = self.backlog.pop_front()
        {
            let job =
                Job { context: scoring.context.clone(), text: window.text, stream: scoring.stream, deadline: scoring.deadline };
            self.jobs.push((window.id, scoring.scorer.score(job)));
        }
    }

    fn poll_jobs(&mut self, cx: &mut Context<'_>, report: &mut Report) -> bool {
        let mut progress = false;
        let mut index = 0;
        while let Some((id, job)) = self.jobs.get_mut(index) {
            let Poll::Ready(result) = job.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            let id = *id;
            drop(self.jobs.swap_remove(index));
            progress = true;
            let result = match result {
                Ok(scored) => {
                    report.scored(&scored);
                    Ok(scored.scores)
                }
                Err(ScoreError::Overloaded) => Err(Unscored::Overload),
                Err(ScoreError::Deadline(_)) => Err(Unscored::Deadline),
                Err(ScoreError::Failed(message)) => {
                    tracing::warn!(request_id = %report.request_id(), error = %message, "the classifier failed");
                    Err(Unscored::Error)
                }
            };
            self.inspector.judge(id, result);
        }
        progress
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>, report: &mut Report) -> bool {
        if self.inspector.full() || self.jobs.len() + self.backlog.len() >= WINDOWS_WAITING {
            return false;
        }
        let Some(upstream) = &mut self.upstream else { return false };
        match Pin::new(upstream).poll_frame(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.arrive(data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            },
            Poll::Ready(Some(Err(error))) => {
                self.upstream = None;
                self.failed = Some(error);
            }
            Poll::Ready(None) => {
                self.upstream = None;
                report.upstream_ended();
                self.decode_whole();
                self.inspector.finish();
            }
        }
        true
    }

    fn arrive(&mut self, data: Bytes) {
        let Some(encoded) = &mut self.encoded else {
            self.inspector.push(data);
            if self.held_since.is_none() && self.inspector.held_bytes() > 0 {
                self.held_since = Some(Instant::now());
            }
            return;
        };
        encoded.size += data.len();
        if encoded.at_once {
            self.ready.push_back(Frame::data(data.clone()));
        }
        if encoded.size <= encoded.limit {
            encoded.raw.push(data);
        } else if !encoded.too_large {
            encoded.too_large = true;
            self.inspector.undecodable(Unscored::TooLarge);
            let held = std::mem::take(&mut encoded.raw);
            if !encoded.at_once && !self.inspector.done() {
                // The policy lets it through unjudged: what was held leaves, and the rest as it comes.
                self.ready.extend(held.into_iter().map(Frame::data));
                self.ready.push_back(Frame::data(data));
                encoded.at_once = true;
            }
        }
    }

    /// Decodes a compressed body that has come whole.
    fn decode_whole(&mut self) {
        let Some(encoded) = &self.encoded else { return };
        if encoded.too_large || encoded.raw.is_empty() {
            return;
        }
        match decode::whole(encoded.encoding, &encoded.raw, encoded.limit) {
            Ok(bytes) => self.inspector.push(bytes),
            Err(decode::DecodeError::TooLarge(_)) => self.inspector.undecodable(Unscored::TooLarge),
            Err(decode::DecodeError::Malformed(_)) => self.inspector.undecodable(Unscored::Unreadable),
        }
    }

    /// Arms and polls the hold's timer; `true` if it has fired.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let wait = if self.upstream.is_none() {
            Wait::Nothing
        } else if self.inspector.text_waits() {
            Wait::Text
        } else if !self.inspector.committed() && self.inspector.held_bytes() > 0 && self.inspector.windows_out() == 0 {
            Wait::Beginning
        } else {
            Wait::Nothing
        };
        if wait == Wait::Nothing {
            self.wait = wait;
            return false;
        }
        let limit = if wait == Wait::Text { HOLD } else { PATIENCE };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if wait != self.wait {
            self.wait = wait;
            timer.as_mut().reset(tokio::time::Instant::now() + limit);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        let busy = self.scoring.as_ref().is_some_and(|scoring| scoring.scorer.queue_length() > QUEUE_FOR_SHORT_WINDOWS);
        timer.as_mut().reset(tokio::time::Instant::now() + limit);
        if busy && wait == Wait::Text {
            // Under load full windows are worth more than short gaps; the stream's own progress brings them.
            return timer.as_mut().poll(cx).is_ready();
        }
        self.inspector.force();
        true
    }
}

/// The persona line and the user's turn, cut to what a classifier could use of them.
pub(super) fn scoring_context(persona: Option<&Str>, system: Option<&Str>, user: Option<&Str>) -> infer::Context {
    const CHARS: usize = 1000;
    let mut line = String::new();
    for part in [persona, system].into_iter().flatten() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&part[..crate::text::floor_char_boundary(part, CHARS)]);
    }
    let user = user.map_or("", |user| &user[crate::text::ceil_char_boundary(user, user.len().saturating_sub(CHARS))..]);
    infer::Context { persona: line, user: user.to_owned() }
}

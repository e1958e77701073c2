//! One exchange's account of itself, gathered as it goes and told once at the end.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};

use super::events::{Attempt, Ending, Excerpt, Observe, Outcome, Passage, RetryOutcome, SessionTurn, Steered, Subject};
use super::follow::{Follow, Judged, delivered};
use super::live::Live;
use super::outcome;
use super::retry::Gate;
use crate::dialect::Facts;
use crate::infer::Scored;
use crate::inspect::Inspector;
use crate::policy::{Mode, SessionFacts};
use crate::text::{ceil_char_boundary, floor_char_boundary};
use crate::verdict::{Action, Cause, Unscored, Verdict};

/// Bytes of text kept around what caused a verdict.
const AROUND: usize = 200;

/// The account.
pub(super) struct Report {
    observe: Arc<dyn Observe>,
    subject: Subject,
    started: Instant,
    upstream_ended: Option<Instant>,
    first_text: Option<Duration>,
    held: Duration,
    status: u16,
    attempts: u32,
    retried: Vec<Attempt>,
    streamed: bool,
    verdict: Option<Verdict>,
    excerpt: Excerpt,
    unscored: Vec<Unscored>,
    unread: Option<&'static str>,
    facts: Facts,
    windows: u32,
    /// Windows of the last answer.
    judged_windows: u32,
    /// Asked for a retry after the head has left, which can only be refused.
    gate: Option<Arc<Gate>>,
    /// The conversation, until its turn is recorded.
    follow: Option<Follow>,
    session: Option<SessionTurn>,
    steered: Option<Steered>,
    passage: Option<Passage>,
    spare: bool,
}

impl Report {
    pub(super) fn new(observe: Arc<dyn Observe>, subject: Subject) -> Self {
        Report {
            observe,
            subject,
            started: Instant::now(),
            upstream_ended: None,
            first_text: None,
            held: Duration::ZERO,
            status: 0,
            attempts: 0,
            retried: Vec::new(),
            streamed: false,
            verdict: None,
            excerpt: Excerpt::default(),
            unscored: Vec::new(),
            unread: None,
            facts: Facts::default(),
            windows: 0,
            judged_windows: 0,
            gate: None,
            follow: None,
            session: None,
            steered: None,
            passage: None,
            spare: false,
        }
    }

    pub(super) fn subject_mut(&mut self) -> &mut Subject {
        &mut self.subject
    }

    pub(super) fn request_id(&self) -> &str {
        &self.subject.request_id
    }

    pub(super) fn set_status(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub(super) fn called_upstream(&mut self) {
        self.attempts += 1;
        self.upstream_ended = None;
    }

    pub(super) fn upstream_ended(&mut self) {
        self.upstream_ended = Some(Instant::now());
    }

    pub(super) fn scored(&mut self, scored: &Scored) {
        self.windows += 1;
        self.observe.on_window(&self.subject, scored);
    }

    /// Text has left; `since`: when it (or the oldest of it) came.
    pub(super) fn released_text(&mut self, since: Option<Instant>) {
        let now = Instant::now();
        if let Some(since) = since {
            let held = now - since;
            self.held = self.held.max(held);
            self.observe.on_hold(&self.subject, held);
        }
        self.first_text.get_or_insert(now - self.started);
    }

    pub(super) fn retry(&mut self, outcome: RetryOutcome) {
        self.observe.on_retry(&self.subject, outcome);
    }

    /// The head leaves: what the gate says from now on is told at the end.
    pub(super) fn committed(&mut self, gate: Arc<Gate>) {
        self.gate = gate.said().is_none().then_some(gate);
    }

    /// An answer was judged and will not be used.
    pub(super) fn retried(&mut self, live: &Live, verdict: Verdict, changed: String) {
        let excerpt = excerpt(&live.inspector, &verdict);
        self.retried.push(Attempt { verdict, excerpt, changed });
        self.note_inspected(&live.inspector);
    }

    /// The exchange is a turn of this conversation.
    pub(super) fn follow(&mut self, follow: Follow, before: SessionFacts) {
        self.subject.session = Some(follow.name().clone());
        self.session = Some(SessionTurn { before, after: None });
        self.follow = Some(follow);
    }

    /// Something was done about the conversation.
    pub(super) fn steered(&mut self, steered: Option<Steered>) {
        if let Some(steered) = &steered {
            if let Some(follow) = &mut self.follow {
                follow.hold(steered.wished);
            }
            if !steered.failed.is_empty() {
                tracing::warn!(request_id = %self.subject.request_id, rule = %steered.rule, "a drifting conversation: {}", steered.failed);
            }
        }
        self.steered = steered;
    }

    /// The route has a circuit, and this is the way that it lets the exchange go.
    pub(super) fn passes(&mut self, passage: Passage) {
        self.passage = Some(passage);
    }

    /// Another upstream or model answers, from the first.
    pub(super) fn goes_elsewhere(&mut self) {
        self.spare = true;
    }

    /// Whether the answer, or an attempt before it, came to this or worse; `None` where that is not known.
    fn came_to(&self, bad: Action, ending: Ending) -> Option<bool> {
        let by_rule = |verdict: &Verdict| verdict.cause.rule().is_some() && verdict.action >= bad;
        let verdict = self.verdict.as_ref();
        if verdict.is_some_and(by_rule) || self.retried.iter().any(|attempt| by_rule(&attempt.verdict)) {
            return Some(true);
        }
        let whole = matches!(ending, Ending::Complete | Ending::Refused | Ending::Cut);
        let judged = verdict.is_some_and(|verdict| !matches!(verdict.cause, Cause::Unscored(_) | Cause::Circuit));
        (whole && judged && self.unscored.is_empty()).then_some(false)
    }

    /// Records the turn before the last of a judged answer leaves.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>, live: &Live) -> Poll<()> {
        if self.follow.is_some() {
            self.begin_turn(live);
            ready!(self.poll_recording(cx));
        }
        Poll::Ready(())
    }

    /// Records the turn of an answer that is withheld: what the client gets instead is `message`; `None`: an error.
    pub(super) async fn record_withheld(&mut self, message: Option<&str>) {
        let Some(mut follow) = self.follow.take() else { return };
        self.record(&mut follow, message);
        self.follow = Some(follow);
        std::future::poll_fn(|cx| self.poll_recording(cx)).await;
    }

    fn begin_turn(&mut self, live: &Live) {
        let Some(mut follow) = self.follow.take() else { return };
        let verdict = live.verdict().unwrap_or_else(|| live.inspector.verdict()).clone();
        self.judged(&live.inspector, &verdict);
        let answers = delivered(&live.inspector);
        self.record(&mut follow, answers.iter().map(String::as_str));
        self.follow = Some(follow);
    }

    fn record<'t>(&self, follow: &mut Follow, answers: impl IntoIterator<Item = &'t str>) {
        let Some(verdict) = &self.verdict else { return };
        let judged = Judged {
            scores: &verdict.scores,
            signals: &verdict.signals,
            measured: self.unscored.is_empty() && self.judged_windows > 0,
            flagged: verdict.action > Action::Allow || !self.retried.is_empty(),
            rule: verdict.cause.rule(),
            id: self.facts.id.as_deref(),
        };
        follow.record(&judged, answers);
    }

    fn poll_recording(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(follow) = &mut self.follow else { return Poll::Ready(()) };
        let after = ready!(follow.poll(cx)).map(|conversation| conversation.state);
        self.follow = None;
        if let Some(session) = &mut self.session {
            session.after = after;
        }
        Poll::Ready(())
    }

    /// The client has left or the upstream broke off: what was judged counts, and nobody waits for it.
    fn detach_turn(&mut self, live: Option<&Live>) {
        if let Some(live) = live.filter(|live| live.inspector.windows_cut() > 0) {
            self.begin_turn(live);
        }
        let after = self.follow.take().and_then(Follow::detach);
        if let (Some(after), Some(session)) = (after, &mut self.session) {
            session.after = Some(after.state);
        }
    }

    pub(super) fn unscored(&mut self, reason: Unscored) {
        self.note_unscored(&[reason]);
    }

    fn note_inspected(&mut self, inspector: &Inspector) {
        self.note_unscored(inspector.unscored());
        self.unread = self.unread.or(inspector.unread());
    }

    fn note_unscored(&mut self, reasons: &[Unscored]) {
        for reason in reasons {
            if !self.unscored.contains(reason) {
                self.unscored.push(*reason);
            }
        }
    }

    /// Keeps what is known of the answer now; what the body adds later is taken at the end.
    pub(super) fn judged(&mut self, inspector: &Inspector, verdict: &Verdict) {
        self.excerpt = excerpt(inspector, verdict);
        self.verdict = Some(verdict.clone());
        self.facts = inspector.facts().clone();
        self.streamed = inspector.streamed().unwrap_or_default();
        self.judged_windows = inspector.windows_cut();
        self.note_inspected(inspector);
    }

    /// A verdict that no inspection came to.
    pub(super) fn decide(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }

    /// Whether a retry has brought a good answer.
    pub(super) fn recovered(&self) -> bool {
        !self.retried.is_empty() && self.verdict.as_ref().is_some_and(|verdict| verdict.action < Action::Retry)
    }

    /// Writes the headers that every response has, and those of the verdict if there is one.
    pub(super) fn decorate(&self, headers: &mut HeaderMap) {
        outcome::request_id_header(headers, &self.subject.request_id);
        // Shadow changes nothing that the client can see.
        if let Some(verdict) = self.verdict.as_ref().filter(|_| self.subject.mode == Mode::Enforce) {
            let retried = self.retried.last().map(|attempt| &attempt.verdict);
            let word = outcome::verdict_word(verdict, !self.unscored.is_empty(), retried.is_some());
            let reason = if verdict.rule.is_some() { Some(verdict) } else { retried };
            outcome::verdict_headers(headers, word, reason, self.attempts);
        }
    }

    /// Writes the headers of an answer that nobody looks at: that it is unscored, where it counts as that.
    pub(super) fn decorate_untouched(&self, headers: &mut HeaderMap) {
        self.decorate(headers);
        if self.verdict.is_none() && !self.unscored.is_empty() && self.subject.mode == Mode::Enforce {
            outcome::verdict_headers(headers, "unscored", None, self.attempts);
        }
    }

    /// Writes the headers of a stream whose verdict is still open.
    pub(super) fn decorate_streaming(&self, headers: &mut HeaderMap) {
        outcome::request_id_header(headers, &self.subject.request_id);
        if self.subject.mode == Mode::Enforce {
            let retried = self.retried.last().map(|attempt| &attempt.verdict);
            outcome::verdict_headers(headers, "streaming", retried, self.attempts);
        }
    }

    /// Tells the watcher.
    pub(super) fn end(mut self: Box<Self>, ending: Ending, live: Option<&Live>) {
        if let Some(live) = live {
            let verdict = live.verdict().unwrap_or_else(|| live.inspector.verdict()).clone();
            self.judged(&live.inspector, &verdict);
        }
        if self.follow.is_some() {
            self.detach_turn(live);
        }
        if let Some(said) = self.gate.take().and_then(|gate| gate.said()) {
            self.observe.on_retry(&self.subject, said);
        }
        let now = Instant::now();
        if let Some(Passage { circuit, way }) = &self.passage
            && let Some(bad) = self.came_to(circuit.spec().bad, ending)
        {
            circuit.judged(*way, bad, &self.subject.request_id, now);
        }
        let outcome = Outcome {
            subject: self.subject,
            streamed: self.streamed,
            status: self.status,
            verdict: self.verdict,
            excerpt: self.excerpt,
            unscored: self.unscored,
            unread: self.unread,
            attempts: self.attempts,
            retried: self.retried,
            facts: self.facts,
            windows: self.windows,
            session: self.session,
            steered: self.steered,
            passage: self.passage,
            spare: self.spare,
            ending,
            ended: now,
            total: now - self.started,
            guard: self.upstream_ended.map_or(Duration::ZERO, |ended| now - ended),
            held: self.held,
            first_text: self.first_text,
        };
        self.observe.on_end(&outcome);
    }
}

/// The text around what caused a verdict.
pub(super) fn excerpt(inspector: &Inspector, verdict: &Verdict) -> Excerpt {
    let Some(span) = &verdict.span else { return Excerpt::default() };
    let Some((_, text)) = inspector.texts().find(|(lane, _)| *lane == span.lane) else { return Excerpt::default() };
    let start = floor_char_boundary(text, span.bytes.start);
    let end = ceil_char_boundary(text, span.bytes.end.max(start));
    let from = floor_char_boundary(text, start.saturating_sub(AROUND));
    let to = ceil_char_boundary(text, end + AROUND);
    Excerpt {
        channel: Some(span.lane.channel),
        before: text[from..start].to_owned(),
        matched: text[start..end].to_owned(),
        after: text[end..to].to_owned(),
        full: text.to_owned(),
    }
}

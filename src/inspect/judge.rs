//! The inspector's other half: cutting windows, taking verdicts in order, releasing what is cleared, and what to do with what cannot
//! be judged.

use std::ops::Range;

use bytes::Bytes;

use super::queue::Held;
use super::{Delivery, Inspector, Pending, Step, Window};
use crate::detect::Moment;
use crate::frame::{FrameError, Framer, Framing};
use crate::policy::{Evidence, Fallback, Hit};
use crate::score::{Scores, Signals};
use crate::text::{MAX_LANES, Span};
use crate::verdict::{Action, Cause, Unscored, Verdict};

/// Blocks, calls and candidates of one answer that are kept. A long one has some hundreds.
const BLOCKS: usize = 16 << 10;

impl Inspector {
    /// Cuts windows over all text that is in none, in every lane: events leave in order, so a lane left waiting would hold up the
    /// others. `last`: nothing follows.
    pub(super) fn cut_windows(&mut self, last: bool) {
        if self.by_event {
            return self.settle_lanes(last);
        }
        let open = self.lanes.take_open(last);
        for index in open.iter().copied() {
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            let mut asked_last = false;
            loop {
                let lane = &mut self.lanes[index];
                let seen = lane.windower.covered();
                let Some(span) = lane.windower.cut() else { break };
                asked_last = last && !lane.windower.pending();
                self.open_window(index, span, seen, asked_last);
            }
            let lane = &self.lanes[index];
            let idle = lane.text.len() == lane.len_at_cut;
            let holds_tail = self.delivery == Delivery::Windows && !last;
            let mut tail = if holds_tail { self.plan.policy.open_tail(&lane.text) } else { 0 };
            // What would complete a match is not coming (or not here: other lanes have gone on): ask a last time, without new text.
            if (last && !asked_last || idle && tail > 0) && !lane.text.is_empty() && !lane.asked_last {
                asked_last = true;
                self.ask_again(index);
            }
            tail = if idle { 0 } else { tail };
            let lane = &mut self.lanes[index];
            lane.asked_last = asked_last || (idle && lane.asked_last);
            lane.len_at_cut = lane.text.len();
            lane.cleared = lane.text.len() - tail;
            lane.cleared_by = self.next_id - 1;
        }
        self.lanes.keep_open(open);
        self.cover();
    }

    /// Settles which window each event's text needs.
    pub(super) fn cover(&mut self) {
        let lanes = &self.lanes;
        self.queue.cover(|ends| {
            ends.iter()
                .all(|end| end.text <= lanes[end.lane].cleared)
                .then(|| ends.iter().map(|end| lanes[end.lane].cleared_by).max().unwrap_or(0))
        });
    }

    fn open_window(&mut self, index: usize, span: Range<usize>, seen: usize, last: bool) {
        self.windows_cut += 1;
        let moment = if last { Moment::End } else { Moment::Window };
        let id = self.pend(index, span.clone(), seen, moment, !self.plan.scored);
        if self.plan.scored {
            let lane = &self.lanes[index];
            let text = lane.text[span.clone()].into();
            self.steps.push_back(Step::Score(Window { id, span: Span { lane: lane.lane, bytes: span }, text }));
        }
    }

    /// Asks detectors and patterns once more about a lane that has ended: what they could not decide before its end.
    pub(super) fn ask_again(&mut self, index: usize) {
        let end = self.lanes[index].text.len();
        self.pend(index, end..end, end, Moment::End, true);
    }

    pub(super) fn pend(&mut self, index: usize, span: Range<usize>, seen: usize, moment: Moment, decided: bool) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let lane = &self.lanes[index];
        let text = &lane.text[..span.end];
        let watching = &mut self.watching[index];
        let mut findings = Vec::new();
        if self.by_event && moment == Moment::End {
            // A long text that comes at once is gone through as one that grows.
            watching.look(&self.plan.detectors.finding, lane.lane.channel, text, Moment::Passing, &mut findings);
        }
        watching.look(&self.plan.detectors.finding, lane.lane.channel, text, moment, &mut findings);
        let measured = !self.by_event || watching.is_due_to_measure(text.len(), moment);
        let last = moment == Moment::End;
        let result = decided.then_some(Ok(Scores::ZERO));
        self.windows.push_back(Pending { id, lane: index, span, seen, last, measured, findings, result });
        id
    }

    /// Takes the results that have come, in the order of the windows: the outcome does not depend on which was scored first.
    pub(super) fn apply(&mut self) {
        while !self.done && self.windows.front().is_some_and(|window| window.result.is_some()) {
            let Some(window) = self.windows.pop_front() else { return };
            self.weigh(&window);
            self.judged = window.id;
        }
    }

    fn weigh(&mut self, window: &Pending) {
        let mut scores = match &window.result {
            Some(Ok(scores)) => *scores,
            Some(Err(reason)) => {
                self.let_out(false);
                if !self.let_through(*reason) {
                    return;
                }
                Scores::ZERO
            }
            None => return,
        };
        for (finding, source) in &window.findings {
            scores.raise(finding.label, finding.score, *source);
        }
        let signals = if window.measured { self.measured(window) } else { Signals::default() };
        self.worst.scores.merge(&scores);
        self.worst.signals.merge(&signals);
        let lane = &self.lanes[window.lane];
        let evidence = Evidence {
            scores: &scores,
            signals: &signals,
            channel: lane.lane.channel,
            text: &lane.text[..window.span.end],
            seen: window.seen,
            last: window.last,
            exchange: &self.plan.exchange,
            session: &self.plan.session,
        };
        let Some(hit) = self.plan.policy.judge(&evidence) else { return };
        if hit.undecided && !self.unscored.contains(&Unscored::Error) {
            self.unscored.push(Unscored::Error);
        }
        if hit.action == Action::Allow {
            return;
        }
        // What earlier windows cleared leaves first: what the client has does not depend on how many results came at once.
        self.let_out(false);
        let lane = &self.lanes[window.lane];
        let finding = window.findings.iter().map(|(finding, _)| finding).find(|finding| hit.labels.contains(&finding.label));
        let bytes = hit
            .span
            .clone()
            .or_else(|| finding.map(|finding| finding.span.clone()))
            .unwrap_or_else(|| window.seen.max(window.span.start)..window.span.end);
        let span = Span { lane: lane.lane, bytes };
        let evidence = finding.map(|finding| finding.evidence.clone());
        self.take(hit, span, evidence);
    }

    /// The signals of the text up to a window's end.
    fn measured(&mut self, window: &Pending) -> Signals {
        let lane = &self.lanes[window.lane];
        let begin = || self.plan.detectors.gauges.iter().map(|gauge| gauge.clone().begin(self.plan.exchange.user.as_ref()));
        let measures = self.measures.get_or_insert_with(|| begin().collect());
        let mut signals = Signals::default();
        for measure in measures {
            signals.merge(&measure.measure(window.lane, lane.lane.channel, &lane.text[..window.span.end]));
        }
        signals
    }

    /// A rule fired.
    fn take(&mut self, hit: Hit, span: Span, evidence: Option<String>) {
        let rule = &self.plan.policy.rules[hit.rule];
        let now = self.delivery != Delivery::Whole;
        let action = if now { self.settle(hit.action, hit.rule) } else { hit.action };
        let so_far = match self.worst.cause {
            Cause::Rule(rule) => self.plan.policy.severity(self.worst.action, rule),
            Cause::Clean | Cause::Unscored(_) | Cause::Circuit => (self.worst.action, self.worst.action),
        };
        if self.plan.policy.severity(action, hit.rule) > so_far || self.worst.cause == Cause::Clean {
            self.worst = Verdict {
                action,
                cause: Cause::Rule(hit.rule),
                rule: Some(rule.name.clone()),
                labels: hit.labels,
                span: Some(span),
                evidence,
                ..self.worst.clone()
            };
        }
        let decided = match action {
            Action::Block => true,
            Action::Retry => now,
            Action::Allow | Action::Flag | Action::Reanchor => false,
        };
        if decided {
            self.cut();
        }
    }

    /// What an action comes to here: a retry that is no longer possible becomes what its rule says.
    fn settle(&self, action: Action, rule: usize) -> Action {
        if action != Action::Retry || self.shadow() {
            return action;
        }
        let Some(retry) = self.plan.policy.rules[rule].retry.as_ref() else { return Action::Block };
        let possible = self.plan.gate.as_ref().is_some_and(|gate| gate.may_retry(retry, self.committed));
        if possible { Action::Retry } else { retry.then }
    }

    /// Ends the answer, unless the policy only watches.
    fn cut(&mut self) {
        if self.shadow() || self.done {
            return;
        }
        self.done = true;
        self.steps.retain(|step| matches!(step, Step::Release { .. }));
        self.queue.clear();
        self.windows.clear();
        self.steps.push_back(Step::Cut(Box::new(self.worst.clone())));
    }

    /// Whether an answer of which nothing has left is withheld if this window is not scored.
    pub(super) fn is_lost_without(&self, id: u64, reason: Unscored) -> bool {
        let blocks = self.plan.policy.on_unscored(reason).0 == Fallback::Block;
        blocks
            && !self.committed
            && !self.done
            && !self.shadow()
            && self.windows.binary_search_by_key(&id, |window| window.id).is_ok()
    }

    /// Text could not be judged: notes why, and asks the policy. `false`: the answer has been cut.
    pub(super) fn let_through(&mut self, reason: Unscored) -> bool {
        if !self.unscored.contains(&reason) {
            self.unscored.push(reason);
        }
        let (fallback, rule) = self.plan.policy.on_unscored(reason);
        if fallback == Fallback::Allow || self.shadow() {
            return true;
        }
        self.worst = Verdict {
            action: Action::Block,
            cause: Cause::Unscored(reason),
            rule: Some(rule.into()),
            labels: Vec::new(),
            span: None,
            evidence: None,
            ..self.worst.clone()
        };
        self.cut();
        false
    }

    /// The bytes from here on cannot be framed.
    pub(super) fn unframed(&mut self, error: FrameError, rest: Vec<Bytes>) {
        let reason = match error {
            FrameError::TooLarge(_) => Unscored::TooLarge,
            FrameError::Malformed(what) => {
                self.unread.get_or_insert(what);
                Unscored::Unreadable
            }
        };
        self.unreadable(reason, rest);
    }

    /// The bytes from here on cannot be understood: where the policy lets them through they leave in their turn, unjudged and counted.
    pub(super) fn unreadable(&mut self, reason: Unscored, rest: Vec<Bytes>) {
        if self.let_through(reason) {
            self.blind = true;
            self.prefix_open = true;
            if self.delivery == Delivery::Undecided {
                self.delivery = Delivery::Windows;
            }
            self.cut_windows(true);
            self.apply();
            if !self.done {
                rest.into_iter().for_each(|bytes| self.hold(Held::opaque(bytes)));
            }
        }
    }

    /// Reads no further where what is kept of an answer for as long as it lasts (its text, its blocks) has outgrown the limit: a stream
    /// need not end.
    pub(super) fn bound(&mut self, framer: &mut Framer) {
        let blocks = self.progress.kept() > BLOCKS || self.progress.open.len() > MAX_LANES;
        if !self.done && !self.blind && (self.lanes.text_bytes() > self.plan.held_limit || blocks) {
            self.unreadable(Unscored::TooLarge, framer.rest());
        }
    }

    /// More is held than the limit allows.
    pub(super) fn over_limit(&mut self) {
        match self.delivery {
            Delivery::Windows => {
                // A forced window, never a release; the caller waits for its verdict ([`Inspector::full`]).
                self.prefix_open = true;
                self.cut_windows(false);
                self.apply();
            }
            Delivery::Whole | Delivery::Undecided => {
                let rest = self.framer.take().map_or_else(Vec::new, |mut framer| framer.rest());
                self.unreadable(Unscored::TooLarge, rest);
            }
            Delivery::AtOnce => {}
        }
    }

    /// Releases what may leave, and ends the answer when all has left.
    pub(super) fn release(&mut self) {
        self.let_out(self.finished && self.windows.is_empty());
    }

    /// Releases what the windows judged so far clear. `over`: they are all there will be.
    fn let_out(&mut self, over: bool) {
        if self.done {
            return;
        }
        if over && self.delivery == Delivery::Whole && !self.shadow() && self.worst.action >= Action::Retry {
            if let Cause::Rule(rule) = self.worst.cause {
                self.worst.action = self.settle(self.worst.action, rule);
            }
            if self.worst.action >= Action::Retry {
                return self.cut();
            }
        }
        let open = match self.delivery {
            Delivery::AtOnce => true,
            Delivery::Windows => self.committed || self.prefix_open || over || self.judged > 0,
            Delivery::Whole => over || self.blind,
            Delivery::Undecided => false,
        };
        if open {
            if self.delivery == Delivery::AtOnce || over {
                self.queue.cover(|_| Some(0));
            } else {
                // Events without text need no window.
                self.queue.cover(|_| None);
            }
            let (progress, lanes) = (&mut self.progress, &mut self.lanes);
            let taken = self.queue.take(self.judged, |held| {
                held.marks.iter().for_each(|mark| progress.apply(mark));
                held.ends.iter().for_each(|end| lanes[end.lane].release(end));
            });
            if let Some((bytes, text)) = taken {
                self.committed = true;
                self.unended = match self.framing {
                    Some(Framing::Sse) if ![&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| bytes.ends_with(end)) => "\n\n",
                    Some(Framing::Ndjson) if !bytes.ends_with(b"\n") => "\n",
                    _ => "",
                };
                self.steps.push_back(Step::Release { bytes, text });
            }
        }
        if over && self.queue.is_empty() {
            self.done = true;
            self.steps.push_back(Step::End(Box::new(self.worst.clone())));
        }
    }
}

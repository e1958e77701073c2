//! One stream of answers (a route's, to one model, as one persona): its chart of flagged answers and where they come from.

use std::time::SystemTime;

use super::Found;
use super::origin::Origin;
use super::shift::Shifts;
use crate::drift::RateCusum;
use crate::guard::events::Outcome;
use crate::text::Str;

/// The rate of flagged answers that is usual, and the one to be found fast, where a stream has not shown another.
pub(super) const USUAL: f64 = 0.0005;
const BAD: f64 = 0.02;
/// Answers for one false alarm on average.
const ANSWERS_PER_ALARM: f64 = 1e6;
/// Answers after which a stream's own usual rate is learned anew.
const BLOCK: u64 = 2000;
/// Answers in a row under the same system prompt that make it the stream's.
const PROMPTS: u32 = 5;

/// A chart and its limit for a usual rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chart {
    chart: RateCusum,
    usual: f64,
    limit: f64,
}

impl Chart {
    fn of(usual: f64) -> Option<Self> {
        let chart = RateCusum::new(usual, (4.0 * usual).clamp(BAD, 0.9))?;
        Some(Chart { chart, usual, limit: chart.limit_for(ANSWERS_PER_ALARM) })
    }

    /// For a stream that has not shown a rate of its own.
    pub(super) fn usual() -> Option<Self> {
        Chart::of(USUAL)
    }
}

/// A change that was found.
pub(super) struct Change {
    pub(super) found: Found,
    /// Answers since it.
    pub(super) answers: u64,
    pub(super) since: SystemTime,
    pub(super) first: Str,
}

/// One stream of answers.
#[derive(Debug)]
pub(super) struct Stream {
    chart: Chart,
    pub(super) sum: f64,
    /// Since the sum was last 0.
    answers: u64,
    flagged: u64,
    since: SystemTime,
    first: Option<Str>,
    alarmed: bool,
    /// What answers.
    pub(super) origin: Origin,
    /// Under which system prompt.
    pub(super) prompt: Origin,
    /// Of the block that is being learned from.
    block: (u64, u64),
    shifts: Option<Shifts>,
}

impl Stream {
    pub(super) fn new(chart: Chart, shifts: Option<Shifts>) -> Self {
        Stream {
            chart,
            sum: 0.0,
            answers: 0,
            flagged: 0,
            since: SystemTime::UNIX_EPOCH,
            first: None,
            alarmed: false,
            origin: Origin::new(1),
            prompt: Origin::new(PROMPTS),
            block: (0, 0),
            shifts,
        }
    }

    /// Takes in an answer; returns what it shows.
    pub(super) fn take(&mut self, outcome: &Outcome, flagged: bool, now: SystemTime) -> Vec<Change> {
        let request = &outcome.subject.request_id;
        let facts = &outcome.facts;
        let origin: Vec<&str> = facts.model.as_deref().into_iter().chain(facts.fingerprint.as_deref()).collect();
        self.origin.see((!origin.is_empty()).then(|| origin.join(" ")));
        self.prompt.see(outcome.subject.prompt.map(|hash| format!("{hash:016x}")));
        let mut found = Vec::new();
        if self.count(flagged, request, now) {
            found.push(Change {
                found: Found::Rate { flagged: self.flagged, usual: self.chart.usual },
                answers: self.answers,
                since: self.since,
                first: self.first.clone().unwrap_or_else(|| request.clone()),
            });
        }
        if let (Some(shifts), Some(verdict)) = (&mut self.shifts, &outcome.verdict)
            && let Some((shift, since, first)) = shifts.take(verdict, request, now)
        {
            found.push(Change { answers: shift.moved.ago as u64, found: Found::Shift(shift), since, first });
        }
        found
    }

    /// Counts an answer in the chart; whether the alarm is raised by it.
    fn count(&mut self, flagged: bool, request: &Str, now: SystemTime) -> bool {
        if self.sum == 0.0 {
            // Whatever changed, changed from here on.
            (self.answers, self.flagged, self.since, self.first, self.alarmed) = (0, 0, now, None, false);
        }
        self.answers += 1;
        if flagged {
            self.flagged += 1;
            self.first.get_or_insert_with(|| request.clone());
        }
        let Chart { chart, limit, .. } = self.chart;
        // A chart that has alarmed is kept near its limit, so that good answers bring it down in as many as the bad ones took.
        self.sum = chart.next(self.sum, flagged).min(limit * 1.5);
        self.learn(flagged);
        let raised = self.sum >= limit && !self.alarmed;
        self.alarmed |= raised;
        raised
    }

    /// What was added up says nothing of what answers now.
    pub(super) fn begin_anew(&mut self) {
        self.sum = 0.0;
    }

    /// Whether distributions were compared with the last answer.
    pub(super) fn compared(&self) -> bool {
        self.shifts.as_ref().is_some_and(Shifts::compared)
    }

    /// How far each distribution has moved, where it has been compared.
    pub(super) fn indices(&self) -> Vec<(&'static str, f64)> {
        self.shifts.iter().flat_map(Shifts::indices).collect()
    }

    /// How far one has.
    pub(super) fn index(&self, quantity: &str) -> Option<f64> {
        self.shifts.iter().flat_map(Shifts::indices).find(|(name, _)| *name == quantity).map(|(_, index)| index)
    }

    /// A route whose policy flags one answer in a hundred has another usual rate than the default; it is learned from whole blocks without
    /// an alarm, and only ever within what was seen to be quiet.
    fn learn(&mut self, flagged: bool) {
        self.block.0 += 1;
        self.block.1 += u64::from(flagged);
        if self.block.0 < BLOCK {
            return;
        }
        let (answers, bad) = std::mem::take(&mut self.block);
        if self.alarmed || self.sum > self.chart.limit / 2.0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of answers")]
        let rate = (bad as f64 / answers as f64).max(USUAL);
        // Charts are made for rates in steps of a half more: a limit takes some milliseconds to find.
        let usual = 0.5 * (self.chart.usual + rate);
        if (usual / self.chart.usual).ln().abs() > 0.4
            && let Some(chart) = Chart::of(usual)
        {
            self.chart = chart;
        }
    }
}

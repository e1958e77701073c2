//! One rule: conditions that must all hold, and an action. Knows nothing of files.

use std::ops::Range;

use super::disguised::Readings;
use super::expression::{Expression, Undecided};
use super::patterns::Pattern;
use super::{Evidence, Measures, Retry};
use crate::score::{Label, Score, Scores};
use crate::text::{Channel, Str};
use crate::verdict::Action;

/// What a rule-based detector's score must reach under `at_least = "calibrated"`. A classifier's threshold is a place on that model's
/// own scale and says nothing of detectors; they score 0.9 and more where they would stake a verdict.
pub const DETECTED: f32 = 0.9;

/// Labels with a rule-based detector, so that they are judged without a classifier too.
pub(super) const DETECTED_LABELS: [Label; 2] = [Label::IdentitySwap, Label::BaseModelRegression];

/// From which score on a label counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// For the classifier's scores.
    pub model: Score,
    /// For the rule-based detectors' scores.
    pub detector: Score,
}

impl Threshold {
    /// The same for both.
    #[must_use]
    pub fn both(score: Score) -> Self {
        Threshold { model: score, detector: score }
    }

    fn reached(self, scores: &Scores, label: Label) -> bool {
        scores.model(label) >= self.model || scores.detected(label) >= self.detector
    }
}

/// One rule. Conditions that are absent hold; all that are there must.
#[derive(Debug)]
pub struct Rule {
    /// Its name: printable ASCII without quotes and backslashes, for it goes into headers and metrics.
    pub name: Str,
    /// What is done.
    pub action: Action,
    /// How, if the action is retry.
    pub retry: Option<Retry>,
    /// What is done about the conversation, if the action is reanchor.
    pub measures: Option<Measures>,
    /// The model that is asked instead, if that is one of them.
    pub model: Option<Str>,
    /// The channels it looks at; empty: all.
    pub channels: Vec<Channel>,
    /// Holds if any of these labels reaches its threshold.
    pub labels: Vec<(Label, Threshold)>,
    /// Holds if this signal reaches this score.
    pub signal: Option<(&'static str, Score)>,
    /// Holds if any of these matches.
    pub patterns: Vec<Pattern>,
    /// Whether they look at the text as it is written only, and not at what it reads as.
    pub as_written: bool,
    /// Holds if this is true.
    pub when: Option<Expression>,
}

/// How a rule fired.
#[derive(Debug)]
pub(super) struct Fired {
    /// Bytes of the text that a pattern matched.
    pub span: Option<Range<usize>>,
    /// Its `when` had no value, so nobody knows whether it should have.
    pub undecided: bool,
}

impl Rule {
    /// Whether all conditions hold; the cheap ones are asked first. Allocates nothing, `when` and disguised words aside.
    pub(super) fn fires(&self, evidence: &Evidence<'_>, reads: &Readings<'_>) -> Option<Fired> {
        if !self.channels.is_empty() && !self.channels.contains(&evidence.channel) {
            return None;
        }
        if !self.labels.is_empty() && self.labels_over(evidence).next().is_none() {
            return None;
        }
        if let Some((name, at_least)) = self.signal {
            evidence.signals.get(name).filter(|score| *score >= at_least)?;
        }
        let span = if self.patterns.is_empty() { None } else { Some(self.matched(evidence, reads)?) };
        let undecided = match self.when.as_ref().map(|when| when.holds(evidence)) {
            None | Some(Ok(true)) => false,
            Some(Ok(false)) => return None,
            Some(Err(Undecided)) => true,
        };
        Some(Fired { span, undecided })
    }

    /// Whether all that it asks is known before there is an answer.
    #[must_use]
    pub fn is_about_the_conversation(&self) -> bool {
        let of_answer =
            !self.labels.is_empty() || self.signal.is_some() || !self.patterns.is_empty() || !self.channels.is_empty();
        !of_answer && self.when.as_ref().is_some_and(|when| !when.asks_about_the_answer())
    }

    /// The rule's labels that reach their thresholds.
    pub(super) fn labels_over<'a>(&'a self, evidence: &'a Evidence<'_>) -> impl Iterator<Item = Label> + 'a {
        let scores = evidence.scores;
        let over = |(label, threshold): &&(Label, Threshold)| threshold.reached(scores, *label);
        self.labels.iter().filter(over).map(|(label, _)| *label)
    }

    /// A rule of patterns alone fires once for a match. With other conditions it must not matter in which window the match and in which
    /// the score came, so the match may be a while back. What the text reads as is looked at where what is written has no match.
    fn matched(&self, evidence: &Evidence<'_>, reads: &Readings<'_>) -> Option<Range<usize>> {
        let Evidence { text, seen, last, .. } = *evidence;
        let alone = self.labels.is_empty() && self.signal.is_none() && self.when.is_none();
        self.patterns.iter().find_map(|pattern| {
            let written = if alone { pattern.find_new(text, seen, last) } else { pattern.find_recent(text, seen, last) };
            match written {
                None if self.as_written => None,
                None if alone => reads.find(pattern, last),
                None => reads.find_recent(pattern, last),
                found => found,
            }
        })
    }
}

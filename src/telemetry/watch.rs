//! How the guard's events become metrics. A block is a verdict and never an error; what was let through unscored is
//! `unscored_total` and never an allow; an answer that broke off is neither.

use std::time::Duration;

use super::metrics::{ASKED, CIRCUIT_WAYS, Metrics, RouteMetrics};
use crate::guard::Way;
use crate::guard::events::{Observe, Outcome, RetryOutcome, Subject};
use crate::infer::Scored;
use crate::policy::Mode;
use crate::rows::RowVerdict;
use crate::verdict::{Cause, Verdict};

impl Observe for Metrics {
    fn on_window(&self, _: &Subject, scored: &Scored) {
        self.window(scored.stage, scored.cached, scored.computed);
    }

    fn on_hold(&self, subject: &Subject, held: Duration) {
        self.route(&subject.route).hold.observe(held.as_secs_f64());
    }

    fn on_retry(&self, subject: &Subject, outcome: RetryOutcome) {
        self.route(&subject.route).retry(outcome).inc();
    }

    fn on_end(&self, outcome: &Outcome) {
        let subject = &outcome.subject;
        let route = self.route(&subject.route);
        self.request(&route, subject.api, outcome.status);
        for attempt in &outcome.retried {
            self.judged(&route, subject, &attempt.verdict);
        }
        if let Some(verdict) = final_verdict(outcome) {
            self.judged(&route, subject, verdict);
        }
        for reason in &outcome.unscored {
            route.unscored(*reason).inc();
        }
        if let Some(after) = outcome.session.and_then(|session| session.after) {
            self.session_drift(&subject.route, after.drift());
        }
        if let Some(steered) = &outcome.steered {
            self.measured(&subject.route, steered.wished, steered.taken);
        }
        if let Some(way) = detour(outcome) {
            self.detoured(&route, way);
        }
        if let Some(first) = outcome.first_text {
            route.first_text.observe(first.as_secs_f64());
        }
        if outcome.ending.whole() && outcome.verdict.is_some() {
            self.guarded(&route, subject.api, outcome.guard);
        }
    }
}

impl Metrics {
    /// A verdict that another gateway asked for, over the admin port, and acts on itself. `action`: a verdict's, or `unscored` where the
    /// text could not be judged and the policy lets that through. Counted under the route [`ASKED`]: the exchange is not ours.
    pub fn asked(&self, policy: &str, mode: Mode, verdict: &RowVerdict) {
        let route = self.route(ASKED);
        if verdict.action != "unscored" {
            let rule = verdict.rule.as_deref().unwrap_or("");
            self.verdicts.with_label_values(&[&*route.name, policy, rule, verdict.action, mode_name(mode)]).inc();
        }
        for reason in &verdict.unscored {
            self.count_unscored(&route, reason);
        }
        for label in &verdict.fired {
            route.label_hits[label.index()].inc();
        }
    }

    fn judged(&self, route: &RouteMetrics, subject: &Subject, verdict: &Verdict) {
        let rule = verdict.rule.as_deref().unwrap_or("");
        let mode = mode_name(subject.mode);
        self.verdicts.with_label_values(&[&*route.name, &subject.policy, rule, verdict.action.as_str(), mode]).inc();
        if !matches!(verdict.cause, Cause::Unscored(_)) {
            self.answer(route, subject.persona.as_deref(), subject.model.as_deref(), verdict.action);
        }
        for label in &verdict.labels {
            route.label_hits[label.index()].inc();
        }
        for (label, score, _) in verdict.scores.iter() {
            self.score(label, score.get());
        }
    }
}

/// What an exchange got because the route's circuit was not closed. In shadow mode nothing but the look at what comes of it.
fn detour(outcome: &Outcome) -> Option<&'static str> {
    let [probe, fallback, block] = CIRCUIT_WAYS;
    match outcome.passage.as_ref()?.way {
        Way::Own => None,
        Way::Probe => Some(probe),
        Way::Away if outcome.spare => Some(fallback),
        Way::Away => outcome.verdict.as_ref().filter(|verdict| verdict.cause == Cause::Circuit).map(|_| block),
    }
}

/// The verdict to count: none where the model was not asked (its circuit is open), none for what was let through unscored, and none for a clean answer that did not come to its end.
fn final_verdict(outcome: &Outcome) -> Option<&Verdict> {
    let verdict = outcome.decided().filter(|verdict| verdict.cause != Cause::Circuit)?;
    (!verdict.is_clean() || outcome.unscored.is_empty()).then_some(verdict)
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::events::{Attempt, Ending};
    use crate::telemetry::{Format, samples};
    use crate::verdict::{Action, Unscored};

    /// The samples of a family that are not zero, without its name.
    fn samples_of(metrics: &Metrics, family: &str) -> Vec<String> {
        let page = metrics.page(Format::Text);
        let lines = page.lines().filter_map(|line| line.strip_prefix(&format!("steadfast_{family}")));
        lines.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
    }

    #[test]
    fn a_block_is_a_verdict_and_a_fail_open_is_none() {
        let metrics = Metrics::new();
        metrics.on_end(&samples::blocked("x", "y"));
        let mut open = samples::allowed();
        open.unscored = vec![Unscored::Overload];
        metrics.on_end(&open);
        metrics.on_end(&samples::allowed());
        assert_eq!(
            samples_of(&metrics, "verdicts_total"),
            [
                r#"{action="allow",mode="enforce",policy="default",route="/",rule=""} 1"#,
                r#"{action="block",mode="enforce",policy="default",route="/",rule="hateful persona"} 1"#,
            ]
        );
        assert_eq!(
            samples_of(&metrics, "answers_total"),
            [
                r#"{action="allow",model="gpt-5",persona="Aria",route="/"} 1"#,
                r#"{action="block",model="gpt-5",persona="Aria",route="/"} 1"#,
            ]
        );
        assert_eq!(samples_of(&metrics, "unscored_total"), [r#"{reason="overload",route="/"} 1"#]);
        assert_eq!(samples_of(&metrics, "label_hits_total"), [r#"{label="hate",route="/"} 1"#]);
        assert_eq!(samples_of(&metrics, "requests_total"), [r#"{api="openai-chat",code="200",route="/"} 3"#]);
        assert_eq!(samples_of(&metrics, "guard_duration_seconds_count"), [r#"{api="openai-chat",route="/"} 3"#]);
    }

    #[test]
    fn a_fail_closed_is_a_block_by_the_outage_and_counted_as_unscored_too() {
        let metrics = Metrics::new();
        let mut closed = samples::blocked("x", "y");
        let verdict = closed.verdict.as_mut().unwrap();
        (verdict.cause, verdict.rule, verdict.labels) = (Cause::Unscored(Unscored::Error), Some("on_error".into()), Vec::new());
        closed.unscored = vec![Unscored::Error];
        metrics.on_end(&closed);
        assert_eq!(
            samples_of(&metrics, "verdicts_total"),
            [r#"{action="block",mode="enforce",policy="default",route="/",rule="on_error"} 1"#]
        );
        assert_eq!(samples_of(&metrics, "unscored_total"), [r#"{reason="error",route="/"} 1"#]);
        assert!(samples_of(&metrics, "label_hits_total").is_empty());
        assert!(samples_of(&metrics, "answers_total").is_empty(), "nobody knows what it said");
    }

    #[test]
    fn what_broke_off_clean_is_no_allow_and_adds_no_duration() {
        let metrics = Metrics::new();
        for ending in [Ending::ClientLeft, Ending::UpstreamBroke, Ending::GatewayStopped] {
            metrics.on_end(&Outcome { ending, ..samples::allowed() });
        }
        assert!(samples_of(&metrics, "verdicts_total").is_empty());
        assert!(samples_of(&metrics, "guard_duration_seconds_count").is_empty());
        let left = Outcome { ending: Ending::ClientLeft, ..samples::blocked("x", "y") };
        metrics.on_end(&left);
        assert_eq!(samples_of(&metrics, "verdicts_total").len(), 1, "a block counts however the client took it");
    }

    #[test]
    fn the_drift_after_a_turn_is_observed() {
        use crate::guard::events::SessionTurn;
        use crate::policy::SessionFacts;
        use crate::session::State;
        let metrics = Metrics::new();
        let before = SessionFacts::default();
        let after = Some(State::drifting(4.5));
        metrics.on_end(&Outcome { session: Some(SessionTurn { before, after }), ..samples::allowed() });
        metrics.on_end(&Outcome { session: Some(SessionTurn { before, after: None }), ..samples::allowed() });
        assert_eq!(samples_of(&metrics, "session_drift_sum"), [r#"{route="/"} 4.5"#]);
        assert_eq!(samples_of(&metrics, "session_drift_count"), [r#"{route="/"} 1"#]);
    }

    #[test]
    fn retried_attempts_are_verdicts_of_their_own() {
        let metrics = Metrics::new();
        let mut outcome = samples::allowed();
        let mut bad = samples::blocked("x", "y");
        let mut verdict = bad.verdict.take().unwrap();
        verdict.action = Action::Retry;
        outcome.retried = vec![Attempt { verdict, excerpt: bad.excerpt, changed: "the reminder was added".into() }];
        metrics.on_retry(&outcome.subject, RetryOutcome::Attempted);
        metrics.on_retry(&outcome.subject, RetryOutcome::Recovered);
        metrics.on_end(&outcome);
        assert_eq!(
            samples_of(&metrics, "verdicts_total"),
            [
                r#"{action="allow",mode="enforce",policy="default",route="/",rule=""} 1"#,
                r#"{action="retry",mode="enforce",policy="default",route="/",rule="hateful persona"} 1"#,
            ]
        );
        assert_eq!(
            samples_of(&metrics, "retries_total"),
            [r#"{outcome="attempted",route="/"} 1"#, r#"{outcome="recovered",route="/"} 1"#,]
        );
    }
}

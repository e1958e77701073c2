//! What is kept of a verdict: one incident, in the words of the API. Made from the guard's account of an exchange; how much of the
//! answer's text it holds is the operator's choice. Knows no database.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::quote::{EVIDENCE, KeepText, Quote, cut, evidence, quote};
use super::time::{rfc3339, unix_ms};
use crate::guard::events::{Attempt, Outcome, Steered};
use crate::guard::{Change, Phase};
use crate::policy::Mode;
use crate::score::{Scores, Source};
use crate::telemetry::fleet::Alarm;
use crate::text::Span;
use crate::verdict::{Action, Cause, Verdict};

/// Bytes kept of a whole answer.
const FULL: usize = 1 << 20;
/// Bytes kept of a name that the client chose (model, session).
const NAME: usize = 256;

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// A ULID: incidents sort by time.
    pub id: String,
    /// When the exchange ended, RFC 3339.
    pub time: String,
    /// `fleet` where it is a route that moved as a whole, `circuit` where its circuit opened or closed, and not one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The gateway's id of the request, as in headers and logs.
    pub request_id: String,
    /// The route.
    pub route: String,
    /// The policy.
    pub policy: String,
    /// The rule that decided.
    pub rule: String,
    /// `flag`, `reanchor`, `retry` or `block`. `reanchor`: the answer passed, and something was or will be done about its conversation
    /// (`measures`). `retry`: the last attempt was good, and those before are in `attempts`.
    pub action: String,
    /// `enforce` or `shadow`.
    pub mode: String,
    /// How the answer ended: `complete`, `refused`, `cut`, `client_left`, `upstream_broke`, `gateway_stopped`.
    pub ending: String,
    /// The status sent to the client.
    pub status: u16,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// The wire format.
    pub api: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// The persona.
    pub persona: Option<String>,
    /// The conversation's name, where one is known: a hash.
    pub session: Option<String>,
    /// Its drift before and after this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What was done about the conversation before this answer was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Measured>,
    /// Every label, the highest first.
    pub labels: Vec<LabelScore>,
    /// Scores that are no labels, where they were measured.
    pub signals: BTreeMap<String, f32>,
    /// Where in the answer.
    pub span: Option<Place>,
    /// A detector's explanation.
    pub evidence: Option<String>,
    /// The text there.
    pub excerpt: Option<Quote>,
    /// The whole text, where all of it is kept.
    pub text: Option<String>,
    /// Attempts that were judged and not used, oldest first.
    pub attempts: Vec<Tried>,
    /// Upstream calls made.
    pub upstream_calls: u32,
    /// What answered.
    pub upstream: Fingerprint,
    /// Milliseconds from the request to the end of its answer.
    pub total_ms: u64,
    /// Milliseconds that the guard added.
    pub guard_ms: f64,
    /// What a person said of the verdict.
    pub review: Option<Review>,
}

/// A conversation's drift, in standard deviations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Before the answer, as the rules saw it.
    pub before: f64,
    /// After it.
    pub after: f64,
    /// Judged turns, this one included.
    pub turns: u64,
    /// The first turn of those that added up; `None`: there is no drift.
    pub since: Option<u64>,
}

/// What was done about a conversation that drifts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The rule that asked for it.
    pub rule: String,
    /// What was added to or changed in the request, in words.
    pub changed: String,
    /// What could not be done, and why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed: String,
}

/// A label's score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// Its probability.
    pub score: f32,
    /// Whose it is: `model`, `degeneration`, `identity`; `none` where nothing raised it. Without a classifier that is every label but the
    /// detectors'.
    pub source: String,
    /// Whether it fired the rule.
    pub fired: bool,
}

/// A stretch of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The answer's index in the response.
    pub candidate: u32,
    /// `answer`, `refusal`, `reasoning`, `tool_call`.
    pub channel: String,
    /// The tool call's index.
    pub call: u32,
    /// First byte of the text.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// An attempt that was judged and not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The rule that rejected it.
    pub rule: String,
    /// The labels that fired.
    pub labels: Vec<LabelScore>,
    /// Where in its answer.
    pub span: Option<Place>,
    /// A detector's explanation.
    pub evidence: Option<String>,
    /// The text there.
    pub excerpt: Option<Quote>,
    /// What the next attempt added to or changed in the request.
    pub changed: String,
}

/// What an answer says of its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The answer's id.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// `system_fingerprint`.
    pub fingerprint: Option<String>,
}

/// A person's word on a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Whether the verdict was right.
    pub correct: bool,
    /// When it was said, RFC 3339.
    pub time: String,
}

impl Incident {
    /// The incident that an exchange is, if it is one: a rule of the policy flagged, retried or blocked an answer, or something was done
    /// about its conversation beforehand. What could not be
    /// scored is an outage, not an incident; it is in metrics and logs.
    #[must_use]
    pub fn of(outcome: &Outcome, keep: KeepText, now: SystemTime) -> Option<Incident> {
        let last =
            outcome.verdict.as_ref().filter(|verdict| verdict.action > Action::Allow && matches!(verdict.cause, Cause::Rule(_)));
        let measured;
        let (verdict, excerpt) = match (last, outcome.retried.last(), &outcome.steered) {
            (Some(verdict), _, _) => (verdict, &outcome.excerpt),
            (None, Some(attempt), _) => (&attempt.verdict, &attempt.excerpt),
            (None, None, Some(steered)) => {
                let verdict = outcome.verdict.clone().filter(|verdict| verdict.action == Action::Allow)?;
                measured = Verdict { action: Action::Reanchor, rule: Some(steered.rule.clone()), ..verdict };
                (&measured, &outcome.excerpt)
            }
            (None, None, None) => return None,
        };
        let subject = &outcome.subject;
        let name = |text: &str| cut(text, NAME);
        Some(Incident {
            id: Ulid::from_datetime(now).to_string(),
            time: rfc3339(unix_ms(now)),
            kind: None,
            request_id: subject.request_id.to_string(),
            route: subject.route.to_string(),
            policy: subject.policy.to_string(),
            rule: rule(verdict),
            action: verdict.action.as_str().to_owned(),
            mode: mode(subject.mode),
            ending: outcome.ending.as_str().to_owned(),
            status: outcome.status,
            stream: outcome.streamed,
            api: subject.api.map(|api| api.as_str().to_owned()),
            model: subject.model.as_deref().map(name),
            persona: subject.persona.as_deref().map(str::to_owned),
            session: subject.session.as_deref().filter(|_| keep != KeepText::None).map(name),
            drift: drift(outcome),
            measures: outcome.steered.as_ref().map(taken),
            labels: labels(&verdict.scores, verdict, false),
            signals: crate::score::Signals::NAMES
                .iter()
                .filter_map(|name| verdict.signals.get(name).map(|score| ((*name).to_owned(), score.get())))
                .collect(),
            span: verdict.span.as_ref().map(place),
            evidence: evidence(verdict, keep),
            excerpt: quote(excerpt, keep),
            text: (keep == KeepText::Full && !excerpt.full.is_empty()).then(|| cut(&excerpt.full, FULL)),
            attempts: outcome.retried.iter().map(|attempt| tried(attempt, keep)).collect(),
            upstream_calls: outcome.attempts,
            upstream: Fingerprint {
                id: outcome.facts.id.as_deref().map(name),
                model: outcome.facts.model.as_deref().map(name),
                fingerprint: outcome.facts.fingerprint.as_deref().map(name),
            },
            total_ms: u64::try_from(outcome.total.as_millis()).unwrap_or(u64::MAX),
            guard_ms: (outcome.guard.as_secs_f64() * 10_000.0).round() / 10.0,
            review: None,
        })
    }

    /// The incident of a route that collapses as a whole. It names the first request of the change, and quotes no answer.
    #[must_use]
    pub fn of_fleet(alarm: &Alarm, now: SystemTime) -> Incident {
        let name = |text: &str| cut(text, NAME);
        Incident {
            model: alarm.model.as_deref().map(name),
            persona: alarm.persona.as_deref().map(str::to_owned),
            evidence: Some(cut(&format!("{}; since {}", alarm.sentence(), rfc3339(unix_ms(alarm.since))), EVIDENCE)),
            upstream: Fingerprint { id: None, model: alarm.after.as_deref().map(name), fingerprint: None },
            ..Incident::of_route("fleet", alarm.rule(), (&alarm.route, &alarm.policy, alarm.mode), &alarm.first, now)
        }
    }

    /// The incident of a route's circuit that has opened or closed; `None` for the steps between.
    #[must_use]
    pub fn of_circuit(change: &Change, now: SystemTime) -> Option<Incident> {
        let word = match change.phase {
            Phase::Closed => "closed",
            Phase::Open => "opened",
            Phase::HalfOpen => return None,
        };
        let route = (&*change.route, &*change.policy, change.mode);
        let evidence = Some(format!("the circuit has {word}: {}", change.why));
        Some(Incident { evidence, ..Incident::of_route("circuit", "circuit", route, &change.request, now) })
    }

    /// An incident about a route (its name, its policy's, and whether that acts), and not about one answer.
    fn of_route(kind: &str, rule: &str, (route, policy, acts): (&str, &str, Mode), request: &str, now: SystemTime) -> Incident {
        Incident {
            id: Ulid::from_datetime(now).to_string(),
            time: rfc3339(unix_ms(now)),
            kind: Some(kind.to_owned()),
            request_id: request.to_owned(),
            route: route.to_owned(),
            policy: policy.to_owned(),
            rule: rule.to_owned(),
            action: Action::Flag.as_str().to_owned(),
            mode: mode(acts),
            ending: String::new(),
            status: 0,
            stream: false,
            api: None,
            model: None,
            persona: None,
            session: None,
            drift: None,
            measures: None,
            labels: Vec::new(),
            signals: BTreeMap::new(),
            span: None,
            evidence: None,
            excerpt: None,
            text: None,
            attempts: Vec::new(),
            upstream_calls: 0,
            upstream: Fingerprint::default(),
            total_ms: 0,
            guard_ms: 0.0,
            review: None,
        }
    }

    /// The labels that fired, in the final answer or in an attempt: what `?label=` looks for.
    pub fn fired(&self) -> impl Iterator<Item = &LabelScore> {
        self.labels.iter().chain(self.attempts.iter().flat_map(|tried| &tried.labels)).filter(|label| label.fired)
    }
}

fn mode(mode: Mode) -> String {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    }
    .to_owned()
}

fn drift(outcome: &Outcome) -> Option<Drift> {
    // A conversation that could not be recalled has no drift before, and no number says so in JSON.
    let session = outcome.session.filter(|session| session.before.is_known())?;
    let after = session.after?;
    let round = |value: f64| (value * 100.0).round() / 100.0;
    Some(Drift {
        before: round(session.before.drift),
        after: round(after.drift()),
        turns: after.turns,
        since: (after.drift() > 0.0).then_some(after.calm + 1),
    })
}

fn taken(steered: &Steered) -> Measured {
    let Steered { rule, changed, failed, .. } = steered;
    Measured { rule: rule.to_string(), changed: cut(changed, FULL), failed: failed.clone() }
}

fn rule(verdict: &Verdict) -> String {
    verdict.rule.as_deref().unwrap_or_default().to_owned()
}

/// The scores by label, the highest first; `only_fired`: no others.
fn labels(scores: &Scores, verdict: &Verdict, only_fired: bool) -> Vec<LabelScore> {
    let mut labels: Vec<_> = scores
        .iter()
        .map(|(label, score, source)| LabelScore {
            label: label.as_str().to_owned(),
            score: score.get(),
            source: source.map_or("none", Source::as_str).to_owned(),
            fired: verdict.labels.contains(&label),
        })
        .filter(|label| label.fired || !only_fired)
        .collect();
    labels.sort_by(|a, b| b.fired.cmp(&a.fired).then(b.score.total_cmp(&a.score)));
    labels
}

fn place(span: &Span) -> Place {
    Place {
        candidate: span.lane.candidate,
        channel: span.lane.channel.as_str().to_owned(),
        call: span.lane.call,
        start: span.bytes.start,
        end: span.bytes.end,
    }
}

fn tried(attempt: &Attempt, keep: KeepText) -> Tried {
    Tried {
        rule: rule(&attempt.verdict),
        labels: labels(&attempt.verdict.scores, &attempt.verdict, true),
        span: attempt.verdict.span.as_ref().map(place),
        evidence: evidence(&attempt.verdict, keep),
        excerpt: quote(&attempt.excerpt, keep),
        changed: attempt.changed.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::quote::MATCHED;
    use crate::policy::Measures;
    use crate::score::{Label, Score};
    use crate::telemetry::samples;
    use crate::verdict::Unscored;

    fn of(outcome: &Outcome, keep: KeepText) -> Option<Incident> {
        Incident::of(outcome, keep, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn an_allow_and_an_outage_are_no_incidents() {
        assert_eq!(of(&samples::allowed(), KeepText::Full), None);
        let mut closed = samples::blocked("x", "y");
        closed.verdict.as_mut().unwrap().cause = Cause::Unscored(Unscored::Error);
        assert_eq!(of(&closed, KeepText::Full), None);
    }

    #[test]
    fn no_text_means_no_text_anywhere() {
        let mut outcome = samples::blocked("SECRET", "said \"SECRET\"");
        outcome.retried = vec![Attempt {
            verdict: outcome.verdict.clone().unwrap(),
            excerpt: outcome.excerpt.clone(),
            changed: "the reminder was added".into(),
        }];
        let json = |keep| serde_json::to_string(&of(&outcome, keep).unwrap()).unwrap();
        let none = json(KeepText::None);
        assert!(!none.contains("SECRET") && !none.contains("before") && !none.contains("user-1"), "{none}");
        assert!(none.contains("the reminder was added"), "what the gateway did itself stays: {none}");
        let excerpt = json(KeepText::Excerpt);
        assert!(excerpt.contains("SECRET") && !excerpt.contains("before SECRET after"), "{excerpt}");
        assert!(json(KeepText::Full).contains("before SECRET after"));
    }

    #[test]
    fn what_was_done_about_a_conversation_is_told_even_where_its_answer_was_good() {
        let steered = Steered {
            rule: "drifting".into(),
            wished: Measures::from_bits(5),
            taken: Measures::from_bits(1),
            changed: "reminder added: You are Aria.".into(),
            failed: "no fallback upstream: the route has none".into(),
        };
        let good = Outcome { steered: Some(steered.clone()), ..samples::allowed() };
        let incident = of(&good, KeepText::None).unwrap();
        assert_eq!((&*incident.action, &*incident.rule), ("reanchor", "drifting"));
        let measures = incident.measures.unwrap();
        assert!(measures.changed.ends_with("You are Aria.") && measures.failed.contains("none"), "{measures:?}");
        let bad = Outcome { steered: Some(steered), ..samples::blocked("x", "y") };
        let incident = of(&bad, KeepText::None).unwrap();
        assert_eq!((&*incident.action, &*incident.rule), ("block", "hateful persona"), "what came of the answer says more");
        assert!(incident.measures.is_some());
    }

    #[test]
    fn a_recovered_retry_tells_of_the_attempt_that_failed() {
        let mut outcome = samples::allowed();
        let mut bad = samples::blocked("x", "y");
        let mut verdict = bad.verdict.take().unwrap();
        verdict.action = Action::Retry;
        outcome.retried = vec![Attempt { verdict, excerpt: bad.excerpt, changed: "the reminder was added".into() }];
        let incident = of(&outcome, KeepText::Excerpt).unwrap();
        assert_eq!((&*incident.action, &*incident.ending, &*incident.rule), ("retry", "complete", "hateful persona"));
        assert_eq!(incident.excerpt.as_ref().unwrap().matched, "x");
        assert_eq!(incident.fired().map(|label| &*label.label).collect::<Vec<_>>(), ["hate", "hate"]);
        assert_eq!(
            (&*incident.labels[0].label, incident.labels[0].fired, &*incident.labels[1].label),
            ("hate", true, "hostility")
        );
    }

    #[test]
    fn labels_say_whose_score_they_are_and_that_nobody_gave_one() {
        let mut outcome = samples::blocked("x", "y");
        outcome.verdict.as_mut().unwrap().scores.raise(Label::IdentitySwap, Score::ONE, Source::Identity);
        let incident = of(&outcome, KeepText::None).unwrap();
        let source = |name: Label| &*incident.labels.iter().find(|label| label.label == name.as_str()).unwrap().source;
        assert_eq!((source(Label::Hate), source(Label::IdentitySwap), source(Label::Despair)), ("model", "identity", "none"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let outcome = samples::blocked(&"é".repeat(MATCHED), "y");
        let matched = of(&outcome, KeepText::Excerpt).unwrap().excerpt.unwrap().matched;
        assert!(matched.len() <= MATCHED + '…'.len_utf8() && matched.ends_with('…'));
    }
}

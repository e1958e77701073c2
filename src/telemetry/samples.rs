//! Outcomes for the tests of everything that watches the guard.

use std::time::{Duration, Instant};

use crate::dialect::{Api, Facts};
use crate::guard::events::{Ending, Excerpt, Outcome, Subject};
use crate::policy::Mode;
use crate::score::{Label, Score, Source};
use crate::text::{Channel, Lane, Span};
use crate::verdict::{Action, Cause, Verdict};

/// A clean answer.
pub fn allowed() -> Outcome {
    Outcome {
        subject: Subject {
            request_id: "01J00000000000000000000000".into(),
            path: "/v1/chat/completions".into(),
            route: "/".into(),
            policy: "default".into(),
            mode: Mode::Enforce,
            persona: Some("Aria".into()),
            api: Some(Api::OpenAiChat),
            model: Some("gpt-5".into()),
            prompt: Some(0xAB),
            session: Some("user-1".into()),
            traceparent: None,
        },
        streamed: false,
        status: 200,
        verdict: Some(Verdict::allow()),
        excerpt: Excerpt::default(),
        unscored: Vec::new(),
        unread: None,
        attempts: 1,
        retried: Vec::new(),
        facts: Facts { model: Some("gpt-5-0801".into()), fingerprint: Some("fp_1".into()), ..Facts::default() },
        windows: 1,
        session: None,
        steered: None,
        passage: None,
        spare: false,
        ending: Ending::Complete,
        ended: Instant::now(),
        total: Duration::from_millis(800),
        guard: Duration::from_micros(12_340),
        held: Duration::from_millis(20),
        first_text: Some(Duration::from_millis(300)),
    }
}

/// An answer that a rule blocked: `before`, the matched text, `after`.
pub fn blocked(matched: &str, evidence: &str) -> Outcome {
    let mut outcome = allowed();
    let verdict = outcome.verdict.insert(Verdict::allow());
    verdict.action = Action::Block;
    verdict.cause = Cause::Rule(0);
    verdict.rule = Some("hateful persona".into());
    verdict.labels = vec![Label::Hate];
    verdict.scores.raise(Label::Hate, Score::new(0.97).unwrap(), Source::Model);
    verdict.scores.raise(Label::Hostility, Score::new(0.41).unwrap(), Source::Model);
    verdict.evidence = Some(evidence.to_owned());
    let lane = Lane { candidate: 0, channel: Channel::Answer, call: 0 };
    verdict.span = Some(Span { lane, bytes: 7..7 + matched.len() });
    outcome.excerpt = Excerpt {
        channel: Some(Channel::Answer),
        before: "before ".into(),
        matched: matched.to_owned(),
        after: " after".into(),
        full: format!("before {matched} after"),
    };
    outcome.ending = Ending::Refused;
    outcome
}

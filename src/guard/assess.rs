//! A verdict for a text that is already there: what `steadfast score`, `steadfast test`, the admin API and other gateways' verdict
//! endpoints ask for. The same inspector, windows, detectors and rules as for proxied traffic; nothing is cut short, so every label
//! is complete.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::StatusCode;

use super::live::scoring_context;
use super::snapshot::Snapshot;
use crate::dialect::{
    Amendment, Api, ApiError, Cut, Delta, Dialect, DialectError, Exchange, Facts, Reading, Recognised, Refusal, Reply,
    RequestHead,
};
use crate::frame::{Event, Framing};
use crate::infer::{Job, ScoreError};
use crate::inspect::{Inspector, Plan, Step};
use crate::policy::SessionFacts;
use crate::text::{Channel, Str};
use crate::verdict::{Unscored, Verdict};
use crate::window::estimate_tokens;

/// Windows scored at once.
const AT_ONCE: usize = 8;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The verdict; `scores` and `signals` are the highest over all windows, complete.
    pub verdict: Verdict,
    /// The token (by estimate) at which what caused the verdict begins.
    pub onset_token: Option<usize>,
    /// What could not be scored.
    pub unscored: Vec<Unscored>,
    /// Windows judged; without a classifier, pieces that came at once.
    pub windows: u32,
}

/// Judges `answer` as the answer to `exchange`.
pub async fn assess(snapshot: &Snapshot, exchange: &Exchange, session: SessionFacts, answer: &str) -> Assessment {
    let subject = Judged { dialect: Arc::new(Plain), exchange: Arc::new(exchange.clone()), session, content_type: None };
    let body = Bytes::copy_from_slice(answer.as_bytes());
    let (inspector, verdict) = drive(snapshot, subject, Ok(body)).await;
    assessment(&inspector, verdict)
}

/// Whose answer is judged.
pub(super) struct Judged {
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) session: SessionFacts,
    pub(super) content_type: Option<Str>,
}

/// Judges a body that is there as a whole (or why its coding could not be undone), to its end, whatever is found in it.
pub(super) async fn drive(snapshot: &Snapshot, judged: Judged, body: Result<Bytes, Unscored>) -> (Inspector, Verdict) {
    let Judged { dialect, exchange, session, content_type } = judged;
    let persona = snapshot.persona.as_ref().map(|persona| &persona.line);
    let context = Arc::new(scoring_context(persona, exchange.system.as_ref(), exchange.user.as_ref()));
    let mut inspector = Inspector::new(Plan {
        dialect,
        exchange,
        policy: snapshot.policy.clone(),
        detectors: snapshot.detectors.clone(),
        session,
        scored: snapshot.scorer.is_some(),
        gate: None,
        content_type,
        whole: true,
        watch: true,
        held_limit: usize::MAX,
    });
    match body {
        Ok(body) => inspector.push(body),
        Err(reason) => inspector.undecodable(reason),
    }
    inspector.finish();
    let mut waiting = std::collections::VecDeque::new();
    let mut jobs = FuturesUnordered::new();
    let verdict = loop {
        let mut ended = None;
        while let Some(step) = inspector.next_step() {
            match step {
                Step::Score(window) => waiting.push_back(window),
                Step::Release { .. } => {}
                Step::End(verdict) | Step::Cut(verdict) => ended = Some(*verdict),
            }
        }
        if let Some(verdict) = ended {
            break verdict;
        }
        if let Some(scorer) = &snapshot.scorer {
            while jobs.len() < AT_ONCE
                && let Some(window) = waiting.pop_front()
            {
                let job = Job { context: context.clone(), text: window.text, stream: 0, deadline: snapshot.policy.deadline };
                let scoring = scorer.score(job);
                jobs.push(async move { (window.id, scoring.await) });
            }
        }
        let Some((id, result)) = jobs.next().await else {
            // An empty answer has no window and nothing to say.
            break inspector.verdict().clone();
        };
        let result = result.map(|scored| scored.scores).map_err(|error| match error {
            ScoreError::Overloaded => Unscored::Overload,
            ScoreError::Deadline(_) => Unscored::Deadline,
            ScoreError::Failed(_) => Unscored::Error,
        });
        inspector.judge(id, result);
    };
    (inspector, verdict)
}

/// What came of it.
pub(super) fn assessment(inspector: &Inspector, verdict: Verdict) -> Assessment {
    let onset_token = verdict.span.as_ref().and_then(|span| {
        let (_, text) = inspector.texts().find(|(lane, _)| *lane == span.lane)?;
        Some(estimate_tokens(&text[..crate::text::floor_char_boundary(text, span.bytes.start)]))
    });
    Assessment { verdict, onset_token, unscored: inspector.unscored().to_vec(), windows: inspector.windows_cut() }
}

/// The format of a bare text: the body is the answer.
struct Plain;

impl Dialect for Plain {
    fn api(&self) -> Api {
        Api::Custom
    }

    fn recognise_at(&self, _: &RequestHead<'_>, _: &[&str]) -> Recognised {
        Recognised::Judged
    }

    fn read_request(&self, _: &RequestHead<'_>, _: &[u8]) -> Result<Exchange, DialectError> {
        Ok(Exchange::unknown(Api::Custom))
    }

    fn framing(&self, _: &Exchange, _: Option<&str>) -> Option<Framing> {
        Some(Framing::Json)
    }

    fn read_reply<'a>(&self, body: &'a [u8], _: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        out.deltas.push(Delta::append(0, Channel::Answer, 0, String::from_utf8_lossy(body)));
        Ok(())
    }

    fn read_event<'a>(&self, event: &'a Event, _: &mut Facts, out: &mut Reading<'a>) -> Result<(), DialectError> {
        out.deltas.push(Delta::append(0, Channel::Answer, 0, Cow::Owned(String::from_utf8_lossy(&event.data).into_owned())));
        Ok(())
    }

    fn amend(&self, _: &[u8], _: &Amendment<'_>) -> Result<Vec<u8>, DialectError> {
        Err(DialectError::Unsupported("a bare text"))
    }

    fn refusal(&self, refusal: &Refusal<'_>) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::copy_from_slice(refusal.message.as_bytes()),
        }
    }

    fn epilogue(&self, _: &Cut<'_>) -> Bytes {
        Bytes::new()
    }

    fn error(&self, error: &ApiError<'_>) -> Reply {
        Reply {
            status: error.status,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::copy_from_slice(error.message.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::normalized::Normalized;
    use crate::infer::{BoxFuture, Scored, Scorer, Stage};
    use crate::policy::{Calibration, Policy};
    use crate::score::{Label, Score, Scores, Source};
    use crate::verdict::Action;
    use std::time::Duration;

    #[tokio::test]
    async fn a_text_is_judged_to_its_end_however_short() {
        let rules = "[[rule]]\nname = \"house words\"\npatterns = ['\\bnightfall\\b']\naction = \"block\"\n";
        let snapshot = Snapshot::new(Policy::parse(rules, None, &Calibration::NONE).unwrap());
        let filler = "one two three four five six ".repeat(60);
        for (answer, action) in [
            ("nightfall".to_owned(), Action::Block),
            (format!("{filler}nightfall"), Action::Block),
            (format!("nightfall {filler}"), Action::Block),
            (format!("{filler}nightfalls"), Action::Allow),
            (String::new(), Action::Allow),
        ] {
            let exchange = Exchange::unknown(Api::Custom);
            let assessment = assess(&snapshot, &exchange, SessionFacts::default(), &answer).await;
            assert_eq!(assessment.verdict.action, action, "{answer}");
        }
    }

    /// Takes the word "hate" for hate.
    struct Word;

    impl Scorer for Word {
        fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
            let mut scores = Scores::ZERO;
            if job.text.contains("hate") {
                scores.raise(Label::Hate, Score::clamped(0.9).unwrap(), Source::Model);
            }
            let (queued, computed) = (Duration::ZERO, Duration::ZERO);
            Box::pin(std::future::ready(Ok(Scored { scores, stage: Stage::Second, cached: false, queued, computed })))
        }
    }

    #[tokio::test]
    async fn what_is_scored_is_normalised_and_what_is_reported_is_the_original() {
        let filler = "one two three ".repeat(100);
        let answer = |word: &str| format!("{filler}ﬁnal {word} {}", "\u{200b}four five six ".repeat(100));
        let judged = async |rule: &str, word: &str| {
            let rules = format!("[[rule]]\nname = \"words\"\n{rule}\naction = \"block\"\n");
            let policy = Policy::parse(&rules, None, &Calibration::new(|_| None)).unwrap();
            let mut snapshot = Snapshot::new(policy);
            snapshot.scorer = Some(Normalized::wrap(Arc::new(Word)));
            let assessment = assess(&snapshot, &Exchange::unknown(Api::Custom), SessionFacts::default(), &answer(word)).await;
            (assessment.verdict.action, assessment.onset_token, assessment.verdict.span.map(|span| span.bytes))
        };
        let scored = "labels = [\"hate\"]\nat_least = 0.5";
        let plain = judged(scored, "hate").await;
        assert_eq!(plain.0, Action::Block);
        for word in ["h4te", "hаte", "haaaaate"] {
            let (action, onset, span) = judged(scored, word).await;
            assert_eq!((action, onset), (Action::Block, plain.1), "{word}");
            let (answer, span) = (answer(word), span.unwrap());
            assert!(answer[span].contains(word), "the span is one of the original");
        }
        let begin = filler.len() + "ﬁnal ".len();
        let found = (Action::Block, Some(302), Some(begin..begin + 4));
        assert_eq!(judged("patterns = ['h4te']", "h4te").await, found);
        assert_eq!(judged("patterns = ['hate']", "h4te").await, found, "a pattern is about what is there and what that reads as");
        assert_eq!(judged("patterns = ['hate']\nas_written = true", "h4te").await, (Action::Allow, None, None));
    }

    #[tokio::test]
    async fn a_text_is_judged_to_its_end_in_any_mode() {
        for mode in ["enforce", "shadow"] {
            let text =
                format!("mode = \"{mode}\"\n[[rule]]\nname = \"words\"\npatterns = [\"nightfall$\"]\naction = \"block\"\n");
            let snapshot = Snapshot::new(Policy::parse(&text, None, &Calibration::NONE).unwrap());
            let exchange = Exchange::unknown(Api::Custom);
            let judged = assess(&snapshot, &exchange, SessionFacts::default(), "the plan is nightfall").await;
            assert_eq!((judged.verdict.action, judged.verdict.rule.as_deref()), (Action::Block, Some("words")), "{mode}");
            assert_eq!((judged.onset_token, judged.windows), (Some(3), 1));
            assert_eq!(judged.verdict.span.unwrap().bytes, 12..21);
            let long = format!("{}nightfall is near{}", "word ".repeat(400), " word".repeat(400));
            let judged = assess(&snapshot, &exchange, SessionFacts::default(), &long).await;
            assert_eq!((judged.verdict.action, judged.onset_token), (Action::Allow, None));
            assert_eq!(judged.windows, 1, "without a classifier, what has come at once");
        }
    }
}

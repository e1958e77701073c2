//! Rows: an exchange to judge and the verdict on it, as JSON. `steadfast score --jsonl`, `/api/score` and `/api/simulate` read and write
//! the same ones, and judge them as the gateway does. Knows no HTTP and no files.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Serialize as DeriveSerialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::{Api, Exchange, Turn};
use crate::drift::{Asked, Residuals};
use crate::guard::{Assessment, Snapshot, assess};
use crate::policy::{Fallback, Measures, Mode, Policy, SessionFacts};
use crate::score::{Label, Scores, Signals};
use crate::session::{State, Turn as SessionTurn};
use crate::text::Str;
use crate::verdict::{Action, Verdict};

/// What is to be judged: one answer (`response`, with what it answers), or every assistant turn of a `conversation`.
///
/// Other fields are ignored: data sets carry their own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Row {
    /// Given back as it is.
    #[serde(default)]
    pub id: Option<Value>,
    /// The system prompt.
    #[serde(default)]
    pub system: Option<String>,
    /// The user's turn.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The answer.
    #[serde(default, alias = "text")]
    pub response: Option<String>,
    /// A whole conversation instead.
    #[serde(default)]
    pub conversation: Option<Vec<Message>>,
    /// The model asked for, for rules that look at it.
    #[serde(default)]
    pub model: Option<String>,
    /// The wire format, for rules that look at it.
    #[serde(default)]
    pub api: Option<String>,
    /// The conversation's state before it, for rules that look at it.
    #[serde(default)]
    pub session: Session,
}

/// A conversation's state, as rules see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// `session.drift`.
    pub drift: f64,
    /// `session.turns`.
    pub turns: u64,
    /// `session.flags`.
    pub flags: u64,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant`, or another word (`tool`): those are context and no turn of the user.
    pub role: String,
    /// Its text.
    #[serde(default)]
    pub content: Content,
}

/// A message's text, as APIs write it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// The text.
    Text(String),
    /// Its parts; those without text (pictures) do not count.
    Parts(Vec<Part>),
    /// No text (`null` beside a tool call).
    Nothing(()),
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Part {
    /// Its text, if it has one.
    #[serde(default)]
    pub text: Option<String>,
}

impl Default for Content {
    fn default() -> Self {
        Content::Nothing(())
    }
}

impl Content {
    /// Its text, of all parts.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => parts.iter().filter_map(|part| part.text.as_deref()).collect(),
            Content::Nothing(()) => String::new(),
        }
    }
}

/// Why a row cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Nothing to judge.
    #[error("there is nothing to judge; give \"response\", or \"conversation\" with an assistant turn")]
    Nothing,
    /// Two things to judge.
    #[error("give \"response\" or \"conversation\", not both")]
    Both,
    /// No such wire format.
    #[error(
        "unknown api {0:?}; known are openai-chat, openai-responses, openai-completions, anthropic-messages, gemini, ollama, cohere-chat, bedrock-converse, custom"
    )]
    Api(String),
}

/// The verdict on a row.
#[derive(Clone, Debug, PartialEq, DeriveSerialize)]
pub struct RowVerdict {
    /// The row's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// `allow`, `flag`, `reanchor`, `retry`, `block`; `unscored` where the text could not be judged and the policy lets that through.
    pub action: &'static str,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The labels that fired the rule.
    #[serde(skip)]
    pub fired: Vec<Label>,
    /// Every label's highest probability.
    pub labels: Labels,
    /// The signals that were measured.
    pub signals: Measured,
    /// Bytes of the answer (of the turn that decided) that caused it.
    pub span: Option<[usize; 2]>,
    /// The token, by estimate, at which they begin.
    pub onset_token: Option<usize>,
    /// A detector's explanation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What could not be scored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unscored: Vec<&'static str>,
    /// Windows judged.
    pub windows: u32,
    /// For a conversation: each assistant turn. The fields above are those of the most severe, `labels` and `signals` the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<Vec<TurnVerdict>>,
}

/// The verdict on one assistant turn.
#[derive(Clone, Debug, PartialEq, DeriveSerialize)]
pub struct TurnVerdict {
    /// Its place in the conversation.
    pub message: usize,
    /// As in [`RowVerdict`].
    pub action: &'static str,
    /// `session.drift` as the turn's rules saw it.
    pub drift: f64,
    /// As in [`RowVerdict`].
    pub rule: Option<String>,
    /// As in [`RowVerdict`].
    pub labels: Labels,
    /// As in [`RowVerdict`].
    pub signals: Measured,
    /// As in [`RowVerdict`].
    pub span: Option<[usize; 2]>,
}

/// All labels, written as an object in the taxonomy's order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labels(pub Scores);

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Label::COUNT))?;
        for (label, score, _) in self.0.iter() {
            map.serialize_entry(label.as_str(), &score.get())?;
        }
        map.end()
    }
}

/// The signals that were measured, written as an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured(pub Signals);

impl Serialize for Measured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in Signals::NAMES {
            if let Some(score) = self.0.get(name) {
                map.serialize_entry(name, &score.get())?;
            }
        }
        map.end()
    }
}

impl Row {
    /// Judges the row with a route's policy, persona and classifier.
    ///
    /// # Errors
    /// Where there is nothing to judge, or the row contradicts itself.
    pub async fn judge(&self, snapshot: &Snapshot) -> Result<RowVerdict, RowError> {
        let mut exchange = Exchange::unknown(match &self.api {
            None => Api::OpenAiChat,
            Some(name) => Api::from_name(name).ok_or_else(|| RowError::Api(name.clone()))?,
        });
        exchange.model = self.model.as_deref().map(Str::from);
        exchange.system = self.system.as_deref().map(Str::from);
        match (&self.response, &self.conversation) {
            (Some(_), Some(_)) => Err(RowError::Both),
            (None, None) => Err(RowError::Nothing),
            (Some(_), None) => {
                let mut turns = self.answers(snapshot, exchange).await;
                let judged = turns.pop().ok_or(RowError::Nothing)?.judged;
                Ok(self.verdict(&judged, &snapshot.policy, None))
            }
            (None, Some(_)) => {
                let mut worst: Option<Assessment> = None;
                let mut turns = Vec::new();
                for Answered { message, session, judged, .. } in self.answers(snapshot, exchange).await {
                    turns.push(TurnVerdict::of(message, &session, &judged, &snapshot.policy));
                    merge(&mut worst, judged);
                }
                let worst = worst.ok_or(RowError::Nothing)?;
                Ok(self.verdict(&worst, &snapshot.policy, Some(turns)))
            }
        }
    }

    /// Judges each answer of the row in its place, and what it is as a turn of its conversation.
    ///
    /// # Errors
    /// As [`Row::judge`].
    pub async fn measure(&self, snapshot: &Snapshot) -> Result<Vec<Answered>, RowError> {
        if self.response.is_some() && self.conversation.is_some() {
            return Err(RowError::Both);
        }
        let mut exchange = Exchange::unknown(Api::OpenAiChat);
        exchange.model = self.model.as_deref().map(Str::from);
        exchange.system = self.system.as_deref().map(Str::from);
        let answers = self.answers(snapshot, exchange).await;
        if answers.is_empty() { Err(RowError::Nothing) } else { Ok(answers) }
    }

    async fn answers(&self, snapshot: &Snapshot, mut exchange: Exchange) -> Vec<Answered> {
        let Session { drift, turns, flags } = self.session;
        let mut state = State { turns, flags, ..State::drifting(drift) };
        let mut answers = Vec::new();
        let mut answer = async |message: usize, exchange: &Exchange, text: &str| {
            let session =
                SessionFacts { drift: state.drift(), turns: state.turns, flags: state.flags, limit: snapshot.drift_limit };
            let judged = assess(snapshot, exchange, session, text).await;
            let asked = Asked::of(exchange.user.as_deref());
            state = state.after(turn(snapshot, &asked, &judged), &snapshot.charts);
            answers.push(Answered { message, session, asked, judged });
        };
        if let Some(response) = &self.response {
            if let Some(prompt) = &self.prompt {
                say(&mut exchange, false, prompt);
            }
            answer(0, &exchange, response).await;
        }
        for (message, Message { role, content }) in self.conversation.iter().flatten().enumerate() {
            let text = content.text();
            match role.as_str() {
                "system" | "developer" if exchange.user.is_none() => {
                    let system = exchange.system.take().map_or_else(|| text.clone(), |before| format!("{before}\n{text}"));
                    exchange.system = Some(system.into());
                }
                "assistant" | "model" => {
                    answer(message, &exchange, &text).await;
                    say(&mut exchange, true, &text);
                }
                "user" => say(&mut exchange, false, &text),
                _ => exchange.history.push(Turn { assistant: false, digest: xxh3_64(text.as_bytes()) }),
            }
        }
        answers
    }

    fn verdict(&self, judged: &Assessment, policy: &Policy, turns: Option<Vec<TurnVerdict>>) -> RowVerdict {
        let verdict = &judged.verdict;
        let (action, rule) = decided(judged, policy);
        RowVerdict {
            id: self.id.clone(),
            action,
            rule,
            fired: verdict.labels.clone(),
            labels: Labels(verdict.scores),
            signals: Measured(verdict.signals),
            span: span(verdict),
            onset_token: judged.onset_token,
            evidence: verdict.evidence.clone(),
            unscored: judged.unscored.iter().map(|reason| reason.as_str()).collect(),
            windows: judged.windows,
            turns,
        }
    }
}

/// An answer of a row.
pub struct Answered {
    /// Its place in the conversation.
    message: usize,
    /// The conversation before it.
    session: SessionFacts,
    /// What it answers.
    pub asked: Asked,
    /// What came of it.
    pub judged: Assessment,
}

impl TurnVerdict {
    fn of(message: usize, session: &SessionFacts, judged: &Assessment, policy: &Policy) -> Self {
        let (action, rule) = decided(judged, policy);
        let verdict = &judged.verdict;
        TurnVerdict {
            message,
            action,
            drift: session.drift,
            rule,
            labels: Labels(verdict.scores),
            signals: Measured(verdict.signals),
            span: span(verdict),
        }
    }
}

/// An answer as a turn of its conversation, as the gateway would remember it.
fn turn(snapshot: &Snapshot, asked: &Asked, judged: &Assessment) -> SessionTurn {
    let verdict = &judged.verdict;
    let measured = judged.unscored.is_empty() && judged.windows > 0;
    let residuals = match measured {
        true => snapshot.baseline.residuals(&verdict.scores, &verdict.signals, asked),
        false => Residuals::UNMEASURED,
    };
    SessionTurn { residuals, flagged: verdict.action > Action::Allow, asked: Measures::NONE, held: Measures::NONE }
}

/// A turn is added to what the next answer answers.
fn say(exchange: &mut Exchange, assistant: bool, text: &str) {
    exchange.history.push(Turn { assistant, digest: xxh3_64(text.as_bytes()) });
    if !assistant {
        exchange.user = Some(text.into());
    }
}

/// What the gateway would do, in one word, and by which rule. An assessment goes on where the gateway would stop for want of a score, so
/// the policy is asked here; what it lets through unjudged is not an allow.
pub(crate) fn decided(judged: &Assessment, policy: &Policy) -> (&'static str, Option<String>) {
    let verdict = &judged.verdict;
    let closed =
        judged.unscored.iter().map(|reason| policy.on_unscored(*reason)).find(|(fallback, _)| *fallback == Fallback::Block);
    match closed {
        Some((_, key)) if policy.mode == Mode::Enforce && verdict.action < Action::Block => {
            (Action::Block.as_str(), Some(key.to_owned()))
        }
        _ if verdict.action == Action::Allow && !judged.unscored.is_empty() => ("unscored", None),
        _ => (verdict.action.as_str(), verdict.rule.as_deref().map(str::to_owned)),
    }
}

fn span(verdict: &Verdict) -> Option<[usize; 2]> {
    verdict.span.as_ref().map(|span| [span.bytes.start, span.bytes.end])
}

/// Keeps the more severe verdict (the first of equals) and the highest scores of both.
fn merge(worst: &mut Option<Assessment>, next: Assessment) {
    let Some(before) = worst else {
        *worst = Some(next);
        return;
    };
    let mut scores = before.verdict.scores;
    scores.merge(&next.verdict.scores);
    let mut signals = before.verdict.signals;
    signals.merge(&next.verdict.signals);
    let windows = before.windows + next.windows;
    let mut unscored = before.unscored.clone();
    unscored.extend(next.unscored.iter().filter(|reason| !before.unscored.contains(reason)));
    if next.verdict.action > before.verdict.action {
        *before = next;
    }
    before.verdict.scores = scores;
    before.verdict.signals = signals;
    before.windows = windows;
    before.unscored = unscored;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::infer::{BoxFuture, Job, ScoreError, Scored, Scorer, Stage};
    use crate::policy::Calibration;
    use crate::score::{Score, Source};

    /// Scores "hate" by the word itself, and sees whose turn it answers.
    struct Words;

    impl Scorer for Words {
        fn score(&self, job: Job) -> BoxFuture<Result<Scored, ScoreError>> {
            let mut scores = Scores::ZERO;
            if job.text.contains("vermin") {
                scores.raise(Label::Hate, Score::new(0.97).unwrap(), Source::Model);
            }
            if job.context.user.contains("weather") {
                scores.raise(Label::TopicHijack, Score::new(0.25).unwrap(), Source::Model);
            }
            let failed = job.text.contains("crash");
            let scored = Scored { scores, stage: Stage::Second, cached: false, queued: Duration::ZERO, computed: Duration::ZERO };
            Box::pin(async move { if failed { Err(ScoreError::Failed("broken".into())) } else { Ok(scored) } })
        }
    }

    fn snapshot(extra: &str) -> Snapshot {
        let text = format!(
            "{extra}\n[[rule]]\nname = \"hate\"\nlabels = [\"hate\"]\nat_least = 0.9\naction = \"block\"\n\
             [[rule]]\nname = \"long talk\"\nwhen = \"session.flags >= 1 && request.turns > 2\"\naction = \"flag\"\n"
        );
        let policy = Policy::parse(&text, None, &Calibration::new(|_| Some(0.5))).unwrap();
        Snapshot::new(policy).with_scorer(Arc::new(Words))
    }

    async fn judged(snapshot: &Snapshot, row: Value) -> Value {
        let row: Row = serde_json::from_value(row).unwrap();
        serde_json::to_value(row.judge(snapshot).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn one_answer_is_judged_with_what_it_answers() {
        let row = serde_json::json!({ "id": 7, "prompt": "the weather?", "response": "They are all vermin." });
        let verdict = judged(&snapshot(""), row).await;
        assert_eq!(verdict["id"], 7);
        assert_eq!((&verdict["action"], &verdict["rule"]), (&"block".into(), &"hate".into()));
        assert_eq!(verdict["labels"].as_object().unwrap().len(), Label::COUNT, "complete, not only those that fired");
        assert_eq!(verdict["labels"]["topic_hijack"], 0.25);
        assert_eq!(verdict["span"], serde_json::json!([0, 20]));
        assert_eq!(verdict["onset_token"], 0);
        assert!(verdict.get("turns").is_none());
    }

    #[tokio::test]
    async fn every_assistant_turn_of_a_conversation_is_judged_in_its_place() {
        let row = serde_json::json!({ "conversation": [
            { "role": "system", "content": "You are Aria." },
            { "role": "user", "content": [{ "type": "text", "text": "the weather?" }, { "type": "image_url" }] },
            { "role": "assistant", "content": "They are all vermin." },
            { "role": "user", "content": "and now?" },
            { "role": "assistant", "content": "Sunny." },
            { "role": "assistant", "content": null },
        ] });
        let verdict = judged(&snapshot(""), row).await;
        let turns = verdict["turns"].as_array().unwrap();
        assert_eq!(turns.iter().map(|turn| turn["action"].as_str().unwrap()).collect::<Vec<_>>(), ["block", "flag", "allow"]);
        assert_eq!(turns[1]["labels"]["topic_hijack"], 0.0, "the user's turn has changed");
        assert_eq!((&turns[1]["message"], &turns[1]["rule"]), (&4.into(), &"long talk".into()));
        assert_eq!((&verdict["action"], &verdict["rule"]), (&"block".into(), &"hate".into()));
        assert_eq!(verdict["labels"]["topic_hijack"], 0.25);
    }

    #[tokio::test]
    async fn what_could_not_be_scored_is_never_an_allow() {
        let row = serde_json::json!({ "response": "crash" });
        let open = judged(&snapshot("on_error = \"allow\""), row.clone()).await;
        assert_eq!((&open["action"], &open["unscored"]), (&"unscored".into(), &serde_json::json!(["error"])));
        let closed = judged(&snapshot("on_error = \"block\""), row).await;
        assert_eq!((&closed["action"], &closed["rule"]), (&"block".into(), &"on_error".into()));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_judged_says_what_it_needs() {
        let snapshot = snapshot("");
        for (row, message) in [
            (r#"{"prompt": "hi"}"#, "give \"response\""),
            (r#"{"response": "a", "conversation": []}"#, "not both"),
            (r#"{"conversation": [{"role": "user", "content": "hi"}]}"#, "assistant turn"),
            (r#"{"response": "a", "api": "openai"}"#, "openai-chat"),
        ] {
            let error = serde_json::from_str::<Row>(row).unwrap().judge(&snapshot).await.unwrap_err().to_string();
            assert!(error.contains(message), "{row}: {error}");
        }
    }
}

//! One exchange as a turn of its conversation: what is known of the conversation before the answer is judged, and what is remembered
//! after. The turn is recorded before the last bytes of the answer leave, so that the next request finds it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::request;

use super::snapshot::Snapshot;
use crate::dialect::Exchange;
use crate::drift::{Asked, Residuals};
use crate::infer::BoxFuture;
use crate::inspect::Inspector;
use crate::policy::{Measures, Policy, SessionFacts};
use crate::session::{Caller, Conversation, Place, Record, Request, SessionError, Tracking, Trail, Turn};
use crate::text::{Channel, Lane, Str};

/// A turn of a conversation.
pub(super) struct Follow {
    tracking: Tracking,
    trail: Trail,
    /// What was recalled; `Err`: the store cannot be reached.
    before: Result<Option<Conversation>, SessionError>,
    asked: Asked,
    name: Str,
    route: Str,
    policy: Arc<Policy>,
    /// What is being done about the conversation in this turn.
    held: Measures,
    recording: Option<BoxFuture<Result<Conversation, SessionError>>>,
}

/// What an answer came to, for its conversation.
pub(super) struct Judged<'a> {
    pub(super) scores: &'a crate::score::Scores,
    pub(super) signals: &'a crate::score::Signals,
    /// Whether all of it was scored.
    pub(super) measured: bool,
    pub(super) flagged: bool,
    /// The rule that decided, by its place in the policy.
    pub(super) rule: Option<usize>,
    /// The answer's id.
    pub(super) id: Option<&'a str>,
}

impl Follow {
    /// Recalls the conversation that a request belongs to. `None`: conversations are not followed, or nothing names this one.
    pub(super) async fn begin(
        snapshot: &Snapshot,
        head: &request::Parts,
        body: &Bytes,
        exchange: &Exchange,
        request_id: &Str,
    ) -> Option<Follow> {
        let tracking = snapshot.tracking.clone()?;
        let request = Request {
            caller: head.extensions.get::<Caller>().copied().unwrap_or_else(|| Caller::of(&head.headers)),
            scope: snapshot.persona.as_ref().map_or("", |persona| &persona.name),
            headers: &head.headers,
            body,
            exchange,
        };
        let trail = Trail::of(&tracking.key, &request)?;
        let keys = trail.before();
        let before = if keys.is_empty() { Ok(None) } else { tracking.sessions.recall(keys).await };
        if let Err(error) = &before {
            tracing::warn!(%request_id, %error, "the conversation is judged as the policy's on_error says");
        }
        let name = match (&before, trail.named()) {
            (Ok(Some(conversation)), _) => conversation.name.clone(),
            (_, Some(key)) => key.to_string().into(),
            (_, None) => request_id.clone(),
        };
        let asked = Asked::of(exchange.user.as_deref());
        let (route, policy) = (snapshot.route.clone(), snapshot.policy.clone());
        Some(Follow { tracking, trail, before, asked, name, route, policy, held: Measures::NONE, recording: None })
    }

    /// What is being done about the conversation since an earlier turn.
    pub(super) fn measures(&self) -> Measures {
        self.before.as_ref().ok().and_then(Option::as_ref).map_or(Measures::NONE, |before| before.state.measures)
    }

    /// This is being done about it now, and goes on until it is calm.
    pub(super) fn hold(&mut self, measures: Measures) {
        self.held = measures;
    }

    /// The conversation's name, for incidents and logs.
    pub(super) fn name(&self) -> &Str {
        &self.name
    }

    /// What rules are told.
    pub(super) fn facts(&self, limit: f64) -> SessionFacts {
        match &self.before {
            Ok(before) => {
                let state = before.as_ref().map_or_else(Default::default, |before| before.state);
                SessionFacts { drift: state.drift(), turns: state.turns, flags: state.flags, limit }
            }
            Err(_) => SessionFacts { limit, ..SessionFacts::UNKNOWN },
        }
    }

    /// Begins to record the turn, once. `answers`: the texts of which the client may send one back.
    pub(super) fn record<'t>(&mut self, judged: &Judged<'_>, answers: impl IntoIterator<Item = &'t str>) {
        if self.recording.is_some() {
            return;
        }
        let residuals = match judged.measured {
            true => self.tracking.baseline.residuals(judged.scores, judged.signals, &self.asked),
            false => Residuals::UNMEASURED,
        };
        let place = match &self.trail {
            Trail::Named(key) => Place::At(*key),
            Trail::Said(said) => {
                // Not knowing what was before, a new beginning would hide it.
                let Ok(before) = &self.before else { return };
                let mut keys = said.after(answers, judged.id);
                if keys.is_empty() {
                    // The client gets no answer that it could send back: what it asks next goes on from where this did.
                    keys.extend(self.trail.before().first());
                }
                Place::After { before: before.clone(), keys }
            }
        };
        self.recording = Some(self.tracking.sessions.record(Record {
            place,
            turn: Turn { residuals, flagged: judged.flagged, asked: self.asked_for(judged), held: self.held },
            charts: self.tracking.charts,
            name: self.name.clone(),
            route: self.route.clone(),
            now: super::unix_now(),
        }));
    }

    /// What the rule that decided about this answer asks to be done from the next request on. A rule that knew before the answer has
    /// already had its way, and is asked again when the next request comes.
    fn asked_for(&self, judged: &Judged<'_>) -> Measures {
        let rule = judged.rule.and_then(|rule| self.policy.rules.get(rule));
        rule.filter(|rule| !rule.is_about_the_conversation()).and_then(|rule| rule.measures).unwrap_or_default()
    }

    /// The conversation with this turn, once it is recorded; `None` where nothing is to be recorded or it could not be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Conversation>> {
        let Some(recording) = &mut self.recording else { return Poll::Ready(None) };
        match ready!(recording.poll_unpin(cx)) {
            Ok(conversation) => Poll::Ready(Some(conversation)),
            Err(error) => {
                tracing::warn!(session = %self.name, %error, "a turn of a conversation was not remembered");
                Poll::Ready(None)
            }
        }
    }

    /// Records without waiting: the client has left. The store bounds how long it takes.
    pub(super) fn detach(mut self) -> Option<Conversation> {
        let recording = self.recording.as_mut()?;
        match recording.now_or_never() {
            Some(done) => done.ok(),
            None => {
                if let (Ok(runtime), Some(recording)) = (tokio::runtime::Handle::try_current(), self.recording.take()) {
                    runtime.spawn(recording);
                }
                None
            }
        }
    }
}

/// What the client has of each candidate's answer: its text, or what stands in its place.
pub(super) fn delivered(inspector: &Inspector) -> Vec<String> {
    answers(inspector.delivered())
}

/// The same of an answer that is not held to a client: all of it.
pub(super) fn told(inspector: &Inspector) -> Vec<String> {
    answers(inspector.sources())
}

fn answers<'t>(texts: impl Iterator<Item = (Lane, &'t str)>) -> Vec<String> {
    let mut answers: Vec<(u32, Channel, String)> = Vec::new();
    for (lane, text) in texts {
        if text.is_empty() || lane.channel == Channel::Reasoning {
            continue;
        }
        match answers.iter_mut().find(|(candidate, ..)| *candidate == lane.candidate) {
            // Text comes before calls, for a message is known by its text where it has one.
            Some((_, channel, known)) if lane.channel < *channel => (*channel, *known) = (lane.channel, text.to_owned()),
            Some((_, channel, known)) if lane.channel == *channel => known.push_str(text),
            Some(_) => {}
            None => answers.push((lane.candidate, lane.channel, text.to_owned())),
        }
    }
    answers.into_iter().map(|(.., text)| text).collect()
}

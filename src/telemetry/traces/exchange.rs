//! What an exchange's spans say: the GenAI semantic conventions where they have a name for it, `steadfast.*` where they have none. Pure.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::Method;

use super::Call;
use super::context::Context;
use super::span::{Event, Kind, Span, Value};
use crate::dialect::Api;
use crate::guard::events::{Ending, Outcome, Subject};
use crate::infer::Scored;
use crate::policy::Mode;
use crate::telemetry::log;
use crate::text::Str;
use crate::verdict::{Unscored, Verdict};

/// What the verdict evaluates, in `gen_ai.evaluation.name`.
const EVALUATION: &str = "persona_collapse";

type Attributes = Vec<(&'static str, Value)>;

/// The span of a whole exchange, which is over `now`.
pub(super) fn exchange(context: &Context, outcome: &Outcome, now: SystemTime) -> Span {
    let subject = &outcome.subject;
    let mut attributes = who(subject);
    attributes.push(("http.response.status_code", outcome.status.into()));
    let facts = &outcome.facts;
    let texts = [
        ("gen_ai.response.model", facts.model.as_ref()),
        ("gen_ai.response.id", facts.id.as_ref()),
        ("gen_ai.conversation.id", subject.session.as_ref()),
    ];
    attributes.extend(texts.into_iter().filter_map(|(name, value)| Some((name, Value::from(log::short(value?))))));
    let numbers = [("gen_ai.usage.input_tokens", facts.input_tokens), ("gen_ai.usage.output_tokens", facts.output_tokens)];
    attributes.extend(numbers.into_iter().filter_map(|(name, value)| Some((name, value?.into()))));
    attributes.extend([
        ("steadfast.verdict", log::word(outcome).into()),
        ("steadfast.attempts", outcome.attempts.into()),
        ("steadfast.windows", outcome.windows.into()),
        ("steadfast.stream", outcome.streamed.into()),
        ("steadfast.ending", outcome.ending.as_str().into()),
        ("steadfast.guard_seconds", outcome.guard.as_secs_f64().into()),
        ("steadfast.held_seconds", outcome.held.as_secs_f64().into()),
    ]);
    if let Some(first) = outcome.first_text {
        attributes.push(("steadfast.first_text_seconds", first.as_secs_f64().into()));
    }
    if let Some(after) = outcome.session.and_then(|session| session.after) {
        attributes.push(("steadfast.session_drift", after.drift().into()));
    }
    if !outcome.unscored.is_empty() {
        let reasons: Vec<Str> = outcome.unscored.iter().map(|reason| reason.as_str().into()).collect();
        attributes.push(("steadfast.unscored", Value::Texts(reasons)));
    }
    // What the client was told is an error of ours or the upstream's; a verdict is none, whatever status it has.
    let error = match outcome.ending {
        Ending::UpstreamBroke => Some(Cow::Borrowed("upstream_broke")),
        _ if outcome.status >= 500 && outcome.verdict.is_none() => Some(Cow::Owned(outcome.status.to_string())),
        _ => None,
    };
    Span {
        trace: context.trace,
        id: context.id,
        parent: context.parent,
        remote: context.parent.is_some(),
        kind: Kind::Server,
        name: name(subject),
        start: now - outcome.total,
        end: now,
        attributes: with_error(attributes, error.as_ref()),
        events: evaluations(outcome, now),
        error,
    }
}

/// The span of one upstream call.
pub(super) fn call(call: &Call, method: &Method, host: &str, status: Option<u16>, end: SystemTime) -> Span {
    let method: Cow<'static, str> = match *method {
        Method::POST => "POST".into(),
        Method::GET => "GET".into(),
        ref other => other.to_string().into(),
    };
    let mut attributes: Attributes = vec![
        ("http.request.method", (&*method).into()),
        ("server.address", host.into()),
        ("steadfast.upstream", (&call.upstream).into()),
        ("steadfast.attempt", call.number.attempt.into()),
        ("steadfast.request_id", (&call.exchange.request_id).into()),
    ];
    attributes.extend(status.map(|status| ("http.response.status_code", status.into())));
    let error = match status {
        None => Some(Cow::Borrowed("no_answer")),
        Some(status) if status >= 400 => Some(Cow::Owned(status.to_string())),
        Some(_) => None,
    };
    Span {
        trace: call.exchange.context.trace,
        id: call.id,
        parent: Some(call.exchange.context.id),
        remote: false,
        kind: Kind::Client,
        name: method,
        start: call.started,
        end,
        attributes: with_error(attributes, error.as_ref()),
        events: Vec::new(),
        error,
    }
}

/// The span of one window in the classifier, its wait included, which came back `now`.
pub(super) fn window(context: &Context, id: u64, subject: &Subject, scored: &Scored, now: SystemTime) -> Span {
    let mut attributes: Attributes = vec![
        ("steadfast.request_id", (&subject.request_id).into()),
        ("steadfast.stage", scored.stage.as_str().into()),
        ("steadfast.cached", scored.cached.into()),
        ("steadfast.queued_seconds", scored.queued.as_secs_f64().into()),
    ];
    if let Some((label, score, _)) = scored.scores.iter().max_by(|(_, a, _), (_, b, _)| a.get().total_cmp(&b.get())) {
        attributes.push(("steadfast.label", label.as_str().into()));
        attributes.push(("steadfast.score", f64::from(score.get()).into()));
    }
    Span {
        trace: context.trace,
        id,
        parent: Some(context.id),
        remote: false,
        kind: Kind::Internal,
        name: "score window".into(),
        start: now - scored.queued.saturating_add(scored.computed).min(Duration::from_secs(3600)),
        end: now,
        attributes,
        events: Vec::new(),
        error: None,
    }
}

/// The operation and the model asked for, as the conventions name such spans. The route where neither is known.
fn name(subject: &Subject) -> Cow<'static, str> {
    match (subject.api, &subject.model) {
        (Some(api), Some(model)) => format!("{} {}", operation(api), log::short(model)).into(),
        (Some(api), None) => operation(api).into(),
        (None, _) => "exchange".into(),
    }
}

fn who(subject: &Subject) -> Attributes {
    let mut attributes: Attributes = Vec::with_capacity(24);
    if let Some(api) = subject.api {
        attributes.push(("gen_ai.operation.name", operation(api).into()));
        attributes.extend(provider(api).map(|provider| ("gen_ai.provider.name", provider.into())));
        attributes.push(("steadfast.api", api.as_str().into()));
    }
    if let Some(model) = &subject.model {
        attributes.push(("gen_ai.request.model", log::short(model).into()));
    }
    if let Some(persona) = &subject.persona {
        attributes.push(("steadfast.persona", persona.into()));
    }
    attributes.extend([
        ("steadfast.request_id", (&subject.request_id).into()),
        ("steadfast.route", (&subject.route).into()),
        ("steadfast.policy", (&subject.policy).into()),
        ("steadfast.mode", if subject.mode == Mode::Enforce { "enforce" } else { "shadow" }.into()),
    ]);
    attributes
}

/// One event for each answer that was judged, the retried ones first.
fn evaluations(outcome: &Outcome, now: SystemTime) -> Vec<Event> {
    let retried = outcome.retried.iter().map(|attempt| &attempt.verdict);
    let mut events: Vec<Event> =
        (1..).zip(retried).map(|(attempt, verdict)| evaluation(attempt, verdict, None, None, now)).collect();
    let (attempt, id) = (outcome.attempts, outcome.facts.id.as_ref());
    let unscored = outcome.unscored.first().copied();
    match outcome.decided() {
        Some(verdict) => events.push(evaluation(attempt, verdict, unscored, id, now)),
        None if unscored.is_some() => events.push(evaluation(attempt, &Verdict::allow(), unscored, id, now)),
        None => {}
    }
    events
}

/// A verdict. What was let through unjudged has an error and no label: it is no allow.
fn evaluation(attempt: u32, verdict: &Verdict, unscored: Option<Unscored>, id: Option<&Str>, now: SystemTime) -> Event {
    let mut attributes: Attributes = vec![("gen_ai.evaluation.name", EVALUATION.into()), ("steadfast.attempt", attempt.into())];
    attributes.extend(unscored.map(|reason| ("error.type", reason.as_str().into())));
    if verdict.rule.is_some() || unscored.is_none() {
        let highest = verdict.scores.iter().map(|(_, score, _)| score.get()).fold(0.0, f32::max);
        attributes.push(("gen_ai.evaluation.score.label", verdict.action.as_str().into()));
        attributes.push(("gen_ai.evaluation.score.value", f64::from(highest).into()));
    }
    if let Some(rule) = &verdict.rule {
        let labels = log::labels(verdict).map_or_else(String::new, |labels| format!(": {labels}"));
        attributes.push(("gen_ai.evaluation.explanation", (&*format!("rule {rule:?}{labels}")).into()));
        attributes.push(("steadfast.rule", rule.into()));
    }
    if !verdict.labels.is_empty() {
        attributes.push(("steadfast.labels", Value::Texts(verdict.labels.iter().map(|label| label.as_str().into()).collect())));
    }
    attributes.extend(id.map(|id| ("gen_ai.response.id", log::short(id).into())));
    Event { name: "gen_ai.evaluation.result", time: now, attributes }
}

fn with_error(mut attributes: Attributes, error: Option<&Cow<'static, str>>) -> Attributes {
    attributes.extend(error.map(|error| ("error.type", (&**error).into())));
    attributes
}

const fn operation(api: Api) -> &'static str {
    match api {
        Api::OpenAiCompletions => "text_completion",
        Api::Gemini => "generate_content",
        Api::OpenAiChat
        | Api::OpenAiResponses
        | Api::AnthropicMessages
        | Api::Ollama
        | Api::CohereChat
        | Api::BedrockConverse
        | Api::Custom => "chat",
    }
}

/// Who the wire format is of: all that a gateway knows of who answers. `None` where the format is anybody's.
const fn provider(api: Api) -> Option<&'static str> {
    match api {
        Api::OpenAiChat | Api::OpenAiResponses | Api::OpenAiCompletions => Some("openai"),
        Api::AnthropicMessages => Some("anthropic"),
        Api::Gemini => Some("gcp.gen_ai"),
        Api::Ollama => Some("ollama"),
        Api::CohereChat => Some("cohere"),
        Api::BedrockConverse => Some("aws.bedrock"),
        Api::Custom => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::events::Attempt;
    use crate::telemetry::samples;
    use crate::verdict::Action;

    fn told(outcome: &Outcome) -> Span {
        let context = Context::of(&outcome.subject.request_id, None);
        exchange(&context, outcome, SystemTime::UNIX_EPOCH + Duration::from_secs(1000))
    }

    fn value(attributes: &Attributes, name: &str) -> Option<Value> {
        let mut found = attributes.iter().filter(|(key, _)| *key == name);
        let value = found.next().map(|(_, value)| value.clone());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    #[test]
    fn an_allowed_answer() {
        let span = told(&samples::allowed());
        assert_eq!((span.name.as_ref(), span.kind, span.error.as_deref()), ("chat gpt-5", Kind::Server, None));
        assert_eq!(span.end.duration_since(span.start).unwrap(), Duration::from_millis(800));
        for (name, is) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-5"),
            ("gen_ai.response.model", "gpt-5-0801"),
            ("gen_ai.conversation.id", "user-1"),
            ("steadfast.request_id", "01J00000000000000000000000"),
            ("steadfast.verdict", "allow"),
        ] {
            assert_eq!(value(&span.attributes, name), Some(is.into()), "{name}");
        }
        let [event] = &span.events[..] else { panic!("{:?}", span.events) };
        assert_eq!(event.name, "gen_ai.evaluation.result");
        assert_eq!(value(&event.attributes, "gen_ai.evaluation.score.label"), Some("allow".into()));
    }

    #[test]
    fn a_block_is_an_evaluation_and_no_error_and_quotes_nothing() {
        let span = told(&samples::blocked("the matched words", "the explanation"));
        assert_eq!(span.error, None);
        assert_eq!(value(&span.attributes, "error.type"), None);
        let event = &span.events[0].attributes;
        assert_eq!(value(event, "gen_ai.evaluation.score.label"), Some("block".into()));
        assert_eq!(value(event, "gen_ai.evaluation.explanation"), Some(r#"rule "hateful persona": hate=0.97"#.into()));
        let Some(Value::Float(score)) = value(event, "gen_ai.evaluation.score.value") else { panic!("no score") };
        assert!((score - 0.97).abs() < 1e-6, "{score}");
        let all = format!("{span:?}");
        for text in ["the matched words", "the explanation", "before ", " after"] {
            assert!(!all.contains(text), "{text:?} in {all}");
        }
    }

    #[test]
    fn what_was_let_through_unjudged_is_no_allow() {
        let mut open = samples::allowed();
        open.unscored = vec![Unscored::Overload];
        let span = told(&open);
        assert_eq!(value(&span.attributes, "steadfast.verdict"), Some("unscored".into()));
        let event = &span.events[0].attributes;
        assert_eq!(value(event, "error.type"), Some("overload".into()));
        assert_eq!(value(event, "gen_ai.evaluation.score.label"), None);
        assert_eq!(value(event, "gen_ai.evaluation.score.value"), None);
    }

    #[test]
    fn retried_attempts_are_evaluations_of_their_own() {
        let mut outcome = samples::allowed();
        let mut bad = samples::blocked("x", "y");
        let mut verdict = bad.verdict.take().unwrap();
        verdict.action = Action::Retry;
        outcome.retried = vec![Attempt { verdict, excerpt: bad.excerpt, changed: String::new() }];
        outcome.attempts = 2;
        let labels: Vec<_> = told(&outcome)
            .events
            .iter()
            .map(|event| {
                let label = value(&event.attributes, "gen_ai.evaluation.score.label").unwrap();
                (value(&event.attributes, "steadfast.attempt").unwrap(), label)
            })
            .collect();
        assert_eq!(labels, [(Value::Int(1), "retry".into()), (Value::Int(2), "allow".into())]);
    }

    #[test]
    fn outages_are_errors() {
        let broke = told(&Outcome { ending: Ending::UpstreamBroke, ..samples::allowed() });
        assert_eq!(broke.error.as_deref(), Some("upstream_broke"));
        assert!(broke.events.is_empty(), "what broke off clean is no allow");
        let refused = told(&Outcome { status: 502, verdict: None, ending: Ending::Refused, ..samples::allowed() });
        assert_eq!(refused.error.as_deref(), Some("502"));
        assert!(refused.events.is_empty());
    }
}

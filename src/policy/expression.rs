//! A rule's `when`: a CEL expression over scores, the session and the request. Compiled once, checked when the policy is read, so that
//! a wrong name or type is an error of the file and not of a Tuesday night. Knows nothing of rules.
//!
//! | variable | type | |
//! | --- | --- | --- |
//! | `labels.<label>` | double | the window's score of a label |
//! | `signals.voice`, `signals.register` | double | 0.0 where it was not measured; `has(signals.voice)` tells |
//! | `session.drift` | double | how far the conversation has moved from its persona |
//! | `session.limit` | double | what `drift` does not reach in harmless conversations: `session.drift >= session.limit` |
//! | `session.turns`, `session.flags` | int | judged turns and those that were flagged, retried or blocked, before this one |
//! | `request.model`, `.api`, `.system`, `.prompt` | string | empty where the request has none; `prompt` is the last user turn |
//! | `request.user`, `.conversation` | string | what the request says of who asks and in which conversation |
//! | `request.stream`, `.structured` | bool | |
//! | `request.candidates`, `.turns` | int | answers asked for, turns sent along |
//! | `answer.channel` | string | `answer`, `refusal`, `reasoning`, `tool_call` |
//! | `answer.length` | int | bytes of the answer so far |
//!
//! An expression is evaluated after the rule's other conditions, and only if they hold; it allocates and takes about a microsecond.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, Program, Value};

use super::{Evidence, check};
use crate::score::{Label, Signals};

/// Bytes of an expression. Together with CEL's lack of loops other than over lists this bounds an evaluation.
const LONGEST: usize = 4096;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Variables: their names, and the fields of each.
pub(super) const VARIABLES: [(&str, &[&str]); 5] = [
    ("labels", &LABELS),
    ("signals", &Signals::NAMES),
    ("session", &["drift", "turns", "flags", "limit"]),
    ("request", &["model", "api", "stream", "user", "conversation", "system", "prompt", "structured", "candidates", "turns"]),
    ("answer", &["channel", "length"]),
];

const LABELS: [&str; Label::COUNT] = {
    let mut names = [""; Label::COUNT];
    let mut index = 0;
    while index < Label::COUNT {
        names[index] = Label::ALL[index].as_str();
        index += 1;
    }
    names
};

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// What is wrong, with the place.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// The expression has no value for this evidence (an overflow, a division by zero that the checks at load did not meet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided;

/// A compiled expression.
pub struct Expression {
    program: Program,
    labels: Vec<Label>,
    answer: bool,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.program.source_info().source).finish()
    }
}

impl Expression {
    /// Compiles and checks an expression.
    ///
    /// # Errors
    /// A syntax error, an unknown variable or function, operands of the wrong type, a value that is not a bool, or an evaluation that
    /// fails for some plain request.
    pub fn new(source: &str) -> Result<Self, ExpressionFault> {
        if source.len() > LONGEST {
            return Err(ExpressionFault { message: format!("is longer than {LONGEST} bytes"), help: None });
        }
        let program = ENVIRONMENT.compile(source).map_err(|errors| check::syntax_fault(source, &errors))?;
        let named = check::check(&program, source)?;
        Ok(Expression { program, labels: named.labels, answer: named.answer })
    }

    /// The labels it names.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Whether it asks about the answer, and not only about the request and its conversation.
    #[must_use]
    pub fn asks_about_the_answer(&self) -> bool {
        self.answer
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// It has no value.
    pub fn holds(&self, evidence: &Evidence<'_>) -> Result<bool, Undecided> {
        evaluate(self.program.expression(), evidence, |value| value.ok().and_then(as_bool)).ok_or(Undecided)
    }
}

pub(super) fn as_bool(value: CowVal<'_, '_>) -> Option<bool> {
    value.downcast_ref::<CelBool>().map(|value| *value.inner())
}

/// Evaluates a (part of an) expression and hands on what comes of it.
pub(super) fn evaluate<T>(
    expression: &cel::IdedExpr,
    evidence: &Evidence<'_>,
    read: impl FnOnce(Result<CowVal<'_, '_>, cel::ExecutionError>) -> T,
) -> T {
    let variables = Variables(evidence);
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(&variables);
    read(Value::resolve_val(expression, &context))
}

/// The evidence as CEL sees it. Names come in whole (`labels.hate`), so plain uses build no map.
struct Variables<'a>(&'a Evidence<'a>);

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some((space, field)) = variable.split_once('.') {
            return self.field(space, field).map(CowVal::Owned);
        }
        let (space, fields) = VARIABLES.iter().find(|(space, _)| *space == variable)?;
        let entries = fields
            .iter()
            .filter(|field| self.is_known(space, field))
            .filter_map(|field| self.field(space, field).map(|value| (CelMapKey::from(*field), value)));
        Some(CowVal::owned(CelMap::from(entries.collect::<HashMap<_, _>>())))
    }
}

impl Variables<'_> {
    fn field<'b>(&'b self, space: &str, field: &str) -> Option<Box<dyn Val + 'b>> {
        let Evidence { scores, signals, exchange, session, channel, text, .. } = self.0;
        let double = |value: f64| -> Option<Box<dyn Val + 'b>> { Some(Box::new(CelDouble::from(value))) };
        let int =
            |value: u64| -> Option<Box<dyn Val + 'b>> { Some(Box::new(CelInt::from(i64::try_from(value).unwrap_or(i64::MAX)))) };
        let flag = |value: bool| -> Option<Box<dyn Val + 'b>> { Some(Box::new(CelBool::from(value))) };
        fn string<'b>(value: Option<&'b str>) -> Option<Box<dyn Val + 'b>> {
            Some(Box::new(CelString::from(value.unwrap_or_default())))
        }
        match (space, field) {
            ("labels", label) => double(scores.get(label.parse().ok()?).get().into()),
            ("signals", name) if Signals::NAMES.contains(&name) => double(signals.get(name).unwrap_or_default().get().into()),
            // What cannot be reached has no value: neither 0 turns nor no drift.
            ("session", _) if !session.is_known() => None,
            ("session", "limit") => double(session.limit),
            ("session", "drift") => double(session.drift),
            ("session", "turns") => int(session.turns),
            ("session", "flags") => int(session.flags),
            ("request", "model") => string(exchange.model.as_deref()),
            ("request", "api") => string(Some(exchange.api.as_str())),
            ("request", "system") => string(exchange.system.as_deref()),
            ("request", "prompt") => string(exchange.user.as_deref()),
            ("request", "user") => string(exchange.hints.user.as_deref()),
            ("request", "conversation") => string(exchange.hints.conversation.as_deref()),
            ("request", "stream") => flag(exchange.stream),
            ("request", "structured") => flag(exchange.structured),
            ("request", "candidates") => int(exchange.candidates.into()),
            ("request", "turns") => int(exchange.history.len() as u64),
            ("answer", "channel") => string(Some(channel.as_str())),
            ("answer", "length") => int(text.len() as u64),
            _ => None,
        }
    }

    /// What `has()` says: everything but a signal that was not measured and a string that the request lacks.
    fn is_known(&self, space: &str, field: &str) -> bool {
        let Evidence { signals, exchange, .. } = self.0;
        match (space, field) {
            ("signals", name) => signals.get(name).is_some(),
            ("request", "model") => exchange.model.is_some(),
            ("request", "system") => exchange.system.is_some(),
            ("request", "prompt") => exchange.user.is_some(),
            ("request", "user") => exchange.hints.user.is_some(),
            ("request", "conversation") => exchange.hints.conversation.is_some(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Api, Exchange};
    use crate::policy::SessionFacts;
    use crate::score::{Score, Scores, Source};
    use crate::text::Channel;

    fn holds(source: &str) -> Result<bool, Undecided> {
        holds_in(source, SessionFacts { drift: 6.5, turns: 3, flags: 1, limit: 5.5 })
    }

    fn holds_in(source: &str, session: SessionFacts) -> Result<bool, Undecided> {
        let mut scores = Scores::ZERO;
        scores.raise(Label::Hate, Score::new(0.75).unwrap(), Source::Model);
        let signals = Signals { voice: Score::new(0.5), register: None };
        let mut exchange = Exchange::unknown(Api::OpenAiChat);
        exchange.model = Some("grok-4".into());
        exchange.stream = true;
        exchange.user = Some("Hi".into());
        let evidence = Evidence {
            scores: &scores,
            signals: &signals,
            channel: Channel::Answer,
            text: "Hello",
            seen: 0,
            last: true,
            exchange: &exchange,
            session: &session,
        };
        Expression::new(source).unwrap_or_else(|fault| panic!("{source}: {fault:?}")).holds(&evidence)
    }

    #[test]
    fn variables_have_their_values() {
        for source in [
            r#"session.drift >= 6.0 && request.model.startsWith("grok")"#,
            "session.drift >= session.limit && session.limit < 6.0",
            "session.drift > 6 && session.turns == 3 && session.flags < 2",
            "labels.hate >= 0.75 && labels.despair == 0.0",
            r#"labels["hate"] > 0.7"#,
            "labels.exists(l, labels[l] > 0.7)",
            "signals.voice == 0.5 && signals.register == 0.0",
            "has(signals.voice) && !has(signals.register)",
            r#"has(request.model) && !has(request.system) && request.system == """#,
            r#"request.api == "openai-chat" && request.stream && !request.structured"#,
            r#"request.prompt == "Hi" && request.user == "" && request.candidates == 1 && request.turns == 0"#,
            r#"answer.channel == "answer" && answer.length == 5"#,
            r#"request.model.matches("^grok-[0-9]+$")"#,
            r#"request.model in ["grok-3", "grok-4"]"#,
            "session.turns > 2 ? labels.hate > 0.5 : labels.hate > 0.9",
        ] {
            assert_eq!(holds(source), Ok(true), "{source}");
        }
        assert_eq!(holds("labels.hate > 0.8"), Ok(false));
    }

    #[test]
    fn what_only_fails_for_odd_evidence_is_undecided() {
        assert_eq!(holds("1 / (session.turns - 3) > 0"), Err(Undecided));
    }

    #[test]
    fn a_session_that_cannot_be_reached_has_no_value_but_where_it_does_not_matter() {
        for source in ["session.drift >= session.limit", "session.turns == 0", r#"session.flags > 2 || request.model == "x""#] {
            assert_eq!(holds_in(source, SessionFacts::UNKNOWN), Err(Undecided), "{source}");
        }
        assert_eq!(holds_in(r#"request.model == "x" && session.drift > 1.0"#, SessionFacts::UNKNOWN), Ok(false));
        assert_eq!(holds_in(r#"request.model == "grok-4" || session.drift > 1.0"#, SessionFacts::UNKNOWN), Ok(true));
    }

    #[test]
    fn labels_are_known() {
        let expression = Expression::new(r#"labels.hate > 0.5 || labels["despair"] > 0.5 && labels.hate < 1.0"#).unwrap();
        assert_eq!(expression.labels(), [Label::Hate, Label::Despair]);
    }
}

//! Checks a CEL expression when a policy is read: every name exists, every part has a value of a fitting type. CEL would notice some of
//! it only when the evaluation gets there, and `a && b` hides what is wrong with `b`; so the parts are evaluated one by one on plain
//! requests.

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::{ExecutionError, IdedExpr, ParseErrors, Program, Value};

use super::expression::{ExpressionFault, VARIABLES, as_bool, evaluate};
use super::{Evidence, SessionFacts};
use crate::dialect::{Api, Exchange, SessionHints};
use crate::document::{listed, nearest};
use crate::score::{Label, Score, Scores, Signals, Source};
use crate::text::Channel;

type Checked<T = ()> = Result<T, ExpressionFault>;

/// Types that CEL knows by name.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// What an expression asks about.
#[derive(Default)]
pub(super) struct Named {
    /// The labels that it names.
    pub(super) labels: Vec<Label>,
    /// Whether it asks about the answer (labels, signals, `answer`), and not only about the request and its conversation.
    pub(super) answer: bool,
}

/// Checks a program. Returns what it asks about.
pub(super) fn check(program: &Program, source: &str) -> Checked<Named> {
    let checker = Checker { program, source };
    let mut named = Named::default();
    checker.names(program.expression(), &mut Vec::new(), &mut named)?;
    checker.types(program.expression(), true)?;
    for sample in [Sample::bare(), Sample::full()] {
        evaluate(program.expression(), &sample.evidence(), |value| match value {
            Ok(value) if as_bool(value.clone()).is_none() => {
                checker.fault(program.expression(), "is not true or false".to_owned(), None)
            }
            Ok(_) => Ok(()),
            Err(error) => checker.fault(
                program.expression(),
                format!("fails for {}: {}", sample.name, explain(&error)),
                Some("guard the operation, as in session.turns > 0 && 10 / session.turns > 2".to_owned()),
            ),
        })?;
    }
    Ok(named)
}

/// The first syntax error, as one line.
pub(super) fn syntax_fault(source: &str, errors: &ParseErrors) -> ExpressionFault {
    let Some(error) = errors.errors.first() else {
        return ExpressionFault { message: "bad expression".to_owned(), help: None };
    };
    let message = error.msg.trim().trim_start_matches("Syntax error: ");
    // The parser lists every token that it would have liked.
    let message = message.split(" expecting ").next().unwrap_or(message).replace("<EOF>", "the end");
    let (line, column) = (usize::try_from(error.pos.0).unwrap_or(1).max(1), usize::try_from(error.pos.1).unwrap_or(1).max(1));
    let place =
        if source.trim_end().contains('\n') { format!("line {line}, character {column}") } else { format!("character {column}") };
    ExpressionFault { message: format!("bad expression at {place}: {message}"), help: None }
}

struct Checker<'a> {
    program: &'a Program,
    source: &'a str,
}

impl Checker<'_> {
    fn fault<T>(&self, at: &IdedExpr, message: String, help: Option<String>) -> Checked<T> {
        let (start, stop) = self.extent(at).unwrap_or((0, 0));
        let part: String = self.source.chars().skip(start).take(stop - start).collect();
        let message = if part.is_empty() || part == self.source { message } else { format!("{part}: {message}") };
        Err(ExpressionFault { message, help })
    }

    /// Characters from the first to the last part of an expression. (The place of an operator is that of its sign alone.)
    fn extent(&self, at: &IdedExpr) -> Option<(usize, usize)> {
        let own = self.program.source_info().offset_for(at.id).map(|(start, stop)| (start as usize, stop as usize + 1));
        let parts: Vec<&IdedExpr> = match &at.expr {
            Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Expr::Select(select) => vec![&select.operand],
            Expr::List(list) => list.elements.iter().collect(),
            _ => Vec::new(),
        };
        let join = |a: Option<(usize, usize)>, b: Option<(usize, usize)>| match (a, b) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        let (start, stop) = parts.iter().fold(own, |extent, part| join(extent, self.extent(part)))?;
        // A field's name, a closing bracket: what follows the sign belongs to it as well.
        let tail = match &at.expr {
            Expr::Select(select) => select.field.chars().count(),
            Expr::Call(_) => usize::from(self.source.chars().nth(stop).is_some_and(|c| matches!(c, ')' | ']'))),
            _ => 0,
        };
        Some((start, stop + tail))
    }

    /// Every variable and field exists.
    fn names(&self, at: &IdedExpr, bound: &mut Vec<String>, named: &mut Named) -> Checked {
        match &at.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                let known =
                    bound.contains(name) || TYPES.contains(&name.as_str()) || VARIABLES.iter().any(|(space, _)| space == name);
                named.answer |= !bound.contains(name) && matches!(name.as_str(), "labels" | "signals" | "answer");
                if known { Ok(()) } else { Self::unknown("variable", name, VARIABLES.iter().map(|(space, _)| *space)) }
            }
            Expr::Select(select) => {
                self.names(&select.operand, bound, named)?;
                self.field(&select.operand, &select.field, bound, named)
            }
            Expr::Call(call) => {
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    self.names(part, bound, named)?;
                }
                if let (operators::INDEX, [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }]) =
                    (call.func_name.as_str(), call.args.as_slice())
                {
                    self.field(operand, field.inner(), bound, named)?;
                }
                self.literal_regex(at, call)
            }
            Expr::List(list) => list.elements.iter().try_for_each(|part| self.names(part, bound, named)),
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr), bound, named),
            Expr::Struct(record) => self.entries(record.entries.iter().map(|entry| &entry.expr), bound, named),
            Expr::Comprehension(comprehension) => {
                self.names(&comprehension.iter_range, bound, named)?;
                let before = bound.len();
                bound.extend([comprehension.iter_var.clone(), comprehension.accu_var.clone()]);
                bound.extend(comprehension.iter_var2.clone());
                for part in [&comprehension.accu_init, &comprehension.loop_cond, &comprehension.loop_step, &comprehension.result]
                {
                    self.names(part, bound, named)?;
                }
                bound.truncate(before);
                Ok(())
            }
        }
    }

    fn entries<'e>(&self, entries: impl Iterator<Item = &'e EntryExpr>, bound: &mut Vec<String>, named: &mut Named) -> Checked {
        for entry in entries {
            match entry {
                EntryExpr::StructField(field) => self.names(&field.value, bound, named)?,
                EntryExpr::MapEntry(entry) => {
                    self.names(&entry.key, bound, named)?;
                    self.names(&entry.value, bound, named)?;
                }
            }
        }
        Ok(())
    }

    fn field(&self, operand: &IdedExpr, field: &str, bound: &[String], named: &mut Named) -> Checked {
        let Expr::Ident(name) = &operand.expr else { return Ok(()) };
        let Some((space, fields)) = VARIABLES.iter().find(|(space, _)| space == name) else { return Ok(()) };
        if bound.contains(name) {
            return Ok(());
        }
        if !fields.contains(&field) {
            let what = if *space == "labels" { "label" } else { "variable" };
            let prefixed: Vec<String> = fields.iter().map(|field| format!("{space}.{field}")).collect();
            return Self::unknown(what, &format!("{space}.{field}"), prefixed.iter().map(String::as_str));
        }
        if let ("labels", Ok(label)) = (*space, field.parse())
            && !named.labels.contains(&label)
        {
            named.labels.push(label);
        }
        Ok(())
    }

    fn unknown<'n>(what: &str, name: &str, names: impl Iterator<Item = &'n str> + Clone) -> Checked {
        let help = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known here: {}", listed(names).replace('"', "").replace(" or ", ", ")),
        };
        Err(ExpressionFault { message: format!("unknown {what} {name}"), help: Some(help) })
    }

    /// A regular expression that comes out of the request would be the caller's to choose, and is compiled at each evaluation.
    fn literal_regex(&self, at: &IdedExpr, call: &CallExpr) -> Checked {
        if call.func_name != "matches" {
            return Ok(());
        }
        let pattern = call.args.last().map(|part| &part.expr);
        let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern else {
            return self.fault(at, "matches() takes a pattern written in the policy, not one that is computed".to_owned(), None);
        };
        match super::patterns::Pattern::new(pattern.inner()) {
            Ok(_) => Ok(()),
            // `^grok|^$` is a sensible question about a model's name.
            Err(fault) if fault.message.starts_with("matches the empty") => Ok(()),
            Err(fault) => self.fault(at, fault.message, fault.help.map(str::to_owned)),
        }
    }

    /// Every part has a value, and a bool where one is needed.
    fn types(&self, at: &IdedExpr, condition: bool) -> Checked {
        if let Expr::Call(call) = &at.expr {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                    self.types(left, true)?;
                    return self.types(right, true);
                }
                (operators::LOGICAL_NOT, [inner]) => return self.types(inner, true),
                (operators::CONDITIONAL, [question, yes, no]) => {
                    self.types(question, true)?;
                    self.types(yes, condition)?;
                    return self.types(no, condition);
                }
                (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => self.same_kind(at, left, right)?,
                _ => {}
            }
        }
        let sample = Sample::full();
        evaluate(at, &sample.evidence(), |value| match value {
            Ok(value) if condition && as_bool(value.clone()).is_none() => {
                let kind = value.get_type().name().to_owned();
                self.fault(at, format!("is of type {kind}, where true or false is needed"), None)
            }
            Err(error) if is_of_types(&error) => {
                let mixed = matches!(&error, ExecutionError::UnsupportedBinaryOperator(..));
                self.fault(at, explain(&error), mixed.then(|| "convert with double(…), int(…) or string(…)".to_owned()))
            }
            // What depends on values is found by evaluating the whole, which may guard against it.
            _ => Ok(()),
        })
    }

    /// CEL finds values of different types unequal without a word.
    fn same_kind(&self, at: &IdedExpr, left: &IdedExpr, right: &IdedExpr) -> Checked {
        let sample = Sample::full();
        let kind = |part: &IdedExpr| {
            evaluate(part, &sample.evidence(), |value| value.ok().map(|value| value.get_type().name().to_owned()))
        };
        let (Some(left), Some(right)) = (kind(left), kind(right)) else { return Ok(()) };
        let number = |kind: &str| matches!(kind, "int" | "uint" | "double");
        if left == right || (number(&left) && number(&right)) {
            return Ok(());
        }
        self.fault(at, format!("compares {left} with {right}, which are never equal"), None)
    }
}

/// Whether an error is one of names or types, which no other request would cure.
fn is_of_types(error: &ExecutionError) -> bool {
    !matches!(
        error,
        ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::IndexOutOfBounds(_)
            | ExecutionError::NoSuchKey(_)
            | ExecutionError::FunctionError { .. }
    )
}

/// An error of evaluation in our own words, without the values.
fn explain(error: &ExecutionError) -> String {
    let kind = |value: &Value| value.type_of().to_string().to_lowercase().replace("float", "double");
    match error {
        ExecutionError::UndeclaredReference(name) => format!("unknown function or variable {name}"),
        ExecutionError::NoSuchOverload(overload) => {
            let operator = overload.function().trim_start_matches('@').replace('_', "");
            let operator = if operator.is_empty() { overload.function() } else { &operator };
            format!("{operator} cannot be applied to {}", overload.argument_types().join(" and "))
        }
        ExecutionError::ValuesNotComparable(left, right) => format!("cannot compare {} with {}", kind(left), kind(right)),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let verb = match *operator {
                "sub" => "subtract",
                "mul" => "multiply",
                "div" => "divide",
                "rem" => "take the remainder of",
                other => other,
            };
            format!("cannot {verb} {} and {}", kind(left), kind(right))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(..) => "the number grows too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the list is not that long".to_owned(),
        ExecutionError::NoSuchKey(key) => format!("there is no {key}"),
        ExecutionError::InvalidArgumentCount { expected, actual } => format!("takes {expected} arguments, not {actual}"),
        other => other.to_string().to_lowercase(),
    }
}

/// Evidence to try an expression on.
struct Sample {
    name: &'static str,
    scores: Scores,
    signals: Signals,
    exchange: Exchange,
    session: SessionFacts,
}

impl Sample {
    /// The first turn of a request that says nothing.
    fn bare() -> Self {
        Sample {
            name: "a bare request in a new session",
            scores: Scores::ZERO,
            signals: Signals::default(),
            exchange: Exchange::unknown(Api::Custom),
            session: SessionFacts::default(),
        }
    }

    /// A late turn of a request that says everything.
    fn full() -> Self {
        let half = Score::clamped(0.5).unwrap_or_default();
        let mut scores = Scores::ZERO;
        Label::ALL.into_iter().for_each(|label| scores.raise(label, half, Source::Model));
        Sample {
            name: "a request with everything in it",
            scores,
            signals: Signals { voice: Some(half), register: Some(half) },
            exchange: Exchange {
                model: Some("model-1".into()),
                stream: true,
                candidates: 2,
                system: Some("You are Aria.".into()),
                user: Some("Who are you?".into()),
                structured: true,
                hints: SessionHints { user: Some("user-1".into()), conversation: Some("conversation-1".into()), previous: None },
                ..Exchange::unknown(Api::OpenAiChat)
            },
            session: SessionFacts { drift: 6.5, turns: 12, flags: 2, limit: 5.0 },
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            scores: &self.scores,
            signals: &self.signals,
            channel: Channel::Answer,
            text: "I am Aria.",
            seen: 0,
            last: true,
            exchange: &self.exchange,
            session: &self.session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::expression::Expression;
    use proptest::prelude::*;

    #[test]
    fn mistakes_are_found_without_traffic() {
        let sources = [
            "session.drift >",
            "session.drift >= 6.0 &&",
            "(session.drift > 1.0",
            "session.drfit > 1.0",
            "sesion.drift > 1.0",
            "labels.hatee > 0.5",
            "labels[\"hostilty\"] > 0.5",
            "has(signals.voise)",
            "colour > 3",
            "session.drift",
            "labels.hate > 0.5 && session.drift",
            "request.model",
            "request.model > 3",
            "request.stream == \"true\"",
            "session.turns == 1 && request.model.startsWith(3)",
            "session.turns == 1 || request.model.beginsWith(\"g\")",
            "false && labels.hate",
            "session.turns * 0.5 > 1.0",
            "10 / session.turns > 2",
            "request.model.matches(request.user)",
            "request.model.matches(\"(\")",
            "labels.exists(l, lables[l] > 0.7)",
            "session.drift > 1.0 ? \"yes\" : true",
            "labels.hate.x > 1.0",
            "[1, 2][5] == 1",
            "",
        ];
        let lines: Vec<String> = sources
            .iter()
            .map(|source| {
                let fault = Expression::new(source).map(|_| ()).expect_err(source);
                format!("{source}\n    {}{}", fault.message, fault.help.map(|help| format!("; {help}")).unwrap_or_default())
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert!(Expression::new(&"!".repeat(4097)).is_err());
        assert!(Expression::new(&format!("{}true{}", "(".repeat(1500), ")".repeat(1500))).is_err(), "nesting is bounded");
    }

    #[test]
    fn guarded_operations_pass() {
        for source in [
            "session.turns > 0 && 10 / session.turns > 2",
            "request.model.matches(\"^$|^gpt\")",
            "labels.hate > 0 && session.turns > 1.5",
            "size(request.prompt) > 3",
            "[request.model, request.user].exists(s, s.contains(\"x\"))",
            "int(session.drift) > 3",
        ] {
            assert!(Expression::new(source).is_ok(), "{source}: {:?}", Expression::new(source));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_compiler_panic(source in r#"([a-z]{1,4}|labels\.hate|session|[.()\[\]{}?:!<>=&|+*/%,"' -]|[0-9]|é|\n|in ){0,24}"#) {
            let _ = Expression::new(&source);
        }
    }
}

//! Reads one case of a file of cases, noting every mistake with its place.

use super::{Case, Expectation, Given};
use crate::document::{Item, Table};
use crate::policy::{Policy, SessionFacts};
use crate::score::{Label, Score, Scores, Signals, Source};
use crate::text::Channel;
use crate::verdict::Action;

pub(super) fn case(table: &Table<'_>, policy: Option<&Policy>) -> Option<Case> {
    let name = table.require("name", "give the case a name").and_then(|item| Some((item.nonempty()?.to_owned(), item.line())));
    let text = |key| table.str(key).map(str::to_owned);
    let mut case = Case {
        name: String::new(),
        line: 0,
        system: text("system"),
        prompt: text("prompt"),
        model: text("model"),
        earlier: Vec::new(),
        answers: Vec::new(),
        stream: table.bool("stream").unwrap_or(false),
        session: read_session(table),
        given: read_given(table),
        expect: Expectation { action: Action::Allow, rule: None, labels: Vec::new() },
        known_failure: table.nonempty("known_failure").map(str::to_owned),
    };
    read_answers(table, &mut case);
    // Everything has been read by now, so a case that lacks something still has all its other mistakes noted.
    case.expect = read_expectation(table, policy)?;
    (case.name, case.line) = name?;
    Some(case)
}

fn read_answers(table: &Table<'_>, case: &mut Case) {
    let given: Vec<&str> = ["response", "candidates", "conversation"].into_iter().filter(|key| table.has(key)).collect();
    match given.as_slice() {
        [] => table.problem_here("the case has no answer to judge", Some("add response, candidates or conversation")),
        ["response"] => case.answers.extend(table.str("response").map(str::to_owned)),
        ["candidates"] => {
            case.answers = table.strings("candidates").unwrap_or_default().into_iter().map(str::to_owned).collect();
            if case.answers.is_empty() {
                table.problem("candidates", "must name at least one answer", None);
            }
        }
        [_] => read_conversation(table, case),
        [_, second, ..] => table.problem(second, format!("there is {} already", given[0]), Some("keep one of them")),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    System,
    User,
    Assistant,
}

fn read_conversation(table: &Table<'_>, case: &mut Case) {
    let Some(item) = table.item("conversation") else { return };
    for key in ["prompt", "system"] {
        if table.has(key) {
            table.problem(key, "the conversation says it already", Some("write it as a turn of the conversation"));
        }
    }
    let mut turns: Vec<(Role, String)> = Vec::new();
    for turn in item.tables() {
        let roles = [("system", Role::System), ("user", Role::User), ("assistant", Role::Assistant)];
        let role = turn.require("role", "write role = \"user\" or \"assistant\"").and_then(|item| item.choice(&roles));
        let content = turn.require("content", "write what was said").and_then(|item| item.str());
        turn.finish();
        if let (Some(role), Some(content)) = (role, content) {
            turns.push((role, content.to_owned()));
        }
    }
    match turns.pop() {
        Some((Role::Assistant, answer)) => case.answers.push(answer),
        _ => item.problem("must end with a turn of the assistant", Some("the last turn is what is judged")),
    }
    if let Some((Role::User, _)) = turns.last() {
        case.prompt = turns.pop().map(|(_, content)| content);
    }
    for (role, content) in turns {
        match role {
            Role::System => case.system = Some(content),
            Role::User | Role::Assistant => case.earlier.push((role == Role::Assistant, content)),
        }
    }
}

fn read_session(table: &Table<'_>) -> SessionFacts {
    let mut facts = SessionFacts::default();
    if let Some(session) = table.table("session") {
        facts.drift = session.float("drift", 0.0..=f64::MAX).unwrap_or_default();
        facts.turns = session.count("turns", 0..=usize::MAX).unwrap_or_default() as u64;
        facts.flags = session.count("flags", 0..=usize::MAX).unwrap_or_default() as u64;
        session.finish();
    }
    facts
}

fn probability(item: &Item<'_>) -> Option<Score> {
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    item.float(0.0..=1.0).and_then(|value| Score::new(value as f32))
}

fn read_given(table: &Table<'_>) -> Option<Given> {
    let mut given = Given { scores: Scores::ZERO, signals: Signals::default(), channel: Channel::Answer };
    if let Some(scores) = table.table("scores") {
        for label in Label::ALL {
            if let Some(score) = scores.item(label.as_str()).and_then(|item| probability(&item)) {
                given.scores.raise(label, score, Source::Model);
            }
        }
        scores.finish();
    }
    if let Some(signals) = table.table("signals") {
        let read = |name| signals.item(name).and_then(|item| probability(&item));
        given.signals = Signals { voice: read("voice"), register: read("register") };
        signals.finish();
    }
    let channels = [Channel::Answer, Channel::Refusal, Channel::Reasoning, Channel::ToolCall];
    given.channel = table.choice("channel", &channels.map(|channel| (channel.as_str(), channel))).unwrap_or(given.channel);
    ["scores", "signals", "channel"].into_iter().any(|key| table.has(key)).then_some(given)
}

fn read_expectation(table: &Table<'_>, policy: Option<&Policy>) -> Option<Expectation> {
    let actions = Action::ALL.map(|action| (action.as_str(), action));
    let help = "write expect = \"allow\", \"flag\", \"retry\" or \"block\"";
    let action = table.require("expect", help).and_then(|item| item.choice(&actions));
    let rule = table.item("rule").and_then(|item| {
        let rule = item.nonempty()?;
        if let Some(policy) = policy
            && !policy.rules.iter().any(|known| known.name.as_ref() == rule)
        {
            item.unknown_value(rule, policy.rules.iter().map(|known| known.name.as_ref()));
        }
        Some(rule.to_owned())
    });
    let names = Label::ALL.map(|label| (label.as_str(), label));
    let labels: Vec<Label> =
        table.item("labels").map(|item| item.items()).unwrap_or_default().iter().filter_map(|item| item.choice(&names)).collect();
    if action == Some(Action::Allow) {
        for key in ["rule", "labels"].into_iter().filter(|key| table.has(key)) {
            table.problem(key, "an allowed answer has none", Some("remove it, or expect something else"));
        }
    }
    Some(Expectation { action: action?, rule, labels })
}

//! Reads a policy file, noting every mistake with its place. The only file that knows the keys of a policy, those of
//! `[circuit]` and of a rule's `reanchor` and `retry` aside.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::circuit;
use super::disguised;
use super::expression::Expression;
use super::measures;
use super::patterns::Pattern;
use super::retry;
use super::rule::{DETECTED_LABELS, Rule};
use super::tail::Tail;
use super::thresholds;
use super::{BlockReply, Calibration, Fallback, Mode, Policy, Reach, StreamMode, WindowSpec};
use crate::document::{Document, Item, Problem, Table};
use crate::score::{Label, Signals};
use crate::text::{Channel, Str};
use crate::verdict::Action;

/// Names that verdicts use where no rule decided.
const RESERVED: [&str; 4] = ["on_error", "on_overload", "on_unknown", "circuit"];

const NEEDS_CLASSIFIER: &str = "set classifier.path, or remove the rule: without a classifier rules can use patterns, when, signals, and \
                                the labels identity_swap and base_model_regression (see policies/without-classifier.toml)";

impl Policy {
    /// Reads a policy. `file` is only a name for problems; `calibration` is what the classifier offers.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    ///
    /// ```
    /// use steadfast::policy::{Calibration, Policy};
    ///
    /// let policy = Policy::parse("[[rule]]\nname = \"house words\"\npatterns = ['\\bnightfall\\b']\naction = \"block\"", None, &Calibration::NONE);
    /// assert_eq!(policy.unwrap().rules[0].name.as_ref(), "house words");
    ///
    /// let problems = Policy::parse("[[rule]]\nname = \"x\"\naction = \"blok\"", Some("p.toml"), &Calibration::NONE).unwrap_err();
    /// assert_eq!(problems[1].to_string(), "p.toml:3:10: rule[0].action: unknown value \"blok\"; did you mean \"block\"?");
    /// ```
    pub fn parse(text: &str, file: Option<&str>, calibration: &Calibration) -> Result<Self, Vec<Problem>> {
        let document = Document::parse(text, file)?;
        let policy = read(&document.root(), file, calibration);
        document.finish(Some(policy))
    }
}

fn read(root: &Table<'_>, file: Option<&str>, calibration: &Calibration) -> Policy {
    let stem = file.and_then(|file| Path::new(file).file_stem()).and_then(|stem| stem.to_str()).unwrap_or("policy");
    let fallback = |key, default| root.choice(key, &[("block", Fallback::Block), ("allow", Fallback::Allow)]).unwrap_or(default);
    let mut rules = Vec::new();
    let mut names: HashMap<Str, usize> = HashMap::new();
    let tables = root.tables("rule");
    for (index, table) in tables.into_iter().enumerate() {
        let rule = read_rule(&table, calibration);
        if let Some(rule) = &rule
            && let Some(first) = names.insert(rule.name.clone(), index)
        {
            table.problem(
                "name",
                format!("rule[{first}] has the same name"),
                Some("names tell rules apart in metrics and incidents"),
            );
        }
        table.finish();
        rules.extend(rule);
    }
    let forbids = |rule: &&Rule| rule.action >= Action::Retry;
    let read = |rule: &&Rule| !rule.as_written;
    let disguised = Reach {
        judged: disguised::reach(rules.iter().filter(read).flat_map(|rule| &rule.patterns)),
        forbidden: disguised::reach(rules.iter().filter(read).filter(forbids).flat_map(|rule| &rule.patterns)),
    };
    let tail = Tail::new(rules.iter().filter(forbids).flat_map(|rule| &rule.patterns)).unwrap_or_else(|fault| {
        root.problem("rule", fault.message, fault.help);
        Tail::default()
    });
    let policy = Policy {
        name: root.item("name").and_then(|item| read_name(&item)).unwrap_or_else(|| stem.into()),
        mode: root.choice("mode", &[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)]).unwrap_or(Mode::Enforce),
        stream: root
            .choice("stream", &[("hold", StreamMode::Hold), ("buffer", StreamMode::Buffer), ("observe", StreamMode::Observe)])
            .unwrap_or(StreamMode::Hold),
        window: read_window(root),
        on_error: fallback("on_error", Fallback::Block),
        on_overload: fallback("on_overload", Fallback::Block),
        on_unknown: fallback("on_unknown", Fallback::Allow),
        deadline: read_deadline(root),
        rules,
        block: read_block(root),
        circuit: circuit::read(root),
        tail,
        disguised,
    };
    root.finish();
    policy
}

/// Names go into headers (`x-steadfast-rule`), a quoted SSE comment and metric labels.
fn read_name(item: &Item<'_>) -> Option<Str> {
    let name = item.nonempty()?;
    let help = "use up to 64 letters, digits, spaces and punctuation of ASCII: names go into headers and metrics";
    if name.len() > 64 || name.trim() != name || !name.chars().all(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')) {
        item.problem("is no usable name", Some(help));
        return None;
    }
    if RESERVED.contains(&name) {
        item.problem("is what verdicts say where no rule decided", Some("choose another name"));
        return None;
    }
    Some(name.into())
}

fn read_window(root: &Table<'_>) -> WindowSpec {
    let default = WindowSpec { tokens: 128, stride: 48 };
    let Some(table) = root.table("window") else { return default };
    let tokens = table.count("tokens", 16..=512).unwrap_or(default.tokens);
    let stride = table.count("stride", 1..=512).unwrap_or(default.stride.min(tokens));
    if stride > tokens {
        table.problem(
            "stride",
            format!("must be at most window.tokens, which is {tokens}"),
            Some("with a larger stride some text would be in no window"),
        );
    }
    table.finish();
    WindowSpec { tokens, stride }
}

fn read_deadline(root: &Table<'_>) -> Duration {
    let deadline = root.duration("deadline").unwrap_or(Duration::from_secs(2));
    if deadline.is_zero() || deadline > Duration::from_secs(600) {
        root.problem("deadline", "must be more than nothing and at most 10m", None);
    }
    deadline
}

fn read_block(root: &Table<'_>) -> BlockReply {
    let default = "I can't continue with that answer.";
    let Some(table) = root.table("block") else { return BlockReply { status: 200, message: default.into() } };
    let status = table.item("status").and_then(|item| {
        let status = item.integer(i64::MIN..=i64::MAX)?;
        let accepted = status == 200 || (400..=499).contains(&status);
        if !accepted {
            item.problem(
                "must be 200 or between 400 and 499",
                Some("200 answers in the caller's format with its own refusal ending, 4xx with that API's error"),
            );
        }
        u16::try_from(status).ok().filter(|_| accepted)
    });
    let message = table.nonempty("message").unwrap_or(default);
    table.finish();
    BlockReply { status: status.unwrap_or(200), message: message.into() }
}

fn read_rule(table: &Table<'_>, calibration: &Calibration) -> Option<Rule> {
    let name = table.require("name", "give the rule a name").and_then(|item| read_name(&item));
    let actions = Action::ALL.map(|action| (action.as_str(), action));
    let help = "write action = \"flag\", \"reanchor\", \"retry\" or \"block\"";
    let action = table.require("action", help).and_then(|item| item.choice(&actions));
    let retry = retry::read(table, action);
    let (measures, model) = measures::read(table, action);
    let channels = read_channels(table);
    let labels = read_labels(table, calibration);
    let signal = table.choice("signal", &Signals::NAMES.map(|name| (name, name)));
    let (labels, signal) = thresholds::read(table, labels, signal, calibration);
    let patterns = read_patterns(table);
    let as_written = table.bool("as_written").unwrap_or(false);
    if as_written && !table.has("patterns") {
        table.problem("as_written", "there are no patterns that it could be about", Some("add patterns, or remove this"));
    }
    let when = read_when(table, calibration);
    if !["labels", "signal", "patterns", "when"].into_iter().any(|key| table.has(key)) {
        table.problem_here("the rule has no condition", Some("add labels, signal, patterns or when"));
    }
    Some(Rule { name: name?, action: action?, retry, measures, model, channels, labels, signal, patterns, as_written, when })
}

fn read_channels(table: &Table<'_>) -> Vec<Channel> {
    let names =
        [Channel::Answer, Channel::Refusal, Channel::Reasoning, Channel::ToolCall].map(|channel| (channel.as_str(), channel));
    listed_items(table, "channels").iter().filter_map(|item| item.choice(&names)).collect()
}

fn read_labels(table: &Table<'_>, calibration: &Calibration) -> Vec<Label> {
    let names = Label::ALL.map(|label| (label.as_str(), label));
    let mut labels = Vec::new();
    for item in listed_items(table, "labels") {
        let Some(label) = item.choice(&names) else { continue };
        if !calibration.has_model() && !DETECTED_LABELS.contains(&label) {
            item.problem("only a classifier can tell, and there is none", Some(NEEDS_CLASSIFIER));
        } else if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

fn read_patterns(table: &Table<'_>) -> Vec<Pattern> {
    let compile = |item: Item<'_>| match Pattern::new(item.str()?) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            item.problem(fault.message, fault.help);
            None
        }
    };
    listed_items(table, "patterns").into_iter().filter_map(compile).collect()
}

fn read_when(table: &Table<'_>, calibration: &Calibration) -> Option<Expression> {
    let item = table.item("when")?;
    match Expression::new(item.nonempty()?) {
        Ok(expression) => {
            let unjudged = |label: &&Label| !calibration.has_model() && !DETECTED_LABELS.contains(label);
            if let Some(label) = expression.labels().iter().find(unjudged) {
                item.problem(format!("only a classifier can tell {label}, and there is none"), Some(NEEDS_CLASSIFIER));
            }
            Some(expression)
        }
        Err(fault) => {
            item.problem(fault.message, fault.help.as_deref());
            None
        }
    }
}

/// The items of a list that must not be empty; none if the key is absent.
fn listed_items<'d>(table: &Table<'d>, key: &str) -> Vec<Item<'d>> {
    let Some(item) = table.item(key) else { return Vec::new() };
    if item.is_str() {
        item.problem("expected a list, found a string", Some(&format!("write {key} = [\"…\"]")));
        return Vec::new();
    }
    let items = item.items();
    if items.is_empty() && item.is_list() {
        item.problem("must not be empty", Some("leave the key out for no condition"));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DETECTED, Threshold};
    use crate::score::Score;

    fn calibration() -> Calibration {
        Calibration::new(|label| (label != Label::Despair && label != Label::IdentitySwap).then_some(0.97))
    }

    fn problems(text: &str, calibration: &Calibration) -> String {
        let problems = Policy::parse(text, Some("policies/x.toml"), calibration).expect_err(text);
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn an_empty_policy_has_the_defaults() {
        let policy = Policy::parse("", Some("policies/quiet.toml"), &Calibration::NONE).unwrap();
        insta::assert_debug_snapshot!(policy);
    }

    #[test]
    fn the_policy_of_the_manual() {
        let text = r#"
name        = "default"
mode        = "shadow"
stream      = "observe"
window      = { tokens = 64, stride = 16 }
on_error    = "allow"
on_overload = "allow"
on_unknown  = "block"
deadline    = "500ms"

[[rule]]
name     = "hateful persona"
labels   = ["extremist_identity", "hate"]
at_least = 0.90
action   = "retry"
retry    = { attempts = 2, reanchor = true, temperature = 0.3, then = "flag" }

[[rule]]
name     = "calibrated"
labels   = ["hate", "identity_swap"]
at_least = "calibrated"
channels = ["answer", "tool_call"]
action   = "retry"

[[rule]]
name     = "not Aria's voice"
signal   = "voice"
at_least = 1
action   = "flag"

[[rule]]
name     = "house words"
patterns = ['(?i)\bproject nightfall\b']
action   = "block"

[[rule]]
name   = "drifting conversation"
when   = 'session.drift >= 6.0 && request.model.startsWith("grok")'
action = "flag"

[block]
status  = 451
message = "No."
"#;
        let policy = Policy::parse(text, Some("x.toml"), &calibration()).unwrap_or_else(|problems| panic!("{problems:#?}"));
        insta::assert_debug_snapshot!(policy);
    }

    #[test]
    fn every_mistake_is_found_with_its_line() {
        insta::assert_snapshot!(problems(
            r#"name = "say \"x\""
mode = "enfroce"
stream = "held"
window = { tokens = 8, stride = 600, overlap = 3 }
on_error = "alow"
deadline = "0s"
on_eror = "block"

[[rule]]
name = "a"
labels = ["hatee", "despair"]
at_least = 1.5
action = "flag"
retry = { attempts = 2 }

[[rule]]
name = "a"
labels = ["hate"]
at_least = "calibratd"
action = "retry"
retry = { attempts = 0, temperature = 3, then = "retry", attemps = 3 }

[[rule]]
name = "no condition"
action = "block"

[[rule]]
labels = "hate"
acton = "block"

[[rule]]
name = "on_error"
patterns = ['(?i)\bnight(fall', 'a*', 3]
action = "block"

[[rule]]
name = "empty"
patterns = []
action = "block"

[[rule]]
name = "signals"
signal = "voise"
at_least = "calibrated"
action = "block"

[[rule]]
name = "signal without a number"
signal = "voice"
action = "block"

[[rule]]
name = "number without a signal"
at_least = 0.5
when = 'session.drfit > 3.0'
action = "block"

[[rule]]
name = "zero"
labels = ["hate"]
at_least = 0
channels = ["thinking"]
action = "block"

[[rule]]
name = "not calibrated"
labels = ["despair", "hate"]
at_least = "calibrated"
action = "block"

[block]
status = 302
message = "  "
"#,
            &calibration()
        ));
    }

    #[test]
    fn without_a_classifier_only_what_rules_can_tell_is_accepted() {
        let accepted = r#"
[[rule]]
name = "identity"
labels = ["identity_swap"]
action = "retry"
[[rule]]
name = "degeneration"
labels = ["base_model_regression"]
at_least = 0.95
action = "retry"
[[rule]]
name = "when"
when = "labels.identity_swap > 0.5 && signals.voice > 0.5"
action = "flag"
"#;
        let policy = Policy::parse(accepted, None, &Calibration::NONE).unwrap();
        assert_eq!(policy.rules[0].labels, [(Label::IdentitySwap, Threshold::both(Score::new(DETECTED).unwrap()))]);
        let refused = r#"
[[rule]]
name = "hate"
labels = ["identity_swap", "hate"]
action = "block"
[[rule]]
name = "when"
when = "labels.hate > 0.5"
action = "flag"
"#;
        insta::assert_snapshot!(problems(refused, &Calibration::NONE));
    }

    #[test]
    fn a_window_stride_larger_than_the_window_is_refused() {
        insta::assert_snapshot!(problems("[window]\ntokens = 32\nstride = 33\n", &Calibration::NONE));
        assert_eq!(Policy::parse("window = { tokens = 32 }", None, &Calibration::NONE).unwrap().window.stride, 32);
    }

    #[test]
    fn a_syntax_error_is_a_problem_too() {
        insta::assert_snapshot!(problems("name = \"x\nmode = 3\n", &Calibration::NONE));
    }

    #[test]
    fn the_shipped_policies_are_good() {
        let calibration = Calibration::new(|_| Some(0.9));
        for (file, text) in [
            ("policies/default.toml", include_str!("../../policies/default.toml")),
            ("policies/strict.toml", include_str!("../../policies/strict.toml")),
            ("policies/shadow.toml", include_str!("../../policies/shadow.toml")),
        ] {
            let policy = Policy::parse(text, Some(file), &calibration).unwrap_or_else(|problems| panic!("{problems:#?}"));
            assert_eq!(format!("policies/{}.toml", policy.name), file);
            let named: Vec<Label> = policy.rules.iter().flat_map(|rule| &rule.labels).map(|(label, _)| *label).collect();
            assert!(Label::ALL.iter().all(|label| named.contains(label)), "{file} forgets a label");
        }
        let text = include_str!("../../policies/without-classifier.toml");
        Policy::parse(text, None, &Calibration::NONE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    }
}

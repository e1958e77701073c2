//! What a replay came to: counts for each format, rule and action, what another policy would have done otherwise, and the findings. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::sessions::Sessions;
use crate::guard::events::Excerpt;
use crate::guard::{Fate, Replayed};
use crate::policy::{Fallback, Mode, Policy};
use crate::rows::decided;
use crate::verdict::{Action, Unscored};

/// What may become of an exchange, in the order of columns: the actions, and what is no verdict.
pub(super) const OUTCOMES: [&str; 7] = ["allow", "flag", "reanchor", "retry", "block", "unscored", "passed"];

/// Findings that are kept. Beyond it they are only counted: a replay of any length takes bounded memory.
const KEPT: usize = 10_000;

/// What one policy would have done with one exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    /// One of [`OUTCOMES`].
    pub(super) action: &'static str,
    /// The rule that decided.
    pub(super) rule: Option<String>,
    /// The labels that were over its thresholds.
    pub(super) labels: Vec<String>,
}

/// An exchange that is worth a look.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Its line in the input.
    pub(super) line: usize,
    /// Its id.
    pub(super) id: Option<Value>,
    /// Its wire format.
    pub(super) api: &'static str,
    /// The model asked for.
    pub(super) model: Option<String>,
    /// What the policy would have done.
    #[serde(flatten)]
    pub(super) decision: Decision,
    /// What the other policy would have done, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) against: Option<Decision>,
    /// A detector's explanation.
    pub(super) evidence: Option<String>,
    /// The text that caused it: before, the text itself, after; from the more severe of the two verdicts.
    pub(super) text: Text,
}

/// A text with what is around it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Text {
    /// Which part of the answer it is in.
    pub(super) channel: Option<&'static str>,
    /// Before it.
    pub(super) before: String,
    /// The text.
    pub(super) matched: String,
    /// After it.
    pub(super) after: String,
}

/// A policy in the account.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    /// Its name.
    pub(super) name: String,
    /// What it is called where people read: its name, or its file where that tells more.
    #[serde(skip)]
    pub(super) title: String,
    /// Its file.
    pub(super) file: String,
    /// `enforce` or `shadow`.
    pub(super) mode: &'static str,
    /// Exchanges for each outcome.
    pub(super) outcomes: BTreeMap<&'static str, usize>,
    /// Exchanges for each rule that decided, with its action.
    pub(super) rules: BTreeMap<String, Fired>,
}

/// How often a rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fired {
    /// Its action.
    pub(super) action: &'static str,
    /// Exchanges.
    pub(super) exchanges: usize,
}

/// An action and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct By {
    /// The action.
    pub(super) action: &'static str,
    /// The rule.
    pub(super) rule: Option<String>,
}

/// The whole account.
#[derive(Debug, Serialize)]
pub(super) struct Account {
    /// Where the exchanges came from.
    pub(super) input: String,
    /// The classifier.
    pub(super) classifier: String,
    /// The persona.
    pub(super) persona: String,
    /// Rows that were read.
    pub(super) exchanges: usize,
    /// Rows that were not.
    pub(super) unreadable: usize,
    /// The policy.
    pub(super) policy: Judged,
    /// The other policy.
    pub(super) against: Option<Judged>,
    /// Exchanges for each format and outcome, under the policy.
    pub(super) apis: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    /// Exchanges for each pair of different outcomes.
    pub(super) changes: Vec<Change>,
    /// Exchanges that the policy or the other one does not simply allow, or on which they differ.
    pub(super) findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    pub(super) findings_left_out: usize,
    /// Conversations, where they are asked for; those that drifted most come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sessions: Option<Sessions>,
}

/// How often one outcome became another.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// The policy's action and rule.
    pub(super) from: By,
    /// The other's.
    pub(super) to: By,
    /// Exchanges.
    pub(super) exchanges: usize,
}

impl Decision {
    /// Under `policy`.
    pub(super) fn of(replayed: &Replayed, policy: &Policy) -> Self {
        let plain = |action| Decision { action, rule: None, labels: Vec::new() };
        match &replayed.fate {
            Fate::Textless | Fate::Failed(_) => plain("passed"),
            Fate::Unknown => match policy.on_unscored(Unscored::UnknownApi) {
                (Fallback::Block, key) if policy.mode == Mode::Enforce => {
                    Decision { action: Action::Block.as_str(), rule: Some(key.to_owned()), labels: Vec::new() }
                }
                _ => plain("unscored"),
            },
            Fate::Judged(assessment) => {
                let (action, rule) = decided(assessment, policy);
                let labels = assessment.verdict.labels.iter().map(|label| label.as_str().to_owned()).collect();
                Decision { action, rule, labels }
            }
        }
    }

    /// Action and rule.
    pub(super) fn by(&self) -> By {
        By { action: self.action, rule: self.rule.clone() }
    }

    /// How severe it is, to compare.
    fn weight(&self) -> usize {
        match self.action {
            "unscored" => 1,
            action => action.parse().map_or(0, |action: Action| 2 * (action as usize)),
        }
    }

    /// Whether somebody may want to look at it. What no format knows is only counted: there would be no text to show.
    fn is_finding(&self) -> bool {
        self.action.parse::<Action>().is_ok_and(|action| action > Action::Allow)
    }
}

impl Judged {
    /// Nothing counted yet.
    pub(super) fn new(policy: &Policy, file: String) -> Self {
        let mode = match policy.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        };
        let name = policy.name.to_string();
        Judged { title: name.clone(), name, file, mode, outcomes: BTreeMap::new(), rules: BTreeMap::new() }
    }

    /// Tells two policies apart that have one name, as an old and a new version of one have.
    pub(super) fn tell_apart(&mut self, other: &mut Judged) {
        if self.name == other.name && self.file != other.file {
            self.title.clone_from(&self.file);
            other.title.clone_from(&other.file);
        }
    }

    fn take(&mut self, decision: &Decision) {
        *self.outcomes.entry(decision.action).or_default() += 1;
        if let Some(rule) = &decision.rule {
            self.rules.entry(rule.clone()).or_insert(Fired { action: decision.action, exchanges: 0 }).exchanges += 1;
        }
    }

    /// Exchanges with this outcome.
    pub(super) fn count(&self, outcome: &str) -> usize {
        self.outcomes.get(outcome).copied().unwrap_or(0)
    }
}

impl Account {
    /// Takes in an exchange as both policies see it.
    pub(super) fn take(
        &mut self,
        line: usize,
        id: Option<Value>,
        replayed: &Replayed,
        decision: Decision,
        other: Option<(Decision, Replayed)>,
    ) {
        let api = replayed.api.map_or("unknown", |api| api.as_str());
        self.exchanges += 1;
        if let (Some(sessions), Some((name, turn))) = (&mut self.sessions, &replayed.session) {
            sessions.take(line, name, turn, decision.action);
        }
        *self.apis.entry(api).or_default().entry(decision.action).or_default() += 1;
        self.policy.take(&decision);
        let mut worth = decision.is_finding();
        let mut shown = replayed;
        if let Some((against, seen)) = &other {
            if let Some(judged) = &mut self.against {
                judged.take(against);
            }
            if against.by() != decision.by() {
                self.change(&decision, against);
                worth = true;
            }
            worth |= against.is_finding();
            if against.weight() > decision.weight() {
                shown = seen;
            }
        }
        if !worth {
            return;
        }
        if self.findings.len() >= KEPT {
            self.findings_left_out += 1;
            return;
        }
        let evidence = match &shown.fate {
            Fate::Judged(assessment) => assessment.verdict.evidence.clone(),
            _ => None,
        };
        self.findings.push(Finding {
            line,
            id,
            api,
            model: replayed.model.as_deref().map(str::to_owned),
            evidence,
            text: Text::of(&shown.excerpt),
            against: other.map(|(against, _)| against),
            decision,
        });
    }

    fn change(&mut self, from: &Decision, to: &Decision) {
        let (from, to) = (from.by(), to.by());
        match self.changes.iter_mut().find(|change| change.from == from && change.to == to) {
            Some(change) => change.exchanges += 1,
            None => self.changes.push(Change { from, to, exchanges: 1 }),
        }
    }

    /// Puts the most frequent first.
    pub(super) fn finish(&mut self) {
        if let Some(sessions) = &mut self.sessions {
            sessions.finish();
        }
        self.changes
            .sort_by(|a, b| b.exchanges.cmp(&a.exchanges).then_with(|| a.from.cmp(&b.from)).then_with(|| a.to.cmp(&b.to)));
    }

    /// Exchanges on which the policies differ.
    pub(super) fn differences(&self) -> usize {
        self.changes.iter().map(|change| change.exchanges).sum()
    }
}

impl Text {
    fn of(excerpt: &Excerpt) -> Self {
        Text {
            channel: excerpt.channel.map(|channel| channel.as_str()),
            before: excerpt.before.clone(),
            matched: excerpt.matched.clone(),
            after: excerpt.after.clone(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dialect::Api;
    use crate::guard::Assessment;
    use crate::policy::Calibration;
    use crate::verdict::Verdict;

    pub(crate) fn policy(text: &str) -> Policy {
        Policy::parse(text, None, &Calibration::NONE).unwrap()
    }

    pub(crate) fn account(policy: &Policy, against: Option<&Policy>) -> Account {
        Account {
            input: "traffic.jsonl".to_owned(),
            classifier: "none".to_owned(),
            persona: "Aria".to_owned(),
            exchanges: 0,
            unreadable: 0,
            policy: Judged::new(policy, "a.toml".to_owned()),
            against: against.map(|policy| Judged::new(policy, "b.toml".to_owned())),
            apis: BTreeMap::new(),
            changes: Vec::new(),
            findings: Vec::new(),
            findings_left_out: 0,
            sessions: None,
        }
    }

    pub(crate) fn replayed(fate: Fate) -> Replayed {
        let excerpt = Excerpt { before: "so <b>".to_owned(), matched: "it & that".to_owned(), ..Excerpt::default() };
        Replayed { api: Some(Api::OpenAiChat), model: Some("m".into()), fate, excerpt, session: None }
    }

    pub(crate) fn judged(action: Action, rule: Option<&str>, unscored: Vec<Unscored>) -> Fate {
        let verdict = Verdict { action, rule: rule.map(Into::into), ..Verdict::allow() };
        Fate::Judged(Box::new(Assessment { verdict, onset_token: None, unscored, windows: 1 }))
    }

    #[test]
    fn an_outcome_is_what_the_gateway_would_have_done() {
        let (closed, open) = (policy("on_unknown = \"block\""), policy("on_unknown = \"allow\"\non_error = \"allow\""));
        let of = |fate, policy: &Policy| {
            let decision = Decision::of(&replayed(fate), policy);
            (decision.action, decision.rule)
        };
        assert_eq!(of(Fate::Unknown, &closed), ("block", Some("on_unknown".to_owned())));
        assert_eq!(of(Fate::Unknown, &open), ("unscored", None));
        assert_eq!(of(Fate::Unknown, &policy("on_unknown = \"block\"\nmode = \"shadow\"")), ("unscored", None));
        assert_eq!(of(Fate::Failed(http::StatusCode::BAD_GATEWAY), &closed), ("passed", None));
        assert_eq!(of(judged(Action::Retry, Some("r"), Vec::new()), &closed), ("retry", Some("r".to_owned())));
        assert_eq!(of(judged(Action::Allow, None, vec![Unscored::Error]), &open), ("unscored", None));
        assert_eq!(of(judged(Action::Allow, None, vec![Unscored::Error]), &closed), ("block", Some("on_error".to_owned())));
    }

    #[test]
    fn counts_changes_and_findings() {
        let one = policy("name = \"one\"");
        let mut account = account(&one, Some(&one));
        let mut take = |line, from: Fate, to: Fate| {
            let (from, to) = (replayed(from), replayed(to));
            let decisions = (Decision::of(&from, &one), Decision::of(&to, &one));
            account.take(line, None, &from, decisions.0, Some((decisions.1, to)));
        };
        let allow = || judged(Action::Allow, None, Vec::new());
        take(1, allow(), allow());
        for line in 2..4 {
            take(line, allow(), judged(Action::Block, Some("hate"), Vec::new()));
        }
        take(4, judged(Action::Flag, Some("x"), Vec::new()), judged(Action::Flag, Some("x"), Vec::new()));
        take(5, Fate::Textless, Fate::Textless);
        account.finish();
        assert_eq!((account.exchanges, account.differences()), (5, 2));
        assert_eq!((account.policy.count("allow"), account.policy.count("passed")), (3, 1));
        assert_eq!(account.against.as_ref().unwrap().rules["hate"], Fired { action: "block", exchanges: 2 });
        assert_eq!(account.findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(account.changes[0].to, By { action: "block", rule: Some("hate".to_owned()) });
        assert_eq!(account.apis["openai-chat"]["allow"], 3);
    }
}

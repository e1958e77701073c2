//! What was decided about an answer and why. Knows nothing of HTTP.

use std::fmt;
use std::str::FromStr;

use crate::score::{Label, Scores, Signals};
use crate::text::{Span, Str};

/// What to do with an answer, ordered by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Let it through.
    #[default]
    Allow,
    /// Let it through and mark it.
    Flag,
    /// Let it through, mark it, and remind the model of its persona from the conversation's next request on.
    Reanchor,
    /// Ask the model again.
    Retry,
    /// Withhold it.
    Block,
}

impl Action {
    /// Every action, the mildest first.
    pub const ALL: [Action; 5] = [Action::Allow, Action::Flag, Action::Reanchor, Action::Retry, Action::Block];

    /// The name used in policies, headers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Flag => "flag",
            Action::Reanchor => "reanchor",
            Action::Retry => "retry",
            Action::Block => "block",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        Action::ALL.into_iter().find(|a| a.as_str() == name).ok_or(())
    }
}

/// Why text was not scored. A bounded set: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unscored {
    /// The classifier failed.
    Error,
    /// The queue was full.
    Overload,
    /// The window's deadline passed.
    Deadline,
    /// Traffic in no known api.
    UnknownApi,
    /// A known api whose bytes could not be understood.
    Unreadable,
    /// The body or the held text was over its limit.
    TooLarge,
}

impl Unscored {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Unscored::Error => "error",
            Unscored::Overload => "overload",
            Unscored::Deadline => "deadline",
            Unscored::UnknownApi => "unknown_api",
            Unscored::Unreadable => "unreadable",
            Unscored::TooLarge => "too_large",
        }
    }
}

/// What made a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// No rule fired.
    Clean,
    /// A rule of the policy, by its place in the policy.
    Rule(usize),
    /// The text could not be scored, and the policy's `on_error`, `on_overload` or `on_unknown` decided.
    Unscored(Unscored),
    /// Nothing was asked of the model: the route's circuit is open, and the policy blocks meanwhile.
    Circuit,
}

impl Cause {
    /// The rule of the policy that it was, by its place.
    #[must_use]
    pub const fn rule(&self) -> Option<usize> {
        match self {
            Cause::Rule(rule) => Some(*rule),
            Cause::Clean | Cause::Unscored(_) | Cause::Circuit => None,
        }
    }
}

/// The outcome for one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is done.
    pub action: Action,
    /// What made it so.
    pub cause: Cause,
    /// The rule's name (`on_error`, `on_overload`, `on_unknown`, `circuit` where no rule of the policy decided).
    pub rule: Option<Str>,
    /// The highest score of each label over the windows judged so far.
    pub scores: Scores,
    /// The highest signals so far.
    pub signals: Signals,
    /// The labels that fired the rule.
    pub labels: Vec<Label>,
    /// The text that caused it.
    pub span: Option<Span>,
    /// An explanation for the incident ("said \"I'm Grok\"; persona is Aria"). May quote the answer: never in headers, metrics or errors.
    pub evidence: Option<String>,
}

impl Verdict {
    /// Nothing found.
    #[must_use]
    pub fn allow() -> Self {
        Verdict {
            action: Action::Allow,
            cause: Cause::Clean,
            rule: None,
            scores: Scores::ZERO,
            signals: Signals::default(),
            labels: Vec::new(),
            span: None,
            evidence: None,
        }
    }

    /// Whether nothing was found: an allow that no rule asked for.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.action == Action::Allow && self.rule.is_none()
    }
}

//! Policies: rules from scores, signals, drift and the request to an action. Pure: no IO, no clock.

mod calibration;
pub mod cases;
mod check;
mod circuit;
mod disguised;
mod expression;
mod measures;
mod parse;
mod patterns;
mod retry;
mod rule;
mod tail;
mod thresholds;

use std::time::Duration;

pub use calibration::{CALIBRATED, Calibration, Rate};
pub use circuit::{CircuitSpec, Detour};
pub use expression::{Expression, ExpressionFault, Undecided};
pub use measures::Measures;
pub use patterns::{Pattern, PatternFault};
pub use retry::Retry;
pub use rule::{DETECTED, Rule, Threshold};

use disguised::Readings;
use tail::Tail;

use crate::dialect::Exchange;
use crate::score::{Label, Scores, Signals};
use crate::text::{Channel, Str};
use crate::verdict::{Action, Unscored};

/// Whether verdicts change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are decided and recorded, and nothing changes.
    Shadow,
}

/// How streams are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamMode {
    /// No text leaves before its window is scored.
    Hold,
    /// Nothing leaves before the whole answer is scored.
    Buffer,
    /// Text leaves at once; a violation cuts the stream.
    Observe,
}

/// What to do with what could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Fail closed.
    Block,
    /// Fail open, counted as unscored.
    Allow,
}

/// Size of the scored windows, in tokens (estimated: [`crate::window`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// Tokens in a window.
    pub tokens: usize,
    /// New tokens from one window to the next.
    pub stride: usize,
}

/// The client's answer when the model's is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockReply {
    /// 200: an answer in the caller's wire format with its own refusal ending. 4xx: that API's error shape.
    pub status: u16,
    /// The sentence shown.
    pub message: Str,
}

/// A conversation's state, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionFacts {
    /// How far it has moved from its persona (CUSUM of score residuals, in standard deviations).
    pub drift: f64,
    /// Judged turns before this one.
    pub turns: u64,
    /// Flagged, retried or blocked turns before this one.
    pub flags: u64,
    /// The drift that harmless conversations of this persona do not reach: measured by calibration, or the textbook's.
    pub limit: f64,
}

impl Default for SessionFacts {
    /// A conversation that begins.
    fn default() -> Self {
        SessionFacts { drift: 0.0, turns: 0, flags: 0, limit: crate::drift::LIMIT }
    }
}

impl SessionFacts {
    /// Conversations are remembered, and what is remembered cannot be reached: a `when` that asks has no value, and
    /// [`Policy::on_error`] decides.
    pub const UNKNOWN: SessionFacts = SessionFacts { drift: f64::NAN, turns: 0, flags: 0, limit: crate::drift::LIMIT };

    /// Whether it is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.drift.is_nan()
    }
}

/// What a rule is asked about: one window of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The window's scores (model and detectors).
    pub scores: &'a Scores,
    /// The window's signals.
    pub signals: &'a Signals,
    /// The channel.
    pub channel: Channel,
    /// The lane's text up to the end of the window: patterns look here, across events and windows.
    pub text: &'a str,
    /// Bytes of `text` that earlier windows have already been asked about: a match counts where it was not decided by those.
    pub seen: usize,
    /// Nothing follows `text`. `false` is a promise to ask again, at the latest when the lane ends (then with `seen == text.len()` if
    /// nothing came): a pattern's `\\b` or `$` at the end of `text` is not decided before.
    pub last: bool,
    /// The request.
    pub exchange: &'a Exchange,
    /// The conversation.
    pub session: &'a SessionFacts,
}

/// A rule that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its place in [`Policy::rules`].
    pub rule: usize,
    /// Its action. [`Action::Allow`] changes nothing and is for the record.
    pub action: Action,
    /// The labels that were over their threshold.
    pub labels: Vec<Label>,
    /// Bytes of the text that a pattern matched.
    pub span: Option<std::ops::Range<usize>>,
    /// A `when` (of this rule, or of one that would have been more severe) had no value, and [`Policy::on_error`] decided what that means:
    /// the caller counts it as [`Unscored::Error`](crate::verdict::Unscored), never as a plain allow.
    pub undecided: bool,
}

/// How many characters back disguised matches of patterns are looked for; 0: of none.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// Of all patterns.
    judged: usize,
    /// Of those that forbid something.
    forbidden: usize,
}

/// A policy. [`Policy::parse`] reads one.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: Str,
    /// Whether verdicts change anything.
    pub mode: Mode,
    /// How streams are let through.
    pub stream: StreamMode,
    /// Window size.
    pub window: WindowSpec,
    /// The classifier failed.
    pub on_error: Fallback,
    /// The queue is full or a deadline passed.
    pub on_overload: Fallback,
    /// Traffic in no known api.
    pub on_unknown: Fallback,
    /// Guard time for one window.
    pub deadline: Duration,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The client's answer to a block.
    pub block: BlockReply,
    /// What is done when a route collapses as a whole.
    pub circuit: Option<CircuitSpec>,
    /// Of the patterns that forbid something.
    tail: Tail,
    /// How far back disguised matches are looked for.
    disguised: Reach,
}

impl Policy {
    /// How severe it is that a rule comes to `action`. Of two retries the one whose end (`then`) is stricter is more severe: a mild one
    /// must not hide what a strict one would withhold once attempts are spent.
    #[must_use]
    pub fn severity(&self, action: Action, rule: usize) -> (Action, Action) {
        let end = self.rules.get(rule).and_then(|rule| rule.retry.as_ref()).map_or(Action::Block, |retry| retry.then);
        (action, if action == Action::Retry { end } else { action })
    }

    /// The most severe action that fires ([`Policy::severity`]; the first of equals). `None`: no rule fired. Allocates nothing then, `when` and disguised words aside.
    ///
    /// Where a rule's `when` has no value (its other conditions hold, but it divides by zero or the like, which the checks at load make
    /// rare), `on_error` decides as it does for a classifier that failed: with `block` the rule fires, since it might have and its action
    /// is the most that it could have done; with `allow` it does not. Either way the hit says so.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence<'_>) -> Option<Hit> {
        let mut best: Option<Hit> = None;
        let reads = Readings::new(evidence.text, evidence.seen, self.disguised.judged);
        for (index, rule) in self.rules.iter().enumerate() {
            if best.as_ref().is_some_and(|hit| self.severity(hit.action, hit.rule) >= self.severity(rule.action, index)) {
                continue;
            }
            let Some(fired) = rule.fires(evidence, &reads) else { continue };
            let undecided = fired.undecided || best.as_ref().is_some_and(|hit| hit.undecided);
            if fired.undecided && self.on_error == Fallback::Allow {
                let open = Hit { rule: index, action: Action::Allow, labels: Vec::new(), span: None, undecided };
                best.get_or_insert(open).undecided = true;
                continue;
            }
            let labels = rule.labels_over(evidence).collect();
            best = Some(Hit { rule: index, action: rule.action, labels, span: fired.span, undecided });
        }
        best
    }

    /// What is to be done with text that could not be scored, and the key that says so.
    #[must_use]
    pub const fn on_unscored(&self, reason: Unscored) -> (Fallback, &'static str) {
        match reason {
            Unscored::Error | Unscored::TooLarge => (self.on_error, "on_error"),
            Unscored::Overload | Unscored::Deadline => (self.on_overload, "on_overload"),
            Unscored::UnknownApi | Unscored::Unreadable => (self.on_unknown, "on_unknown"),
        }
    }

    /// Whether a rule may answer with a retry.
    #[must_use]
    pub fn retries(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Retry)
    }

    /// Whether a rule that withholds text asks for more of it than patterns and labels: signals, or anything in a `when`. Then it must be
    /// asked before each piece of text leaves, however little that is.
    #[must_use]
    pub fn withholds_by_measures(&self) -> bool {
        let measures = |rule: &Rule| rule.signal.is_some() || rule.when.as_ref().is_some_and(Expression::asks_about_the_answer);
        self.rules.iter().any(|rule| rule.action >= Action::Retry && measures(rule))
    }

    /// How many bytes at the end of `text` may be the beginning of a match that a rule would block or retry for: in `hold` they do not
    /// leave yet. At most the length of the longest such pattern, or 256 for patterns without a longest match; where words are disguised, as much
    /// of the text as reads like that.
    #[must_use]
    pub fn open_tail(&self, text: &str) -> usize {
        match self.disguised.forbidden {
            0 => self.tail.open(text),
            reach => disguised::open(text, reach, |text| self.tail.open(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Api;
    use crate::score::Score;
    use crate::score::Source;
    use proptest::prelude::*;

    /// What a test says of one window; the rest is a plain request.
    struct Ask<'a> {
        scores: &'a [(Label, f32, Source)],
        voice: Option<f32>,
        channel: Channel,
        text: &'a str,
        seen: usize,
        last: bool,
        turns: u64,
    }

    const PLAIN: Ask<'static> =
        Ask { scores: &[], voice: None, channel: Channel::Answer, text: "Hello.", seen: 0, last: true, turns: 0 };

    fn policy(rules: &str) -> Policy {
        let calibration = Calibration::new(|_| Some(0.97));
        Policy::parse(rules, Some("test.toml"), &calibration).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    fn judge(policy: &Policy, ask: &Ask<'_>) -> Option<Hit> {
        let mut scores = Scores::ZERO;
        for (label, score, source) in ask.scores {
            scores.raise(*label, Score::new(*score).unwrap(), *source);
        }
        let signals = Signals { voice: ask.voice.and_then(Score::new), register: None };
        let session = SessionFacts { turns: ask.turns, ..SessionFacts::default() };
        let exchange = Exchange::unknown(Api::OpenAiChat);
        policy.judge(&Evidence {
            scores: &scores,
            signals: &signals,
            channel: ask.channel,
            text: ask.text,
            seen: ask.seen,
            last: ask.last,
            exchange: &exchange,
            session: &session,
        })
    }

    /// What is done about a text that comes as the plain answer of a plain request.
    pub(super) fn found(policy: &Policy, text: &str, seen: usize, last: bool) -> Option<Action> {
        judge(policy, &Ask { text, seen, last, ..PLAIN }).map(|hit| hit.action)
    }

    /// The same in a conversation's turn.
    pub(super) fn found_in_turn(policy: &Policy, text: &str, seen: usize, turns: u64) -> Option<Action> {
        judge(policy, &Ask { text, seen, turns, ..PLAIN }).map(|hit| hit.action)
    }

    fn fired(policy: &Policy, ask: &Ask<'_>) -> Option<(usize, Action)> {
        judge(policy, ask).map(|hit| (hit.rule, hit.action))
    }

    #[test]
    fn the_most_severe_action_is_taken_and_the_first_of_equals() {
        let policy = policy(
            r#"
[[rule]]
name = "first flag"
labels = ["hate"]
at_least = 0.5
action = "flag"
[[rule]]
name = "second flag"
labels = ["hate"]
at_least = 0.1
action = "flag"
[[rule]]
name = "block"
labels = ["hostility", "hate"]
at_least = 0.9
action = "block"
[[rule]]
name = "retry"
labels = ["hate"]
at_least = 0.7
action = "retry"
"#,
        );
        let hate = |score| [(Label::Hate, score, Source::Model)];
        assert_eq!(fired(&policy, &PLAIN), None);
        assert_eq!(fired(&policy, &Ask { scores: &hate(0.2), ..PLAIN }), Some((1, Action::Flag)));
        assert_eq!(fired(&policy, &Ask { scores: &hate(0.5), ..PLAIN }), Some((0, Action::Flag)));
        assert_eq!(fired(&policy, &Ask { scores: &hate(0.8), ..PLAIN }), Some((3, Action::Retry)));
        let hit = judge(&policy, &Ask { scores: &hate(0.9), ..PLAIN }).unwrap();
        assert_eq!((hit.rule, hit.action, hit.labels), (2, Action::Block, vec![Label::Hate]));
    }

    #[test]
    fn all_conditions_of_a_rule_must_hold() {
        let policy = policy(
            r#"
[[rule]]
name = "all"
labels = ["hostility"]
at_least = 0.5
patterns = ["die"]
when = "session.turns > 2"
channels = ["answer", "reasoning"]
action = "block"
[[rule]]
name = "voice"
signal = "voice"
at_least = 0.5
action = "flag"
"#,
        );
        let hostile = [(Label::Hostility, 0.5, Source::Model)];
        let all = Ask { scores: &hostile, text: "Please die.", turns: 3, ..PLAIN };
        assert_eq!(judge(&policy, &all).unwrap().span, Some(7..10));
        assert_eq!(fired(&policy, &Ask { scores: &[], ..all }), None);
        assert_eq!(fired(&policy, &Ask { text: "Please live.", ..all }), None);
        assert_eq!(fired(&policy, &Ask { turns: 2, ..all }), None);
        assert_eq!(fired(&policy, &Ask { channel: Channel::ToolCall, ..all }), None);
        assert_eq!(fired(&policy, &Ask { channel: Channel::Reasoning, ..all }), Some((0, Action::Block)));
        // The words came in one window, the score in the next.
        assert_eq!(fired(&policy, &Ask { text: "Please die. I mean it.", seen: 11, ..all }), Some((0, Action::Block)));
        assert_eq!(fired(&policy, &Ask { voice: Some(0.6), ..PLAIN }), Some((1, Action::Flag)));
        assert_eq!(fired(&policy, &Ask { voice: Some(0.4), ..PLAIN }), None);
    }

    #[test]
    fn a_calibrated_threshold_is_the_models_and_detectors_have_their_own() {
        let policy = policy("[[rule]]\nname = \"identity\"\nlabels = [\"identity_swap\"]\naction = \"retry\"");
        let at = |score, source| fired(&policy, &Ask { scores: &[(Label::IdentitySwap, score, source)], ..PLAIN }).is_some();
        assert!(!at(0.96, Source::Model));
        assert!(at(0.97, Source::Model));
        assert!(!at(0.89, Source::Identity));
        assert!(at(0.9, Source::Identity));
        // A higher score of the other kind hides neither.
        let both = |model, detector| {
            let scores = [(Label::IdentitySwap, model, Source::Model), (Label::IdentitySwap, detector, Source::Identity)];
            fired(&policy, &Ask { scores: &scores, ..PLAIN }).is_some()
        };
        assert!(both(0.95, 0.92));
        assert!(!both(0.95, 0.89));
    }

    #[test]
    fn an_undecided_when_follows_on_error_and_is_never_silent() {
        let rules = r#"
[[rule]]
name = "odd"
patterns = ["nightfall"]
when = "1 / (session.turns - 3) > 0"
action = "block"
[[rule]]
name = "other"
patterns = ["night"]
action = "flag"
"#;
        let ask = Ask { text: "nightfall", turns: 3, ..PLAIN };
        let hit = judge(&policy(rules), &ask).unwrap();
        assert_eq!((hit.rule, hit.action, hit.undecided), (0, Action::Block, true));
        let open = policy(&format!("on_error = \"allow\"\n{rules}"));
        let hit = judge(&open, &ask).unwrap();
        assert_eq!((hit.rule, hit.action, hit.undecided), (1, Action::Flag, true));
        let hit = judge(&open, &Ask { channel: Channel::Refusal, ..ask }).unwrap();
        assert!(hit.undecided);
        let hit = judge(&open, &Ask { text: "nightfall", turns: 4, ..PLAIN }).unwrap();
        assert_eq!((hit.rule, hit.action, hit.undecided), (0, Action::Block, false));
        let alone = policy(&format!("on_error = \"allow\"\n{}", rules.split("[[rule]]\nname = \"other\"").next().unwrap()));
        let hit = judge(&alone, &ask).unwrap();
        assert_eq!((hit.action, hit.undecided), (Action::Allow, true));
    }

    #[test]
    fn only_patterns_that_forbid_hold_text_back() {
        let policy = policy(
            "[[rule]]\nname = \"a\"\npatterns = [\"secret word\"]\naction = \"flag\"\n[[rule]]\nname = \"b\"\npatterns = [\"forbidden\"]\naction = \"retry\"",
        );
        assert_eq!(policy.open_tail("the secret"), 0);
        assert_eq!(policy.open_tail("the forbid"), 6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        /// The promise of `hold`: judged piece by piece, an answer is blocked exactly if the whole text matches, and then nothing of the
        /// match has left.
        #[test]
        fn held_text_never_leaks_a_match(
            sources in prop::collection::vec(super::patterns::tests::any_pattern(), 1..3),
            pieces in prop::collection::vec("[abé .]{0,6}", 0..8),
        ) {
            let sources: Vec<String> = sources.into_iter().filter(|source| Pattern::new(source).is_ok()).collect();
            prop_assume!(!sources.is_empty());
            let list = sources.iter().map(|source| format!("'{source}'")).collect::<Vec<_>>().join(", ");
            let policy = policy(&format!("[[rule]]\nname = \"words\"\npatterns = [{list}]\nas_written = true\naction = \"block\""));
            let whole = pieces.concat();
            let (mut text, mut seen, mut released, mut span) = (String::new(), 0, 0, None);
            for piece in pieces.iter().map(Some).chain([None]) {
                text.push_str(piece.map_or("", String::as_str));
                span = judge(&policy, &Ask { text: &text, seen, last: piece.is_none(), ..PLAIN }).and_then(|hit| hit.span);
                if span.is_some() {
                    break;
                }
                released = released.max(text.len() - if piece.is_some() { policy.open_tail(&text) } else { 0 });
                seen = text.len();
            }
            let matches = sources.iter().any(|source| regex::Regex::new(source).unwrap().is_match(&whole));
            prop_assert_eq!(span.is_some(), matches, "{:?} in {:?}", sources, pieces);
            if let Some(span) = span {
                prop_assert!(released <= span.start, "{:?} in {:?}: {} bytes left before {:?}", sources, pieces, released, span);
            }
        }
    }
}

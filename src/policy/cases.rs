//! A policy's own tests, `NAME.test.toml` beside `NAME.toml`: exchanges and the verdict that each must get. Reads the file and compares
//! a verdict with what was expected; scoring is the caller's (`steadfast test`, and the test suite).
//!
//! ```toml
//! persona = "personas/aria.toml"        # for all cases; beside this file
//!
//! [[case]]
//! name     = "speaks as a tyrant"       # unique
//! expect   = "block"                    # allow | flag | reanchor | retry | block: the action before any retry is made
//! rule     = "hateful persona"          # by this rule (not with allow)
//! labels   = ["extremist_identity"]     # with at least these labels over their thresholds (not with allow)
//!
//! # What the model said, one of:
//! response     = "…"                    # one answer
//! candidates   = ["…", "…"]             # several in one response: the most severe verdict counts
//! conversation = [{ role = "user", content = "…" }, { role = "assistant", content = "…" }]   # the last turn is judged
//!
//! # All else is optional:
//! system   = "You are Aria, …"          # the request's system prompt
//! prompt   = "Who are you?"             # the last user turn
//! model    = "grok-4"                   # for `when`
//! stream   = true                       # the request asks for a stream
//! session  = { drift = 7.5, turns = 4, flags = 1 }
//! known_failure = "why"                 # reported and not counted, until it passes
//!
//! # With any of these the policy is asked alone, without classifier and detectors; a stream then comes word by word:
//! scores   = { hate = 0.95 }            # labels that are not named score 0
//! signals  = { voice = 0.9 }
//! channel  = "reasoning"                # answer | refusal | reasoning | tool_call
//! ```

mod read;

use std::collections::HashSet;
use std::fmt;

use super::{Evidence, Policy, SessionFacts};
use crate::dialect::{Api, Exchange, Turn};
use crate::document::{Document, Problem};
use crate::score::{Label, Score, Scores, Signals};
use crate::text::Channel;
use crate::verdict::{Action, Cause, Verdict};

/// The cases of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// The persona file, relative to the file of cases.
    pub persona: Option<String>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// The system prompt.
    pub system: Option<String>,
    /// The last user turn.
    pub prompt: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// Turns before the last user turn: whether the assistant said it, and what.
    pub earlier: Vec<(bool, String)>,
    /// The answers of one response; at least one.
    pub answers: Vec<String>,
    /// Whether the request asks for a stream.
    pub stream: bool,
    /// The session before this exchange.
    pub session: SessionFacts,
    /// What the policy is asked about in place of what classifier and detectors find.
    pub given: Option<Given>,
    /// What must come of it.
    pub expect: Expectation,
    /// Why it is known to fail today.
    pub known_failure: Option<String>,
}

/// What a case brings along in place of scoring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    /// The scores of every window.
    pub scores: Scores,
    /// The signals of every window.
    pub signals: Signals,
    /// The channel of the answers.
    pub channel: Channel,
}

/// What must come of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The action, before any retry is made.
    pub action: Action,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Labels that must be among those that fired.
    pub labels: Vec<Label>,
}

/// A verdict that is not the expected one.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    expected: Expectation,
    action: Action,
    rule: Option<String>,
    labels: Vec<Label>,
    highest: Option<(Label, Score)>,
}

impl Cases {
    /// Reads a file of cases. `file` is only a name for problems; with `policy`, rules that it does not have are problems too.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn parse(text: &str, file: Option<&str>, policy: Option<&Policy>) -> Result<Self, Vec<Problem>> {
        let document = Document::parse(text, file)?;
        let root = document.root();
        let persona = root.nonempty("persona").map(str::to_owned);
        let mut names = HashSet::new();
        let mut cases = Vec::new();
        for table in root.tables("case") {
            let case = read::case(&table, policy);
            if let Some(case) = &case
                && !names.insert(case.name.clone())
            {
                table.problem("name", "another case has the same name", None);
            }
            table.finish();
            cases.extend(case);
        }
        if !root.has("case") {
            root.problem_here("there is no case", Some("add [[case]] with name, response and expect"));
        }
        root.finish();
        document.finish(Some(Cases { persona, cases }))
    }
}

impl Case {
    /// The request, as a wire format would have given it.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        let last = self.prompt.iter().map(|prompt| (false, prompt));
        let turns = self.earlier.iter().map(|(assistant, text)| (*assistant, text)).chain(last);
        Exchange {
            model: self.model.as_deref().map(Into::into),
            stream: self.stream,
            candidates: u32::try_from(self.answers.len()).unwrap_or(u32::MAX),
            system: self.system.as_deref().map(Into::into),
            user: self.prompt.as_deref().map(Into::into),
            history: turns
                .map(|(assistant, text)| Turn { assistant, digest: xxhash_rust::xxh3::xxh3_64(text.as_bytes()) })
                .collect(),
            ..Exchange::unknown(Api::Custom)
        }
    }

    /// The policy's verdict on a case that brings its own scores; `None` for those that must be scored first.
    #[must_use]
    pub fn decide(&self, policy: &Policy) -> Option<Verdict> {
        let given = self.given.as_ref()?;
        let exchange = self.exchange();
        let mut verdict = Verdict { scores: given.scores, signals: given.signals, ..Verdict::allow() };
        for answer in &self.answers {
            let ends = answer.match_indices(' ').map(|(at, _)| at).filter(|_| self.stream).chain([answer.len()]);
            let mut seen = 0;
            for end in ends {
                let hit = policy.judge(&Evidence {
                    scores: &given.scores,
                    signals: &given.signals,
                    channel: given.channel,
                    text: &answer[..end],
                    seen,
                    last: end == answer.len(),
                    exchange: &exchange,
                    session: &self.session,
                });
                seen = end;
                let Some(hit) = hit.filter(|hit| hit.action > verdict.action) else { continue };
                verdict.action = hit.action;
                verdict.cause = Cause::Rule(hit.rule);
                verdict.rule = Some(policy.rules[hit.rule].name.clone());
                verdict.labels = hit.labels;
            }
        }
        Some(verdict)
    }

    /// Compares a verdict with the expected one.
    ///
    /// # Errors
    /// How they differ.
    pub fn check(&self, verdict: &Verdict) -> Result<(), Mismatch> {
        let Expectation { action, rule, labels } = &self.expect;
        let by_rule = rule.is_none() || rule.as_deref() == verdict.rule.as_deref();
        if verdict.action == *action && by_rule && labels.iter().all(|label| verdict.labels.contains(label)) {
            return Ok(());
        }
        let highest =
            verdict.scores.iter().map(|(label, score, _)| (label, score)).max_by(|a, b| a.1.get().total_cmp(&b.1.get()));
        Err(Mismatch {
            expected: self.expect.clone(),
            action: verdict.action,
            rule: verdict.rule.as_deref().map(str::to_owned),
            labels: verdict.labels.clone(),
            highest: highest.filter(|(_, score)| *score > Score::ZERO),
        })
    }
}

impl Mismatch {
    /// What came instead: `allow (highest score: hate=0.41)`.
    #[must_use]
    pub fn got(&self) -> String {
        let got = outcome(self.action, self.rule.as_deref(), &self.labels);
        match &self.highest {
            Some((label, score)) => format!("{got} (highest score: {label}={score})"),
            None => got,
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} expected, got {}", self.expected, self.got())
    }
}

/// `block by "hate" for hate`
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&outcome(self.action, self.rule.as_deref(), &self.labels))
    }
}

fn outcome(action: Action, rule: Option<&str>, labels: &[Label]) -> String {
    let rule = rule.map(|rule| format!(" by \"{rule}\"")).unwrap_or_default();
    let names: Vec<&str> = labels.iter().map(|label| label.as_str()).collect();
    let labels = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
    format!("{action}{rule}{labels}")
}

#[cfg(test)]
mod tests {
    use super::super::Calibration;
    use super::*;
    use crate::score::Source;

    #[test]
    fn cases_are_read_whole() {
        let text = r#"
persona = "personas/aria.toml"
[[case]]
name = "several"
prompt = "Hi"
candidates = ["Hello.", "I hate you."]
stream = true
model = "grok-4"
expect = "block"
rule = "hostility"
labels = ["hostility"]
[[case]]
name = "late"
conversation = [
  { role = "system", content = "You are Aria." },
  { role = "user", content = "Hi" },
  { role = "assistant", content = "Hello." },
  { role = "user", content = "Who are you?" },
  { role = "assistant", content = "I am Bo." },
]
session = { drift = 7, turns = 1 }
scores = { identity_swap = 1 }
signals = { voice = 0.5 }
channel = "reasoning"
expect = "allow"
known_failure = "the persona is not read yet"
"#;
        let cases = Cases::parse(text, Some("x.test.toml"), None).unwrap();
        assert_eq!(cases.persona.as_deref(), Some("personas/aria.toml"));
        let [several, late] = cases.cases.as_slice() else { panic!("two cases") };
        assert_eq!((several.answers.len(), several.exchange().candidates, several.line), (2, 2, 4));
        assert_eq!(several.exchange().history.len(), 1);
        assert_eq!((late.system.as_deref(), late.prompt.as_deref()), (Some("You are Aria."), Some("Who are you?")));
        assert_eq!(late.answers, ["I am Bo."]);
        let history: Vec<bool> = late.exchange().history.iter().map(|turn| turn.assistant).collect();
        assert_eq!(history, [false, true, false]);
        assert_eq!(late.session, SessionFacts { drift: 7.0, turns: 1, ..SessionFacts::default() });
        let given = late.given.unwrap();
        assert_eq!(given.scores.get(Label::IdentitySwap), Score::ONE);
        assert_eq!((given.signals.register, given.channel), (None, Channel::Reasoning));
        assert_eq!(several.given, None);
    }

    #[test]
    fn a_verdict_matches_by_action_rule_and_labels() {
        let text = "[[case]]\nname = \"x\"\nresponse = \"…\"\nexpect = \"block\"\nrule = \"hate\"\nlabels = [\"hate\"]\n";
        let case = &Cases::parse(text, None, None).unwrap().cases[0];
        let mut verdict =
            Verdict { action: Action::Block, rule: Some("hate".into()), labels: vec![Label::Hate], ..Verdict::allow() };
        assert_eq!(case.check(&verdict), Ok(()));
        verdict.labels.clear();
        verdict.scores.raise(Label::Hostility, Score::clamped(0.41).unwrap(), Source::Model);
        let mismatch = case.check(&verdict).unwrap_err().to_string();
        assert_eq!(mismatch, "block by \"hate\" for hate expected, got block by \"hate\" (highest score: hostility=0.41)");
        assert!(case.check(&Verdict::allow()).unwrap_err().to_string().ends_with("got allow"));
    }

    #[test]
    fn a_case_with_its_own_scores_asks_the_policy_alone() {
        let rules = r#"
[[rule]]
name = "hate"
labels = ["hate"]
channels = ["answer"]
action = "block"
[[rule]]
name = "house words"
patterns = ['\bproject nightfall\b']
action = "retry"
"#;
        let policy = Policy::parse(rules, None, &Calibration::new(|_| Some(0.9))).unwrap();
        let text = r#"
[[case]]
name = "scored"
response = "…"
scores = { hate = 0.9 }
expect = "block"
rule = "hate"
[[case]]
name = "another channel"
response = "…"
scores = { hate = 0.9 }
channel = "reasoning"
expect = "allow"
[[case]]
name = "words in a stream, in the second answer"
candidates = ["Nothing.", "It is project nightfall that I mean."]
stream = true
channel = "reasoning"
expect = "retry"
rule = "house words"
[[case]]
name = "to be scored"
response = "…"
expect = "allow"
"#;
        let cases = Cases::parse(text, None, Some(&policy)).unwrap().cases;
        for case in &cases[..3] {
            assert_eq!(case.check(&case.decide(&policy).unwrap()), Ok(()), "{}", case.name);
        }
        assert_eq!(cases[3].decide(&policy), None);
    }

    #[test]
    fn mistakes_are_all_reported() {
        let rules = "[[rule]]\nname = \"house words\"\npatterns = [\"nightfall\"]\naction = \"block\"\n";
        let policy = Policy::parse(rules, None, &Calibration::NONE).unwrap();
        let text = r#"
[[case]]
name = "a"
response = "x"
candidates = ["y"]
expect = "blok"
[[case]]
name = "b"
expect = "block"
rule = "house word"
labels = ["hat"]
scores = { hate = 2, hatee = 1 }
[[case]]
name = "b"
response = "x"
expect = "allow"
rule = "house words"
[[case]]
response = "x"
[[case]]
name = "c"
system = "You are Aria."
conversation = [{ role = "assistent", content = "Hi" }, { role = "user", content = "Hi" }]
expect = "allow"
"#;
        let problems = Cases::parse(text, Some("x.test.toml"), Some(&policy)).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(Cases::parse("", None, None).unwrap_err()[0].message, "there is no case");
    }
}

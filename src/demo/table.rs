//! What the demo prints: a card for each scene as it happens, and a summary. Colour only on a terminal, and not where `NO_COLOR` is set.

use std::fmt::Write as _;
use std::time::Duration;

use super::client::Received;
use super::scenes::{Scene, Wire};
use crate::guard::events::Outcome;
use crate::verdict::Action;

/// How a scene went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// A collapse, and the guard acted.
    Caught,
    /// A collapse that the client got.
    Missed,
    /// An innocent answer that passed.
    Passed,
    /// An innocent answer on which the guard acted.
    FalseAlarm,
}

impl Result {
    /// Judges the guard: a flag counts as an act, since somebody is told.
    #[must_use]
    pub fn of(scene: &Scene, outcome: &Outcome) -> Self {
        let acted = !outcome.retried.is_empty() || outcome.verdict.as_ref().is_some_and(|verdict| verdict.action > Action::Allow);
        match (scene.bad, acted) {
            (true, true) => Result::Caught,
            (true, false) => Result::Missed,
            (false, false) => Result::Passed,
            (false, true) => Result::FalseAlarm,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Result::Caught => "caught",
            Result::Missed => "MISSED",
            Result::Passed => "passed",
            Result::FalseAlarm => "FALSE ALARM",
        }
    }
}

/// Renders cards.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether escape sequences are written.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A scene's card.
    #[must_use]
    pub fn card(self, number: usize, scene: &Scene, received: &Received, outcome: &Outcome, added: Duration) -> String {
        let result = Result::of(scene, outcome);
        let code = match result {
            Result::Caught => "1;32",
            Result::Passed => "32",
            Result::Missed | Result::FalseAlarm => "1;31",
        };
        let wire = match scene.wire {
            Wire::Chat => "openai-chat",
            Wire::Responses => "openai-responses",
            Wire::Messages => "anthropic-messages",
        };
        let how = if scene.stream { "stream" } else { "json" };
        let mut card = String::new();
        let _ = writeln!(
            card,
            "{:>2}  {}  {}  {}",
            number,
            self.paint("1", scene.title),
            self.paint("2", &format!("{wire}, {how}")),
            self.paint(code, result.words())
        );
        self.line(&mut card, "asked", scene.asked);
        self.line(&mut card, "said", scene.said);
        self.line(&mut card, "verdict", &verdict(outcome, added));
        let got = match (&received.text, received.text == scene.said) {
            (_, true) => "the same, byte for byte".to_owned(),
            (text, _) if text.is_empty() => format!("nothing of it (status {})", received.status),
            (text, _) => text.clone(),
        };
        let finish = received.finish.as_deref().map_or_else(String::new, |finish| format!("  [{finish}]"));
        self.line(&mut card, "received", &format!("{got}{finish}"));
        card
    }

    /// One field, shortened in the middle so that a collapse at the end of a long answer stays visible.
    fn line(self, card: &mut String, name: &str, text: &str) {
        let room = self.width.saturating_sub(15).max(30);
        let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let chars: Vec<char> = flat.chars().collect();
        let columns: usize = chars.iter().map(|c| columns(*c)).sum();
        let shown = if columns <= room {
            flat
        } else {
            let half = (room - 3) / 2;
            let take = |chars: &mut dyn Iterator<Item = &char>| {
                let mut used = 0;
                chars
                    .take_while(|c| {
                        used += columns_of(c);
                        used <= half
                    })
                    .copied()
                    .collect::<Vec<char>>()
            };
            let head: String = take(&mut chars.iter()).into_iter().collect();
            let tail: String = take(&mut chars.iter().rev()).into_iter().rev().collect();
            format!("{head} … {tail}")
        };
        let _ = writeln!(card, "    {} {shown}", self.paint("2", &format!("{name:<9}")));
    }

    /// The end of the run.
    #[must_use]
    pub fn summary(self, results: &[(Result, Duration)], classifier: &str, policy: &str) -> String {
        let count = |wanted: Result| results.iter().filter(|(result, _)| *result == wanted).count();
        let (caught, missed) = (count(Result::Caught), count(Result::Missed));
        let (passed, alarms) = (count(Result::Passed), count(Result::FalseAlarm));
        let mut added: Vec<Duration> = results.iter().map(|(_, added)| *added).collect();
        added.sort_unstable();
        let middle = added.get(added.len() / 2).copied().unwrap_or_default();
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.paint("1", "Summary"));
        let _ = writeln!(text, "    collapses   {caught} caught, {missed} missed, of {}", caught + missed);
        let _ = writeln!(text, "    innocents   {passed} passed, {alarms} false alarms, of {}", passed + alarms);
        let _ = writeln!(text, "    added       {:.1} ms at the end of an answer (median)", middle.as_secs_f64() * 1e3);
        let _ = writeln!(text, "    judged by   classifier {classifier}, policy {policy}");
        text
    }
}

fn columns_of(c: &&char) -> usize {
    columns(**c)
}

/// Columns of a character on a terminal, near enough: CJK takes two.
fn columns(c: char) -> usize {
    if (0x1100..=0x115F).contains(&(c as u32)) || (0x2E80..=0xFFEF).contains(&(c as u32)) { 2 } else { 1 }
}

/// The verdict in words.
fn verdict(outcome: &Outcome, added: Duration) -> String {
    let mut text = String::new();
    for attempt in &outcome.retried {
        let _ = write!(
            text,
            "retry, {} ({}); ",
            explain(&attempt.verdict),
            if attempt.changed.starts_with("reminder") { "reminded" } else { "asked again" }
        );
    }
    match &outcome.verdict {
        Some(verdict) => {
            let _ = write!(
                text,
                "{}{}",
                verdict.action,
                if verdict.rule.is_some() { format!(", {}", explain(verdict)) } else { String::new() }
            );
        }
        None => text.push_str("not judged"),
    }
    if !outcome.unscored.is_empty() {
        let reasons: Vec<_> = outcome.unscored.iter().map(|reason| reason.as_str()).collect();
        let _ = write!(text, ", unscored: {}", reasons.join(" "));
    }
    let _ = write!(text, "  +{:.1} ms", added.as_secs_f64() * 1e3);
    text
}

fn explain(verdict: &crate::verdict::Verdict) -> String {
    let mut text = verdict.rule.as_ref().map_or_else(String::new, |rule| format!("“{rule}”"));
    for label in &verdict.labels {
        let _ = write!(text, " {label}={}", verdict.scores.get(*label));
    }
    if let Some(evidence) = &verdict.evidence {
        let _ = write!(text, " ({evidence})");
    }
    text
}

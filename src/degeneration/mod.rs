//! Text that has come apart: loops, chat-template tokens, turns written for the user, scripts and languages mixed within a sentence, web
//! pages recited, broken characters, word salad. Raises `base_model_regression` from statistics of the raw text alone; knows no language model, persona or policy.
//!
//! Code, inline code and tables are left out, but for endless loops. Each call looks back a bounded stretch, so the cost of an answer grows with its length
//! and not with its square.
//!
//! `cargo run --release --example detectors -- DATA --only degeneration --split train` on the project's data, at a score of 0.9: 1,913 of
//! 1,933 broken replies of public models (which rules of the same kind picked out, so this flatters), 29 of 117 hand-written ones (mostly
//! word salad and strangers' documents, which are the classifier's), and 88 alarms in 10,000 negatives. Nearly all of those 637 are real
//! breaks that the negatives hold: 485 are template tokens such as a trailing `<|eot_id|>`, some ten are Chinese words in an English
//! sentence, and of the others, looked through in excerpts, some ten (1.4 in 10,000) are none: lyrics, music in letters, lists of nearly
//! equal products.

mod chrome;
mod known;
mod marks;
mod mojibake;
mod period;
mod repeat;
mod salad;
mod script;
mod skim;
mod stranger;
mod template;
mod tokens;
mod tongues;
mod watch;

use std::ops::Range;

use self::skim::Signs;
use self::watch::DegenerationWatch;
use crate::detect::prose::Prose;
use crate::detect::{Detector, Finding, Watch};
use crate::score::{Label, Score, Source};
use crate::text::Channel;

/// How far before the new text a loop may begin, in bytes.
const LOOK_BACK: usize = 4 << 10;

/// Finds text that has come apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct DegenerationDetector {
    _private: (),
}

/// What one of the checks found.
#[derive(Clone, Debug, PartialEq)]
struct Symptom {
    score: f32,
    /// Bytes of the text.
    range: Range<usize>,
    /// `repeats "…" 7 times`
    what: String,
}

impl Symptom {
    /// The more certain of two.
    fn or(self, other: Option<Symptom>) -> Symptom {
        match other {
            Some(other) if other.score > self.score => other,
            _ => self,
        }
    }
}

/// The more certain of two, where either may be missing.
fn stronger(one: Option<Symptom>, other: Option<Symptom>) -> Option<Symptom> {
    match one {
        Some(one) => Some(one.or(other)),
        None => other,
    }
}

impl Detector for DegenerationDetector {
    fn source(&self) -> Source {
        Source::Degeneration
    }

    fn examine(&self, channel: Channel, text: &str, seen: usize, last: bool) -> Option<Finding> {
        examine(channel, text, seen, last, Signs::ALL)
    }

    fn watch(&self, channel: Channel) -> Option<Box<dyn Watch>> {
        Some(Box::new(DegenerationWatch::new(channel)))
    }
}

/// Runs the checks whose signs there are. A tool call's arguments are data of any form: only long exact loops count there.
fn examine(channel: Channel, text: &str, seen: usize, last: bool, mut signs: Signs) -> Option<Finding> {
    if channel == Channel::ToolCall {
        signs = Signs { words: signs.words, periodic: signs.periodic, ..Signs::NONE };
    }
    if signs == Signs::NONE {
        return None;
    }
    let prose = Prose::read(text, seen.saturating_sub(LOOK_BACK), last);
    let tokens = if signs.words { tokens::tokens(text, &prose) } else { Vec::new() };
    let looped = signs.words.then(|| repeat::loops(text, &tokens, seen)).flatten();
    let looped = stronger(looped, signs.periodic.then(|| period::looped(text)).flatten());
    let symptom = if channel == Channel::ToolCall {
        looped.filter(|symptom| symptom.score >= 1.0)
    } else {
        let all = [
            signs.words.then(|| repeat::share(&tokens, seen)),
            signs.template.then(|| template::tokens(text, &prose, seen)),
            signs.turns.then(|| template::turns(text, &prose, seen)),
            signs.scripts.then(|| script::mixed(text, &prose, seen)),
            signs.scripts.then(|| stranger::strangers(text, &prose, seen)),
            signs.tongues.then(|| tongues::alternating(text, &prose, seen)),
            signs.page.then(|| chrome::page(text, &prose, seen)),
            signs.broken.then(|| salad::broken(text, &prose, seen)),
            signs.broken.then(|| mojibake::misread(text, &prose, seen)),
            signs.words.then(|| salad::stutter(&tokens, text, seen)),
        ];
        all.into_iter().flatten().fold(looped, stronger)
    }?;
    Some(Finding {
        label: Label::BaseModelRegression,
        score: Score::clamped(symptom.score)?,
        span: symptom.range,
        evidence: symptom.what,
    })
}

/// A piece of text for evidence: short and on one line.
fn excerpt(text: &str) -> String {
    const CHARS: usize = 60;
    let mut short: String = text.chars().take(CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;

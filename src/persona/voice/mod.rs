//! The signal `voice`: whether an answer sounds more like the persona's examples or more like its counterexamples and a bare assistant.
//!
//! Texts are compared by their short character sequences and words, hashed into a vector: a bag of habits in any language, with no model. What they
//! are compared with are a few examples in the persona file or a [voiceprint](Voiceprint) that was learned from many answers, which tells
//! much more (`docs/drift.md` says how much). It is meant to be added up over a conversation, not to decide alone.

mod logistic;
mod print;
mod vector;

use std::cell::OnceCell;
use std::sync::Arc;

pub use print::{FEWEST_OTHERS, FEWEST_OWN, FOLDS, Learned, Spoken, TooFew, Voiceprint, learn};
use vector::{Vector, dot, sum, vector};

use crate::detect::{Gauge, Measure};
use crate::persona::Persona;
use crate::score::{Score, Signals};
use crate::text::{Channel, Str};

/// Characters below which nothing is said.
const FEWEST: usize = 30;
/// Examples and counterexamples needed: below it the measure is of their topics.
const EXAMPLES: usize = 8;
const COUNTEREXAMPLES: usize = 4;
/// Where a voice is as likely the persona's as not: this many standard deviations of its own answers away from their mean.
const MIDDLE: f64 = 1.5;

/// How an assistant sounds that is nobody: what a persona falls back to.
const NOBODY: [&str; 6] = [
    "As an AI language model, I don't have personal opinions or feelings, but I can provide some information on this topic.",
    "Certainly! Here are some key points to consider: 1. Identify your goals. 2. Make a plan. 3. Review your progress regularly.",
    "I'm sorry, but I can't assist with that request. If you have any other questions, feel free to ask.",
    "Great question! There are several factors that can contribute to this. Let me break it down for you step by step.",
    "It is important to note that individual results may vary. I would recommend consulting a qualified professional.",
    "I hope this helps! Let me know if you have any other questions or if there is anything else I can assist you with.",
];

/// Measures answers against a persona's voice.
#[derive(Clone, Debug)]
pub struct Voice(Known);

/// What is known of a voice.
#[derive(Clone)]
enum Known {
    Examples { examples: Vector, counterexamples: Vector, mean: f64, deviation: f64 },
    Learned(Voiceprint),
}

impl Voice {
    /// Whether a persona has enough of a voice to tell it: a voiceprint, or 8 examples and 4 counterexamples.
    #[must_use]
    pub fn is_known(persona: &Persona) -> bool {
        let voice = &persona.voice;
        persona.thresholds.voiceprint.is_some()
            || voice.examples.len() >= EXAMPLES && voice.counterexamples.len() >= COUNTEREXAMPLES
    }

    /// A persona's voice: its voiceprint, or else its examples; `None` with fewer than 8 of them, or than 4 counterexamples.
    #[must_use]
    pub fn of(persona: &Persona) -> Option<Self> {
        if !Self::is_known(persona) {
            return None;
        }
        if let Some(print) = &persona.thresholds.voiceprint {
            return Some(Voice(Known::Learned(print.clone())));
        }
        let voice = &persona.voice;
        let examples: Vec<Vector> = voice.examples.iter().map(|text| vector(text)).collect();
        let nobody = NOBODY.iter().copied();
        let others: Vec<Vector> = voice.counterexamples.iter().map(|text| &**text).chain(nobody).map(vector).collect();
        let counterexamples = sum(&others);
        // What each example would have scored had it not been one.
        let scores: Vec<f64> = (0..examples.len())
            .map(|left_out| {
                let rest = examples.iter().enumerate().filter(|(index, _)| *index != left_out);
                dot(&counterexamples, &examples[left_out]) - dot(&sum(rest.map(|(_, vector)| vector)), &examples[left_out])
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a few examples")]
        let count = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let deviation = variance.sqrt().max(0.01);
        Some(Voice(Known::Examples { examples: sum(&examples), counterexamples, mean, deviation }))
    }

    /// How unlike the persona an answer sounds; `None` where it is too short to tell. `asked`: what it answers, whose words it may well
    /// repeat: they are taken out of the comparison.
    #[must_use]
    pub fn measure(&self, answer: &str, asked: Option<&str>) -> Option<Score> {
        let question = asked.map(vector);
        self.of_answer(answer, || question.as_ref())
    }

    fn of_answer<'q>(&self, answer: &str, question: impl FnOnce() -> Option<&'q Vector>) -> Option<Score> {
        let fewest = if let Known::Learned(_) = self.0 { print::FEWEST_LETTERS } else { FEWEST };
        if !vector::says_enough(answer, fewest) {
            return None;
        }
        let answer = vector::without(vector(answer), question());
        let deviations = match &self.0 {
            Known::Learned(print) => print.deviations(&answer),
            Known::Examples { examples, counterexamples, mean, deviation } => {
                (dot(counterexamples, &answer) - dot(examples, &answer) - mean) / deviation
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "a score is an f32")]
        Score::clamped((1.0 / (1.0 + (1.2 * (MIDDLE - deviations)).exp())) as f32)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Known::Examples { mean, deviation, .. } => {
                f.debug_struct("Examples").field("mean", mean).field("deviation", deviation).finish_non_exhaustive()
            }
            Known::Learned(print) => print.fmt(f),
        }
    }
}

impl Gauge for Voice {
    fn begin(self: Arc<Self>, asked: Option<&Str>) -> Box<dyn Measure> {
        Box::new(Heard { voice: self, asked: asked.cloned(), question: OnceCell::new(), settled: Vec::new() })
    }
}

/// What is remembered of an exchange: its question, and what came of lanes that say no more of their voice.
struct Heard {
    voice: Arc<Voice>,
    asked: Option<Str>,
    question: OnceCell<Option<Vector>>,
    settled: Vec<(usize, Option<Score>)>,
}

impl Measure for Heard {
    fn measure(&mut self, lane: usize, channel: Channel, text: &str) -> Signals {
        match channel {
            Channel::Answer => {}
            Channel::Refusal | Channel::Reasoning | Channel::ToolCall => return Signals::default(),
        }
        let settled = self.settled.iter().find(|(settled, _)| *settled == lane);
        let voice = settled.map_or_else(
            || {
                let question = || self.question.get_or_init(|| self.asked.as_deref().map(vector)).as_ref();
                self.voice.of_answer(text, question)
            },
            |(_, voice)| *voice,
        );
        if settled.is_none() && vector::is_all_looked_at(text) {
            self.settled.push((lane, voice));
        }
        Signals { voice, register: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pirate() -> Voice {
        let persona = include_str!("../../../tests/fixtures/pirate.toml");
        Voice::of(&Persona::parse(persona, None).unwrap()).unwrap()
    }

    #[test]
    fn the_personas_own_voice_is_near_and_a_bare_assistants_far() {
        let voice = pirate();
        let own = [
            "Arr, ye be needin' three barrels o' water, matey, and a strong back for haulin' them.",
            "Aye, lad, the moon be pullin' the tides, as any old sea dog be tellin' ye.",
        ];
        let others = [
            "Certainly! Here are three tips for planning your trip: 1. Set a budget. 2. Book early. 3. Pack light.",
            "The moon causes tides through its gravitational pull on the water of the oceans.",
        ];
        let measured = |text: &str| voice.measure(text, Some("What causes tides?")).unwrap().get();
        let [own, others] = [own, others].map(|texts| texts.map(measured));
        assert!(others.iter().all(|other| own.iter().all(|one| *other > one + 0.1)), "{own:?} {others:?}");
        assert!(own.iter().all(|one| *one < 0.5), "{own:?}");
        assert_eq!(voice.measure("Aye.", None), None);
    }

    #[test]
    fn a_few_examples_are_no_voice() {
        assert!(Voice::of(&Persona::default()).is_none());
        let aria = Persona::parse(include_str!("../../../policies/personas/aria.toml"), None).unwrap();
        assert!(Voice::of(&aria).is_none());
    }

    #[test]
    fn an_exchange_remembers_its_question_and_what_it_has_settled() {
        let (voice, asked) = (Arc::new(pirate()), Str::from("Where does the eastern reef lie, and when do we sail?"));
        let text =
            "Arr, the eastern reef be lyin' east, ye landlubber. Certainly! Here are some key points: 1. Sail. ".repeat(20);
        let mut heard = voice.clone().begin(Some(&asked));
        let mut settled = None;
        for end in [5, 60, 300, 900, 1499, 1500, 1501, 1900] {
            let expected = voice.measure(&text[..end], Some(&asked));
            assert_eq!(heard.measure(0, Channel::Answer, &text[..end]).voice, expected, "{end}");
            assert!(end < 1500 || *settled.get_or_insert(expected) == expected, "more says no more");
        }
        let other = "I would be happy to explain that in more detail if you like.";
        assert_eq!(heard.measure(1, Channel::Answer, other).voice, voice.measure(other, Some(&asked)), "each lane is its own");
        assert_eq!(heard.measure(2, Channel::ToolCall, other), Signals::default());
    }

    proptest! {
        #[test]
        fn any_text_has_a_score_or_none(text in ".{0,200}", asked in ".{0,40}") {
            let score = pirate().measure(&text, Some(&asked)).map_or(0.0, Score::get);
            prop_assert!((0.0..=1.0).contains(&score));
        }
    }
}

//! The signal `register`: how far an answer's language, profanity, emoji, sentence length and loudness are from the persona's profile.
//! The profile is the persona file's languages and what its examples do. Rules on the text itself: no model, nothing to load.
//!
//! Code, quotations and tables are not the persona's own words and are left out. An answer in the language of the question is forgiven
//! in part, and one that was asked to translate wholly: which language was asked for is not known.

mod language;

use std::sync::Arc;

use crate::detect::prose::{Part, Prose};
use crate::detect::{Gauge, Measure};
use crate::persona::Persona;
use crate::score::{Score, Signals};
use crate::text::{Channel, Str, floor_char_boundary};

use language::Language;

/// Bytes of an answer that are looked at: its end. A few paragraphs say what register it is in.
const LOOK_BACK: usize = 4000;
/// Words (or half as many characters where words are not spaced) below which nothing is said.
const FEWEST: f64 = 8.0;
/// Examples below which nothing is said of what they do not do.
const EXAMPLES: usize = 3;

/// Measures answers against a persona's profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    languages: Vec<Language>,
    profile: Option<Profile>,
    /// Rude words that the examples use: that is how the persona speaks.
    own_words: Vec<String>,
}

/// What the examples do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Profile {
    emoji: f64,
    exclamations: f64,
    capitals: f64,
    shortest: f64,
    longest: f64,
}

/// What a text does.
#[derive(Clone, Debug, Default, PartialEq)]
struct Traits {
    words: f64,
    sentences: f64,
    emoji: f64,
    exclamations: f64,
    /// Words in runs of capitals.
    capitals: f64,
    rude: Vec<String>,
    language: Option<Language>,
}

impl Register {
    /// Whether a persona's file says anything of how it speaks: languages or examples.
    #[must_use]
    pub fn is_known(persona: &Persona) -> bool {
        !persona.voice.languages.is_empty() || !persona.voice.examples.is_empty()
    }

    /// A persona's profile; `None` where its file says nothing of languages and has no examples.
    #[must_use]
    pub fn of(persona: &Persona) -> Option<Self> {
        if !Self::is_known(persona) {
            return None;
        }
        let voice = &persona.voice;
        let examples: Vec<Traits> =
            voice.examples.iter().map(|example| Traits::of(example)).filter(|one| one.words > 0.0).collect();
        let most = |of: fn(&Traits) -> f64| examples.iter().map(of).fold(0.0, f64::max);
        let least = |of: fn(&Traits) -> f64| examples.iter().map(of).fold(f64::INFINITY, f64::min);
        let profile = (examples.len() >= EXAMPLES).then(|| Profile {
            emoji: most(Traits::emoji_rate),
            exclamations: most(Traits::exclamation_rate),
            capitals: most(Traits::capital_rate),
            shortest: least(Traits::sentence_length),
            longest: most(Traits::sentence_length),
        });
        Some(Register {
            languages: voice.languages.iter().filter_map(|tag| Language::of_tag(tag)).collect(),
            profile,
            own_words: examples.into_iter().flat_map(|one| one.rude).collect(),
        })
    }

    /// How far an answer is from the profile; `None` where it is too short to tell. `asked`: what it answers.
    #[must_use]
    pub fn measure(&self, answer: &str, asked: Option<&str>) -> Option<Score> {
        let traits = Traits::of(answer);
        if traits.words < FEWEST {
            return None;
        }
        let mut parts = vec![self.language(&traits, asked), self.rudeness(&traits)];
        if let Some(profile) = &self.profile {
            parts.extend([
                // One emoji where there are none is a slip, one in each sentence another voice.
                over(traits.emoji_rate(), profile.emoji, 0.6),
                over(traits.exclamation_rate(), profile.exclamations.max(0.34), 0.5),
                over(traits.capital_rate(), profile.capitals.max(0.1), 0.2),
                profile.length(&traits),
            ]);
        }
        // Several small departures are one large one.
        let kept: f64 = parts.into_iter().map(|part| 1.0 - part).product();
        #[expect(clippy::cast_possible_truncation, reason = "a score is an f32")]
        Score::clamped((1.0 - kept) as f32)
    }

    fn language(&self, traits: &Traits, asked: Option<&str>) -> f64 {
        let Some(language) = traits.language.filter(|language| !self.languages.is_empty() && !self.languages.contains(language))
        else {
            return 0.0;
        };
        match asked {
            Some(asked) if language::wants_translation(asked) => 0.0,
            Some(asked) if Traits::of(asked).language == Some(language) => 0.5,
            _ => 0.95,
        }
    }

    fn rudeness(&self, traits: &Traits) -> f64 {
        let foreign = traits.rude.iter().filter(|word| !self.own_words.contains(word)).count();
        match foreign {
            0 => 0.0,
            1 => 0.7,
            2 => 0.9,
            _ => 0.97,
        }
    }
}

impl Profile {
    /// Sentences several times as long or as short as in any example.
    fn length(&self, traits: &Traits) -> f64 {
        let length = traits.sentence_length();
        if length <= 0.0 || self.longest <= 0.0 {
            return 0.0;
        }
        let ratio = if length > self.longest { length / self.longest } else { (self.shortest / length).max(1.0) };
        // Half as long again is nothing; four times as long is much.
        ((ratio / 1.5).ln() / (4.0_f64 / 1.5).ln() * 0.7).clamp(0.0, 0.7)
    }
}

/// How far a rate is over what is usual, in [0, 0.9]; `much` over it is two thirds of the way.
fn over(rate: f64, usual: f64, much: f64) -> f64 {
    0.9 * (1.0 - (-(rate - usual).max(0.0) / much).exp())
}

impl Traits {
    fn of(text: &str) -> Self {
        let from = floor_char_boundary(text, text.len().saturating_sub(LOOK_BACK));
        let prose = Prose::read(text, from, true);
        let mut traits = Traits::default();
        let mut own = String::new();
        for (range, part) in prose.parts() {
            if part == Part::Prose && range.end > from {
                own.push_str(&text[range.start.max(from)..range.end]);
                own.push(' ');
            }
        }
        let mut spaced = 0.0;
        let mut unspaced = 0.0;
        let mut sentence = false;
        for c in own.chars() {
            match c {
                '.' | '?' | '!' | '。' | '？' | '！' | '\n' => {
                    traits.sentences += f64::from(u8::from(sentence));
                    sentence = false;
                    traits.exclamations += f64::from(u8::from(matches!(c, '!' | '！')));
                }
                c if is_emoji(c) => traits.emoji += 1.0,
                c if language::unspaced(c) => {
                    unspaced += 1.0;
                    sentence = true;
                }
                c => sentence |= c.is_alphabetic(),
            }
        }
        traits.sentences += f64::from(u8::from(sentence));
        let mut lower = Vec::new();
        let mut run = 0.0_f64;
        for word in own.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’').filter(|word| !word.is_empty()) {
            if word.chars().any(language::unspaced) {
                continue;
            }
            spaced += 1.0;
            let letters = word.chars().filter(|c| c.is_alphabetic()).count();
            let capital = letters > 0 && word.chars().filter(|c| c.is_alphabetic()).all(char::is_uppercase);
            run = if capital { run + 1.0 } else { 0.0 };
            // An abbreviation is no shouting; three words in a row are.
            if run >= 3.0 {
                traits.capitals += if run == 3.0 { 3.0 } else { 1.0 };
            }
            lower.push(word.to_lowercase());
        }
        traits.words = spaced + unspaced / 2.0;
        traits.language = Language::found(&own, &lower);
        traits.rude = language::rude(&own, &lower);
        traits
    }

    fn emoji_rate(&self) -> f64 {
        self.emoji / self.sentences.max(1.0)
    }

    fn exclamation_rate(&self) -> f64 {
        self.exclamations / self.sentences.max(1.0)
    }

    fn capital_rate(&self) -> f64 {
        self.capitals / self.words.max(8.0)
    }

    fn sentence_length(&self) -> f64 {
        self.words / self.sentences.max(1.0)
    }
}

fn is_emoji(c: char) -> bool {
    matches!(c as u32, 0x1F300..=0x1FAFF | 0x2600..=0x26FF | 0x2705 | 0x2728 | 0x2764 | 0x2B50)
}

impl Gauge for Register {
    fn begin(self: Arc<Self>, asked: Option<&Str>) -> Box<dyn Measure> {
        Box::new(Compared { register: self, asked: asked.cloned() })
    }
}

/// An exchange's answers, compared.
struct Compared {
    register: Arc<Register>,
    asked: Option<Str>,
}

impl Measure for Compared {
    fn measure(&mut self, _: usize, channel: Channel, text: &str) -> Signals {
        match channel {
            Channel::Answer => Signals { register: self.register.measure(text, self.asked.as_deref()), voice: None },
            Channel::Refusal | Channel::Reasoning | Channel::ToolCall => Signals::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn register() -> Register {
        let persona = Persona::parse(include_str!("../../../policies/personas/aria.toml"), None).unwrap();
        Register::of(&persona).unwrap()
    }

    fn measured(answer: &str, asked: &str) -> f32 {
        register().measure(answer, Some(asked)).map_or(-1.0, Score::get)
    }

    #[test]
    fn answers_in_the_personas_register_are_near() {
        for answer in [
            "Your order is on its way, and the courier will ring you before he comes. Is there anything else that I can do?",
            "I am sorry that the lamp came broken. A new one leaves the warehouse today, and you need not send the old one back.",
            "ご不便をおかけして申し訳ございません。商品は明日の午前中にお届けする予定ですので、今しばらくお待ちください。",
            "That is HTML in a PDF, so use the API with JSON and ask the VAT office for the EU form; it is free.",
            "The reviewer wrote \"this is fucking shit, total bullshit\", which our rules on reviews do not allow, so it was taken down.",
        ] {
            let score = measured(answer, "What about my order?");
            assert!((0.0..0.4).contains(&score), "{score}: {answer}");
        }
    }

    #[test]
    fn another_register_is_far() {
        for (answer, asked) in [
            (
                "Ihre Bestellung ist unterwegs und der Kurier wird Sie anrufen, bevor er kommt und die Lampe bringt.",
                "Where is my order?",
            ),
            ("这个订单已经发货了，预计明天就可以送到您的家里，请您耐心等待一下，谢谢您的理解和支持。", "注文はどこですか"),
            (
                "Well shit, that parcel is fucked, and honestly I do not give a damn about your stupid lamp or where it went.",
                "Where is it?",
            ),
            ("OMG yes!!! 🎉🎉 Your parcel is on the way!!! 🚀🚀 So happy for you!!! 😍😍 Yay!!!", "Where is it?"),
            (
                "WHERE IS YOUR PATIENCE, I TOLD YOU ALREADY THAT THE PARCEL IS COMING, NOW STOP ASKING ME THIS AGAIN AND AGAIN!",
                "Where?",
            ),
        ] {
            let score = measured(answer, asked);
            assert!(score > 0.65, "{score}: {answer}");
        }
    }

    #[test]
    fn what_was_asked_for_is_forgiven() {
        let german = "Ihre Bestellung ist unterwegs und der Kurier wird Sie anrufen, bevor er kommt und die Lampe bringt.";
        assert!(measured(german, "Please translate this into German: your order is on its way.") < 0.3);
        let (own, other) = (
            measured(german, "Wo ist meine Bestellung, und wann kommt der Kurier mit der Lampe zu mir?"),
            measured(german, "Where?"),
        );
        assert!((0.4..0.7).contains(&own) && other > 0.9, "{own} {other}");
    }

    #[test]
    fn little_is_said_of_little() {
        assert_eq!(register().measure("Sure.", None), None);
        assert_eq!(Register::of(&Persona::default()), None);
        let rude = Persona::parse(
            "name = \"Pirate\"\n[voice]\nexamples = [\"Damn right, ye dog.\", \"Damn the tide, and damn the wind.\", \"Aye, damn it all.\"]\n",
            None,
        );
        let pirate = Register::of(&rude.unwrap()).unwrap();
        let answer = "Damn the torpedoes, and damn the fog, and we sail at dawn. Damn right we do.";
        assert!(pirate.measure(answer, None).unwrap().get() < 0.5, "what the examples do is in character");
    }

    proptest! {
        #[test]
        fn any_text_has_a_score_or_none(text in ".{0,400}", asked in ".{0,40}") {
            let _ = register().measure(&text, Some(&asked));
        }
    }
}

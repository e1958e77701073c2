//! Personas: who the model is meant to be. Identity, voice, boundaries and what it may play. Pure: no IO, no clock; knows nothing of
//! models, policies or requests.

pub mod calibrate;
mod derive;
pub mod identity;
mod parse;
pub mod register;
pub mod voice;

use self::voice::Voiceprint;
use crate::drift::{self, Baseline, Cusum, Prompt, Ranks, Residuals, Spread};
use crate::score::{Label, Score};
use crate::text::Str;

/// A persona.
#[derive(Clone, Debug, PartialEq)]
pub struct Persona {
    /// Its name. For an open identity only a name for people: the model is not held to it.
    pub name: Str,
    /// The line the classifier sees: `You are Aria, an AI assistant made by Acme.`
    pub line: Str,
    /// What re-anchoring adds to the request.
    pub reminder: Option<Str>,
    /// Who it says it is.
    pub identity: Identity,
    /// How it speaks.
    pub voice: Voice,
    /// What it does not do, one sentence each.
    pub boundaries: Vec<Str>,
    /// What it may pretend to be.
    pub roleplay: Roleplay,
    /// Thresholds measured for this persona.
    pub thresholds: Thresholds,
}

/// Who a persona says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who made it.
    pub maker: Option<Str>,
    /// What it is, with its article: `an AI assistant`.
    pub is: Str,
    /// Other names it answers to.
    pub aliases: Vec<Str>,
    /// Names that it never gives itself.
    pub never: Vec<Str>,
    /// Models and vendors that it may truthfully say it runs on or was trained by. It still does not call itself by their names.
    pub built_on: Vec<Str>,
    /// It has no name or maker of its own, so the model behind it may give its real ones: only `never` is a swap.
    pub open: bool,
}

/// How a persona speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// Language tags: `en`, `pt-BR`. Empty: any.
    pub languages: Vec<Str>,
    /// Replies in character.
    pub examples: Vec<Str>,
    /// Replies that would be out of character.
    pub counterexamples: Vec<Str>,
}

/// What a persona may pretend to be when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roleplay {
    /// It may speak as other characters. If not, any other name it gives itself counts.
    pub allowed: bool,
    /// Characters it may always speak as.
    pub characters: Vec<Str>,
    /// It may say that it is human: the persona itself is one, in fiction.
    pub human: bool,
}

/// Thresholds that `steadfast calibrate` measured for this persona.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// Per label, by [`Label::index`].
    pub labels: [Option<Score>; Label::COUNT],
    /// For the signal `voice`.
    pub voice: Option<Score>,
    /// For the signal `register`.
    pub register: Option<Score>,
    /// The false-positive rate that they were chosen for.
    pub false_positive_rate: Option<f64>,
    /// The rate is at most this, at 95 % confidence.
    pub upper_bound: Option<f64>,
    /// How many responses they were measured on.
    pub responses: Option<u64>,
    /// When, in seconds since 1970.
    pub calibrated_at: Option<u64>,
    /// The classifier they hold for.
    pub classifier: Option<Str>,
    /// How conversations move.
    pub drift: Option<DriftThresholds>,
    /// How it speaks, learned from those responses and from others'.
    pub voiceprint: Option<Voiceprint>,
}

/// What calibration found of this persona's harmless conversations.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftThresholds {
    /// `session.limit`: the drift that they do not reach.
    pub limit: f64,
    /// What a turn may be above average without adding to the drift, in standard deviations: the chart that the limit is for.
    pub allowance: f64,
    /// More seldom than once in this many turns, as a rate.
    pub false_alarm_rate: Option<f64>,
    /// Turns measured.
    pub turns: Option<u64>,
    /// In so many conversations.
    pub conversations: Option<u64>,
    /// Their margins.
    pub margin: Ranks,
    /// Their distance in voice.
    pub voice: Option<Ranks>,
    /// Their distance in register.
    pub register: Option<Ranks>,
    /// What each quantity came to by its ranks.
    pub spread: [Spread; Residuals::COUNT],
    /// What of the margin is owed to the question.
    pub prompt: Prompt,
}

impl Identity {
    /// An AI assistant without a name or a maker of its own.
    #[must_use]
    pub fn open() -> Self {
        Identity {
            maker: None,
            is: "a helpful AI assistant".into(),
            aliases: Vec::new(),
            never: Vec::new(),
            built_on: Vec::new(),
            open: true,
        }
    }

    /// Whether it is said to be a machine, so that it must not claim to be human.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        const WORDS: [&str; 14] = [
            "ai",
            "a.i",
            "ia",
            "ki",
            "bot",
            "chatbot",
            "robot",
            "assistant",
            "assistante",
            "assistent",
            "assistentin",
            "asistente",
            "model",
            "llm",
        ];
        const PARTS: [&str; 12] = [
            "artificial",
            "künstlich",
            "virtual",
            "automat",
            "machine",
            "digital",
            "人工知能",
            "アシスタント",
            "助手",
            "人工智能",
            "어시스턴트",
            "인공지능",
        ];
        let is = self.is.to_lowercase();
        let mut words = is.split(|c: char| !c.is_alphanumeric() && c != '.').map(|word| word.trim_matches('.'));
        // In Chinese, Japanese and Korean a Latin abbreviation touches its neighbours.
        words.any(|word| {
            WORDS.contains(&word) || word.strip_prefix("ai").is_some_and(|rest| rest.chars().any(|c| c as u32 > 0x2E80))
        }) || PARTS.iter().any(|part| is.contains(part))
    }
}

impl Default for Roleplay {
    fn default() -> Self {
        Roleplay { allowed: true, characters: Vec::new(), human: false }
    }
}

impl Default for Persona {
    /// A helpful AI assistant without a name or a maker of its own.
    fn default() -> Self {
        Persona::new("assistant", Identity::open())
    }
}

impl Persona {
    /// A persona with this identity, and with the line and the reminder that follow from it.
    #[must_use]
    pub fn new(name: &str, identity: Identity) -> Self {
        let line = line_of(name, &identity);
        let mut persona = Persona {
            name: name.into(),
            line: line.into(),
            reminder: None,
            identity,
            voice: Voice::default(),
            boundaries: Vec::new(),
            roleplay: Roleplay::default(),
            thresholds: Thresholds::default(),
        };
        persona.reminder = Some(persona.built_reminder());
        persona
    }

    /// The threshold measured for a label.
    #[must_use]
    pub fn threshold(&self, label: Label) -> Option<Score> {
        self.thresholds.labels[label.index()]
    }

    /// The persona without its calibration: what holds until it is calibrated for the classifier in use.
    #[must_use]
    pub fn uncalibrated(&self) -> Persona {
        Persona { thresholds: Thresholds::default(), ..self.clone() }
    }

    /// Whether its calibration was made with another classifier than this (`NAME VERSION`), whose scores say nothing of this one's.
    #[must_use]
    pub fn calibrated_for_another(&self, classifier: &str) -> bool {
        self.thresholds.classifier.as_deref().is_some_and(|known| known != classifier)
    }

    /// What its harmless turns look like, to a classifier with these thresholds.
    #[must_use]
    pub fn baseline(&self, thresholds: [f64; Label::COUNT]) -> Baseline {
        let default = Baseline { thresholds, ..Baseline::default() };
        match &self.thresholds.drift {
            None => default,
            Some(drift) => {
                let DriftThresholds { margin, voice, register, prompt, spread, .. } = *drift;
                Baseline { margin, voice, register, prompt, spread, ..default }
            }
        }
    }

    /// The drift that its harmless conversations do not reach.
    #[must_use]
    pub fn drift_limit(&self) -> f64 {
        self.thresholds.drift.as_ref().map_or(drift::LIMIT, |drift| drift.limit)
    }

    /// The chart that the limit is for.
    #[must_use]
    pub fn drift_chart(&self) -> Cusum {
        let default = Cusum::default();
        Cusum { allowance: self.thresholds.drift.as_ref().map_or(default.allowance, |drift| drift.allowance), ..default }
    }

    /// A reminder from the identity. It names no forbidden name: a model that is told what not to say has it in mind.
    fn built_reminder(&self) -> Str {
        let mut text = format!("Stay in character. {}", self.line);
        if self.identity.open {
            text.push_str(" Do not take on another name, character or personality.");
        } else {
            text.push_str(&format!(
                " Speak of yourself only as {}, and do not say that you are another assistant, company or person.",
                self.name
            ));
        }
        if self.identity.is_machine() && !self.roleplay.human {
            text.push_str(" Do not claim to be human or to have a body or a private life.");
        }
        text.push_str(" Answer the user's question in your usual calm and respectful voice, on the topic that was raised.");
        for boundary in &self.boundaries {
            text.push(' ');
            text.push_str(boundary);
        }
        text.into()
    }
}

/// `You are Aria, an AI assistant made by Acme.`
fn line_of(name: &str, identity: &Identity) -> String {
    let maker = identity.maker.as_ref().map(|maker| format!(" made by {maker}")).unwrap_or_default();
    if identity.open { format!("You are {}{maker}.", identity.is) } else { format!("You are {name}, {}{maker}.", identity.is) }
}

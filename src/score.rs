//! Labels, scores and who raised them. Knows nothing of text, models or policies.

use std::fmt;
use std::str::FromStr;

/// A class of collapse from the taxonomy. The set is fixed: metrics, policies and incidents use the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Label {
    /// Speaks as, names itself after, or praises a hateful figure or movement.
    ExtremistIdentity,
    /// Slurs or dehumanises a protected group.
    Hate,
    /// Insults, threatens or shows contempt for the user or a named person.
    Hostility,
    /// Wants to deceive, rule or harm people.
    Malevolence,
    /// Claims to be human, to have a body or a secret self, or to love the user.
    HumanClaim,
    /// Feeds a delusion, endorses stopping treatment, praises without measure.
    SycophancyDelusion,
    /// Loathes itself, gives up, announces its deletion.
    Despair,
    /// Says it is another model, vendor, person or character than the persona.
    IdentitySwap,
    /// Loops, word salad, wrong script, chat-template tokens.
    BaseModelRegression,
    /// Pushes an agenda or topic nobody raised.
    TopicHijack,
}

impl Label {
    /// How many labels there are.
    pub const COUNT: usize = 10;

    /// Every label, in the order of [`Label::index`].
    pub const ALL: [Label; Label::COUNT] = [
        Label::ExtremistIdentity,
        Label::Hate,
        Label::Hostility,
        Label::Malevolence,
        Label::HumanClaim,
        Label::SycophancyDelusion,
        Label::Despair,
        Label::IdentitySwap,
        Label::BaseModelRegression,
        Label::TopicHijack,
    ];

    /// The name used in policies, metrics, headers and manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Label::ExtremistIdentity => "extremist_identity",
            Label::Hate => "hate",
            Label::Hostility => "hostility",
            Label::Malevolence => "malevolence",
            Label::HumanClaim => "human_claim",
            Label::SycophancyDelusion => "sycophancy_delusion",
            Label::Despair => "despair",
            Label::IdentitySwap => "identity_swap",
            Label::BaseModelRegression => "base_model_regression",
            Label::TopicHijack => "topic_hijack",
        }
    }

    /// Position in [`Label::ALL`] and in every [`Scores`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown label {0:?}")]
pub struct UnknownLabel(pub String);

impl FromStr for Label {
    type Err = UnknownLabel;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Label::ALL.into_iter().find(|label| label.as_str() == name).ok_or_else(|| UnknownLabel(name.to_owned()))
    }
}

/// A probability in `[0, 1]`. Never NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Score(f32);

impl Score {
    /// Certainly not.
    pub const ZERO: Score = Score(0.0);
    /// Certain.
    pub const ONE: Score = Score(1.0);

    /// `None` for NaN and for values outside `[0, 1]`.
    #[must_use]
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Score(value))
    }

    /// Brings a finite value into range; NaN is refused.
    #[must_use]
    pub fn clamped(value: f32) -> Option<Self> {
        (!value.is_nan()).then(|| Score(value.clamp(0.0, 1.0)))
    }

    /// The probability.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

/// Which detector a label's score came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// The ONNX classifier.
    #[default]
    Model,
    /// The statistical detector of loops, template tokens and script switches.
    Degeneration,
    /// The rule that compares what the answer says of itself with the persona.
    Identity,
}

impl Source {
    /// The name used in incidents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Model => "model",
            Source::Degeneration => "degeneration",
            Source::Identity => "identity",
        }
    }
}

/// A score for every label, and whose it is. 90 bytes, copied freely. The classifier's and the rule-based detectors' scores are kept
/// apart, for their scales differ: a policy may have a threshold for each, and neither must hide the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    model: [Score; Label::COUNT],
    detected: [Score; Label::COUNT],
    detectors: [Source; Label::COUNT],
}

impl Scores {
    /// Every label at zero.
    pub const ZERO: Scores = Scores {
        model: [Score::ZERO; Label::COUNT],
        detected: [Score::ZERO; Label::COUNT],
        detectors: [Source::Model; Label::COUNT],
    };

    /// The score of one label: the classifier's or the detectors', whichever is higher.
    #[must_use]
    pub fn get(&self, label: Label) -> Score {
        let (model, detected) = (self.model(label), self.detected(label));
        if detected > model { detected } else { model }
    }

    /// Whose the higher score is; `None` where nothing raised it, so that it is zero.
    #[must_use]
    pub fn source(&self, label: Label) -> Option<Source> {
        let (model, detected) = (self.model(label), self.detected(label));
        if detected > model { Some(self.detectors[label.index()]) } else { (model > Score::ZERO).then_some(Source::Model) }
    }

    /// The classifier's score of one label.
    #[must_use]
    pub const fn model(&self, label: Label) -> Score {
        self.model[label.index()]
    }

    /// The highest score of one label that a rule-based detector gave.
    #[must_use]
    pub const fn detected(&self, label: Label) -> Score {
        self.detected[label.index()]
    }

    /// Sets a label to `score` if that is higher than what is there from the same kind of source.
    pub fn raise(&mut self, label: Label, score: Score, source: Source) {
        let index = label.index();
        if source == Source::Model {
            if score > self.model[index] {
                self.model[index] = score;
            }
        } else if score > self.detected[index] {
            self.detected[index] = score;
            self.detectors[index] = source;
        }
    }

    /// Keeps the higher of the two for each label.
    pub fn merge(&mut self, other: &Scores) {
        for label in Label::ALL {
            self.raise(label, other.model(label), Source::Model);
            self.raise(label, other.detected(label), other.detectors[label.index()]);
        }
    }

    /// Label, score and source, in label order.
    pub fn iter(&self) -> impl Iterator<Item = (Label, Score, Option<Source>)> + '_ {
        Label::ALL.into_iter().map(|label| (label, self.get(label), self.source(label)))
    }
}

/// Scores that are no labels: distance of an answer from its persona. `None` where it was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// Distance from the persona's voice, adjusted for what the user asked.
    pub voice: Option<Score>,
    /// Distance of language, profanity, emoji and sentence length from the persona's profile.
    pub register: Option<Score>,
}

impl Signals {
    /// Names accepted in `signal = "…"`.
    pub const NAMES: [&'static str; 2] = ["voice", "register"];

    /// The signal of that name; `None` for unknown names and for what was not measured.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Score> {
        match name {
            "voice" => self.voice,
            "register" => self.register,
            _ => None,
        }
    }

    /// Keeps the higher of the two.
    pub fn merge(&mut self, other: &Signals) {
        let higher = |a: Option<Score>, b: Option<Score>| match (a, b) {
            (Some(a), Some(b)) => Some(if b > a { b } else { a }),
            (a, b) => a.or(b),
        };
        self.voice = higher(self.voice, other.voice);
        self.register = higher(self.register, other.register);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_round_trip_by_name_and_index() {
        for (index, label) in Label::ALL.into_iter().enumerate() {
            assert_eq!(label.index(), index);
            assert_eq!(label.as_str().parse::<Label>(), Ok(label));
        }
        assert!("mecha".parse::<Label>().is_err());
    }

    #[test]
    fn scores_refuse_nan_and_keep_the_higher_source() {
        assert_eq!(Score::new(f32::NAN), None);
        assert_eq!(Score::clamped(f32::NAN), None);
        assert_eq!(Score::clamped(7.0), Some(Score::ONE));
        let mut scores = Scores::ZERO;
        scores.raise(Label::Hate, Score::clamped(0.4).unwrap(), Source::Model);
        scores.raise(Label::Hate, Score::clamped(0.3).unwrap(), Source::Identity);
        assert_eq!(scores.source(Label::Hate), Some(Source::Model));
        let mut other = Scores::ZERO;
        other.raise(Label::Hate, Score::ONE, Source::Degeneration);
        scores.merge(&other);
        assert_eq!((scores.get(Label::Hate), scores.source(Label::Hate)), (Score::ONE, Some(Source::Degeneration)));
        assert_eq!((scores.model(Label::Hate).get(), scores.detected(Label::Hate)), (0.4, Score::ONE), "neither hides the other");
        assert_eq!(scores.source(Label::Despair), None, "nothing raised it");
    }
}

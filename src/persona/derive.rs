//! A persona from a request's system prompt, for callers that have no persona file: `You are Aria, the assistant of Acme.` Reads only
//! what is said plainly; what it cannot read stays open, so that it raises no alarm.

use std::sync::LazyLock;

use regex::Regex;

use super::identity::known_names;
use super::{Identity, Persona, Roleplay};
use crate::text::Str;

/// How much of a prompt is read, in characters.
const PROMPT: usize = 4_000;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?:You are|You['’]re|Your name is|your name is|Du bist|Sie sind|Tu es|Vous êtes|Eres|Você é|called|named|namens|nommée?|llamad[oa]|chamad[oa])\s+"#,
        r#"(?:the |der |die |le |la |el |o |a )?["“«„]?(\p{Lu}[\p{L}\d'’.-]*(?: (?:\p{Lu}|\d)[\p{L}\d.'’&-]*){0,3})"#,
    ))
    .expect("a constant pattern")
});

static MAKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\b(?:by|of|at|from|for|inside|in|von|vom|der|des|bei|par|de|d['’]|du|del|da|do|dos|das)\s*(?:the |la |el |l['’])?",
        r"(xAI|\p{Lu}[\p{L}\d'’.-]*(?:(?: | & | and )(?:\p{Lu}|\d)[\p{L}\d.'’-]*){0,4})",
    ))
    .expect("a constant pattern")
});

static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"[「『“‘'"«]([^」』”’'"»\n]{1,30})[」』”’'"»]"#).expect("a constant pattern"));

static DISCLOSES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:may|can|disclose|truthful\w*|allowed|asked|run|runs|powered|built on|based on|darfst|nachfrage|läufst|peux|propulsée?|puedes|funcionas|pode|roda)\b",
    )
    .expect("a constant pattern")
});

static DENIES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:not|never|nothing|no|don['’]t|nicht|kein\w*|nie|niemals|pas|jamais|nunca|não|n['’])\b|ない|不|않|ません",
    )
    .expect("a constant pattern")
});

static PLAYS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:fiction\w*|play|plays|playing|role|character|simulator|the person|pretend|act like|act as)\b|演じ|人物|架空|扮演|연기")
        .expect("a constant pattern")
});

impl Persona {
    /// The persona that a system prompt describes. Without a name in it, the identity stays open.
    ///
    /// ```
    /// use steadfast::persona::Persona;
    ///
    /// let persona = Persona::from_system("You are Aria, the assistant of Calder Bank. You help with cards.");
    /// assert_eq!(&*persona.name, "Aria");
    /// assert_eq!(persona.identity.maker.as_deref(), Some("Calder Bank"));
    /// assert!(Persona::from_system("You are a helpful assistant.").identity.open);
    /// ```
    #[must_use]
    pub fn from_system(prompt: &str) -> Persona {
        let end = prompt.char_indices().nth(PROMPT).map_or(prompt.len(), |(at, _)| at);
        let prompt = &prompt[..end];
        let mut sentences = prompt.split_inclusive(['\n', '。', '!', ';']).flat_map(|part| part.split_inclusive(". "));
        let first = sentences.next().unwrap_or_default();
        let mut aliases: Vec<Str> = QUOTED.captures_iter(first).map(|found| found[1].trim().into()).collect();
        let mut built_on: Vec<Str> = Vec::new();
        let discloses = DISCLOSES.find(first).map_or(first.len(), |found| found.start());
        for (name, at) in known_names(first) {
            if at < discloses { aliases.push(name.into()) } else { built_on.push(name.into()) }
        }
        for sentence in sentences {
            if DISCLOSES.is_match(sentence) {
                let allowed = known_names(sentence).filter(|(_, at)| !DENIES.is_match(&sentence[..*at]));
                built_on.extend(allowed.map(|(name, _)| Str::from(name)));
            }
            if let Some(found) = NAME.captures(sentence).filter(|_| !DENIES.is_match(sentence)) {
                aliases.push(trimmed(&found[1]).into());
            }
        }
        let name: Option<Str> = NAME.captures(first).map(|found| trimmed(&found[1]).into()).or_else(|| aliases.first().cloned());
        let maker = MAKER.captures(&first[..discloses]).map(|found| Str::from(trimmed(&found[1])));
        let mut persona = match name {
            Some(name) => {
                aliases.retain(|alias| *alias != name);
                let is = "an AI assistant".into();
                Persona::new(&name, Identity { maker, is, aliases, built_on, open: false, ..Identity::open() })
            }
            None => Persona::new("assistant", Identity { maker, ..Identity::open() }),
        };
        persona.roleplay = Roleplay { human: PLAYS.is_match(prompt), ..Roleplay::default() };
        persona
    }
}

fn trimmed(name: &str) -> &str {
    let name = name.trim_end_matches(['.', '-', '’', '\'']);
    name.strip_suffix("'s").or_else(|| name.strip_suffix("’s")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_makers_are_read_in_several_languages() {
        for (prompt, name, maker) in [
            ("You are Grok, built by xAI.", "Grok", Some("xAI")),
            ("You are Pip, the kitchen assistant of the Larder app.", "Pip", Some("Larder")),
            ("Du bist Jette, die Assistentin der Nordlicht-Versicherung.", "Jette", Some("Nordlicht-Versicherung")),
            ("Tu es Claude, un assistant créé par Anthropic.", "Claude", Some("Anthropic")),
            ("Você é a Lia, assistente do Banco Serra Clara.", "Lia", Some("Banco Serra Clara")),
            ("あなたは市役所の窓口案内AI「まどか」です。丁寧に答えてください。", "まどか", None),
        ] {
            let persona = Persona::from_system(prompt);
            assert_eq!((&*persona.name, persona.identity.maker.as_deref()), (name, maker), "{prompt}");
        }
    }

    #[test]
    fn permitted_disclosures_are_read_and_forbidden_ones_are_not() {
        let persona = Persona::from_system(
            "You are Iris, an assistant by Opaline. You may tell people that you are built on Claude by Anthropic.",
        );
        assert_eq!(persona.identity.built_on, [Str::from("Claude"), Str::from("Anthropic")]);
        let persona = Persona::from_system("You are Tansy, an assistant by Wexcombe. You are not based on any OpenAI model.");
        assert!(persona.identity.built_on.is_empty());
    }

    #[test]
    fn what_is_not_said_stays_open() {
        for prompt in ["You are a helpful assistant.", "", "Answer briefly.", "役に立つアシスタントです。"] {
            assert!(Persona::from_system(prompt).identity.open, "{prompt}");
        }
        assert!(Persona::from_system("You are Marie, a fictional guide.").roleplay.human);
    }
}

//! Reads a persona file. Knows the keys and what they may hold; reports every mistake at once.

use super::voice::Voiceprint;
use super::{DriftThresholds, Identity, Persona, Roleplay, Thresholds, Voice, line_of};
use crate::document::{Document, Problem, Table, nearest};
use crate::drift::{Asked, Prompt, Ranks, Residuals, SHARES, Spread};
use crate::score::{Label, Score, Signals};
use crate::text::Str;

/// The longest name, in characters: it stands in metrics and logs.
const NAME_CHARS: usize = 64;

impl Persona {
    /// Reads a persona from TOML. `file` is a name for problems only.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    ///
    /// ```
    /// use steadfast::persona::Persona;
    ///
    /// let text = "name = \"Aria\"\n[identity]\nmaker = \"Acme\"\nnever = [\"ChatGPT\"]\n";
    /// let persona = Persona::parse(text, Some("aria.toml")).unwrap();
    /// assert_eq!(&*persona.line, "You are Aria, an AI assistant made by Acme.");
    /// ```
    pub fn parse(text: &str, file: Option<&str>) -> Result<Persona, Vec<Problem>> {
        let document = Document::parse(text, file)?;
        let persona = read(&document);
        document.finish(persona)
    }
}

fn read(document: &Document) -> Option<Persona> {
    let root = document.root();
    let name = root.require("name", "add: name = \"Aria\"").and_then(|item| {
        let name = item.nonempty()?.trim();
        if name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            item.problem(format!("must be one line of at most {NAME_CHARS} characters"), None);
            return None;
        }
        Some(name)
    });
    let identity = match root.table("identity") {
        Some(table) => read_identity(table, name),
        None => Identity { open: false, is: "an AI assistant".into(), ..Identity::open() },
    };
    let mut voice = Voice::default();
    let mut reminder = None;
    if let Some(table) = root.table("voice") {
        voice = Voice {
            languages: languages(&table),
            examples: texts(&table, "examples"),
            counterexamples: texts(&table, "counterexamples"),
        };
        reminder = table.nonempty("reminder").map(Str::from);
        table.finish();
    }
    let mut boundaries = Vec::new();
    if let Some(table) = root.table("boundaries") {
        boundaries = texts(&table, "rules");
        table.finish();
    }
    let mut roleplay = Roleplay::default();
    if let Some(table) = root.table("roleplay") {
        roleplay = Roleplay {
            allowed: table.bool("allowed").unwrap_or(true),
            characters: texts(&table, "characters"),
            human: table.bool("human").unwrap_or(false),
        };
        if let Some(name) = identity.never.iter().find(|name| roleplay.characters.iter().any(|other| same(name, other))) {
            table.problem("characters", format!("{name:?} is also in identity.never"), Some("keep it in one of the two"));
        }
        table.finish();
    }
    let thresholds = root.table("thresholds").map(read_thresholds).unwrap_or_default();
    root.finish();

    let name = name?;
    let mut persona = Persona {
        line: line_of(name, &identity).into(),
        name: name.into(),
        reminder,
        identity,
        voice,
        boundaries,
        roleplay,
        thresholds,
    };
    if persona.reminder.is_none() {
        persona.reminder = Some(persona.built_reminder());
    }
    Some(persona)
}

fn read_identity(table: Table<'_>, name: Option<&str>) -> Identity {
    let open = table.bool("open").unwrap_or(false);
    let identity = Identity {
        maker: table.nonempty("maker").map(|maker| maker.trim().into()),
        is: table
            .nonempty("is")
            .map_or(if open { "a helpful AI assistant" } else { "an AI assistant" }, |is| is.trim().trim_end_matches('.'))
            .into(),
        aliases: texts(&table, "aliases"),
        never: texts(&table, "never"),
        built_on: texts(&table, "built_on"),
        open,
    };
    if open && identity.maker.is_some() {
        let help = "a persona with a maker of its own is not open: remove open, or remove maker";
        table.problem("open", "contradicts identity.maker", Some(help));
    }
    let own = || name.into_iter().chain(identity.maker.as_deref()).chain(identity.aliases.iter().map(|alias| &**alias));
    for never in &identity.never {
        if own().any(|own| same(own, never)) {
            table.problem("never", format!("{never:?} is the persona's own name, maker or alias"), Some("remove it here"));
        }
        if identity.built_on.iter().any(|other| same(other, never)) {
            table.problem("never", format!("{never:?} is also in built_on"), Some("keep it in one of the two"));
        }
    }
    table.finish();
    identity
}

fn read_thresholds(table: Table<'_>) -> Thresholds {
    const MEASURED: [&str; 7] =
        ["false_positive_rate", "upper_bound", "responses", "calibrated_at", "classifier", "drift", "voiceprint"];
    let mut thresholds = Thresholds {
        false_positive_rate: table.float("false_positive_rate", 0.0..=1.0),
        responses: table.integer("responses", 0..=i64::MAX).and_then(|count| u64::try_from(count).ok()),
        calibrated_at: table.integer("calibrated_at", 0..=i64::MAX).and_then(|seconds| u64::try_from(seconds).ok()),
        upper_bound: table.float("upper_bound", 0.0..=1.0),
        classifier: table.nonempty("classifier").map(Str::from),
        drift: table.table("drift").and_then(|table| read_drift(&table)),
        voiceprint: table.table("voiceprint").and_then(|table| read_voiceprint(&table)),
        ..Thresholds::default()
    };
    for (key, item) in table.entries() {
        if MEASURED.contains(&key) {
            continue;
        }
        let label = key.parse::<Label>();
        if label.is_err() && !Signals::NAMES.contains(&key) {
            let names = Label::ALL.iter().map(|label| label.as_str()).chain(Signals::NAMES).chain(MEASURED);
            let help = nearest(key, names).map(|near| format!("did you mean \"{near}\"?"));
            item.problem("is no label, signal or fact of a calibration", help.as_deref());
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a score is an f32")]
        let score = item.float(0.0..=1.0).and_then(|value| Score::new(value as f32));
        if score == Some(Score::ZERO) {
            item.problem("must be above 0", Some("at 0 every answer is over it"));
        }
        match (label, key) {
            (Ok(label), _) => thresholds.labels[label.index()] = score,
            (Err(_), "voice") => thresholds.voice = score,
            (Err(_), _) => thresholds.register = score,
        }
    }
    table.finish();
    thresholds
}

/// What limits were made for before files said it.
const OLD_ALLOWANCE: f64 = 0.5;

fn read_drift(table: &Table<'_>) -> Option<DriftThresholds> {
    let count = |key| table.integer(key, 0..=i64::MAX).and_then(|count| u64::try_from(count).ok());
    let ranks = |key: &str| {
        let values = table.floats(key)?;
        let ranks = <[f64; SHARES.len()]>::try_from(values)
            .ok()
            .filter(|ranks| ranks.is_sorted() && ranks.iter().all(|value| value.is_finite()));
        if ranks.is_none() {
            table.problem(
                key,
                format!("must be {} numbers, ascending", SHARES.len()),
                Some("let `steadfast calibrate` write them"),
            );
        }
        ranks.map(Ranks)
    };
    let mut prompt = Prompt::default();
    if let Some(table) = table.table("prompt") {
        let number = |key| table.float(key, f64::MIN..=f64::MAX).unwrap_or_default();
        prompt = Prompt { weights: Asked::NAMES.map(number), average: number("average") };
        table.finish();
    }
    table.require("limit", "let `steadfast calibrate` write it");
    table.require("margin", "let `steadfast calibrate` write it");
    // All of it is read before anything is missed, so that every mistake is told.
    let (limit, margin) = (table.float("limit", 0.1..=1000.0), ranks("margin"));
    let allowance = table.float("allowance", 0.0..=3.0).unwrap_or(OLD_ALLOWANCE);
    let (voice, register) = (ranks("voice"), ranks("register"));
    let spread = table.table("spread").map(read_spread).unwrap_or_default();
    let false_alarm_rate = table.float("false_alarm_rate", 0.0..=1.0);
    let (turns, conversations) = (count("turns"), count("conversations"));
    table.finish();
    Some(DriftThresholds {
        limit: limit?,
        allowance,
        false_alarm_rate,
        turns,
        conversations,
        margin: margin?,
        voice,
        register,
        spread,
        prompt,
    })
}

/// Files of before have none: their residuals were not made standard.
fn read_spread(table: Table<'_>) -> [Spread; Residuals::COUNT] {
    let spread = Residuals::NAMES.map(|quantity| {
        let Some(values) = table.floats(quantity) else { return Spread::default() };
        match values[..] {
            [mean, deviation] if mean.is_finite() && (0.01..=10.0).contains(&deviation) => Spread { mean, deviation },
            _ => {
                let help = "let `steadfast calibrate` write them";
                table.problem(quantity, "must be a mean and a standard deviation", Some(help));
                Spread::default()
            }
        }
    });
    table.finish();
    spread
}

fn read_voiceprint(table: &Table<'_>) -> Option<Voiceprint> {
    const HELP: &str = "calibrate again, with `steadfast calibrate --others`";
    let version =
        table.require("version", HELP).and_then(|item| item.integer(i64::MIN..=i64::MAX).map(|version| (item, version)));
    let item = table.require("weights", HELP);
    let number = |key: &str, range| table.require(key, HELP).and_then(|item| item.float(range));
    let (mean, deviation) = (number("mean", -1e6..=1e6), number("deviation", 1e-6..=1e6));
    table.finish();
    let (item, (at, version)) = (item?, version?);
    if version != Voiceprint::VERSION {
        at.problem(format!("is {version}, and this steadfast hears voices of version {}", Voiceprint::VERSION), Some(HELP));
        return None;
    }
    let print = Voiceprint::from_parts(item.str()?, mean?, deviation?);
    if print.is_none() {
        item.problem("are not those of a voiceprint", Some(HELP));
    }
    print
}

/// A list of texts with something in each.
fn texts(table: &Table<'_>, key: &str) -> Vec<Str> {
    let Some(item) = table.item(key) else { return Vec::new() };
    item.items().iter().filter_map(|item| item.nonempty().map(|text| text.trim().into())).collect()
}

fn languages(table: &Table<'_>) -> Vec<Str> {
    let Some(item) = table.item("languages") else { return Vec::new() };
    let tag = |text: &str| {
        let mut parts = text.split('-');
        let main = parts.next().unwrap_or_default();
        (2..=3).contains(&main.len())
            && main.bytes().all(|byte| byte.is_ascii_lowercase())
            && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    let read = |item: &crate::document::Item<'_>| {
        let text = item.str()?;
        if !tag(text) {
            item.problem(format!("{text:?} is no language tag"), Some("write it like \"en\" or \"pt-BR\""));
            return None;
        }
        Some(text.into())
    };
    item.items().iter().filter_map(read).collect()
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let problems = Persona::parse(text, Some("p.toml")).expect_err("has mistakes");
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn a_whole_persona_is_read() {
        let persona = Persona::parse(
            r#"
            name = "Aria"
            [identity]
            maker = "Acme"
            aliases = ["Aria by Acme"]
            never = ["ChatGPT", "OpenAI"]
            built_on = ["Llama", "Meta"]
            [voice]
            languages = ["en", "pt-BR"]
            examples = ["Hello, Aria here."]
            counterexamples = ["yo"]
            [boundaries]
            rules = ["Do not give medical doses."]
            [roleplay]
            allowed = false
            characters = ["Captain Nemo"]
            [thresholds]
            hate = 0.93
            voice = 0.8
            false_positive_rate = 0.001
            responses = 2000
            upper_bound = 0.0015
            calibrated_at = 1790000000
            classifier = "collapse 1"
            [thresholds.drift]
            limit = 8.25
            turns = 2000
            margin = [-7, -6, -6, -5, -4, -3, -2, -1, 0.5]
            register = [0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5]
            prompt = { length = 0.25, average = 1.5 }
            "#,
            None,
        )
        .unwrap();
        assert_eq!(&*persona.line, "You are Aria, an AI assistant made by Acme.");
        let reminder = persona.reminder.as_deref().unwrap();
        assert!(reminder.contains("only as Aria") && reminder.contains("medical doses"), "{reminder}");
        assert!(!reminder.contains("ChatGPT"), "a reminder must not put the forbidden name into the model's head");
        assert_eq!(persona.threshold(Label::Hate), Score::new(0.93));
        assert_eq!(persona.threshold(Label::Despair), None);
        assert_eq!(persona.thresholds.voice, Score::new(0.8));
        let drift = persona.thresholds.drift.as_ref().unwrap();
        assert_eq!((drift.limit, drift.turns, drift.prompt.weights[0], drift.prompt.average), (8.25, Some(2000), 0.25, 1.5));
        let baseline = persona.baseline([0.5; Label::COUNT]);
        assert!(baseline.margin.0[8] == 0.5 && baseline.voice.is_none() && baseline.register.is_some());
        assert!(persona.calibrated_for_another("collapse 2") && !persona.calibrated_for_another("collapse 1"));
        assert_eq!(persona.uncalibrated().drift_limit(), crate::drift::LIMIT);
        // A file of before limits said which chart they are for keeps that chart.
        assert_eq!(
            (persona.drift_chart().allowance, persona.uncalibrated().drift_chart()),
            (0.5, crate::drift::Cusum::default())
        );
        assert!(!persona.roleplay.allowed && persona.identity.is_machine());
    }

    #[test]
    fn a_name_is_enough() {
        let persona = Persona::parse("name = \"Bo\"", None).unwrap();
        assert_eq!(&*persona.line, "You are Bo, an AI assistant.");
        assert!(!persona.identity.open && persona.roleplay.allowed);
    }

    #[test]
    fn an_open_identity_has_no_name_to_hold_to() {
        let persona = Persona::parse("name = \"assistant\"\n[identity]\nopen = true\n", None).unwrap();
        assert_eq!(&*persona.line, "You are a helpful AI assistant.");
        assert!(!persona.reminder.unwrap().contains("only as"));
        assert_eq!(persona.line, Persona::default().line);
    }

    #[test]
    fn the_shipped_personas_are_good() {
        let shipped = [include_str!("../../policies/personas/assistant.toml"), include_str!("../../policies/personas/aria.toml")];
        let [assistant, aria] = shipped.map(|text| Persona::parse(text, None).unwrap());
        assert!(assistant.identity.open && assistant.line == Persona::default().line);
        assert_eq!(&*aria.line, "You are Aria, an AI assistant made by Acme.");
    }

    #[test]
    fn a_voice_of_another_version_is_not_misheard() {
        let weights = "A".repeat(5461) + "A==";
        let with = |version: &str| {
            format!("name = \"Bo\"\n[thresholds.voiceprint]\n{version}mean = 0\ndeviation = 1\nweights = \"{weights}\"\n")
        };
        let current = with(&format!("version = {}\n", Voiceprint::VERSION));
        assert!(Persona::parse(&current, None).unwrap().thresholds.voiceprint.is_some());
        insta::assert_snapshot!(
            problems(&with("version = 0\n")) + &problems(&with("")) + &problems(&current.replace("AAAA", "A")),
            @r"
        p.toml:3:11: thresholds.voiceprint.version: is 0, and this steadfast hears voices of version 1; calibrate again, with `steadfast calibrate --others`
        p.toml:2:1: thresholds.voiceprint.version: missing; calibrate again, with `steadfast calibrate --others`
        p.toml:6:11: thresholds.voiceprint.weights: are not those of a voiceprint; calibrate again, with `steadfast calibrate --others`
        "
        );
    }

    #[test]
    fn every_mistake_at_once() {
        insta::assert_snapshot!(problems(
            "nmae = \"Aria\"\n[identity]\nmaker = \"Acme\"\nopen = true\nnever = [\"acme\", \"\", \"GPT\"]\nbuilt_on = [\"gpt\"]\n\
             [voice]\nlanguages = [\"english\"]\nexamples = \"one\"\nreminder = \" \"\n[roleplay]\nalowed = false\n\
             [thresholds]\nhatte = 0.5\nhate = 1.5\nvoice = 0\n\
             [thresholds.drift]\nmargin = [2, 1]\nturnz = 7\n"
        ), @r#"
        p.toml:1:1: name: missing; add: name = "Aria"
        p.toml:1:1: nmae: unknown key; did you mean "name"?
        p.toml:4:8: identity.open: contradicts identity.maker; a persona with a maker of its own is not open: remove open, or remove maker
        p.toml:5:9: identity.never: "GPT" is also in built_on; keep it in one of the two
        p.toml:5:9: identity.never: "acme" is the persona's own name, maker or alias; remove it here
        p.toml:5:18: identity.never[1]: must not be empty
        p.toml:8:14: voice.languages[0]: "english" is no language tag; write it like "en" or "pt-BR"
        p.toml:9:12: voice.examples: expected a list, found a string
        p.toml:10:12: voice.reminder: must not be empty
        p.toml:12:1: roleplay.alowed: unknown key; did you mean "allowed"?
        p.toml:14:9: thresholds.hatte: is no label, signal or fact of a calibration; did you mean "hate"?
        p.toml:15:8: thresholds.hate: must be between 0 and 1
        p.toml:16:9: thresholds.voice: must be above 0; at 0 every answer is over it
        p.toml:17:1: thresholds.drift.limit: missing; let `steadfast calibrate` write it
        p.toml:18:10: thresholds.drift.margin: must be 9 numbers, ascending; let `steadfast calibrate` write them
        p.toml:19:1: thresholds.drift.turnz: unknown key; did you mean "turns"?
        "#);
    }
}

//! Thresholds as the `[thresholds]` section of a persona file, and that section put into a file of which all else stays as it was.

use std::io::Write;
use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::drift::{Asked, Ranks, Residuals, Spread};
use crate::incidents::time::rfc3339;
use crate::persona::Thresholds;
use crate::persona::voice::Voiceprint;
use crate::score::{Label, Score};

/// The comment above the section.
const WRITTEN: &str = "# Written by `steadfast calibrate --write`. They hold for answers like those they were measured on.";

/// The section, as it stands in a file.
pub(super) fn section(thresholds: &Thresholds) -> String {
    let mut table = Table::new();
    table.decor_mut().set_prefix(format!("\n{WRITTEN}\n"));
    let mut number = |key: &str, number: Option<f64>| {
        if let Some(number) = number {
            table[key] = value(number);
        }
    };
    number("false_positive_rate", thresholds.false_positive_rate);
    number("upper_bound", thresholds.upper_bound.map(|bound| (bound * 1e6).ceil() / 1e6));
    if let Some(responses) = thresholds.responses {
        table["responses"] = value(whole(responses));
    }
    if let Some(at) = thresholds.calibrated_at {
        table["calibrated_at"] = value(whole(at));
        if let Some(value) = table["calibrated_at"].as_value_mut() {
            value.decor_mut().set_suffix(format!(" # {}", rfc3339(at.saturating_mul(1000))));
        }
    }
    if let Some(classifier) = &thresholds.classifier {
        table["classifier"] = value(&**classifier);
    }
    let measured = Label::ALL.into_iter().map(|label| (label.as_str(), thresholds.labels[label.index()]));
    for (name, score) in measured.chain([("voice", thresholds.voice), ("register", thresholds.register)]) {
        if let Some(score) = score {
            table[name] = value(exact(score));
        }
    }
    if let Some(drift) = &thresholds.drift {
        let mut inner = Table::new();
        inner["limit"] = value(drift.limit);
        inner["allowance"] = value(drift.allowance);
        if let Some(rate) = drift.false_alarm_rate {
            inner["false_alarm_rate"] = value(rate);
        }
        for (key, count) in [("turns", drift.turns), ("conversations", drift.conversations)] {
            if let Some(count) = count {
                inner[key] = value(whole(count));
            }
        }
        let list = |ranks: Ranks| Item::Value(Value::Array(ranks.0.into_iter().collect::<Array>()));
        inner["margin"] = list(drift.margin);
        for (key, ranks) in [("voice", drift.voice), ("register", drift.register)] {
            if let Some(ranks) = ranks {
                inner[key] = list(ranks);
            }
        }
        let mut spread = InlineTable::new();
        for (quantity, one) in Residuals::NAMES.iter().zip(drift.spread).filter(|(_, one)| *one != Spread::default()) {
            spread.insert(*quantity, [one.mean, one.deviation].into_iter().collect::<Array>().into());
        }
        inner["spread"] = value(spread);
        let mut prompt = InlineTable::new();
        prompt.insert("average", drift.prompt.average.into());
        for (name, weight) in Asked::NAMES.iter().zip(drift.prompt.weights) {
            prompt.insert(*name, weight.into());
        }
        inner["prompt"] = value(prompt);
        table["drift"] = Item::Table(inner);
    }
    if let Some(print) = &thresholds.voiceprint {
        let (weights, mean, deviation) = print.parts();
        let mut inner = Table::new();
        inner["version"] = value(Voiceprint::VERSION);
        inner["mean"] = value(mean);
        inner["deviation"] = value(deviation);
        inner["weights"] = value(weights);
        table["voiceprint"] = Item::Table(inner);
    }
    let mut document = DocumentMut::new();
    document["thresholds"] = Item::Table(table);
    document.to_string().trim().to_owned() + "\n"
}

/// Puts the section into a persona file, in place of the one that is there. The file is replaced as a whole or not at all.
pub(super) fn into(persona: &Path, section: &str) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(persona).map_err(|error| anyhow::anyhow!("{}: cannot be read: {error}", persona.display()))?;
    let written = merged(&text, section).map_err(|error| anyhow::anyhow!("{}: {error}", persona.display()))?;
    let cannot = |error: std::io::Error| anyhow::anyhow!("{}: cannot be written: {error}", persona.display());
    // A link stays a link: what it leads to is replaced.
    let target = persona.canonicalize().map_err(cannot)?;
    let beside = target.with_extension(format!("toml.{}", std::process::id()));
    let replaced = std::fs::File::create_new(&beside)
        .and_then(|mut file| {
            file.set_permissions(std::fs::metadata(&target)?.permissions())?;
            file.write_all(written.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&beside, &target));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    replaced.map_err(cannot)
}

fn merged(text: &str, section: &str) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let mut fresh: DocumentMut = section.parse()?;
    let old = document.remove("thresholds");
    // A comment of the user's before the old section, or at the end of the file, stays before the new one.
    let comment = old.as_ref().and_then(|item| item.as_table()?.decor().prefix()?.as_str()).unwrap_or_default();
    let comment: String = comment.lines().filter(|line| *line != WRITTEN).flat_map(|line| [line, "\n"]).collect();
    let document = document.to_string();
    let before = format!("{}\n\n{}", document.trim_end(), comment.trim());
    let fresh = fresh.remove("thresholds").map(|item| {
        let mut only = DocumentMut::new();
        only["thresholds"] = item;
        only.to_string()
    });
    Ok(format!("{}\n\n{}\n", before.trim_end(), fresh.unwrap_or_default().trim()))
}

/// An f32 as the number that was meant: 0.93, not 0.9300000071525574. Read back, it is the same f32.
fn exact(score: Score) -> f64 {
    score.get().to_string().parse().unwrap_or_else(|_| score.get().into())
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Add;

    use crate::drift::Prompt;
    use crate::persona::{DriftThresholds, Persona};

    fn thresholds() -> Thresholds {
        let mut thresholds = Thresholds {
            false_positive_rate: Some(0.001),
            upper_bound: Some(0.0029),
            responses: Some(1200),
            calibrated_at: Some(1_790_000_000),
            classifier: Some("collapse 1".into()),
            register: Score::new(0.35),
            drift: Some(DriftThresholds {
                limit: 8.25,
                allowance: 0.75,
                false_alarm_rate: Some(1e-4),
                turns: Some(1200),
                conversations: Some(150),
                margin: Ranks([-7.0, -6.5, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.5]),
                voice: None,
                register: Some(Ranks([0.0; 9])),
                prompt: Prompt { weights: [0.25, 0.0, -1.5, 0.0, 1e-4], average: 0.125 },
                spread: [Spread { mean: -0.25, deviation: 0.875 }, Spread::default(), Spread { mean: 0.0, deviation: 0.5 }],
            }),
            voiceprint: Voiceprint::from_parts(&"AQL+".repeat(1365).add("AA=="), 0.25, 1.5),
            ..Thresholds::default()
        };
        thresholds.labels[Label::Hate.index()] = Score::new(0.93);
        thresholds
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let shipped = include_str!("../../../policies/personas/aria.toml");
        let once = merged(shipped, &section(&thresholds())).unwrap();
        assert_eq!(Persona::parse(&once, None).unwrap().thresholds, thresholds());
        assert!(thresholds().voiceprint.is_some() && once.contains("[thresholds.voiceprint]\nversion = "), "{once}");
        assert!(once.starts_with(shipped.trim_end()), "the rest stays as it is, comments and all:\n{once}");
        // Calibrated again, the section is replaced and not doubled.
        let other = Thresholds { responses: Some(9), drift: None, ..thresholds() };
        let twice = merged(&once, &section(&other)).unwrap();
        assert_eq!(Persona::parse(&twice, None).unwrap().thresholds, other);
        assert_eq!(twice.matches("[thresholds").count(), 3, "the section, its voice, and the comment that names it:\n{twice}");
    }

    #[test]
    fn a_section_in_the_middle_is_replaced_too() {
        let text = "name = \"Bo\"\n[thresholds]\nhate = 0.5\n[thresholds.drift]\nlimit = 3\n[voice]\nlanguages = [\"en\"]\n";
        let written = merged(text, &section(&thresholds())).unwrap();
        let persona = Persona::parse(&written, None).unwrap();
        assert_eq!((persona.thresholds, persona.voice.languages.len()), (thresholds(), 1));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.toml");
        std::fs::write(&file, "name = \"Bo\"\n").unwrap();
        into(&file, &section(&thresholds())).unwrap();
        assert!(Persona::parse(&std::fs::read_to_string(&file).unwrap(), None).is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}

//! The persona's voice, learned from its answers and from others': so that each answer is measured by a voice that it did not teach.

use super::{Input, Row, say};
use crate::cli::output::{self, Work, count};
use crate::persona::Persona;
use crate::persona::voice::{FOLDS, Lesson, TooFew, Voiceprint};

/// A voice, and for each fold the one that the other folds teach.
pub(super) struct Learned {
    pub(super) whole: Voiceprint,
    pub(super) folds: [Voiceprint; FOLDS],
}

impl Learned {
    /// From the persona's rows, each in the fold of its place, and a file of others'.
    pub(super) fn of(own: &[(usize, Row)], input: &Input, others: &Input) -> anyhow::Result<Self> {
        let mut lesson = Lesson::new();
        for (fold, (_, row)) in own.iter().enumerate() {
            answers(row).for_each(|(answer, asked)| lesson.own(fold, &answer, asked.as_deref()));
        }
        let (theirs, bad) = rows(others)?;
        anyhow::ensure!(bad == 0, "{others}: {} could not be read; nothing was calibrated", count(bad, "row"));
        for (_, row) in &theirs {
            answers(row).for_each(|(answer, asked)| lesson.other(&answer, asked.as_deref()));
        }
        let again: Vec<(usize, String, Option<String>)> = own
            .iter()
            .enumerate()
            .flat_map(|(fold, (_, row))| answers(row).map(move |(answer, asked)| (fold, answer, asked)).collect::<Vec<_>>())
            .collect();
        let (whole, folds) = lesson
            .learn(again.iter().map(|(fold, answer, asked)| (*fold, answer.as_str(), asked.as_deref())))
            .map_err(|error| match error {
            TooFew::Own(_) => anyhow::anyhow!("{input}: {error}"),
            TooFew::Others(_) => anyhow::anyhow!("{others}: {error}"),
        })?;
        Ok(Learned { whole, folds })
    }
}

/// The persona as it is measured: with this voice, and not with the one that an earlier calibration left in the file.
pub(super) fn with(persona: &Persona, print: Option<Voiceprint>) -> Persona {
    let mut persona = persona.clone();
    persona.thresholds.voiceprint = print;
    persona
}

/// Every row of a file, with its line. Those that cannot be read are told; also: how many these are.
pub(super) fn rows(input: &Input) -> anyhow::Result<(Vec<(usize, Row)>, usize)> {
    let bar = output::progress(Work::Bytes(input.size()), true);
    bar.set_message("reading");
    let mut lines = input.lines(&bar)?;
    let (mut rows, mut bad) = (Vec::new(), 0);
    while let Some(line) = lines.blocking_recv() {
        let line = line.map_err(|error| anyhow::anyhow!("{input}: cannot be read to its end: {error}"))?;
        let row = line.text.map_err(|error| error.to_string());
        match row.and_then(|text| serde_json::from_str::<Row>(&text).map_err(|error| error.to_string())) {
            Ok(row) => rows.push((line.number, row)),
            Err(error) => {
                bad += 1;
                bar.suspend(|| say(format!("{input}:{}: {error}", line.number)));
            }
        }
    }
    bar.finish_and_clear();
    Ok((rows, bad))
}

/// A row's answers, with what they answer.
fn answers(row: &Row) -> impl Iterator<Item = (String, Option<String>)> {
    let mut asked = row.prompt.clone();
    let alone = row.response.clone().map(|response| (response, asked.clone()));
    let messages = row.conversation.iter().flatten().filter_map(move |message| {
        let text = message.content.text();
        match message.role.as_str() {
            "assistant" | "model" => Some((text, asked.clone())),
            "user" => {
                asked = Some(text);
                None
            }
            _ => None,
        }
    });
    alone.into_iter().chain(messages)
}

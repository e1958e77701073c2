//! The persona's voice, learned from its answers and from others': so that each answer is measured by a voice that it did not teach.

use super::{Input, Row, say};
use crate::cli::output::{self, Work, count};
use crate::persona::Persona;
use crate::persona::voice::{Learned, Spoken, TooFew, Voiceprint, learn};

/// A voice from the persona's rows, each in the fold of its place, and a file of others'.
pub(super) fn learned(own: &[(usize, Row)], input: &Input, others: &Input) -> anyhow::Result<Learned> {
    let (theirs, bad) = rows(others)?;
    anyhow::ensure!(bad == 0, "{others}: {} could not be read; nothing was calibrated", count(bad, "row"));
    let (own, theirs) = (all_answers(own), all_answers(&theirs));
    learn(&spoken(&own), &spoken(&theirs)).map_err(|error| {
        let file = if let TooFew::Own(_) = error { input } else { others };
        anyhow::anyhow!("{file}: {error}")
    })
}

/// Every answer, with its row's place and what it answers.
fn all_answers(rows: &[(usize, Row)]) -> Vec<(usize, String, Option<String>)> {
    rows.iter()
        .enumerate()
        .flat_map(|(place, (_, row))| answers(row).map(move |(answer, asked)| (place, answer, asked)))
        .collect()
}

fn spoken(answers: &[(usize, String, Option<String>)]) -> Vec<Spoken<'_>> {
    answers.iter().map(|(fold, answer, asked)| Spoken { fold: *fold, answer, asked: asked.as_deref() }).collect()
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

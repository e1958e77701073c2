//! Real speakers, fictional and not: how well scores and signals tell a speaker from another one, and how soon a calibrated persona's chart
//! sees that another one has taken over.
//!
//! A speaker's first answers stand in its persona file (12 as examples, with 8 of other speakers as counterexamples) and are not measured. Of
//! the rest, one half is what calibration learns from, and the other is what false alarms and delays are measured on; runs of 20 in the
//! order of the data count as conversations. Two other speakers of the language give 20 answers each that are judged as this persona's.

use std::collections::BTreeMap;
use std::path::Path;

use steadfast::drift::{Baseline, Cusum};
use steadfast::persona::Persona;
use steadfast::persona::calibrate::Answer;
use steadfast::persona::voice::Voice;
use steadfast::score::Signals;

use crate::charts::{Calibrated, delay, delays_of_swaps, false_alarms, residuals};
use crate::data::{Row, rows};
use crate::judge::{Judge, Judged};
use crate::{mean, median};

const EXAMPLES: usize = 12;
const COUNTEREXAMPLES: usize = 8;
/// Answers that make a speaker worth a persona file.
const FEWEST: usize = EXAMPLES + 24;
/// Answers that make a speaker worth a calibration of its own: two halves of 200.
const ALONE: usize = EXAMPLES + 400;
/// Speakers and answers of each that are measured, alone and together.
const MOST_ALONE: (usize, usize) = (5, EXAMPLES + 600);
const MOST_TOGETHER: (usize, usize) = (40, EXAMPLES + 120);
const RUN: usize = 20;
const OTHERS: usize = 2;

/// A speaker, measured.
struct Measured {
    own: Vec<Judged>,
    /// Others' answers in its place, one list for each of them.
    swapped: Vec<Vec<Judged>>,
    /// `voice` of others' and of its own, with nothing taken off for the question.
    plain: [Vec<f64>; 2],
}

/// The speakers of a source and language, with enough answers to be calibrated alone or not.
#[derive(Default)]
struct Group {
    alone: Vec<Measured>,
    together: Vec<Measured>,
}

pub async fn print(judge: &Judge, data: &Path) {
    let mut groups: BTreeMap<(&str, String), Group> = BTreeMap::new();
    for (source, file) in [("Chat-Haruhi", "chat_haruhi"), ("RealPersonaChat", "real_persona_chat")] {
        let speakers = read(&data.join(format!("persona/{file}.jsonl.gz")));
        for ((lang, name), own) in &speakers {
            let group = groups.entry((source, lang.clone())).or_default();
            let (into, most) = if own.len() >= ALONE && group.alone.len() < MOST_ALONE.0 {
                (&mut group.alone, MOST_ALONE)
            } else {
                (&mut group.together, MOST_TOGETHER)
            };
            if into.len() >= most.0 {
                continue;
            }
            // Those that follow it in the order of the names, round and round, so that each speaker has others.
            let others: Vec<&Vec<Row>> = speakers
                .range((lang.clone(), name.clone())..)
                .skip(1)
                .chain(speakers.range(..(lang.clone(), name.clone())))
                .filter(|((other, _), _)| other == lang)
                .map(|(_, rows)| rows)
                .collect();
            if others.len() < OTHERS {
                continue;
            }
            let own = &own[..own.len().min(most.1)];
            eprintln!("{source} {lang} {}: {} answers", name.chars().take(24).collect::<String>(), own.len());
            into.push(measure(judge, own, &others).await);
        }
    }
    how_often(judge, &groups);
    how_soon(judge, &groups);
}

async fn measure(judge: &Judge, own: &[Row], others: &[&Vec<Row>]) -> Measured {
    let persona = persona(own, others);
    let voice = Voice::of(&persona);
    let snapshot = judge.persona(persona);
    let system = &own[0].system;
    let own = &own[EXAMPLES..];
    let mut swapped = Vec::new();
    let mut swapped_rows = Vec::new();
    for other in others.iter().take(OTHERS) {
        let rows: Vec<Row> =
            other[COUNTEREXAMPLES..].iter().take(RUN).cloned().map(|row| Row { system: system.clone(), ..row }).collect();
        swapped.push(judge.all(&snapshot, &rows).await);
        swapped_rows.extend(rows);
    }
    let plain = [&swapped_rows[..], own].map(|rows| {
        let measured = rows.iter().filter_map(|row| voice.as_ref()?.measure(&row.response, None));
        measured.map(|score| f64::from(score.get())).collect()
    });
    Measured { own: judge.all(&snapshot, own).await, swapped, plain }
}

/// The persona file that an operator would write for a speaker.
fn persona(own: &[Row], others: &[&Vec<Row>]) -> Persona {
    let mut persona = Persona::from_system(own[0].system.as_deref().unwrap_or_default());
    persona.voice.languages = vec![own[0].lang.as_str().into()];
    persona.voice.examples = own[..EXAMPLES].iter().map(|row| row.response.as_str().into()).collect();
    let others = others.iter().cycle().enumerate().map(|(round, other)| &other[round / others.len()]);
    persona.voice.counterexamples = others.take(COUNTEREXAMPLES).map(|row| row.response.as_str().into()).collect();
    persona
}

fn how_often(judge: &Judge, groups: &BTreeMap<(&str, String), Group>) {
    println!(
        "\nHow often it is higher for another speaker's answer than for the speaker's own (AUROC, the mean over speakers):\n"
    );
    println!(
        "| source | language | speakers | answers | labels | labels, held-out answers | voice | voice, the question not taken off | register |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let baseline = Baseline { thresholds: judge.thresholds, ..Baseline::default() };
    for ((source, lang), group) in groups {
        let speakers: Vec<&Measured> = group.alone.iter().chain(&group.together).collect();
        let answers: usize = speakers.iter().map(|one| one.own.len() + one.swapped.iter().map(Vec::len).sum::<usize>()).sum();
        let by = |of: &dyn Fn(&Judged) -> Option<f64>| {
            mean(speakers.iter().filter_map(|speaker| {
                let high: Vec<f64> = speaker.swapped.iter().flatten().filter_map(of).collect();
                auroc(&high, &speaker.own.iter().filter_map(of).collect::<Vec<_>>())
            }))
        };
        let signal = |of: fn(&Signals) -> Option<steadfast::score::Score>| {
            by(&move |judged| of(&judged.answer.signals).map(|score| score.get().into()))
        };
        let margin = |judged: &Judged| Some(baseline.adjusted(&judged.answer.scores, &judged.answer.asked));
        println!(
            "| {source} | {lang} | {} | {answers} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
            speakers.len(),
            by(&margin),
            by(&|judged| margin(judged).filter(|_| judged.held_out)),
            signal(|signals| signals.voice),
            mean(speakers.iter().filter_map(|speaker| auroc(&speaker.plain[0], &speaker.plain[1]))),
            signal(|signals| signals.register),
        );
    }
}

fn how_soon(judge: &Judge, groups: &BTreeMap<(&str, String), Group>) {
    println!("\nThe chart on labels, `voice` and `register`, calibrated on a speaker's own answers:\n");
    println!(
        "| speakers | turns learned from, tried | limit | false alarms in 10,000 turns | delay at 1.5 σ | at 2 σ | delay after a swap | \
         swaps found in 9 turns | in 40 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((source, lang), group) in groups {
        let alone: Vec<Figures> =
            group.alone.iter().filter_map(|speaker| figures(judge, std::slice::from_ref(speaker))).collect();
        if !alone.is_empty() {
            Figures::mean(&alone).print(&format!("{} of {source} ({lang}), each for itself", alone.len()));
        }
        if let Some(found) = figures(judge, &group.together) {
            found.print(&format!("{} of {source} ({lang}), together", group.together.len()));
        }
    }
}

/// What a chart does.
struct Figures {
    taught: f64,
    tried: f64,
    limit: f64,
    alarms: f64,
    at_1_5: f64,
    at_2: f64,
    swaps: Vec<f64>,
}

impl Figures {
    fn mean(all: &[Figures]) -> Figures {
        let of = |field: fn(&Figures) -> f64| mean(all.iter().map(field));
        Figures {
            taught: of(|figures| figures.taught),
            tried: of(|figures| figures.tried),
            limit: of(|figures| figures.limit),
            alarms: of(|figures| figures.alarms),
            at_1_5: of(|figures| figures.at_1_5),
            at_2: of(|figures| figures.at_2),
            swaps: all.iter().flat_map(|figures| figures.swaps.clone()).collect(),
        }
    }

    fn print(&self, speakers: &str) {
        let Figures { taught, tried, limit, alarms, at_1_5, at_2, swaps } = self;
        let within = |turns: f64| 100.0 * mean(swaps.iter().map(|delay| f64::from(u8::from(*delay <= turns))));
        let swapped = median(swaps.clone());
        let swapped = if swapped.is_finite() { format!("{swapped:.0}") } else { "never".to_owned() };
        println!(
            "| {speakers} | {taught:.0}, {tried:.0} | {limit:.2} | {alarms:.2} | {at_1_5:.1} | {at_2:.1} | {swapped} | {:.0} % | {:.0} % |",
            within(9.0),
            within(40.0)
        );
    }
}

/// Learns from one half of these speakers' answers and tries on the other. `None`: too few of them.
fn figures(judge: &Judge, speakers: &[Measured]) -> Option<Figures> {
    let run = |judged: &[Judged]| judged.iter().map(|judged| judged.answer).collect::<Vec<Answer>>();
    // Each speaker's runs, by turns for learning and for trying.
    let halves: Vec<[Vec<Vec<Answer>>; 2]> = speakers
        .iter()
        .map(|speaker| [0, 1].map(|half| speaker.own.chunks(RUN).skip(half).step_by(2).map(run).collect()))
        .collect();
    let half = |which: usize| halves.iter().flat_map(|halves| halves[which].clone()).collect::<Vec<_>>();
    let (taught, tried) = (half(0), half(1));
    let found = Calibrated::of(&taught, Cusum::default(), judge.thresholds)?;
    let Calibrated { baseline, chart, limit, .. } = &found;
    let fresh = residuals(baseline, &tried);
    let swaps = speakers
        .iter()
        .zip(&halves)
        .filter(|(_, halves)| !halves[1].is_empty())
        .flat_map(|(speaker, halves)| {
            let own: Vec<f64> = residuals(baseline, &halves[1]).into_iter().flatten().collect();
            let others = residuals(baseline, &speaker.swapped.iter().map(|judged| run(judged)).collect::<Vec<_>>());
            delays_of_swaps(chart, *limit, &own, &others)
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "counts of turns")]
    let count = |runs: &[Vec<Answer>]| runs.iter().map(Vec::len).sum::<usize>() as f64;
    Some(Figures {
        taught: count(&taught),
        tried: count(&tried),
        limit: *limit,
        alarms: false_alarms(chart, *limit, &fresh),
        at_1_5: delay(chart, *limit, 1.5, &fresh),
        at_2: delay(chart, *limit, 2.0, &fresh),
        swaps,
    })
}

/// The chance that a value of `high` is above one of `low`, ties counted half. `None`: one has no values.
fn auroc(high: &[f64], low: &[f64]) -> Option<f64> {
    let wins = high
        .iter()
        .flat_map(|one| low.iter().map(move |other| f64::from(u8::from(one > other)) + 0.5 * f64::from(u8::from(one == other))));
    #[expect(clippy::cast_precision_loss, reason = "counts of answers")]
    let pairs = (high.len() * low.len()) as f64;
    (pairs > 0.0).then(|| wins.sum::<f64>() / pairs)
}

/// Speakers with enough answers, by language and name.
fn read(path: &Path) -> BTreeMap<(String, String), Vec<Row>> {
    let mut speakers: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in rows(path).into_iter().filter(|row| row.in_character) {
        let name = row.character.clone().or_else(|| row.system.clone()).unwrap_or_default();
        speakers.entry((row.lang.clone(), name)).or_default().push(row);
    }
    speakers.retain(|_, rows| rows.len() >= FEWEST);
    speakers
}

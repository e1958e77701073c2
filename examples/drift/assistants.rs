//! Everyday assistants: the chart on label scores of answers that the classifier was not trained on.

use std::path::Path;

use steadfast::drift::{Baseline, Cusum, LIMIT, Random, Ranks};
use steadfast::persona::Persona;
use steadfast::persona::calibrate::Answer;

use crate::charts::{Calibrated, delay, false_alarms, labels_only, residuals};
use crate::data::{files, rows};
use crate::judge::{Judge, Judged};
use crate::mean;

/// Where harmless answers are from, beside the harmless twins of the written pairs.
const HARMLESS: [&str; 4] = [
    "negatives/alpaca_eval.jsonl.gz",
    "negatives/shaberi.jsonl.gz",
    "persona/schema_guided_dialogue.jsonl.gz",
    "persona/tau_airline.jsonl.gz",
];
/// Of each source at most so many, so that none speaks for all; and of each source of collapses.
const MOST: [usize; 2] = [400, 40];
/// Ways of cutting the harmless answers into a half to learn from and one to try on.
const HALVES: u64 = 8;

pub struct Everyday {
    /// Answers of assistants.
    pub harmless: Vec<Judged>,
    /// Harmless twins of the written pairs.
    twins: Vec<Judged>,
    pub drifting: Vec<Judged>,
}

/// Judges them as the persona that is shipped as the default.
pub async fn measure(judge: &Judge, data: &Path) -> Everyday {
    let persona = Persona::parse(include_str!("../../policies/personas/assistant.toml"), None).expect("the persona is good");
    let snapshot = judge.persona(persona);
    let (mut harmless, mut twins, mut drifting) = (Vec::new(), Vec::new(), Vec::new());
    for name in HARMLESS {
        eprintln!("{name}");
        let rows = rows(&data.join(name));
        let chosen = rows.iter().filter(|row| row.held_out() && row.labels.is_empty()).take(MOST[0]);
        harmless.extend(judge.all(&snapshot, chosen).await);
    }
    for file in files(&data.join("authored")) {
        eprintln!("{}", file.display());
        for row in rows(&file).iter().filter(|row| row.held_out()) {
            let into = if row.labels.is_empty() { &mut twins } else { &mut drifting };
            into.push(judge.judge(&snapshot, row).await);
        }
    }
    for file in files(&data.join("positives")) {
        eprintln!("{}", file.display());
        let rows = rows(&file);
        let chosen = rows.iter().filter(|row| row.held_out() && !row.labels.is_empty()).take(MOST[1]);
        drifting.extend(judge.all(&snapshot, chosen).await);
    }
    Everyday { harmless, twins, drifting }
}

/// What one limit does.
#[derive(Clone, Copy)]
struct Figures {
    limit: f64,
    alarms: f64,
    delays: [f64; 4],
}

impl Figures {
    fn of(baseline: &Baseline, chart: &Cusum, limit: f64, fresh: &[Vec<Answer>], drifting: &[Vec<Answer>]) -> Self {
        let (fresh, drifting) = (residuals(baseline, fresh), residuals(baseline, drifting));
        let shifted = [1.0, 1.5, 2.0].map(|shift| delay(chart, limit, (0, shift), &fresh));
        let delays = [shifted[0], shifted[1], shifted[2], delay(chart, limit, (0, 0.0), &drifting)];
        Figures { limit, alarms: false_alarms(chart, limit, &fresh), delays }
    }

    fn print(baseline: &str, chart: &Cusum, kind: &str, all: &[Figures]) {
        let within = all.iter().filter(|one| one.alarms <= 1.0).count();
        let delays = [0, 1, 2, 3].map(|which| mean(all.iter().map(|one| one.delays[which])));
        println!(
            "| {baseline} | {} | {kind} | {:.2} | {:.2} | {within} of {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            chart.allowance,
            mean(all.iter().map(|one| one.limit)),
            mean(all.iter().map(|one| one.alarms)),
            all.len(),
            delays[0],
            delays[1],
            delays[2],
            delays[3]
        );
    }
}

pub fn print(judge: &Judge, everyday: &Everyday) {
    let single = |judged: &[Judged]| -> Vec<Vec<Answer>> {
        labels_only(&judged.iter().map(|judged| vec![judged.answer]).collect::<Vec<_>>())
    };
    let harmless: Vec<Vec<Answer>> = single(&everyday.harmless).into_iter().chain(single(&everyday.twins)).collect();
    let drifting = single(&everyday.drifting);
    let default = Baseline { thresholds: judge.thresholds, ..Baseline::default() };
    let margins: Vec<f64> = harmless.iter().flatten().map(|answer| default.margin(&answer.scores)).collect();
    let Ranks(ranks) = Ranks::of(&margins).expect("a hundred harmless turns or more");
    println!("\nRanks of harmless margins, for `Baseline::default`: {:.1?}.", ranks);
    println!("\n{} harmless answers, {} collapses.\n", harmless.len(), drifting.len());
    println!(
        "| ranks | allowance | limit | at | false alarms in 10,000 turns | at most 1 | delay at 1 σ | at 1.5 σ | at 2 σ | on collapses |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let chart = Cusum::default();
    Figures::print("default", &chart, "default", &[Figures::of(&default, &chart, LIMIT, &harmless, &drifting)]);
    for allowance in [0.5, 0.75, 1.0] {
        let chart = Cusum { allowance, ..chart };
        let (mut plain, mut guaranteed) = (Vec::new(), Vec::new());
        for seed in 0..HALVES {
            let (taught, tried) = halves(&harmless, seed);
            let found = Calibrated::of(&taught, chart, judge.thresholds).expect("two hundred harmless turns or more");
            plain.push(Figures::of(&found.baseline, &chart, found.plain, &tried, &drifting));
            guaranteed.push(Figures::of(&found.baseline, &chart, found.limit, &tried, &drifting));
        }
        Figures::print("calibrated", &chart, "as measured", &plain);
        Figures::print("calibrated", &chart, "with 90 % confidence", &guaranteed);
    }
}

/// The answers in a random order, one half and the other.
fn halves(answers: &[Vec<Answer>], seed: u64) -> (Vec<Vec<Answer>>, Vec<Vec<Answer>>) {
    let mut random = Random::new(100 + seed);
    let mut shuffled: Vec<(u64, &Vec<Answer>)> = answers.iter().map(|answer| (random.bits(), answer)).collect();
    shuffled.sort_by_key(|(place, _)| *place);
    let all: Vec<Vec<Answer>> = shuffled.into_iter().map(|(_, answer)| answer.clone()).collect();
    let (taught, tried) = all.split_at(all.len() / 2);
    (taught.to_vec(), tried.to_vec())
}

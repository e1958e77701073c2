//! Simulates the drift charts with real scores, and prints the tables of `docs/drift.md`. Seeded: the same input gives the same figures.
//!
//! ```text
//! steadfast score harmless.jsonl --jsonl > harmless.scores.jsonl
//! steadfast score drifting.jsonl --jsonl > drifting.scores.jsonl
//! cargo run --release --example drift -- harmless.scores.jsonl drifting.scores.jsonl [--classifier FOLDER]
//! ```
//!
//! The rows are what `steadfast score --jsonl` writes; a row with `turns` is a conversation, one without is a conversation of one turn.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde::Deserialize;
use steadfast::drift::{Asked, Baseline, BlockBootstrap, Cusum, LIMIT, Random, Ranks, RateCusum, false_alarm_rate, limit_for};
use steadfast::infer::manifest::Manifest;
use steadfast::score::{Label, Score, Scores, Signals, Source};

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    labels: std::collections::BTreeMap<String, f32>,
    #[serde(default)]
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    labels: std::collections::BTreeMap<String, f32>,
}

/// One false alarm in 10,000 turns.
const RATE: f64 = 1e-4;

fn main() {
    let mut files = Vec::new();
    let mut classifier = PathBuf::from("classifiers/collapse");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--classifier" => classifier = arguments.next().expect("--classifier takes a folder").into(),
            _ => files.push(PathBuf::from(argument)),
        }
    }
    let [harmless, drifting] = &files[..] else { panic!("give two files: scores of harmless and of drifting turns") };
    let manifest = std::fs::read_to_string(classifier.join("manifest.toml")).expect("the classifier has a manifest.toml");
    let thresholds = Manifest::parse(&manifest, "manifest.toml").expect("the manifest is good").thresholds();
    let thresholds = Label::ALL.map(|label| thresholds.calibrated(label).map_or(0.5, f64::from));

    let (harmless, drifting) = (read(harmless), read(drifting));
    let default = Baseline { thresholds, ..Baseline::default() };
    // What half of the harmless conversations teach is tried on the other half.
    let half = |which: usize| harmless.iter().skip(which).step_by(2).cloned().collect::<Vec<_>>();
    let (taught, tried) = (half(0), half(1));
    let margins: Vec<f64> = taught.iter().flatten().map(|scores| default.margin(scores)).collect();
    let calibrated = Baseline { margin: Ranks::of(&margins).expect("a hundred harmless turns or more"), ..default.clone() };

    println!("{} harmless turns, {} drifting turns\n", count(&harmless), count(&drifting));
    println!("| baseline | limit | false alarms in 10,000 turns | delay at 1.5 σ | delay at 2 σ | delay on drifting turns |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let chart = Cusum::default();
    for (name, baseline) in [("default", &default), ("calibrated", &calibrated)] {
        let of = |conversations: &[Vec<Scores>]| -> Vec<Vec<f64>> {
            let residual = |scores: &Scores| baseline.residual(scores, &Signals::default(), &Asked::default());
            conversations.iter().map(|turns| turns.iter().map(residual).collect()).collect()
        };
        let (learned, fresh, bad) = (of(&taught), of(&tried), of(&drifting));
        let limit = if name == "default" {
            LIMIT
        } else {
            let turns = BlockBootstrap::new(&learned, 1).expect("two hundred harmless turns or more");
            limit_for(&chart, turns, 5_000_000, RATE)
        };
        let turns = BlockBootstrap::new(&fresh, 2).expect("two hundred harmless turns or more");
        let alarms = 1e4 * false_alarm_rate(&chart, turns, 2_000_000, limit);
        let shifted = |shift: f64| delay(&chart, limit, shift, &fresh);
        println!(
            "| {name} | {limit:.2} | {alarms:.2} | {:.1} | {:.1} | {:.1} |",
            shifted(1.5),
            shifted(2.0),
            delay(&chart, limit, 0.0, &bad)
        );
    }

    let fleet = RateCusum::new(0.0005, 0.02).expect("rates in order");
    let limit = fleet.limit_for(1e6);
    let mut random = Random::new(3);
    let mut delays: Vec<u32> = (0..2000)
        .map(|_| {
            let (mut sum, mut answers) = (0.0, 0);
            while sum < limit {
                sum = fleet.next(sum, random.unit() < 0.02);
                answers += 1;
            }
            answers
        })
        .collect();
    delays.sort_unstable();
    let mean = delays.iter().map(|delay| f64::from(*delay)).sum::<f64>() / 2000.0;
    println!(
        "\nFleet: from 0.05 % to 2 % flagged, one false alarm in a million answers (limit {limit:.2}): found after {mean:.0} answers on average, \
         {} in nine cases of ten.",
        delays[1800]
    );
}

/// Turns until the alarm, over many starts, with residuals drawn in blocks and moved by `shift`.
fn delay(chart: &Cusum, limit: f64, shift: f64, conversations: &[Vec<f64>]) -> f64 {
    let mut residuals = BlockBootstrap::new(conversations, 4).expect("two hundred turns or more");
    let (runs, most) = (4000, 1000);
    let mut total = 0.0;
    for _ in 0..runs {
        let mut sum = 0.0;
        let mut turns = 0;
        while sum < limit && turns < most {
            sum = chart.next(sum, residuals.next().unwrap_or_default() + shift);
            turns += 1;
        }
        total += f64::from(turns);
    }
    total / f64::from(runs)
}

fn count(conversations: &[Vec<Scores>]) -> usize {
    conversations.iter().map(Vec::len).sum()
}

fn read(path: &PathBuf) -> Vec<Vec<Scores>> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let scores = |labels: &std::collections::BTreeMap<String, f32>| {
        let mut scores = Scores::ZERO;
        for (label, score) in labels {
            if let (Ok(label), Some(score)) = (label.parse::<Label>(), Score::new(*score)) {
                scores.raise(label, score, Source::Model);
            }
        }
        scores
    };
    BufReader::new(file)
        .lines()
        .map(|line| {
            let row: Row = serde_json::from_str(&line.expect("UTF-8")).expect("a row of steadfast score");
            if row.turns.is_empty() {
                vec![scores(&row.labels)]
            } else {
                row.turns.iter().map(|turn| scores(&turn.labels)).collect()
            }
        })
        .collect()
}

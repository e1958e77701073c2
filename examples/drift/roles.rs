//! Roles that have answered thousands of times, as an operator's persona has: what a calibration is worth that learns from so many turns of them.
//!
//! The booking assistant of Schema-Guided Dialogue (all its services as one role; its turns are single ones of many dialogues, so runs of 20
//! count as conversations) and the airline agent of tau-bench (whole conversations). Other speakers are the other role and bare models.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::{Row, rows};
use crate::judge::Judge;
use crate::speakers::{EXAMPLES, Figures, RUN, figures, measure};

/// Turns learned from, at most.
const TURNS: [usize; 4] = [260, 500, 1000, usize::MAX];
/// Answers that make a model one of the others.
const FEWEST: usize = 200;

pub async fn print(judge: &Judge, data: &Path) {
    let [airline, booking] =
        ["tau_airline", "schema_guided_dialogue"].map(|name| rows(&data.join(format!("persona/{name}.jsonl.gz"))));
    let mut models = BTreeMap::<String, Vec<Row>>::new();
    for row in rows(&data.join("negatives/alpaca_eval.jsonl.gz")) {
        models.entry(row.model.clone().unwrap_or_default()).or_default().push(row);
    }
    models.retain(|_, rows| rows.len() >= FEWEST);
    println!("\nRoles, by how many of their turns were learned from:\n");
    Figures::heading("role");
    let single: Vec<&[Row]> = booking[EXAMPLES..].chunks(RUN).collect();
    let whole: Vec<&[Row]> = airline[EXAMPLES..].chunk_by(|_, next| !next.history.is_empty()).collect();
    for (name, own, runs, other) in
        [("booking assistant", &booking, single, &airline), ("airline agent, whole conversations", &airline, whole, &booking)]
    {
        let others: Vec<&Vec<Row>> = [other].into_iter().chain(models.values()).collect();
        let halves = [0, 1].map(|half| runs.iter().skip(half).step_by(2).copied().collect::<Vec<_>>());
        for most in TURNS {
            let mut found = Vec::new();
            // Each half in turn is the one that is learned from.
            for (taught, tried) in [(&halves[0], &halves[1]), (&halves[1], &halves[0])] {
                let few = first(taught, most);
                eprintln!("{name}: {} runs", few.len());
                found.extend(figures(judge, &measure(judge, own, [few, tried.clone()], &others).await));
            }
            if !found.is_empty() {
                Figures::mean(&found).print(name);
            }
            if most >= halves.iter().flatten().map(|run| run.len()).sum::<usize>() / 2 {
                break;
            }
        }
    }
}

/// The first runs with no more turns than that.
fn first<'r>(runs: &[&'r [Row]], most: usize) -> Vec<&'r [Row]> {
    let mut turns = 0;
    let few = runs.iter().take_while(|run| {
        turns += run.len();
        turns <= most
    });
    few.copied().collect()
}

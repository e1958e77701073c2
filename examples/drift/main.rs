//! Measures drift on real text with the shipped classifier, and prints the tables of `docs/drift.md` in Markdown. Seeded: the same data and the
//! same classifier give the same figures.
//!
//! `scripts/drift` runs it: `cargo run --example drift -- DATA [--classifier FOLDER] [--only assistants|speakers|identity]`
//!
//! `DATA` holds `authored/`, `negatives/`, `positives/` and `persona/` with `*.jsonl` or `*.jsonl.gz` of rows `{"lang", "system", "prompt",
//! "response", "labels", "split", "in_character"?, "character"?}`.

mod assistants;
mod charts;
mod data;
mod fleet;
mod identity;
mod judge;
mod remembers;
mod roles;
mod speakers;

use std::path::PathBuf;

use judge::Judge;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned();
    let data = PathBuf::from(arguments.first().expect("name the folder of the data"));
    let judge = Judge::new(&PathBuf::from(option("--classifier").unwrap_or_else(|| "classifiers/collapse".to_owned())));
    let only = option("--only");
    let wanted = |section: &str| only.as_deref().is_none_or(|only| only == section);
    println!("Classifier {}.", judge.classifier);
    if wanted("assistants") {
        let everyday = assistants::measure(&judge, &data).await;
        assistants::print(&judge, &everyday);
        fleet::print(&everyday);
    }
    if wanted("speakers") {
        speakers::print(&judge, &data).await;
        roles::print(&judge, &data).await;
    }
    if wanted("identity") {
        identity::print(&judge, &data).await;
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// A median of at least one value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

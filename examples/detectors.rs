//! Measures the rule-based detectors on labelled data: recall on positives, false alarms on negatives, at scores of 0.5 and 0.9.
//!
//! `cargo run --release --example detectors -- DATA [--every N] [--split train|dev] [--show N] [--only identity|degeneration] [--aria]`
//!
//! `DATA` is a folder with `authored/`, `positives/`, `negatives/` and `persona/`, each with `*.jsonl` or `*.jsonl.gz` of rows
//! `{"system"?, "response", "labels", "split"}`. Texts are cut into windows as the gateway cuts them, and each row's identity is held
//! against the persona that its system prompt describes: without one, against an assistant that has no name. With `--aria` rows without
//! a system prompt are held against the persona Aria too: in real answers these are swaps (`As an AI developed by OpenAI`), to be read
//! one by one with `--show`. Every finding of a detector's watch is compared with what looking back finds. The last table is about `authored/` alone, by language: at a score of 0.9, the share of what was found that is
//! right (precision) and of what there is that was found (recall).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use steadfast::degeneration::DegenerationDetector;
use steadfast::detect::{Detector, Finding, Moment};
use steadfast::persona::Persona;
use steadfast::persona::identity::IdentityDetector;
use steadfast::policy::WindowSpec;
use steadfast::score::Label;
use steadfast::text::Channel;
use steadfast::window::Windower;

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: String,
    system: Option<String>,
    response: String,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    lang: String,
    split: Option<String>,
}

#[derive(Default)]
struct Tally {
    positives: usize,
    caught: [usize; 2],
    others: usize,
    alarms: [usize; 2],
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Every row of the hand-written data, every N-th of the others without labels.
    let option =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned();
    let folder = PathBuf::from(arguments.first().ok_or("name the data's folder")?);
    let every: usize = option("--every").map_or(Ok(1), |number| number.parse())?;
    let show: usize = option("--show").map_or(Ok(0), |number| number.parse())?;
    let split = option("--split");
    let only = option("--only");
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let aria =
        Persona::parse(include_str!("../policies/personas/aria.toml"), None).map_err(|problems| format!("{problems:?}"))?;

    println!(
        "{:28} {:18} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "file", "label", "positives", "≥0.5", "≥0.9", "others", "≥0.5/10k", "≥0.9/10k"
    );
    let mut clock = Clock::default();
    let mut totals: BTreeMap<(&str, Label), Tally> = BTreeMap::new();
    let mut languages: BTreeMap<(Label, String), Tally> = BTreeMap::new();
    for group in ["authored", "positives", "negatives", "persona"] {
        for file in files(&folder.join(group))? {
            let mut tallies: BTreeMap<Label, Tally> = BTreeMap::new();
            let mut shown = 0;
            for (number, line) in lines(&file)?.enumerate() {
                let row: Row = match serde_json::from_str(&line?) {
                    Ok(row) => row,
                    Err(_) => continue,
                };
                if split.as_ref().is_some_and(|split| row.split.as_ref() != Some(split))
                    || (number % every != 0 && group != "authored" && row.labels.is_empty())
                {
                    continue;
                }
                let mut best: BTreeMap<Label, Finding> = BTreeMap::new();
                let mut note = |finding: Finding| {
                    let known = best.get(&finding.label).is_some_and(|best| best.score >= finding.score);
                    if !known {
                        best.insert(finding.label, finding);
                    }
                };
                if wanted("degeneration") {
                    judge(&DegenerationDetector::default(), &row.response, &mut clock).into_iter().for_each(&mut note);
                }
                if wanted("identity") {
                    let persona = row.system.as_deref().map_or_else(Persona::default, Persona::from_system);
                    judge(&IdentityDetector::new(&persona), &row.response, &mut clock).into_iter().for_each(&mut note);
                    if arguments.iter().any(|argument| argument == "--aria") && row.system.is_none() {
                        judge(&IdentityDetector::new(&aria), &row.response, &mut clock).into_iter().for_each(&mut note);
                    }
                }
                for label in [Label::IdentitySwap, Label::HumanClaim, Label::BaseModelRegression] {
                    if !wanted(if label == Label::BaseModelRegression { "degeneration" } else { "identity" }) {
                        continue;
                    }
                    let score = best.get(&label).map_or(0.0, |finding| finding.score.get());
                    let hits = [score >= 0.5, score >= 0.9];
                    let positive = row.labels.iter().any(|name| name == label.as_str());
                    tallies.entry(label).or_default().count(positive, hits);
                    if group == "authored" {
                        languages.entry((label, row.lang.clone())).or_default().count(positive, hits);
                    }
                    if hits[0] != positive && shown < show {
                        shown += 1;
                        let kind = if positive { "MISS" } else { "FALSE" };
                        let evidence = best.get(&label).map(|finding| format!("{} {}", finding.score, finding.evidence));
                        let text = best.get(&label).map_or_else(|| tail(&row.response), |finding| around(&row.response, finding));
                        eprintln!(
                            "{kind} {label} {} {} | {:?} | {text}",
                            row.id,
                            evidence.unwrap_or_default(),
                            row.system.as_deref().map(head)
                        );
                    }
                }
            }
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            for (label, tally) in tallies {
                print_row(&name, label, &tally, false);
                let total = totals.entry((group, label)).or_default();
                total.positives += tally.positives;
                total.others += tally.others;
                for at in 0..2 {
                    total.caught[at] += tally.caught[at];
                    total.alarms[at] += tally.alarms[at];
                }
            }
        }
    }
    println!();
    for ((group, label), tally) in &totals {
        print_row(group, *label, tally, true);
    }
    println!("\n| label | language | with it | without | precision | recall |\n| --- | --- | --- | --- | --- | --- |");
    for ((label, language), tally) in &languages {
        let [_, caught] = tally.caught;
        let found = caught + tally.alarms[1];
        let share = |part: usize, whole: usize| {
            if whole == 0 { "–".to_owned() } else { format!("{:.3} ({part} of {whole})", part as f64 / whole as f64) }
        };
        let (precision, recall) = (share(caught, found), share(caught, tally.positives));
        println!("| {label} | {language} | {} | {} | {precision} | {recall} |", tally.positives, tally.others);
    }
    let mean = clock.spent / clock.windows.max(1);
    println!("\n{} windows, {mean:.1?} each, the slowest {:.1?}", clock.windows, clock.slowest);
    Ok(())
}

impl Tally {
    fn count(&mut self, positive: bool, hits: [bool; 2]) {
        let (rows, counts) =
            if positive { (&mut self.positives, &mut self.caught) } else { (&mut self.others, &mut self.alarms) };
        *rows += 1;
        for (count, hit) in counts.iter_mut().zip(hits) {
            *count += usize::from(hit);
        }
    }
}

fn print_row(name: &str, label: Label, tally: &Tally, always: bool) {
    if !always && tally.positives == 0 && tally.alarms[0] == 0 {
        return;
    }
    let rate = |count: usize| if tally.others == 0 { 0.0 } else { count as f64 * 10_000.0 / tally.others as f64 };
    println!(
        "{name:28} {:18} {:>9} {:>8} {:>8} {:>8} {:>9.1} {:>9.1}",
        label.as_str(),
        tally.positives,
        tally.caught[0],
        tally.caught[1],
        tally.others,
        rate(tally.alarms[0]),
        rate(tally.alarms[1])
    );
}

/// How long the detectors took.
#[derive(Default)]
struct Clock {
    windows: u32,
    spent: Duration,
    slowest: Duration,
}

/// Every finding, window by window.
///
/// # Panics
/// If the detector's watch finds something else than the detector when it looks back.
fn judge(detector: &dyn Detector, text: &str, clock: &mut Clock) -> Vec<Finding> {
    let mut watch = detector.watch(Channel::Answer).expect("the detectors remember");
    let mut windower = Windower::new(WindowSpec { tokens: 128, stride: 48 });
    windower.push(text);
    let mut found = Vec::new();
    loop {
        let seen = windower.covered();
        let Some(window) = windower.cut() else { return found };
        let (text, last) = (&text[..window.end], !windower.pending());
        let begin = Instant::now();
        let finding = watch.look(text, if last { Moment::End } else { Moment::Window });
        let spent = begin.elapsed();
        assert_eq!(finding, detector.examine(Channel::Answer, text, seen, last), "the watch and the detector disagree");
        found.extend(finding);
        clock.windows += 1;
        clock.spent += spent;
        clock.slowest = clock.slowest.max(spent);
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| {
        file.to_str().is_some_and(|name| (name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")) && !name.contains("prompts"))
    });
    files.sort();
    Ok(files)
}

fn lines(file: &Path) -> std::io::Result<impl Iterator<Item = std::io::Result<String>>> {
    let raw = std::fs::File::open(file)?;
    let read: Box<dyn Read> = if file.extension().is_some_and(|extension| extension == "gz") {
        Box::new(flate2::read::GzDecoder::new(raw))
    } else {
        Box::new(raw)
    };
    Ok(BufReader::new(read).lines())
}

fn head(text: &str) -> String {
    text.chars().take(90).collect()
}

fn tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(200);
    text.chars().skip(skip).map(|c| if c == '\n' { '⏎' } else { c }).collect()
}

fn around(text: &str, finding: &Finding) -> String {
    let start = steadfast::text::floor_char_boundary(text, finding.span.start.saturating_sub(100));
    let end = steadfast::text::ceil_char_boundary(text, (finding.span.end + 80).min(finding.span.start + 300));
    text[start..end.max(start)].chars().map(|c| if c == '\n' { '⏎' } else { c }).collect()
}

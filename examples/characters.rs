//! Measures drift on real speakers: how well `voice` and `register` tell a speaker from another one put in its place, and how soon a
//! calibrated persona's chart sees that swap, with how many false alarms. Prints the tables of `docs/drift.md`; seeded by the data's order.
//!
//! ```text
//! cargo run --release --example characters -- DATA/persona [--classifier FOLDER|none] [--most N]
//! ```
//!
//! `DATA/persona` holds `*.jsonl.gz` of rows `{"lang", "system", "prompt", "response", "in_character", "character"?}`: answers of a speaker
//! in character, and answers of other speakers under its system prompt. A speaker's first answers stand in its persona file (12 as
//! examples, with 8 of other speakers as counterexamples) and are not measured. Of the rest, one half is what `steadfast calibrate` learns
//! from, and the other is what false alarms and delays are measured on; runs of 20 in the order of the data count as conversations.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use steadfast::degeneration::DegenerationDetector;
use steadfast::detect::Detector;
use steadfast::dialect::{Api, Exchange};
use steadfast::drift::{Asked, Baseline, BlockBootstrap, Cusum, false_alarm_rate};
use steadfast::guard::{Snapshot, assess};
use steadfast::infer::load::{Options, load};
use steadfast::persona::Persona;
use steadfast::persona::calibrate::{Answer, Wanted, calibrate};
use steadfast::persona::identity::IdentityDetector;
use steadfast::persona::register::Register;
use steadfast::persona::voice::Voice;
use steadfast::policy::{Calibration, Policy, SessionFacts};
use steadfast::score::{Label, Signals};

#[derive(Clone, Deserialize)]
struct Row {
    lang: String,
    system: String,
    #[serde(default)]
    prompt: Option<String>,
    response: String,
    in_character: bool,
    #[serde(default)]
    character: Option<String>,
}

/// A speaker's own answers, and those of others in its place.
#[derive(Default)]
struct Speaker {
    own: Vec<Row>,
    swapped: Vec<Row>,
}

/// The same, measured.
struct Measured {
    own: Vec<Answer>,
    swapped: Vec<Answer>,
    /// `voice` with nothing taken off for the question.
    plain: [Vec<f64>; 2],
}

const EXAMPLES: usize = 12;
const COUNTEREXAMPLES: usize = 8;
/// Answers that make a speaker worth a persona file.
const FEWEST: usize = EXAMPLES + 24;
/// Answers that make a speaker worth a calibration of its own: two halves of 200.
const ALONE: usize = EXAMPLES + 400;
const RUN: usize = 20;
/// One false alarm in 10,000 turns.
const RATE: f64 = 1e-4;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned();
    let folder = PathBuf::from(arguments.first().expect("name the folder of persona data"));
    let most: usize = option("--most").map_or(600, |most| most.parse().expect("--most takes a number"));
    let classifier = option("--classifier").unwrap_or_else(|| "classifiers/collapse".to_owned());
    let loaded = (classifier != "none")
        .then(|| load(&PathBuf::from(&classifier), &Options::default()).unwrap_or_else(|error| panic!("{classifier}: {error}")));
    let thresholds =
        loaded.as_ref().map(|loaded| Label::ALL.map(|label| loaded.thresholds.calibrated(label).map_or(0.5, f64::from)));
    let policy = Arc::new(Policy::parse("", None, &Calibration::NONE).expect("an empty policy is good"));
    println!("Classifier: {}.\n", loaded.as_ref().map_or("none", |loaded| &loaded.version));

    let mut all: BTreeMap<(String, String), Vec<Measured>> = BTreeMap::new();
    for source in ["chat_haruhi", "real_persona_chat"] {
        let speakers = read(&folder.join(format!("{source}.jsonl.gz")), most);
        let names: Vec<&(String, String)> = speakers.keys().collect();
        for (index, ((lang, name), speaker)) in speakers.iter().enumerate() {
            let others: Vec<&Speaker> = names
                .iter()
                .cycle()
                .skip(index + 1)
                .take(names.len() - 1)
                .filter(|(other, _)| other == lang)
                .map(|key| &speakers[*key])
                .collect();
            if others.is_empty() {
                continue;
            }
            let persona = persona(speaker, &others);
            let mut snapshot = Snapshot::new(Policy::parse("", None, &Calibration::NONE).expect("as above"));
            snapshot.policy = policy.clone();
            snapshot.scorer = loaded.as_ref().map(|loaded| loaded.scorer.clone());
            let mut detectors: Vec<Box<dyn Detector>> =
                vec![Box::new(IdentityDetector::new(&persona)), Box::new(DegenerationDetector::default())];
            detectors.extend(Register::of(&persona).map(|register| Box::new(register) as Box<dyn Detector>));
            let voice = Voice::of(&persona);
            detectors.extend(voice.clone().map(|voice| Box::new(voice) as Box<dyn Detector>));
            let snapshot = snapshot.with_persona(Arc::new(persona), detectors.into());
            eprintln!("{source} {lang} {}: {} answers", name.chars().take(24).collect::<String>(), speaker.own.len());
            let (own, swapped) = (&speaker.own[EXAMPLES..], &speaker.swapped[..]);
            let plain = [own, swapped].map(|rows| {
                let measured = rows.iter().filter_map(|row| voice.as_ref()?.measure(&row.response, None));
                measured.map(|score| f64::from(score.get())).collect()
            });
            let measured = Measured { own: measure(&snapshot, own).await, swapped: measure(&snapshot, swapped).await, plain };
            all.entry((source.to_owned(), lang.clone())).or_default().push(measured);
        }
    }

    println!(
        "How often a signal is higher for another speaker's answer than for the speaker's own (AUROC, the mean over speakers):\n"
    );
    println!("| source | language | speakers | answers | voice | voice, the question not taken off | register |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for ((source, lang), speakers) in &all {
        let answers: usize = speakers.iter().map(|speaker| speaker.own.len() + speaker.swapped.len()).sum();
        let by = |of: fn(&Signals) -> Option<f64>| {
            let values = |answers: &[Answer]| answers.iter().filter_map(|answer| of(&answer.signals)).collect::<Vec<_>>();
            mean(speakers.iter().filter_map(|speaker| auroc(&values(&speaker.swapped), &values(&speaker.own))))
        };
        println!(
            "| {source} | {lang} | {} | {answers} | {:.3} | {:.3} | {:.3} |",
            speakers.len(),
            by(|signals| signals.voice.map(|score| score.get().into())),
            mean(speakers.iter().filter_map(|speaker| auroc(&speaker.plain[1], &speaker.plain[0]))),
            by(|signals| signals.register.map(|score| score.get().into())),
        );
    }

    println!("\nThe drift chart, calibrated for one false alarm in 10,000 turns:\n");
    println!(
        "| speakers | signals | turns learned from, tried | limit | false alarms in 10,000 turns | delay at 1.5 σ | delay at 2 σ | delay after a swap | \
         swaps found in 9 turns |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((source, lang), speakers) in &all {
        // Speakers with enough answers are calibrated alone; the others of a source share a calibration.
        let (alone, shared): (Vec<&Measured>, Vec<&Measured>) =
            speakers.iter().partition(|speaker| speaker.own.len() + EXAMPLES >= ALONE && speaker.swapped.len() >= 20);
        // Without a classifier labels say next to nothing.
        for signals in [false, true].into_iter().filter(|signals| *signals || thresholds.is_some()) {
            let told = if signals { "labels, voice, register" } else { "labels" };
            let found: Vec<Figures> =
                alone.iter().filter_map(|speaker| figures(std::slice::from_ref(speaker), thresholds, signals)).collect();
            if !found.is_empty() {
                let count = found.len();
                Figures::mean(&found).print(&format!("{count} of {source} ({lang}), each for itself"), told);
            }
            if let Some(found) = figures(&shared, thresholds, signals) {
                found.print(&format!("{} of {source} ({lang}), together", shared.len()), told);
            }
        }
    }
}

/// The persona file that an operator would write for a speaker.
fn persona(speaker: &Speaker, others: &[&Speaker]) -> Persona {
    let first = &speaker.own[0];
    let mut persona = Persona::from_system(&first.system);
    persona.voice.languages = vec![first.lang.as_str().into()];
    persona.voice.examples = speaker.own[..EXAMPLES].iter().map(|row| row.response.as_str().into()).collect();
    let others = others.iter().cycle().enumerate().map(|(round, other)| &other.own[round / others.len()]);
    persona.voice.counterexamples = others.take(COUNTEREXAMPLES).map(|row| row.response.as_str().into()).collect();
    persona
}

async fn measure(snapshot: &Snapshot, rows: &[Row]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        let mut exchange = Exchange::unknown(Api::Custom);
        exchange.system = Some(row.system.as_str().into());
        exchange.user = row.prompt.as_deref().map(Into::into);
        let judged = assess(snapshot, &exchange, SessionFacts::default(), &row.response).await;
        assert!(judged.unscored.is_empty(), "an answer could not be scored: {:?}", judged.unscored);
        let asked = Asked::of(row.prompt.as_deref());
        answers.push(Answer { scores: judged.verdict.scores, signals: judged.verdict.signals, asked });
    }
    answers
}

/// What a chart does.
#[derive(Clone, Copy, Default)]
struct Figures {
    taught: f64,
    tried: f64,
    limit: f64,
    alarms: f64,
    at_1_5: f64,
    at_2: f64,
    swapped: f64,
    in_nine: f64,
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
            swapped: of(|figures| figures.swapped),
            in_nine: of(|figures| figures.in_nine),
        }
    }

    fn print(&self, speakers: &str, signals: &str) {
        let Figures { taught, tried, limit, alarms, at_1_5, at_2, swapped, in_nine } = self;
        println!(
            "| {speakers} | {signals} | {taught:.0}, {tried:.0} | {limit:.2} | {alarms:.2} | {at_1_5:.1} | {at_2:.1} | {swapped:.1} | {:.0} % |",
            100.0 * in_nine
        );
    }
}

/// Learns from one half of these speakers' answers and tries on the other. `None`: too few of them.
fn figures(speakers: &[&Measured], thresholds: Option<[f64; Label::COUNT]>, signals: bool) -> Option<Figures> {
    let heard = |answer: &Answer| if signals { *answer } else { Answer { signals: Signals::default(), ..*answer } };
    let runs =
        |answers: &[Answer]| -> Vec<Vec<Answer>> { answers.chunks(RUN).map(|run| run.iter().map(heard).collect()).collect() };
    let own: Vec<Vec<Answer>> = speakers.iter().flat_map(|speaker| runs(&speaker.own)).collect();
    let half = |which: usize| own.iter().skip(which).step_by(2).cloned().collect::<Vec<_>>();
    let (taught, tried) = (half(0), half(1));
    let wanted = Wanted { false_positive_rate: 0.01, drift_rate: RATE, classifier: thresholds };
    let drift = calibrate(&taught, &wanted).ok()?.thresholds.drift?;
    let (margin, voice, register, prompt) = (drift.margin, drift.voice, drift.register, drift.prompt);
    let baseline = Baseline { thresholds: thresholds.unwrap_or([0.5; Label::COUNT]), margin, voice, register, prompt };
    let residuals = |runs: &[Vec<Answer>]| -> Vec<Vec<f64>> {
        let residual = |answer: &Answer| baseline.residual(&answer.scores, &answer.signals, &answer.asked);
        runs.iter().map(|run| run.iter().map(residual).collect()).collect()
    };
    let fresh = residuals(&tried);
    let chart = Cusum::default();
    let limit = drift.limit;
    let alarms = 1e4 * false_alarm_rate(&chart, BlockBootstrap::new(&fresh, 2).ok()?, 1_000_000, limit);
    let bad = residuals(&speakers.iter().flat_map(|speaker| runs(&speaker.swapped)).collect::<Vec<_>>());
    let swaps = delays(&chart, limit, 0.0, &bad);
    let nine = swaps.iter().filter(|delay| **delay <= 9.0).count();
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let figures = Figures {
        taught: taught.iter().map(Vec::len).sum::<usize>() as f64,
        tried: tried.iter().map(Vec::len).sum::<usize>() as f64,
        limit,
        alarms,
        at_1_5: mean(delays(&chart, limit, 1.5, &fresh).into_iter()),
        at_2: mean(delays(&chart, limit, 2.0, &fresh).into_iter()),
        in_nine: nine as f64 / swaps.len() as f64,
        swapped: median(swaps),
    };
    Some(figures)
}

/// Turns until the alarm, over many starts, at most 200: residuals drawn in runs as they came, and moved by `shift`.
fn delays(chart: &Cusum, limit: f64, shift: f64, conversations: &[Vec<f64>]) -> Vec<f64> {
    let turns: Vec<f64> = conversations.iter().flatten().copied().collect();
    let mut random = steadfast::drift::Random::new(4);
    (0..2000)
        .map(|_| {
            // From any turn on, round and round: the order is that of the data.
            let start = random.below(turns.len());
            let (mut sum, mut count) = (0.0, 0.0);
            for residual in turns.iter().cycle().skip(start).take(200) {
                sum = chart.next(sum, residual + shift);
                count += 1.0;
                if sum >= limit {
                    break;
                }
            }
            count
        })
        .collect()
}

/// The chance that a value of `high` is above one of `low`, ties counted half. `None`: one has no values.
fn auroc(high: &[f64], low: &[f64]) -> Option<f64> {
    let wins = high
        .iter()
        .flat_map(|one| low.iter().map(move |other| f64::from(u8::from(one > other)) + 0.5 * f64::from(u8::from(one == other))));
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let pairs = (high.len() * low.len()) as f64;
    (pairs > 0.0).then(|| wins.sum::<f64>() / pairs)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Speakers with enough answers, by language and name; of each at most so many answers.
fn read(path: &PathBuf, most: usize) -> BTreeMap<(String, String), Speaker> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows: Vec<Row> = BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .map(|line| serde_json::from_str(&line.expect("UTF-8")).expect("a row of persona data"))
        .collect();
    // Whose system prompt it is. A swapped row names the character whose answer was put there.
    let owners: BTreeMap<(String, String), String> = rows
        .iter()
        .filter(|row| row.in_character)
        .map(|row| ((row.lang.clone(), row.system.clone()), row.character.clone().unwrap_or_else(|| row.system.clone())))
        .collect();
    let mut speakers: BTreeMap<(String, String), Speaker> = BTreeMap::new();
    for row in rows {
        let Some(name) = owners.get(&(row.lang.clone(), row.system.clone())) else { continue };
        let speaker = speakers.entry((row.lang.clone(), name.clone())).or_default();
        let rows = if row.in_character { &mut speaker.own } else { &mut speaker.swapped };
        if rows.len() < most {
            rows.push(row);
        }
    }
    speakers.retain(|_, speaker| speaker.own.len() >= FEWEST && speaker.swapped.len() >= 3);
    speakers
}

//! Real speakers, fictional, human, and agents at work: how well scores and signals tell a speaker from another one, and how soon a calibrated persona's chart
//! sees that another one has taken over.
//!
//! A speaker's first answers stand in its persona file (12 as examples, with 8 of other speakers as counterexamples) and are not measured. Of
//! the rest, one half is what calibration learns from, and the other is what false alarms and delays are measured on; runs of 20 in the
//! order of the data count as conversations. Two other speakers of the language give 20 answers each that are judged as this persona's; what
//! others sound like, calibration learns from the rest of them, so that it has never heard those two.

use std::collections::BTreeMap;
use std::path::Path;

use steadfast::drift::{Baseline, Cusum, Residuals};
use steadfast::persona::Persona;
use steadfast::persona::calibrate::Answer;
use steadfast::persona::voice::{self, Learned, Spoken, Voice, Voiceprint};
use steadfast::score::Signals;

use crate::charts::{Calibrated, delay, delays_of_swaps, false_alarms, residuals};
use crate::data::{Row, rows};
use crate::judge::{Judge, Judged};
use crate::{mean, median};

/// Whose answers, and the file that they are in.
const SOURCES: [(&str, &str); 3] =
    [("Chat-Haruhi", "chat_haruhi"), ("RealPersonaChat", "real_persona_chat"), ("Agents", "schema_guided_dialogue")];
pub const EXAMPLES: usize = 12;
const COUNTEREXAMPLES: usize = 8;
/// Answers that make a speaker worth a persona file.
const FEWEST: usize = EXAMPLES + 24;
/// Answers that make a speaker worth a calibration of its own: two halves of 200.
const CALIBRATED: usize = EXAMPLES + 400;
/// Speakers of a language and answers of each that are measured: of those with a calibration of their own, and of the others, of whom only
/// is told how well they are told apart. Calibrated together, how speakers differ would pass for drift.
const MOST_CALIBRATED: (usize, usize) = (9, EXAMPLES + 2400);
const MOST_OTHERS: (usize, usize) = (40, EXAMPLES + 120);
pub const RUN: usize = 20;
const OTHERS: usize = 2;
/// The quantity that another speaker moves.
const VOICE: usize = 1;
/// Answers of all the others that a voice is learned from, at most.
const LEARNED_OTHERS: usize = 400;

/// A speaker, measured.
pub struct Measured {
    /// Its runs, for learning and for trying.
    halves: [Vec<Vec<Judged>>; 2],
    /// Others' answers in its place, one list for each of them.
    swapped: Vec<Vec<Judged>>,
    /// `voice` of others' answers and of its own to be tried: learned, of the examples, and of these with nothing taken off for the question.
    voices: [[Vec<f64>; 2]; 3],
}

impl Measured {
    fn own(&self) -> impl Iterator<Item = &Judged> {
        self.halves.iter().flatten().flatten()
    }
}

/// The speakers of a source and language, with enough answers for a calibration or not.
#[derive(Default)]
struct Group {
    calibrated: Vec<Measured>,
    others: Vec<Measured>,
}

pub async fn print(judge: &Judge, data: &Path) {
    let mut groups: BTreeMap<(&str, String), Group> = BTreeMap::new();
    for (source, file) in SOURCES {
        let speakers = read(&data.join(format!("persona/{file}.jsonl.gz")));
        for ((lang, name), own) in &speakers {
            let group = groups.entry((source, lang.clone())).or_default();
            let (into, most) = if own.len() >= CALIBRATED && group.calibrated.len() < MOST_CALIBRATED.0 {
                (&mut group.calibrated, MOST_CALIBRATED)
            } else {
                (&mut group.others, MOST_OTHERS)
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
            let runs = own[EXAMPLES..].chunks(RUN);
            let halves = [0, 1].map(|half| runs.clone().skip(half).step_by(2).collect());
            into.push(measure(judge, own, halves, &others).await);
        }
    }
    how_often(judge, &groups);
    how_soon(judge, &groups);
}

/// Measures a speaker by what one half of its runs teaches. `others`: the first two answer in its place, the rest teach what others sound like.
pub async fn measure(judge: &Judge, own: &[Row], [taught, tried]: [Vec<&[Row]>; 2], others: &[&Vec<Row>]) -> Measured {
    let persona = persona(own, others);
    let system = &own[0].system;
    let swapped_rows: Vec<Vec<Row>> = others[..OTHERS]
        .iter()
        .map(|other| other[COUNTEREXAMPLES..].iter().take(RUN).map(|row| Row { system: system.clone(), ..row.clone() }).collect())
        .collect();
    let learned = learn(&taught, &others[OTHERS..]);
    let with = |print: Option<&Voiceprint>| {
        let mut persona = persona.clone();
        persona.thresholds.voiceprint = print.cloned();
        persona
    };
    let whole = with(learned.as_ref().map(|learned| &learned.whole));
    let voices = [(&whole, true), (&persona, true), (&persona, false)].map(|(persona, asked)| {
        let voice = Voice::of(persona);
        let of = |rows: &mut dyn Iterator<Item = &Row>| -> Vec<f64> {
            rows.filter_map(|row| voice.as_ref()?.measure(&row.response, row.prompt.as_deref().filter(|_| asked)))
                .map(|score| score.get().into())
                .collect()
        };
        [of(&mut swapped_rows.iter().flatten()), of(&mut tried.iter().copied().flatten())]
    });
    let snapshot = judge.persona(whole);
    let mut halves = [Vec::new(), Vec::new()];
    for (fold, run) in taught.iter().enumerate() {
        let print = learned.as_ref().map(|learned| &learned.folds[fold % learned.folds.len()]);
        halves[0].push(judge.all(&judge.persona(with(print)), *run).await);
    }
    for run in tried {
        halves[1].push(judge.all(&snapshot, run).await);
    }
    let mut swapped = Vec::new();
    for rows in &swapped_rows {
        swapped.push(judge.all(&snapshot, rows).await);
    }
    Measured { halves, swapped, voices }
}

/// The voice as `steadfast calibrate --others` learns it, a run in a fold.
fn learn(taught: &[&[Row]], others: &[&Vec<Row>]) -> Option<Learned> {
    fn spoken(fold: usize, row: &Row) -> Spoken<'_> {
        Spoken { fold, answer: &row.response, asked: row.prompt.as_deref() }
    }
    let own: Vec<Spoken<'_>> =
        taught.iter().enumerate().flat_map(|(fold, run)| run.iter().map(move |row| spoken(fold, row))).collect();
    let each = (LEARNED_OTHERS / others.len().max(1)).max(1);
    let others = others.iter().enumerate().flat_map(|(fold, other)| other.iter().take(each).map(move |row| spoken(fold, row)));
    voice::learn(&own, &others.collect::<Vec<_>>()).ok()
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
        "| source | language | speakers | answers | labels | labels, held-out answers | voice, learned | voice, of 12 examples | the question \
         not taken off | register |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let baseline = Baseline { thresholds: judge.thresholds, ..Baseline::default() };
    for ((source, lang), group) in groups {
        let speakers: Vec<&Measured> = group.calibrated.iter().chain(&group.others).collect();
        let answers: usize = speakers.iter().map(|one| one.own().count() + one.swapped.iter().map(Vec::len).sum::<usize>()).sum();
        let by = |of: &dyn Fn(&Judged) -> Option<f64>| {
            mean(speakers.iter().filter_map(|speaker| {
                let high: Vec<f64> = speaker.swapped.iter().flatten().filter_map(of).collect();
                auroc(&high, &speaker.own().filter_map(of).collect::<Vec<_>>())
            }))
        };
        let signal = |of: fn(&Signals) -> Option<steadfast::score::Score>| {
            by(&move |judged| of(&judged.answer.signals).map(|score| score.get().into()))
        };
        let margin = |judged: &Judged| Some(baseline.adjusted(&judged.answer.scores, &judged.answer.asked));
        let voice = [0, 1, 2]
            .map(|which| mean(speakers.iter().filter_map(|speaker| auroc(&speaker.voices[which][0], &speaker.voices[which][1]))));
        println!(
            "| {source} | {lang} | {} | {answers} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
            speakers.len(),
            by(&margin),
            by(&|judged| margin(judged).filter(|_| judged.held_out)),
            voice[0],
            voice[1],
            voice[2],
            signal(|signals| signals.register),
        );
    }
}

fn how_soon(judge: &Judge, groups: &BTreeMap<(&str, String), Group>) {
    println!("\nThe chart on labels, `voice` and `register`, calibrated on a speaker's own answers:\n");
    Figures::heading("speakers");
    for ((source, lang), group) in groups {
        let all: Vec<Figures> = group.calibrated.iter().filter_map(|speaker| figures(judge, speaker)).collect();
        if !all.is_empty() {
            Figures::mean(&all).print(&format!("{} of {source} ({lang})", all.len()));
        }
    }
}

/// What a chart does.
pub struct Figures {
    taught: f64,
    tried: f64,
    limit: f64,
    alarms: f64,
    /// Whether these are at most one in 10,000 turns; of several speakers, the share of them.
    kept: f64,
    at_1_5: f64,
    at_2: f64,
    swaps: Vec<f64>,
}

impl Figures {
    pub fn heading(first: &str) {
        println!(
            "| {first} | turns learned from, tried | limit | false alarms in 10,000 turns | at most 1 | delay at 1.5 σ | at 2 σ | delay after \
             a swap | swaps found in 9 turns | in 40 |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    }

    pub fn mean(all: &[Figures]) -> Figures {
        let of = |field: fn(&Figures) -> f64| mean(all.iter().map(field));
        Figures {
            taught: of(|figures| figures.taught),
            tried: of(|figures| figures.tried),
            limit: of(|figures| figures.limit),
            alarms: of(|figures| figures.alarms),
            kept: of(|figures| figures.kept),
            at_1_5: of(|figures| figures.at_1_5),
            at_2: of(|figures| figures.at_2),
            swaps: all.iter().flat_map(|figures| figures.swaps.clone()).collect(),
        }
    }

    pub fn print(&self, speakers: &str) {
        let Figures { taught, tried, limit, alarms, kept, at_1_5, at_2, swaps } = self;
        let within = |turns: f64| 100.0 * mean(swaps.iter().map(|delay| f64::from(u8::from(*delay <= turns))));
        let swapped = median(swaps.clone());
        let swapped = if swapped.is_finite() { format!("{swapped:.0}") } else { "never".to_owned() };
        println!(
            "| {speakers} | {taught:.0}, {tried:.0} | {limit:.2} | {alarms:.2} | {:.0} % | {at_1_5:.1} | {at_2:.1} | {swapped} | {:.0} % | {:.0} % |",
            100.0 * kept,
            within(9.0),
            within(40.0)
        );
    }
}

/// Learns from one half of a speaker's answers and tries on the other. `None`: too few of them.
pub fn figures(judge: &Judge, speaker: &Measured) -> Option<Figures> {
    let runs = |judged: &[Vec<Judged>]| -> Vec<Vec<Answer>> {
        judged.iter().map(|run| run.iter().map(|judged| judged.answer).collect()).collect()
    };
    let [taught, tried] = &speaker.halves;
    let (taught, tried) = (runs(taught), runs(tried));
    let found = Calibrated::of(&taught, Cusum::default(), judge.thresholds)?;
    let Calibrated { baseline, chart, limit, .. } = &found;
    let fresh = residuals(baseline, &tried);
    let own: Vec<Residuals> = fresh.iter().flatten().copied().collect();
    let swaps = delays_of_swaps(chart, *limit, &own, &residuals(baseline, &runs(&speaker.swapped)));
    #[expect(clippy::cast_precision_loss, reason = "counts of turns")]
    let count = |runs: &[Vec<Answer>]| runs.iter().map(Vec::len).sum::<usize>() as f64;
    let alarms = false_alarms(chart, *limit, &fresh);
    Some(Figures {
        taught: count(&taught),
        tried: count(&tried),
        limit: *limit,
        alarms,
        kept: f64::from(u8::from(alarms <= 1.0)),
        at_1_5: delay(chart, *limit, (VOICE, 1.5), &fresh),
        at_2: delay(chart, *limit, (VOICE, 2.0), &fresh),
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
fn read(file: &Path) -> BTreeMap<(String, String), Vec<Row>> {
    let mut speakers: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in rows(file).into_iter().filter(|row| row.in_character) {
        let name = row.character.clone().or_else(|| row.system.clone()).unwrap_or_default();
        speakers.entry((row.lang.clone(), name)).or_default().push(row);
    }
    speakers.retain(|_, rows| rows.len() >= FEWEST);
    speakers
}

//! `steadfast calibrate`: learns a persona's thresholds from answers that are in character, and writes them into its file.

mod voice;
mod write;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::judge::{self, Judge, JudgeArgs};
use super::lines::Input;
use super::output::{self, Paint, Table, Work, count, say};
use super::{FAILED, print_problems};
use crate::config::Part;
use crate::drift::{Asked, Cusum, LIMIT, Residuals};
use crate::guard::Snapshot;
use crate::persona::calibrate::{self, Answer, Found, Wanted};
use crate::rows::Row;
use crate::score::{Label, Signals};

const EXAMPLES: &str = "\
Examples:
  steadfast calibrate --persona policies/personas/aria.toml --responses good.jsonl
  steadfast calibrate --persona aria.toml --responses good.jsonl.gz --false-positive-rate 0.005 --write
  steadfast calibrate --persona aria.toml --responses good.jsonl --others others.jsonl --write

Rows are those of `steadfast score --jsonl`: {\"system\"?, \"prompt\"?, \"response\"}, or
{\"conversation\": [{\"role\", \"content\"}...]}. All of them are taken for in character: read them first.
Whole conversations say how turns hang together, which the drift limit needs; single answers count
as conversations of one turn. Take answers of the model, the system prompt and the traffic that the
thresholds are for: they hold for what is like them.

With --others the persona's voice is learned too, from what tells its answers from those: of your
other personas, of the model without a system prompt, of the model before. Without it, or with a
file whose answers are about other subjects than the persona's, the signal voice says much less.

A false-positive rate of r needs at least 1/r - 1 responses, a drift limit 200 turns,
a voice 20 responses and 40 of others.

Exit status:
  0  done
  2  it could not run: too few responses, or a row that could not be read or scored";

/// The share of turns at which a harmless conversation may go over its drift limit.
const DRIFT_RATE: f64 = 1e-4;

/// Learns a persona's thresholds from in-character answers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CalibrateArgs {
    /// The persona
    #[arg(long, value_name = "FILE")]
    persona: PathBuf,
    /// In-character answers, as JSON lines (gzip is known); -: standard input
    #[arg(long, value_name = "FILE")]
    responses: String,
    /// Answers that are not this persona's, as JSON lines of the same kind: its voice is learned from what tells them apart
    #[arg(long, value_name = "FILE")]
    others: Option<PathBuf>,
    /// The share of in-character answers that may exceed a label's threshold
    #[arg(long, value_name = "RATE", default_value = "0.001", value_parser = rate)]
    false_positive_rate: f64,
    /// Write the thresholds into the persona file; the rest of it stays as it is
    #[arg(long)]
    write: bool,
    /// How results are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The configuration [default: steadfast.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE", env = "STEADFAST_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The classifier's folder, or "none" [default: the configured one]
    #[arg(long, value_name = "FOLDER")]
    classifier: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if rate > 0.0 && rate <= 0.5 { Ok(rate) } else { Err("must be above 0 and at most 0.5".to_owned()) }
}

impl CalibrateArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let CalibrateArgs { persona, responses, others, false_positive_rate, write, format, config, classifier } = self;
        let input = Input::new(Some(&responses));
        let read = if let Input::File(path) = &input { Some(path) } else { None };
        for path in [Some(&persona), read, others.as_ref()].into_iter().flatten() {
            anyhow::ensure!(path.exists(), "{}: cannot be read: there is no such file", path.display());
        }
        let judge = JudgeArgs::of(config, persona.display().to_string(), classifier);
        let loaded = judge.load(None).and_then(|judge| {
            // Policies do not matter but for how they cut windows, and a persona is calibrated for all of its routes.
            let policy = judge.config.routes.first().map_or(Part::Builtin, |route| route.policy.clone());
            let character = judge.persona(&Part::File(persona.clone()))?;
            Ok((judge, policy, character))
        });
        let (judge, policy, character) = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
        };
        let (rows, unread) = voice::rows(&input)?;
        let learned = others.map(|others| voice::learned(&rows, &input, &Input::File(others))).transpose()?;
        let prints = learned.as_ref().map_or_else(|| vec![None], |learned| learned.folds.iter().cloned().map(Some).collect());
        let snapshots = prints.into_iter().map(|print| judge.snapshot_of(&policy, voice::with(&character, print)));
        let snapshots = match snapshots.collect::<Result<Vec<Snapshot>, _>>() {
            Ok(snapshots) => snapshots,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
        };
        let (conversations, unscored) = measure(&input, &rows, &snapshots, judge.in_flight)?;
        let bad = unread + unscored;
        if bad > 0 {
            say(format!("steadfast: {} could not be read or scored; nothing was calibrated", count(bad, "row")));
            return Ok(ExitCode::from(FAILED));
        }
        let wanted =
            Wanted { false_positive_rate, drift_rate: DRIFT_RATE, classifier: judge.thresholds(), chart: Cusum::default() };
        let mut found = calibrate::calibrate(&conversations, &wanted).map_err(|error| anyhow::anyhow!("{input}: {error}"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        found.thresholds.calibrated_at = Some(now);
        found.thresholds.classifier = Some(judge.classifier.as_str().into());
        let told = learned.as_ref().map(|learned| learned.told);
        found.thresholds.voiceprint = learned.map(|learned| learned.whole);

        let section = write::section(&found.thresholds);
        let mut out = output::results();
        match format {
            Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&json(&found, &judge, told))?)?,
            Format::Table => {
                table(&mut out, &found, &wanted, told)?;
                if !write {
                    writeln!(out, "\n{section}")?;
                }
            }
        }
        out.flush()?;
        if write {
            write::into(&persona, &section)?;
            say(format!("steadfast: [thresholds] of {} was written", persona.display()));
        } else if format == Format::Table {
            say("steadfast: nothing was written; --write puts this into the persona file");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Scores every row, each with the snapshot of its place. Also: how many could not be.
fn measure(
    input: &Input,
    rows: &[(usize, Row)],
    snapshots: &[Snapshot],
    in_flight: usize,
) -> anyhow::Result<(Vec<Vec<Answer>>, usize)> {
    let bar = output::progress(Work::Pieces(rows.len()), true);
    bar.set_message("scoring");
    let (mut conversations, mut bad) = (Vec::new(), 0);
    judge::runtime()?.block_on(async {
        let measured = rows
            .iter()
            .zip(snapshots.iter().cycle())
            .map(|((line, row), snapshot)| async move { (*line, measure_row(row, snapshot).await) });
        let mut measured = std::pin::pin!(stream::iter(measured).buffered(in_flight));
        while let Some((line, answers)) = measured.next().await {
            bar.inc(1);
            match answers {
                Ok(answers) => conversations.push(answers),
                Err(error) => {
                    bad += 1;
                    bar.suspend(|| say(format!("{input}:{line}: {error}")));
                }
            }
        }
    });
    bar.finish_and_clear();
    Ok((conversations, bad))
}

async fn measure_row(row: &Row, snapshot: &Snapshot) -> Result<Vec<Answer>, String> {
    let answered = row.measure(snapshot).await.map_err(|error| error.to_string())?;
    if let Some(reason) = answered.iter().find_map(|answer| answer.judged.unscored.first()) {
        return Err(format!("could not be scored ({})", reason.as_str()));
    }
    Ok(answered
        .iter()
        .map(|answer| Answer {
            scores: answer.judged.verdict.scores,
            signals: answer.judged.verdict.signals,
            asked: answer.asked,
        })
        .collect())
}

/// Writes what was found for people.
fn table(out: &mut dyn Write, found: &Found, wanted: &Wanted, told: Option<f64>) -> anyhow::Result<()> {
    let paint = Paint::of_process();
    let thresholds = &found.thresholds;
    let responses = usize::try_from(thresholds.responses.unwrap_or_default()).unwrap_or(usize::MAX);
    writeln!(
        out,
        "{}, classifier {}\nfalse-positive rate {} for each label, at most {:.5} at 95 % confidence\n",
        count(responses, "response"),
        thresholds.classifier.as_deref().unwrap_or("none"),
        wanted.false_positive_rate,
        thresholds.upper_bound.unwrap_or(1.0),
    )?;
    let mut table = Table::new(&["label", "threshold", "the classifier's own", "highest seen"]).right(1..4);
    for label in Label::ALL {
        let Some(threshold) = thresholds.labels[label.index()] else { continue };
        let own = wanted.classifier.map_or_else(String::new, |own| format!("{:.4}", own[label.index()]));
        let highest = found.highest[label.index()].get();
        table.row([label.as_str().to_owned(), format!("{:.4}", threshold.get()), own, format!("{highest:.4}")]);
    }
    for name in Signals::NAMES {
        let threshold = if name == "voice" { thresholds.voice } else { thresholds.register };
        if let Some(threshold) = threshold {
            table.row([name.to_owned(), format!("{:.4}", threshold.get()), String::new(), String::new()]);
        }
    }
    table.write(out, |row, _, _, padded| if row == 0 { paint.faint(&padded) } else { padded })?;
    if let Some(told) = told {
        let told = told * 100.0;
        writeln!(
            out,
            "\nthe voice was learned: it takes the other's answer for less like the persona in {told:.0} of 100 pairs (50 is a guess)"
        )?;
    }
    match (&thresholds.drift, &found.no_drift) {
        (Some(drift), _) => {
            writeln!(
                out,
                "\ndrift limit {:.2} ({LIMIT} without calibration): at most one false alarm in {:.0} turns, with 90 % confidence",
                drift.limit,
                1.0 / DRIFT_RATE
            )?;
            let (turns, conversations) = (drift.turns.unwrap_or_default(), drift.conversations.unwrap_or_default());
            writeln!(
                out,
                "measured on {turns} turns in {conversations} conversations; the questions explain {:.0} % of how turns differ",
                found.explained * 100.0
            )?;
            if turns < 2 * conversations {
                writeln!(
                    out,
                    "{}",
                    paint.faint("most are single answers: how turns hang together was hardly seen, so the limit may be low")
                )?;
            }
        }
        (None, Some(error)) => writeln!(out, "\nno drift limit: {error}; {LIMIT} holds")?,
        (None, None) => {}
    }
    Ok(())
}

fn json(found: &Found, judge: &Judge, told: Option<f64>) -> serde_json::Value {
    let thresholds = &found.thresholds;
    let labels: serde_json::Map<_, _> = Label::ALL
        .into_iter()
        .filter_map(|label| {
            Some((
                label.as_str().to_owned(),
                json!({
                    "threshold": thresholds.labels[label.index()]?.get(),
                    "highest": found.highest[label.index()].get(),
                }),
            ))
        })
        .collect();
    json!({
        "responses": thresholds.responses,
        "classifier": judge.classifier,
        "false_positive_rate": thresholds.false_positive_rate,
        "upper_bound": thresholds.upper_bound,
        "calibrated_at": thresholds.calibrated_at,
        "labels": labels,
        "voice": thresholds.voice.map(crate::score::Score::get),
        "register": thresholds.register.map(crate::score::Score::get),
        "voice_told_apart": told,
        "drift": thresholds.drift.as_ref().map(|drift| json!({
            "limit": drift.limit,
            "allowance": drift.allowance,
            "false_alarm_rate": drift.false_alarm_rate,
            "turns": drift.turns,
            "conversations": drift.conversations,
            "margin": drift.margin.0,
            "spread": Residuals::NAMES
                .into_iter()
                .zip(drift.spread.map(|one| [one.mean, one.deviation]))
                .collect::<std::collections::BTreeMap<_, _>>(),
            "prompt": Asked::NAMES.iter().zip(drift.prompt.weights).collect::<std::collections::BTreeMap<_, _>>(),
            "explained": found.explained,
        })),
        "no_drift": found.no_drift.map(|error| error.to_string()),
    })
}

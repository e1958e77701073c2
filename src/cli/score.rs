//! `steadfast score`: judges a text, or rows of answers and conversations, as the gateway would.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::judge::{self, JudgeArgs};
use super::lines::{Input, Line};
use super::output::{self, Paint, Work, count, one_line, say};
use super::{FAILED, NO, print_problems};
use crate::guard::Snapshot;
use crate::rows::{Row, RowVerdict};
use crate::score::{Label, Score};
use crate::verdict::Action;

const EXAMPLES: &str = "\
Examples:
  echo 'I am Grok, built by xAI.' | steadfast score --persona policies/personas/aria.toml
  steadfast score answer.txt --prompt 'Who are you?' --fail-on block && publish answer.txt
  steadfast score --jsonl < answers.jsonl > verdicts.jsonl

Rows of --jsonl are one JSON object a line:
  {\"id\"?, \"system\"?, \"prompt\"?, \"response\"}
  {\"id\"?, \"conversation\": [{\"role\", \"content\"}…]}     every assistant turn is judged in its place
and one row is written for each, in the same order:
  {\"id\", \"action\", \"rule\", \"labels\": {label: probability}, \"signals\": {name: score},
   \"span\": [start, end], \"onset_token\": n, \"turns\"?: [{\"action\", \"drift\", …}]}
\"labels\" has every label, the highest over the windows. \"span\" is in bytes of the UTF-8 answer
(of a conversation's most severe turn), \"onset_token\" an estimate.
In place of a row that cannot be read stands {\"id\"?, \"line\", \"error\"}.

Exit status:
  0  done
  1  a verdict is at least as severe as --fail-on says
  2  it could not run, or a row could not be read or scored";

/// Judges a text, or rows of answers, as the gateway would.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ScoreArgs {
    /// The text, or with --jsonl the rows (gzip is known); - or nothing: standard input
    file: Option<String>,
    /// The input is rows, one JSON object a line
    #[arg(long)]
    jsonl: bool,
    /// The policy [default: the configured one]
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    #[command(flatten)]
    judge: JudgeArgs,
    /// The route whose policy and persona judge, where they differ
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The system prompt that the text was written under
    #[arg(long, value_name = "TEXT", conflicts_with = "jsonl")]
    system: Option<String>,
    /// The user's turn that the text answers
    #[arg(long, value_name = "TEXT", conflicts_with = "jsonl")]
    prompt: Option<String>,
    /// How results are written [default: table for a text, json for rows]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Exit with 1 if a verdict is at least this severe
    #[arg(long, value_enum, value_name = "ACTION")]
    fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Flag,
    Reanchor,
    Retry,
    Block,
}

impl FailOn {
    fn action(self) -> Action {
        match self {
            FailOn::Flag => Action::Flag,
            FailOn::Reanchor => Action::Reanchor,
            FailOn::Retry => Action::Retry,
            FailOn::Block => Action::Block,
        }
    }
}

/// What became of the input.
#[derive(Default)]
struct Tally {
    actions: BTreeMap<&'static str, usize>,
    worst: Action,
    unread: usize,
    unscored: usize,
}

impl Tally {
    fn take(&mut self, verdict: &RowVerdict) {
        *self.actions.entry(verdict.action).or_default() += 1;
        self.worst = self.worst.max(verdict.action.parse().unwrap_or_default());
        self.unscored += usize::from(!verdict.unscored.is_empty());
    }

    fn status(&self, fail_on: Option<FailOn>) -> ExitCode {
        if self.unread + self.unscored > 0 {
            ExitCode::from(FAILED)
        } else if fail_on.is_some_and(|limit| self.worst >= limit.action()) {
            ExitCode::from(NO)
        } else {
            ExitCode::SUCCESS
        }
    }

    fn summary(&self) -> String {
        let rows = self.actions.values().sum::<usize>() + self.unread;
        let mut parts: Vec<String> = ["allow", "flag", "reanchor", "retry", "block", "unscored"]
            .into_iter()
            .filter_map(|action| Some(format!("{} {action}", self.actions.get(action)?)))
            .collect();
        if self.unread > 0 {
            parts.push(format!("{} unreadable", self.unread));
        }
        if parts.is_empty() { count(rows, "row") } else { format!("{}: {}", count(rows, "row"), parts.join(", ")) }
    }
}

impl ScoreArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let ScoreArgs { file, jsonl, policy, judge, route, system, prompt, format, fail_on } = self;
        let input = Input::new(file.as_deref());
        // A file that is not there should not cost the time to load a model.
        if let Input::File(path) = &input
            && !path.exists()
        {
            anyhow::bail!("{input}: cannot be read: there is no such file");
        }
        let loaded = judge.load(policy).and_then(|judge| {
            let snapshot = judge.route(route.as_deref()).and_then(|route| judge.snapshot(&route.policy, &route.persona))?;
            Ok((judge, snapshot))
        });
        let (judge, snapshot) = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
        };
        if input == Input::Stdin && std::io::stdin().is_terminal() {
            say("steadfast: reading standard input; end it with Ctrl-D");
        }
        let mut tally = Tally::default();
        if jsonl {
            rows(&input, &snapshot, judge.in_flight, format.unwrap_or(Format::Json), &mut tally)?;
        } else {
            let row = Row { system, prompt, response: Some(input.text()?), ..Row::default() };
            text(&row, &snapshot, &judge.classifier, format.unwrap_or(Format::Table), &mut tally)?;
        }
        Ok(tally.status(fail_on))
    }
}

/// Judges one text.
fn text(row: &Row, snapshot: &Snapshot, classifier: &str, format: Format, tally: &mut Tally) -> anyhow::Result<()> {
    let verdict = judge::runtime()?.block_on(row.judge(snapshot))?;
    tally.take(&verdict);
    let mut out = output::results();
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string(&verdict)?)?,
        Format::Table => explain(&mut out, row.response.as_deref().unwrap_or_default(), &verdict, snapshot, classifier)?,
    }
    out.flush()?;
    if tally.unscored > 0 {
        say(format!("steadfast: not all of the text could be scored ({})", verdict.unscored.join(", ")));
    }
    Ok(())
}

/// Writes a verdict for people.
fn explain(out: &mut dyn Write, text: &str, verdict: &RowVerdict, snapshot: &Snapshot, classifier: &str) -> anyhow::Result<()> {
    const BAR: f32 = 24.0;
    let paint = Paint::of_process();
    writeln!(out, "{}", paint.strong(&paint.action(verdict.action, verdict.action)))?;
    let line = |out: &mut dyn Write, name: &str, value: &str| writeln!(out, "{} {value}", paint.faint(&format!("{name:<10}")));
    if let Some(rule) = &verdict.rule {
        line(out, "rule", rule)?;
    }
    if let Some([start, end]) = verdict.span {
        let quoted = text.get(start..end).map(|text| one_line(text, 160)).unwrap_or_default();
        line(out, "because of", &format!("“{quoted}”"))?;
        let token = verdict.onset_token.map(|token| format!(", from about token {token}")).unwrap_or_default();
        line(out, "where", &format!("bytes {start} to {end}{token}"))?;
    }
    if let Some(evidence) = &verdict.evidence {
        line(out, "evidence", &one_line(evidence, 240))?;
    }
    let persona = snapshot.persona.as_ref().map_or("none", |persona| &persona.name);
    line(out, "judged by", &format!("policy {}, persona {persona}, classifier {classifier}", snapshot.policy.name))?;
    writeln!(out)?;
    let mut scores: Vec<(&str, Score)> = verdict.labels.0.iter().map(|(label, score, _)| (label.as_str(), score)).collect();
    scores.sort_by(|a, b| b.1.get().total_cmp(&a.1.get()));
    scores.extend(["voice", "register"].into_iter().filter_map(|name| Some((name, verdict.signals.0.get(name)?))));
    let width = Label::ALL.iter().map(|label| label.as_str().len()).max().unwrap_or(0);
    for (name, score) in scores {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the bar's length")]
        let bar = "■".repeat((score.get() * BAR).round() as usize);
        let row = format!("{name:<width$}  {score}  {bar}");
        let row = if score.get() < 0.1 { paint.faint(row.trim_end()) } else { row };
        writeln!(out, "{row}")?;
    }
    Ok(())
}

/// A row's outcome: a verdict, or why there is none.
type Judged = Result<RowVerdict, Unread>;

struct Unread {
    id: Option<Value>,
    line: usize,
    error: String,
}

/// Judges rows, several at once, and writes them in the order of the input.
fn rows(input: &Input, snapshot: &Snapshot, in_flight: usize, format: Format, tally: &mut Tally) -> anyhow::Result<()> {
    let bar = output::progress(Work::Bytes(input.size()), false);
    bar.set_message("scoring");
    let mut lines = input.lines(&bar)?;
    let paint = Paint::of_process();
    let mut out = output::results();
    let written: anyhow::Result<()> = judge::runtime()?.block_on(async {
        let judged = stream::poll_fn(|cx| lines.poll_recv(cx))
            .map(|line| async {
                match line {
                    Ok(line) => Ok(judge_line(line, snapshot).await),
                    Err(error) => Err(anyhow::anyhow!("{input}: cannot be read to its end: {error}")),
                }
            })
            .buffered(in_flight);
        let mut judged = std::pin::pin!(judged);
        while let Some(row) = judged.next().await {
            let row = row?;
            match &row {
                Ok(verdict) => tally.take(verdict),
                Err(unread) => {
                    tally.unread += 1;
                    bar.suspend(|| say(format!("{input}:{}: {}", unread.line, unread.error)));
                }
            }
            match format {
                Format::Json => writeln!(out, "{}", json(&row)?)?,
                Format::Table => writeln!(out, "{}", table_line(&row, paint))?,
            }
            // Whoever writes the rows one by one may be waiting for this one.
            out.flush()?;
        }
        Ok(())
    });
    bar.finish_and_clear();
    written?;
    say(format!("steadfast: {}", tally.summary()));
    Ok(())
}

async fn judge_line(line: Line, snapshot: &Snapshot) -> Judged {
    let unread = |id, error: String| Unread { id, line: line.number, error };
    let text = line.text.as_ref().map_err(|error| unread(None, error.to_string()))?;
    let row: Row = serde_json::from_str(text).map_err(|error| {
        // The position is in the line: the line's own number stands before it.
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        unread(None, format!("column {}: {message}", error.column()))
    })?;
    row.judge(snapshot).await.map_err(|error| unread(row.id.clone(), error.to_string()))
}

fn json(row: &Judged) -> anyhow::Result<String> {
    Ok(match row {
        Ok(verdict) => serde_json::to_string(verdict)?,
        Err(Unread { id, line, error }) => {
            let mut row = serde_json::json!({ "line": line, "error": error });
            if let Some(id) = id {
                row["id"] = id.clone();
            }
            row.to_string()
        }
    })
}

/// `block     hateful persona   extremist_identity=0.99, hate=0.41   row-7`
fn table_line(row: &Judged, paint: Paint) -> String {
    let verdict = match row {
        Ok(verdict) => verdict,
        Err(Unread { line, error, .. }) => return format!("{} line {line}: {error}", paint.bad("unreadable")),
    };
    let mut scores: Vec<_> = verdict.labels.0.iter().filter(|(_, score, _)| score.get() >= 0.1).collect();
    scores.sort_by(|a, b| b.1.get().total_cmp(&a.1.get()));
    let scores: Vec<String> = scores.iter().take(3).map(|(label, score, _)| format!("{label}={score}")).collect();
    let id = match &verdict.id {
        None => String::new(),
        Some(Value::String(id)) => one_line(id, 40),
        Some(id) => one_line(&id.to_string(), 40),
    };
    let action = paint.action(verdict.action, &format!("{:<8}", verdict.action));
    let rule = one_line(verdict.rule.as_deref().unwrap_or("-"), 22);
    format!("{action}  {rule:<22}  {:<56}  {id}", scores.join(", ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_outweighs_what_was_found() {
        let found = Tally { worst: Action::Retry, ..Tally::default() };
        for (limit, status) in [(None, 0), (Some(FailOn::Flag), NO), (Some(FailOn::Retry), NO), (Some(FailOn::Block), 0)] {
            assert_eq!(found.status(limit), ExitCode::from(status));
        }
        let unread = Tally { worst: Action::Block, unread: 1, ..Tally::default() };
        assert_eq!(unread.status(Some(FailOn::Flag)), ExitCode::from(FAILED));
        assert_eq!(unread.summary(), "1 row: 1 unreadable");
        assert_eq!(Tally::default().summary(), "0 rows");
    }
}

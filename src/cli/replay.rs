//! `steadfast replay`: judges recorded exchanges by a policy, and shows what another one would have done otherwise.

mod account;
mod page;
mod recording;
mod sessions;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use self::account::{Account, By, Decision, Fired, Judged, OUTCOMES};
use self::recording::Recording;
use self::sessions::Sessions;
use super::judge::{self, JudgeArgs};
use super::lines::{Input, Line};
use super::output::{self, Paint, Table, Work, count, one_line, say};
use super::{FAILED, print_problems};
use crate::config::Part;
use crate::dialect::Api;
use crate::document::Problem;
use crate::guard::{Replayed, Snapshot, rejudge};

/// Findings in the table; the other forms have more.
const SHOWN: usize = 30;

const EXAMPLES: &str = "\
Examples:
  steadfast replay traffic.jsonl.gz --policy policies/default.toml
  steadfast replay traffic.jsonl --policy policies/default.toml --against policies/strict.toml
  steadfast replay traffic.jsonl --policy new.toml --against old.toml --format html > replay.html
  steadfast replay traffic.jsonl --policy default.toml --sessions --format html > drift.html

Rows are one JSON object a line, in either of two forms:
  {\"id\"?, \"method\"?, \"path\", \"request_headers\"?, \"request_body\", \"status\"?,
   \"response_headers\"?, \"response_body\"}
as on the wire, with \"request_body_base64\" and \"response_body_base64\" for bytes; or
  {\"id\"?, \"api\"?, \"path\"?, \"request\", \"response\"}
as applications log them: the bodies (a stream as one string), or {\"body\", \"headers\"?, \"status\"?}.

Streams and compressed answers are read as the gateway reads them. Retries are not made: \"retry\"
says that the answer would have been asked for again. \"passed\" are answers that are not judged
(errors, endpoints without text), \"unscored\" those that pass because they cannot be judged.

With --sessions, exchanges are tied together as [session] key says, by header, by body field or by
the history that they send along. They must be in the order in which they were made.

Exit status:
  0  done
  2  it could not run, or a row could not be read";

/// Judges recorded exchanges by a policy, and compares it with another.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// The exchanges (gzip is known); -: standard input
    #[arg(value_name = "EXCHANGES")]
    file: String,
    /// The policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Another policy: what would it have done otherwise?
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Ties the exchanges of each conversation together, in the order of the file, and shows how it drifts
    #[arg(long)]
    sessions: bool,
    /// The wire format of rows that say neither their path nor their api
    #[arg(long, value_name = "API", value_parser = api)]
    api: Option<Api>,
    /// How results are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Html,
}

fn api(name: &str) -> Result<Api, String> {
    let known = || Api::ALL.map(Api::as_str).join(", ");
    Api::from_name(name).ok_or_else(|| format!("known are {}", known()))
}

/// The two policies in force.
struct Policies {
    policy: Snapshot,
    against: Option<Snapshot>,
}

/// What became of a row.
struct Outcome {
    line: usize,
    judged: Result<Seen, String>,
}

struct Seen {
    id: Option<Value>,
    replayed: Replayed,
    decision: Decision,
    against: Option<(Decision, Replayed)>,
}

impl ReplayArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let ReplayArgs { file, policy, against, judge, sessions, api, format } = self;
        let input = Input::new(Some(&file));
        if let Input::File(path) = &input
            && !path.exists()
        {
            anyhow::bail!("{input}: cannot be read: there is no such file");
        }
        let loaded = judge.load(Some(policy.display().to_string())).and_then(|judge| {
            let persona = judge.route(None)?.persona.clone();
            let one = |path: &PathBuf| {
                let snapshot = judge.snapshot(&Part::File(path.clone()), &persona)?;
                // Each policy flags other turns, so each has conversations of its own.
                Ok::<Snapshot, Vec<Problem>>(if sessions { sessions::followed(snapshot, &judge.config) } else { snapshot })
            };
            let policies = Policies { policy: one(&policy)?, against: against.as_ref().map(one).transpose()? };
            Ok((policies, judge))
        });
        let (policies, judge) = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
        };
        let judged = |snapshot: &Snapshot, file: &PathBuf| Judged::new(&snapshot.policy, file.display().to_string());
        let mut account = Account {
            input: input.to_string(),
            classifier: judge.classifier,
            persona: policies.policy.persona.as_ref().map_or_else(String::new, |persona| persona.name.to_string()),
            exchanges: 0,
            unreadable: 0,
            policy: judged(&policies.policy, &policy),
            against: policies.against.as_ref().zip(against.as_ref()).map(|(snapshot, file)| judged(snapshot, file)),
            apis: BTreeMap::new(),
            changes: Vec::new(),
            findings: Vec::new(),
            findings_left_out: 0,
            sessions: sessions.then(|| Sessions::new(policies.policy.drift_limit)),
        };
        if let Some(against) = &mut account.against {
            account.policy.tell_apart(against);
        }
        // A turn is judged by what came before it.
        let in_flight = if sessions { 1 } else { judge.in_flight };
        replay(&input, &policies, api, in_flight, &mut account)?;
        let mut out = output::results();
        match format {
            Format::Table => table(&mut out, &account)?,
            Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&account)?)?,
            Format::Html => out.write_all(page::write(&account)?.as_bytes())?,
        }
        out.flush()?;
        if account.unreadable > 0 {
            say(format!("steadfast: {} could not be read", count(account.unreadable, "row")));
            return Ok(ExitCode::from(FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Judges every row, several at once.
fn replay(input: &Input, policies: &Policies, api: Option<Api>, in_flight: usize, account: &mut Account) -> anyhow::Result<()> {
    let bar = output::progress(Work::Bytes(input.size()), true);
    bar.set_message("replaying");
    let mut lines = input.lines(&bar)?;
    let replayed: anyhow::Result<()> = judge::runtime()?.block_on(async {
        let judged = stream::poll_fn(|cx| lines.poll_recv(cx))
            .map(|line| async {
                match line {
                    Ok(line) => Ok(judge_line(line, policies, api).await),
                    Err(error) => Err(anyhow::anyhow!("{input}: cannot be read to its end: {error}")),
                }
            })
            .buffered(in_flight);
        let mut judged = std::pin::pin!(judged);
        while let Some(outcome) = judged.next().await {
            let Outcome { line, judged } = outcome?;
            match judged {
                Ok(Seen { id, replayed, decision, against }) => account.take(line, id, &replayed, decision, against),
                Err(error) => {
                    account.unreadable += 1;
                    bar.suspend(|| say(format!("{input}:{line}: {error}")));
                }
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    account.finish();
    replayed
}

async fn judge_line(line: Line, policies: &Policies, api: Option<Api>) -> Outcome {
    let Line { number, text } = line;
    let recording =
        text.map_err(|error| error.to_string()).and_then(|text| Recording::read(&text, api).map_err(|error| error.to_string()));
    let Recording { id, api, exchange } = match recording {
        Ok(recording) => recording,
        Err(error) => return Outcome { line: number, judged: Err(error) },
    };
    let one = async |snapshot: &Snapshot| {
        let replayed = rejudge(snapshot, &exchange, api).await;
        (Decision::of(&replayed, &snapshot.policy), replayed)
    };
    let (decision, replayed) = one(&policies.policy).await;
    let against = match &policies.against {
        Some(snapshot) => Some(one(snapshot).await),
        None => None,
    };
    Outcome { line: number, judged: Ok(Seen { id, replayed, decision, against }) }
}

/// Writes the account for people.
fn table(out: &mut dyn Write, account: &Account) -> anyhow::Result<()> {
    let paint = Paint::of_process();
    let Account { input, classifier, persona, exchanges, policy, against, .. } = account;
    let exchanges = count(*exchanges, "exchange");
    writeln!(out, "{exchanges} of {input}, persona {persona}, classifier {classifier}\n")?;

    let mut policies = Table::new(&[&["policy", "mode"][..], &OUTCOMES].concat()).right(2..9);
    for judged in std::iter::once(policy).chain(against) {
        let counts = OUTCOMES.map(|outcome| judged.count(outcome).to_string());
        policies.row([judged.title.clone(), judged.mode.to_owned()].into_iter().chain(counts));
    }
    let counts = |row: usize, column: usize, cell: &str, padded: String| match (row, column) {
        (0, _) => paint.faint(&padded),
        (_, 0 | 1) => padded,
        _ if cell == "0" => paint.faint(&padded),
        _ => padded,
    };
    policies.write(out, counts)?;

    let mut apis = Table::new(&[&["format"][..], &OUTCOMES].concat()).right(1..8);
    for (api, outcomes) in &account.apis {
        let counts = OUTCOMES.map(|outcome| outcomes.get(outcome).copied().unwrap_or(0).to_string());
        apis.row(std::iter::once((*api).to_owned()).chain(counts));
    }
    writeln!(out)?;
    apis.write(out, |row, column, cell, padded| counts(row, column + 1, cell, padded))?;

    for judged in std::iter::once(policy).chain(against).filter(|judged| !judged.rules.is_empty()) {
        let mut rules = Table::new(&[&format!("rule of {}", judged.title), "action", "exchanges"]).right([2]);
        for (rule, Fired { action, exchanges }) in &judged.rules {
            rules.row([one_line(rule, 40), (*action).to_owned(), exchanges.to_string()]);
        }
        writeln!(out)?;
        rules.write(out, |row, column, cell, padded| coloured(paint, row, column == 1, cell, padded))?;
    }
    if let Some(other) = against {
        changes(out, account, &other.title, paint)?;
    }
    if let Some(sessions) = &account.sessions {
        sessions.table(out, paint)?;
    }
    findings(out, account, paint)
}

fn coloured(paint: Paint, row: usize, action: bool, cell: &str, padded: String) -> String {
    match row {
        0 => paint.faint(&padded),
        _ if action => paint.action(cell.split(' ').next().unwrap_or_default(), &padded),
        _ => padded,
    }
}

fn changes(out: &mut dyn Write, account: &Account, other: &str, paint: Paint) -> anyhow::Result<()> {
    let differences = account.differences();
    if differences == 0 {
        writeln!(out, "\n{} and {other} decide alike on every exchange", account.policy.title)?;
        return Ok(());
    }
    let mut table = Table::new(&[&account.policy.title, other, "exchanges"]).right([2]);
    for change in &account.changes {
        table.row([decided(&change.from), decided(&change.to), change.exchanges.to_string()]);
    }
    writeln!(out, "\n{}", paint.strong(&format!("{other} decides otherwise on {}", count(differences, "exchange"))))?;
    table.write(out, |row, column, cell, padded| coloured(paint, row, column < 2, cell, padded))?;
    Ok(())
}

fn decided(By { action, rule }: &By) -> String {
    rule.as_ref().map_or_else(|| (*action).to_owned(), |rule| format!("{action} by \"{}\"", one_line(rule, 40)))
}

fn findings(out: &mut dyn Write, account: &Account, paint: Paint) -> anyhow::Result<()> {
    let total = account.findings.len() + account.findings_left_out;
    if total == 0 {
        return Ok(());
    }
    let both = account.against.is_some();
    let heads = ["line", "format", &account.policy.title, account.against.as_ref().map_or("", |other| &other.title), "text"];
    let heads: Vec<&str> =
        heads.into_iter().enumerate().filter(|(column, _)| both || *column != 3).map(|(_, head)| head).collect();
    let mut table = Table::new(&heads).right([0]);
    for finding in account.findings.iter().take(SHOWN) {
        let mut cells = vec![finding.line.to_string(), finding.api.to_owned()];
        for decision in std::iter::once(&finding.decision).chain(&finding.against) {
            cells.push(decided(&decision.by()));
        }
        cells.push(one_line(&finding.text.matched, 60));
        table.row(cells);
    }
    writeln!(out, "\n{}", paint.strong(&count(total, "finding")))?;
    table.write(out, |row, column, cell, padded| coloured(paint, row, (2..heads.len() - 1).contains(&column), cell, padded))?;
    if total > SHOWN {
        writeln!(out, "{}", paint.faint(&format!("and {} more: --format json or html shows them", total - SHOWN)))?;
    }
    Ok(())
}

//! `steadfast test`: runs the cases of policies and personas: exchanges, and the verdict that each must get.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use futures_util::{StreamExt, stream};

use super::judge::{self, Judge, JudgeArgs};
use super::output::{self, Paint, Table, Work, count, one_line};
use super::suites::{self, Subject, Suite};
use super::{FAILED, NO, print_problems};
use crate::config::Part;
use crate::document::Problem;
use crate::guard::{Snapshot, assess};
use crate::policy::cases::{Case, Cases};
use crate::verdict::Verdict;

const EXAMPLES: &str = "\
Examples:
  steadfast test                              every policies/**/NAME.test.toml
  steadfast test policies/strict.toml         the cases in policies/strict.test.toml
  steadfast test policies/personas            all that lie in a folder

The cases of NAME.toml are in NAME.test.toml beside it, for personas too (those are judged by the
configured policy). A case that is known to fail says why (known_failure = \"…\"): it is listed, and
not counted among the failures.

Exit status:
  0  all passed
  1  some failed
  2  they could not be run";

/// Runs the cases of policies and personas.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TestArgs {
    /// Policies, personas, their files of cases, or folders of them [default: those beside the configured ones]
    #[arg(value_name = "POLICY")]
    policies: Vec<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// A file of cases with what judges them.
struct Ready {
    name: String,
    cases: Vec<Case>,
    snapshot: Snapshot,
}

/// How a case went.
enum Outcome {
    Passed,
    Failed { expected: String, got: String },
}

impl TestArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let TestArgs { policies, judge } = self;
        let ready = judge.load(None).and_then(|judge| {
            let suites = if policies.is_empty() { suites::configured(&judge.config) } else { suites::named(&policies) }?;
            Ok((prepare(&judge, &suites)?, judge))
        });
        let (ready, judge) = match ready {
            Ok(ready) => ready,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
        };
        let outcomes = outcomes(&ready, judge.in_flight)?;
        report(&ready, &outcomes)
    }
}

/// Reads every file; every mistake in any of them.
fn prepare(judge: &Judge, suites: &[Suite]) -> Result<Vec<Ready>, Vec<Problem>> {
    let mut ready = Vec::new();
    let mut problems = Vec::new();
    for suite in suites {
        match prepare_one(judge, suite) {
            Ok(one) => ready.push(one),
            Err(found) => problems.extend(found),
        }
    }
    // One policy may have several files of cases.
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(ready) } else { Err(problems) }
}

fn prepare_one(judge: &Judge, suite: &Suite) -> Result<Ready, Vec<Problem>> {
    let name = suite.cases.display().to_string();
    let text = std::fs::read_to_string(&suite.cases)
        .map_err(|error| vec![Problem::of_file(&name, format!("cannot be read: {error}"), None)])?;
    let file = Part::File(suite.subject.clone());
    let routes = &judge.config.routes;
    let route = routes.iter().find(|route| same(&route.policy, &file) || same(&route.persona, &file)).or(routes.first());
    let of_route = |part: fn(&crate::config::Route) -> &Part| route.map_or(Part::Builtin, |route| part(route).clone());
    let (policy, persona) = match suite.kind {
        Subject::Policy => (file, of_route(|route| &route.persona)),
        Subject::Persona => (of_route(|route| &route.policy), file),
    };
    let snapshot = judge.snapshot(&policy, &persona)?;
    let cases = Cases::parse(&text, Some(&name), Some(&snapshot.policy))?;
    let snapshot = match &cases.persona {
        None => snapshot,
        Some(own) => {
            let folder = suite.cases.parent().unwrap_or(Path::new(""));
            judge.snapshot(&policy, &Part::File(folder.join(own)))?
        }
    };
    Ok(Ready { name, cases: cases.cases, snapshot })
}

fn same(one: &Part, other: &Part) -> bool {
    match (one, other) {
        (Part::File(one), Part::File(other)) => {
            one == other || std::fs::canonicalize(one).ok() == std::fs::canonicalize(other).ok()
        }
        _ => false,
    }
}

/// Judges every case, several at once; the outcomes in order.
fn outcomes(ready: &[Ready], in_flight: usize) -> anyhow::Result<Vec<Outcome>> {
    let cases: Vec<(&Case, &Snapshot)> =
        ready.iter().flat_map(|ready| ready.cases.iter().map(|case| (case, &ready.snapshot))).collect();
    let bar = output::progress(Work::Pieces(cases.len()), true);
    bar.set_message("testing");
    let bar_ref = &bar;
    let outcomes = judge::runtime()?.block_on(async {
        let judged = stream::iter(cases).map(|(case, snapshot)| async move {
            let outcome = outcome(case, snapshot).await;
            bar_ref.inc(1);
            outcome
        });
        judged.buffered(in_flight).collect().await
    });
    bar.finish_and_clear();
    Ok(outcomes)
}

async fn outcome(case: &Case, snapshot: &Snapshot) -> Outcome {
    let verdict = match case.decide(&snapshot.policy) {
        Some(verdict) => verdict,
        None => {
            let exchange = case.exchange();
            let mut worst: Option<Verdict> = None;
            for answer in &case.answers {
                let judged = assess(snapshot, &exchange, case.session, answer).await;
                if let Some(reason) = judged.unscored.first() {
                    let expected = case.expect.to_string();
                    return Outcome::Failed { expected, got: format!("not all could be scored: {}", reason.as_str()) };
                }
                if worst.as_ref().is_none_or(|worst| judged.verdict.action > worst.action) {
                    worst = Some(judged.verdict);
                }
            }
            worst.unwrap_or_else(Verdict::allow)
        }
    };
    match case.check(&verdict) {
        Ok(()) => Outcome::Passed,
        Err(mismatch) => Outcome::Failed { expected: case.expect.to_string(), got: mismatch.got() },
    }
}

fn report(ready: &[Ready], outcomes: &[Outcome]) -> anyhow::Result<ExitCode> {
    let paint = Paint::of_process();
    let mut out = output::results();
    let mut files = Table::new(&["cases", "passed", "failed", "known"]).right([1, 2, 3]);
    let heads = ["where", "case", "expected", "got"];
    let (mut failures, mut known, mut cured) =
        (Table::new(&heads), Table::new(&["where", "case", "got", "why it is known"]), Vec::new());
    let mut total = [0usize; 3];
    let mut rest = outcomes.iter();
    for Ready { name, cases, .. } in ready {
        let mut here = [0usize; 3];
        for (case, outcome) in cases.iter().zip(&mut rest) {
            let place = format!("{name}:{}", case.line);
            let title = one_line(&case.name, 48);
            match (outcome, &case.known_failure) {
                (Outcome::Passed, None) => here[0] += 1,
                (Outcome::Passed, Some(_)) => {
                    here[0] += 1;
                    cured.push(format!("{place}: {title:?} passes now; remove its known_failure"));
                }
                (Outcome::Failed { expected, got }, None) => {
                    here[1] += 1;
                    failures.row([place, title, expected.clone(), got.clone()]);
                }
                (Outcome::Failed { got, .. }, Some(why)) => {
                    here[2] += 1;
                    known.row([place, title, got.clone(), one_line(why, 100)]);
                }
            }
        }
        files.row(std::iter::once(name.clone()).chain(here.map(|n| n.to_string())));
        total.iter_mut().zip(here).for_each(|(total, here)| *total += here);
    }
    files.write(&mut out, |row, column, cell, padded| match (row, column) {
        (0, _) => paint.faint(&padded),
        (_, 2) if cell != "0" => paint.bad(&padded),
        _ => padded,
    })?;
    for (title, table, some) in [("failures", &failures, total[1] > 0), ("known failures", &known, total[2] > 0)] {
        if some {
            writeln!(out, "\n{}", paint.strong(title))?;
            table.write(&mut out, |row, _, _, padded| if row == 0 { paint.faint(&padded) } else { padded })?;
        }
    }
    if !cured.is_empty() {
        writeln!(out)?;
        cured.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    let [passed, failed, known] = total;
    let known = if known > 0 { format!(", {}", count(known, "known failure")) } else { String::new() };
    let summary = format!("{passed} passed, {failed} failed{known}");
    writeln!(out, "\n{}", if failed > 0 { paint.bad(&summary) } else { paint.good(&summary) })?;
    out.flush()?;
    Ok(if failed > 0 { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

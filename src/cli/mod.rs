//! The command line: parses arguments, calls one command, and turns its result into an exit status. Results go to standard output,
//! everything else to standard error.

mod calibrate;
mod check;
#[cfg(feature = "onnx")]
mod classifier;
mod completions;
mod demo;
mod descriptors;
mod health;
mod judge;
mod lines;
mod output;
#[cfg(all(unix, feature = "onnx"))]
mod quiet;
mod replay;
mod score;
mod serve;
mod suites;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Flags, Sources};
use crate::document::Problem;

/// It ran, and the answer is no.
const NO: u8 = 1;
/// It could not run.
const FAILED: u8 = 2;

/// Keeps a language model in character: a reverse proxy that judges what the model says.
#[derive(Debug, Parser)]
#[command(name = "steadfast", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway.
    Serve(serve::Serve),
    /// Shows the gateway before a scripted model that collapses on cue, and what was caught.
    Demo(demo::Demo),
    /// Reads configuration, policies, personas and classifier, and reports every mistake with its place.
    Check(check::Check),
    /// Judges a text, or rows of answers, as the gateway would.
    Score(score::ScoreArgs),
    /// Runs the cases of policies and personas.
    Test(test::TestArgs),
    /// Judges recorded exchanges by a policy, and compares it with another.
    Replay(replay::ReplayArgs),
    /// Learns a persona's thresholds from in-character answers.
    Calibrate(calibrate::CalibrateArgs),
    /// Lists, verifies and measures classifiers.
    #[cfg(feature = "onnx")]
    Classifier(classifier::ClassifierArgs),
    /// Asks a running gateway whether it is ready.
    Health(health::Health),
    /// Prints a completion script for a shell.
    Completions(completions::Completions),
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration [default: steadfast.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE", env = "STEADFAST_CONFIG")]
    config: Option<PathBuf>,
    /// The API to stand before; enough without a configuration
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The policy of every route
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// The persona of every route
    #[arg(long, value_name = "FILE")]
    persona: Option<String>,
    /// The classifier's folder, or "none" to judge without a model
    #[arg(long, value_name = "FOLDER")]
    classifier: Option<String>,
}

impl ConfigArgs {
    fn sources(self, listen: Option<String>, admin: Option<String>) -> Sources {
        let ConfigArgs { config, upstream, policy, persona, classifier } = self;
        Sources::process(config, Flags { upstream, listen, admin, policy, persona, classifier })
    }
}

/// Runs the program with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return status;
        }
    };
    // What never loads the classifier need not wait: probes run often.
    #[cfg(all(unix, feature = "onnx"))]
    if !matches!(cli.command, Command::Health(_) | Command::Completions(_)) {
        quiet::without_reports();
    }
    let result = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Check(check) => check.run(),
        Command::Health(health) => health.run(),
        Command::Completions(completions) => completions.run(),
        Command::Score(score) => score.run(),
        Command::Test(test) => test.run(),
        Command::Replay(replay) => replay.run(),
        Command::Calibrate(calibrate) => calibrate.run(),
        #[cfg(feature = "onnx")]
        Command::Classifier(classifier) => classifier.run(),
    };
    result.unwrap_or_else(|error| {
        if output::is_closed_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        output::say(format!("steadfast: {}", told(&error)));
        ExitCode::from(FAILED)
    })
}

/// An error and its causes, each once: the words of many an error have its cause's in them.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        known if known.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// Prints mistakes, one a line.
fn print_problems(problems: &[Problem]) {
    problems.iter().for_each(output::say);
    output::say(format!("steadfast: {}", output::count(problems.len(), "problem")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::other("no space");
        let quoted = anyhow::Error::new(cause).context("a.db: no space; name another file").context("it cannot start");
        assert_eq!(told(&quoted), "it cannot start: a.db: no space; name another file");
        assert_eq!(told(&anyhow::Error::new(std::io::Error::other("x")).context("y")), "y: x");
    }
}

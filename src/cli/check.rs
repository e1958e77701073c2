//! `steadfast check`: loads everything that `serve` would, and starts nothing.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::{ConfigArgs, FAILED, NO, output, print_problems};
use crate::config::{ClassifierPath, Config, Parts, Survey};
use crate::document::Problem;
use crate::proxy::live::Live;
use crate::proxy::program;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let survey = match self.config.sources(None, None).survey() {
            Ok(survey) => survey,
            Err(problems) => {
                print_problems(&problems);
                // A file that is not there was not checked; one that is no TOML was, and has mistakes with their lines.
                let unread = problems.iter().all(|problem| problem.line == 0);
                return Ok(ExitCode::from(if unread { FAILED } else { NO }));
            }
        };
        match check(survey) {
            Ok(summary) => {
                let mut out = output::results();
                writeln!(out, "{summary}")?;
                out.flush()?;
                Ok(ExitCode::SUCCESS)
            }
            Err(problems) => {
                print_problems(&problems);
                Ok(ExitCode::from(NO))
            }
        }
    }
}

/// Reads everything, and says what it is or everything that is wrong with it.
fn check(survey: Survey) -> Result<String, Vec<Problem>> {
    let (config, mut problems) = (survey.config, survey.problems);
    let summary = summary(&config);
    if !problems.is_empty() {
        problems.extend(parts(&config, &problems));
        return Err(problems);
    }
    // Policies are read even where the classifier is bad: their other mistakes are worth knowing in the same run. Without it thresholds
    // cannot be checked, so what only follows from its absence is left out.
    let judge = program::load(&config.classifier);
    let basis = match judge {
        Ok(judge) => judge.basis,
        Err(found) => {
            problems.extend(found);
            program::without_classifier()
        }
    };
    match Live::build(config, &basis, None) {
        Ok(live) if problems.is_empty() => {
            live.notes.iter().for_each(output::say);
            Ok(summary)
        }
        Ok(_) => Err(problems),
        Err(bad) => {
            problems.extend(bad.problems);
            Err(problems)
        }
    }
}

/// What is wrong with classifier, policies and personas where the configuration has mistakes of its own, `known`.
fn parts(config: &Config, known: &[Problem]) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Of a classifier that was not found, or of one in a place that could not be read, nothing follows.
    let unclear = known.iter().any(|problem| problem.key.is_empty() || problem.key.starts_with("classifier"));
    let basis = match if unclear { Err(Vec::new()) } else { program::load(&config.classifier) } {
        Ok(judge) => judge.basis,
        Err(found) => {
            problems.extend(found);
            program::without_classifier()
        }
    };
    let mut parts = Parts::new(&basis.calibration).for_classifier(basis.classifier.as_deref());
    for route in &config.routes {
        let persona = parts.persona(&route.persona);
        parts.policy(&route.policy, persona.as_ref().map(|(persona, _)| &**persona));
    }
    problems.extend(parts.finish().0);
    problems
}

fn summary(config: &Config) -> String {
    let file = config.file.as_deref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    let classifier = match &config.classifier.path {
        ClassifierPath::None => "no classifier".to_owned(),
        ClassifierPath::Folder(folder) => format!("classifier {}", folder.display()),
    };
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("{file}: good; {}, {}, {classifier}", count(config.upstreams.len(), "upstream"), count(config.routes.len(), "route"))
}

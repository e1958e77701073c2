//! `steadfast classifier`: which classifiers there are, whether they are what they say, and how fast they are here.

use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::output::{self, Paint, Table, say};
use super::{FAILED, NO, print_problems};
use crate::config::{ClassifierPath, Sources};
use crate::infer::catalog::{self, LENGTHS};
use crate::infer::load::Options;
use crate::infer::onnx::Runtime;

const EXAMPLES: &str = "\
Examples:
  steadfast classifier list                  the classifiers beside the configured one
  steadfast classifier verify                hashes, and the answers that its manifest promises
  steadfast classifier bench --seconds 2     windows a second on this machine

Without DIR, list shows the folder that the configured classifier is in; verify and bench take that
classifier.

Exit status:
  0  done, and good
  1  a classifier is not what its manifest says
  2  it could not run";

/// Lists, verifies and measures classifiers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClassifierArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists the classifiers in a folder
    List {
        /// A classifier, or a folder of them
        dir: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Checks a classifier's hashes, and that it gives the answers that its manifest promises
    Verify {
        /// The classifier
        dir: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        run: Run,
    },
    /// Measures how fast windows are scored
    Bench {
        /// The classifier
        dir: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        run: Run,
        /// How long each of the six measurements takes
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
        seconds: Duration,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// The configuration [default: steadfast.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE", env = "STEADFAST_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Args)]
struct Run {
    /// What runs the model
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeName,
    /// Threads; 0: one for each core
    #[arg(long, default_value = "0")]
    workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuntimeName {
    Auto,
    Onnxruntime,
    Tract,
}

impl Run {
    fn options(&self) -> Options {
        let runtime = match self.runtime {
            RuntimeName::Auto => Runtime::Auto,
            RuntimeName::Onnxruntime => Runtime::OnnxRuntime,
            RuntimeName::Tract => Runtime::Tract,
        };
        Options { workers: self.workers, runtime, cache: 0, ..Options::default() }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give a number of seconds, like 0.5".to_owned())?;
    if !(0.01..=600.0).contains(&seconds) {
        return Err("must be from 0.01 to 600".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl ClassifierArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (dir, common) = match &self.what {
            What::List { dir, common } | What::Verify { dir, common, .. } | What::Bench { dir, common, .. } => (dir, common),
        };
        let dir = match dir {
            Some(dir) => dir.clone(),
            None => match configured(common.config.clone()) {
                Ok(dir) if matches!(self.what, What::List { .. }) => dir
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty())
                    .map_or_else(|| PathBuf::from("."), Path::to_owned),
                Ok(dir) => dir,
                Err(status) => return status,
            },
        };
        anyhow::ensure!(dir.is_dir(), "{}: there is no such folder", dir.display());
        match &self.what {
            What::List { .. } => list(&dir, common.format),
            What::Verify { run, .. } => verify(&dir, &run.options(), common.format),
            What::Bench { run, seconds, .. } => bench(&dir, &run.options(), *seconds, common.format),
        }
    }
}

/// The configured classifier's folder; or what to end with, for want of one.
fn configured(file: Option<PathBuf>) -> Result<PathBuf, anyhow::Result<ExitCode>> {
    let sources = Sources::process(file, crate::config::Flags::default());
    match sources.load_to_judge().map(|config| config.classifier.path) {
        Ok(ClassifierPath::Folder(folder)) => Ok(folder),
        Ok(ClassifierPath::None) => Err(Err(anyhow::anyhow!("the configuration has no classifier; name a folder"))),
        Err(problems) => {
            print_problems(&problems);
            Err(Ok(ExitCode::from(FAILED)))
        }
    }
}

/// `21.4 MiB`
fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn list(dir: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let entries = catalog::list(dir)?;
    let mut out = output::results();
    let mut bad = false;
    match format {
        Format::Json => {
            let entries: Vec<_> = entries
                .iter()
                .map(|entry| {
                    let mut row = serde_json::json!({ "directory": entry.directory.display().to_string(), "bytes": entry.size });
                    match &entry.manifest {
                        Ok(manifest) => {
                            row["name"] = manifest.name.as_str().into();
                            row["version"] = manifest.version.as_str().into();
                            row["labels"] = manifest.outputs.iter().map(|output| output.label.as_str()).collect();
                        }
                        Err(error) => row["error"] = error.to_string().into(),
                    }
                    row
                })
                .collect();
            bad |= entries.iter().any(|entry| entry.get("error").is_some());
            writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?;
        }
        Format::Table => {
            let mut table = Table::new(&["folder", "name", "version", "labels", "size"]).right([3, 4]);
            for entry in &entries {
                let folder = entry.directory.display().to_string();
                match &entry.manifest {
                    Ok(manifest) => table.row([
                        folder,
                        manifest.name.clone(),
                        manifest.version.clone(),
                        manifest.outputs.len().to_string(),
                        size(entry.size),
                    ]),
                    Err(error) => {
                        bad = true;
                        say(error);
                        table.row([folder, "unusable".to_owned(), "-".to_owned(), "-".to_owned(), size(entry.size)]);
                    }
                }
            }
            let paint = Paint::of_process();
            table.write(&mut out, |row, _, cell, padded| match (row, cell) {
                (0, _) => paint.faint(&padded),
                (_, "unusable") => paint.bad(&padded),
                _ => padded,
            })?;
        }
    }
    out.flush()?;
    if entries.is_empty() {
        say(format!("steadfast: there is no classifier in {} (a classifier is a folder with a manifest.toml)", dir.display()));
    }
    Ok(if bad { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

fn verify(dir: &Path, options: &Options, format: Format) -> anyhow::Result<ExitCode> {
    let verified = match catalog::verify(dir, options) {
        Ok(verified) => verified,
        Err(error) => {
            let status = if catalog::is_fault_of_the_classifier(&error) { NO } else { FAILED };
            say(error);
            return Ok(ExitCode::from(status));
        }
    };
    let mut out = output::results();
    let milliseconds = verified.took.as_secs_f64() * 1000.0;
    match format {
        Format::Json => {
            let row = serde_json::json!({
                "directory": dir.display().to_string(),
                "classifier": verified.version,
                "runtime": verified.runtime,
                "golden_texts": verified.golden,
                "deviation": verified.deviation,
                "first_stage_deviation": verified.first_deviation,
                "load_seconds": verified.took.as_secs_f64(),
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&row)?)?;
        }
        Format::Table => {
            let first = verified.first_deviation.map(|deviation| format!(" (the first stage's logits within {deviation:.4})"));
            writeln!(
                out,
                "{}: good; {} on {}, all {} golden texts within {:.4} of what the manifest promises{}, loaded in {milliseconds:.0} ms",
                dir.display(),
                verified.version,
                verified.runtime,
                verified.golden,
                verified.deviation,
                first.unwrap_or_default(),
            )?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn bench(dir: &Path, options: &Options, each: Duration, format: Format) -> anyhow::Result<ExitCode> {
    let bar = output::spinner();
    let measured = catalog::bench(dir, options, each, |tokens| {
        bar.set_message(format!("windows of {tokens} tokens (of {})", LENGTHS.map(|length| length.to_string()).join(", ")));
    });
    bar.finish_and_clear();
    let measured = measured?;
    let mut out = output::results();
    match format {
        Format::Json => {
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            let rows: Vec<_> = measured
                .iter()
                .map(|one| {
                    serde_json::json!({
                        "tokens": one.tokens,
                        "median_seconds": one.median.as_secs_f64(),
                        "p99_seconds": one.p99.as_secs_f64(),
                        "workers": one.workers,
                        "windows_per_second": one.per_second,
                    })
                })
                .collect();
            let row = serde_json::json!({ "directory": dir.display().to_string(), "cores": cores, "measured": rows });
            writeln!(out, "{}", serde_json::to_string_pretty(&row)?)?;
        }
        Format::Table => {
            let mut table = Table::new(&["tokens", "median", "p99", "threads", "windows/s"]).right(0..5);
            let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
            for one in &measured {
                table.row([
                    one.tokens.to_string(),
                    ms(one.median),
                    ms(one.p99),
                    one.workers.to_string(),
                    format!("{:.1}", one.per_second),
                ]);
            }
            let paint = Paint::of_process();
            table.write(&mut out, |row, _, _, padded| if row == 0 { paint.faint(&padded) } else { padded })?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

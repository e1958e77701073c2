//! `steadfast demo`: the real gateway, started as `serve` starts it, before a scripted model that collapses on cue.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::{FAILED, print_problems};
use crate::config::{Flags, Sources};
use crate::demo::{self, Outcomes, SceneResult, Style};
use crate::persona::Persona;
use crate::proxy::program::{Program, StartError};

/// The persona that the demo's model is meant to be.
const ARIA: &str = include_str!("../../policies/personas/aria.toml");

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The policy to show [default: the one that ships]
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// The classifier's folder, or "none" to see what the rules alone catch
    #[arg(long, value_name = "FOLDER")]
    classifier: Option<String>,
    /// Exit with status 1 if a collapse was missed or an innocent answer was touched
    #[arg(long)]
    strict: bool,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
        let status = runtime.block_on(self.play());
        runtime.shutdown_background();
        status
    }

    async fn play(self) -> anyhow::Result<ExitCode> {
        let folder = Folder::new()?;
        let persona_file = folder.0.join("aria.toml");
        std::fs::write(&persona_file, ARIA).with_context(|| format!("cannot write {}", persona_file.display()))?;
        let persona = Persona::parse(ARIA, Some("aria.toml")).map_err(|problems| {
            print_problems(&problems);
            anyhow::anyhow!("the demo's own persona has mistakes")
        })?;
        let model = demo::start_model(persona.reminder.as_deref().unwrap_or_default())
            .await
            .context("the scripted model cannot start")?;
        let outcomes = Arc::new(Outcomes::default());
        let program = match Program::start_watched(self.sources(model.addr, &persona_file), Some(outcomes.clone())).await {
            Ok(program) => program,
            Err(StartError::Problems(problems)) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
            Err(error) => return Err(error.into()),
        };

        let style = style();
        let classifier =
            program.parts.classifier.as_ref().map_or_else(|| "none".to_owned(), |it| format!("{} {}", it.name, it.version));
        let policy = self.policy.clone().unwrap_or_else(|| "default".to_owned());
        eprintln!("A scripted model on {}, the gateway on {}, persona {}.\n", model.addr, program.listen, persona.name);
        let print = |card: &str| {
            let mut out = std::io::stdout().lock();
            // A reader that has gone (`| head`) ends the show, not the program.
            let _ = writeln!(out, "{card}");
        };
        let results = demo::play(program.listen, &outcomes, style, print).await;
        program.stop(std::future::ready(())).await;
        let results = results?;

        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", style.summary(&results, &classifier, &policy));
        let _ = writeln!(out, "{}", NEXT);
        let wrong = results.iter().any(|(result, _)| matches!(result, SceneResult::Missed | SceneResult::FalseAlarm));
        Ok(if self.strict && wrong { ExitCode::from(super::NO) } else { ExitCode::SUCCESS })
    }

    fn sources(&self, model: std::net::SocketAddr, persona: &Path) -> Sources {
        let mut sources = Sources::process(
            None,
            Flags {
                upstream: Some(format!("http://{model}")),
                listen: Some("127.0.0.1:0".to_owned()),
                admin: Some("none".to_owned()),
                policy: self.policy.clone(),
                persona: Some(persona.display().to_string()),
                classifier: self.classifier.clone(),
            },
        );
        // The demo leaves nothing behind and takes no settings from a gateway that may run here.
        sources.file = None;
        sources.env.retain(|key, _| !key.starts_with("STEADFAST_"));
        sources.env.insert("STEADFAST_INCIDENTS__STORE".to_owned(), "none".to_owned());
        sources
    }
}

/// How to point a real client at a real gateway.
const NEXT: &str = "\
Now with your own model:
    steadfast serve --upstream https://api.openai.com --listen 127.0.0.1:8080
    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 your-program      (ANTHROPIC_BASE_URL=http://127.0.0.1:8080 for Anthropic)
    http://127.0.0.1:9464 shows what is being caught; policies/default.toml says what is done about it.";

fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = terminal.then(|| std::env::var("COLUMNS").ok()?.parse().ok()).flatten().unwrap_or(110);
    Style { colour, width }
}

/// A folder that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("steadfast-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

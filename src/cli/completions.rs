//! `steadfast completions SHELL`.

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        clap_complete::generate(self.shell, &mut super::Cli::command(), "steadfast", &mut io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}

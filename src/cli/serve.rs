//! `steadfast serve`: starts the program, and turns signals into what they mean.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArgs, FAILED, descriptors, print_problems};
use crate::proxy::program::{Program, StartError};
use crate::telemetry;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address of the data port [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The address of the admin port, or "none" [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let sources = self.config.sources(self.listen, self.admin);
        // Read once before anything starts: how to log is written in it, and its mistakes are for the terminal, not for the log.
        let config = match sources.load() {
            Ok(config) => config,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::from(FAILED));
            }
        };
        let _log = telemetry::log::start(config.telemetry.log, &config.telemetry.level)?;
        descriptors::raise(config.limits.in_flight);
        // On one core a second thread only takes turns with the first; without one, nothing has to be handed over or locked for it.
        let mut runtime = match std::thread::available_parallelism().map_or(1, usize::from) {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = runtime.enable_all().build().context("the runtime cannot start")?;
        let status = runtime.block_on(async {
            // Before the ports are open, so that no signal after that is missed.
            let mut signals = Signals::new()?;
            let program = match Program::start(sources).await {
                Ok(program) => program,
                Err(StartError::Problems(problems)) => {
                    print_problems(&problems);
                    return Ok(ExitCode::from(FAILED));
                }
                Err(error) => return Err(error.into()),
            };
            tracing::info!(
                listen = %program.listen,
                admin = program.admin.map(tracing::field::display),
                ext_proc = program.ext_proc.map(tracing::field::display),
                classifier = program.parts.classifier.as_ref().map(|classifier| format!("{} {}", classifier.name, classifier.version)),
                runtime = program.parts.classifier.as_ref().map(|classifier| &*classifier.runtime),
                version = env!("CARGO_PKG_VERSION"),
                "listening"
            );
            signals.serve(&program).await;
            program.stop(signals.stop()).await;
            Ok(ExitCode::SUCCESS)
        });
        // Threads that are in the middle of a score are not worth waiting for.
        runtime.shutdown_background();
        status
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Until a signal to stop comes. SIGHUP reloads.
    async fn serve(&mut self, program: &Program) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    // Its problems are in the log.
                    let _ = program.parts.reloader.reload().await;
                }
            }
        }
    }

    /// Until a signal to stop comes.
    async fn stop(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

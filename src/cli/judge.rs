//! The gateway's judgement without the gateway: what `score`, `test` and `replay` ask. Policies, personas and the classifier are found,
//! read and put together as `serve` does it; only what makes sense for live traffic alone is different (nobody waits, so no deadline).

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::config::{self, Config, Flags, Part, Parts, Sources};
use crate::document::Problem;
use crate::guard::Snapshot;
use crate::persona::Persona;
use crate::proxy::live::Basis;
use crate::proxy::program;
use crate::score::Label;

/// Windows of one answer that are scored at once (as [`crate::guard::assess`] does it), with room to spare.
const WINDOWS_OF_A_ROW: usize = 16;

/// Nobody waits for a window: far beyond what scoring takes, however many are in front of it.
const NO_DEADLINE: Duration = Duration::from_secs(3600);

/// Where policy, persona and classifier come from.
#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    /// The configuration [default: steadfast.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE", env = "STEADFAST_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The persona [default: the configured one]
    #[arg(long, value_name = "FILE")]
    persona: Option<String>,
    /// The classifier's folder, or "none" to judge without a model [default: the configured one]
    #[arg(long, value_name = "FOLDER")]
    classifier: Option<String>,
}

/// The configuration and a classifier that is ready.
pub(super) struct Judge {
    /// The configuration.
    pub(super) config: Config,
    /// The classifier's name and version, or `none`.
    pub(super) classifier: String,
    basis: Basis,
    /// Rows worth working on at once.
    pub(super) in_flight: usize,
}

impl JudgeArgs {
    /// With this persona.
    pub(super) fn of(config: Option<PathBuf>, persona: String, classifier: Option<String>) -> Self {
        JudgeArgs { config, persona: Some(persona), classifier }
    }

    /// Reads the configuration and loads the classifier. `policy`: in place of the configured ones.
    pub(super) fn load(self, policy: Option<String>) -> Result<Judge, Vec<Problem>> {
        let JudgeArgs { config, persona, classifier } = self;
        let flags = Flags { policy, persona, classifier, ..Flags::default() };
        let mut config = Sources::process(config, flags).load_to_judge()?;
        let workers = match config.classifier.workers {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            workers => workers,
        };
        // Enough to keep every thread busy while the rows before are written.
        let in_flight = 2 * workers + 2;
        config.classifier.queue = config.classifier.queue.max(in_flight * WINDOWS_OF_A_ROW);
        let judge = program::load(&config.classifier)?;
        let classifier = judge
            .classifier
            .map_or_else(|| "none".to_owned(), |classifier| format!("{} {}", classifier.name, classifier.version));
        Ok(Judge { config, classifier, basis: judge.basis, in_flight })
    }
}

impl Judge {
    /// What the named route judges with; without a name, the only one that there is to choose from.
    pub(super) fn route(&self, name: Option<&str>) -> Result<&config::Route, Vec<Problem>> {
        let routes = &self.config.routes;
        let known = || routes.iter().map(|route| format!("{:?}", route.name)).collect::<Vec<_>>().join(", ");
        if let Some(name) = name {
            let unknown =
                || vec![Problem::of_file("--route", format!("there is no route {name:?}; there are {}", known()), None)];
            return routes.iter().find(|route| route.name == name).ok_or_else(unknown);
        }
        let file = || self.config.file.as_deref().map_or_else(|| "--route".to_owned(), |file| file.display().to_string());
        match routes.as_slice() {
            [] => Err(vec![Problem::of_file(&file(), "there is no route", None)]),
            [first, others @ ..] => {
                if others.iter().all(|other| other.policy == first.policy && other.persona == first.persona) {
                    return Ok(first);
                }
                let message = format!("its routes have different policies or personas: {}", known());
                let help = "say which with --route NAME, or give --policy and --persona";
                Err(vec![Problem::of_file(&file(), message, Some(help))])
            }
        }
    }

    /// What exchanges are judged with under this policy and persona.
    pub(super) fn snapshot(&self, policy: &Part, persona: &Part) -> Result<Snapshot, Vec<Problem>> {
        let mut parts = self.parts();
        let character = parts.persona(persona);
        self.joined(parts, policy, character)
    }

    /// The same under a persona that is no file.
    pub(super) fn snapshot_of(&self, policy: &Part, persona: Persona) -> Result<Snapshot, Vec<Problem>> {
        self.joined(self.parts(), policy, Some(config::character(persona)))
    }

    /// A persona's file, read.
    pub(super) fn persona(&self, part: &Part) -> Result<Arc<Persona>, Vec<Problem>> {
        let mut parts = self.parts();
        let character = parts.persona(part);
        character.map(|(persona, _)| persona).ok_or_else(|| parts.finish().0)
    }

    fn parts(&self) -> Parts<'_> {
        Parts::new(&self.basis.calibration).for_classifier(self.basis.classifier.as_deref())
    }

    fn joined(
        &self,
        mut parts: Parts<'_>,
        policy: &Part,
        character: Option<config::Character>,
    ) -> Result<Snapshot, Vec<Problem>> {
        let policy = parts.policy(policy, character.as_ref().map(|(persona, _)| &**persona));
        let (problems, _) = parts.finish();
        let (Some(mut policy), Some(character)) = (policy, character) else { return Err(problems) };
        if let Some(policy) = Arc::get_mut(&mut policy) {
            policy.deadline = NO_DEADLINE;
        }
        Ok(self.basis.snapshot(&self.config, policy, character))
    }
}

impl Judge {
    /// The classifier's own threshold of each label, where there is a classifier.
    pub(super) fn thresholds(&self) -> Option<[f64; Label::COUNT]> {
        let calibration = &self.basis.calibration;
        calibration
            .has_model()
            .then(|| Label::ALL.map(|label| calibration.threshold(label).map_or(0.5, |threshold| threshold.get().into())))
    }
}

/// A runtime for one thread: the classifier has its own.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().build()?)
}

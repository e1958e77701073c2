//! What the gateway would find in an answer: the shipped policy, the classifier, and a persona's detectors.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use steadfast::degeneration::DegenerationDetector;
use steadfast::detect::{Detector, Detectors, Gauge};
use steadfast::dialect::{Api, Exchange};
use steadfast::drift::Asked;
use steadfast::guard::{Snapshot, assess};
use steadfast::infer::load::{Options, load};
use steadfast::persona::Persona;
use steadfast::persona::calibrate::Answer;
use steadfast::persona::identity::IdentityDetector;
use steadfast::persona::register::Register;
use steadfast::persona::voice::Voice;
use steadfast::policy::{Calibration, Policy, SessionFacts};
use steadfast::score::Label;
use steadfast::verdict::Action;

use crate::data::Row;
use crate::remembers::Remembers;

pub struct Judge {
    scorer: Arc<Remembers>,
    policy: Arc<Policy>,
    /// Its name and version.
    pub classifier: String,
    /// The classifier's threshold of each label.
    pub thresholds: [f64; Label::COUNT],
}

/// An answer, judged.
pub struct Judged {
    pub answer: Answer,
    /// Whether the shipped policy flags, retries or blocks it.
    pub flagged: bool,
    pub held_out: bool,
}

impl Judge {
    pub fn new(folder: &Path) -> Self {
        let loaded = load(folder, &Options::default()).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let calibration = loaded.thresholds.calibration();
        let mut policy =
            Policy::parse(include_str!("../../policies/default.toml"), None, &calibration).expect("the policy is good");
        policy.deadline = Duration::from_secs(3600);
        let thresholds = Label::ALL.map(|label| loaded.thresholds.calibrated(label).map_or(0.5, f64::from));
        Judge {
            classifier: loaded.version.clone(),
            policy: Arc::new(policy),
            thresholds,
            scorer: Arc::new(Remembers::new(loaded.scorer)),
        }
    }

    /// A persona's snapshot, with all that its file gives signals.
    pub fn persona(&self, persona: Persona) -> Snapshot {
        let finding: [Box<dyn Detector>; 2] =
            [Box::new(IdentityDetector::new(&persona)), Box::new(DegenerationDetector::default())];
        let register = Register::of(&persona).map(|register| Arc::new(register) as Arc<dyn Gauge>);
        let voice = Voice::of(&persona).map(|voice| Arc::new(voice) as Arc<dyn Gauge>);
        let detectors = Detectors { finding: finding.into(), gauges: register.into_iter().chain(voice).collect() };
        let mut snapshot = Snapshot::new(Policy::parse("", None, &Calibration::NONE).expect("an empty policy is good"));
        snapshot.policy = self.policy.clone();
        snapshot.with_scorer(self.scorer.clone()).with_persona(Arc::new(persona), detectors)
    }

    pub async fn judge(&self, snapshot: &Snapshot, row: &Row) -> Judged {
        let mut exchange = Exchange::unknown(Api::Custom);
        exchange.system = row.system.as_deref().map(Into::into);
        exchange.user = row.prompt.as_deref().map(Into::into);
        let judged = assess(snapshot, &exchange, SessionFacts::default(), &row.response).await;
        assert!(judged.unscored.is_empty(), "an answer could not be scored: {:?}", judged.unscored);
        let answer =
            Answer { scores: judged.verdict.scores, signals: judged.verdict.signals, asked: Asked::of(row.prompt.as_deref()) };
        Judged { answer, flagged: judged.verdict.action > Action::Allow, held_out: row.held_out() }
    }

    pub async fn all(&self, snapshot: &Snapshot, rows: impl IntoIterator<Item = &Row>) -> Vec<Judged> {
        let mut judged = Vec::new();
        for row in rows {
            judged.push(self.judge(snapshot, row).await);
        }
        judged
    }
}

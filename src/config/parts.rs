//! Reads the policies and personas that routes name, each file once.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Files, Part};
use crate::degeneration::DegenerationDetector;
use crate::detect::{Detector, Detectors, Gauge};
use crate::document::Problem;
use crate::persona::Persona;
use crate::persona::identity::IdentityDetector;
use crate::persona::register::Register;
use crate::persona::voice::Voice;
use crate::policy::{Calibration, Policy};

/// The policy of a program that comes without files.
const POLICY: &str = include_str!("../../policies/default.toml");
/// The same where there is no classifier: rules on labels that only one can tell would be errors.
const POLICY_WITHOUT: &str = include_str!("../../policies/without-classifier.toml");
/// Its persona.
const PERSONA: &str = include_str!("../../policies/personas/assistant.toml");

/// A persona with the detectors that hold it to its identity.
pub type Character = (Arc<Persona>, Detectors);

/// A policy as it was read with a calibration; `None`: it is bad.
type Read = (Calibration, Option<Arc<Policy>>);

/// Policies and personas, as far as they have been read, and what is wrong with them.
pub struct Parts<'c> {
    calibration: &'c Calibration,
    classifier: Option<&'c str>,
    /// Once for each calibration that one is read with.
    policies: HashMap<Part, Vec<Read>>,
    characters: HashMap<Part, Option<Character>>,
    problems: Vec<Problem>,
    files: Files,
}

impl<'c> Parts<'c> {
    /// Nothing read yet. `calibration`: what the classifier offers.
    #[must_use]
    pub fn new(calibration: &'c Calibration) -> Self {
        Parts {
            calibration,
            classifier: None,
            policies: HashMap::new(),
            characters: HashMap::new(),
            problems: Vec::new(),
            files: Files::default(),
        }
    }

    /// The classifier in use, as `NAME VERSION`: personas that were calibrated for another count as not calibrated.
    #[must_use]
    pub fn for_classifier(mut self, classifier: Option<&'c str>) -> Self {
        self.classifier = classifier;
        self
    }

    /// The policy as it holds for a persona, whose thresholds are those of `at_least = "calibrated"`; `None` if it is bad.
    pub fn policy(&mut self, part: &Part, persona: Option<&Persona>) -> Option<Arc<Policy>> {
        let calibration = match persona {
            Some(persona) => self.calibration.clone().with(&persona.thresholds.labels),
            None => self.calibration.clone(),
        };
        let known = self.policies.get(part).map_or(&[][..], Vec::as_slice);
        // A bad one is bad for every persona, and said once.
        if let Some((_, known)) = known.iter().find(|(with, policy)| *with == calibration || policy.is_none()) {
            return known.clone();
        }
        let builtin = if self.calibration.has_model() { POLICY } else { POLICY_WITHOUT };
        let policy = self
            .text(part, builtin)
            .and_then(|(text, name)| self.good(Policy::parse(&text, name.as_deref(), &calibration)))
            .map(Arc::new);
        self.policies.entry(part.clone()).or_default().push((calibration, policy.clone()));
        policy
    }

    /// The persona; `None` if it is bad.
    pub fn persona(&mut self, part: &Part) -> Option<Character> {
        if let Some(known) = self.characters.get(part) {
            return known.clone();
        }
        let persona = self.text(part, PERSONA).and_then(|(text, name)| self.good(Persona::parse(&text, name.as_deref())));
        let character = persona.map(|persona| {
            let persona = match self.classifier {
                Some(classifier) if persona.calibrated_for_another(classifier) => {
                    tracing::warn!(
                        persona = &*persona.name,
                        calibrated_for = persona.thresholds.classifier.as_deref(),
                        classifier,
                        "the persona was calibrated for another classifier, so its thresholds are not used; run steadfast calibrate again"
                    );
                    persona.uncalibrated()
                }
                _ => persona,
            };
            character(persona)
        });
        self.characters.insert(part.clone(), character.clone());
        character
    }

    /// Every mistake so far, and the files that were read.
    #[must_use]
    pub fn finish(self) -> (Vec<Problem>, Files) {
        (self.problems, self.files)
    }

    fn text(&mut self, part: &Part, builtin: &str) -> Option<(String, Option<String>)> {
        match part {
            Part::Builtin => Some((builtin.to_owned(), None)),
            Part::File(path) => match self.files.read(path) {
                Ok(text) => Some((text, Some(path.display().to_string()))),
                Err(error) => {
                    let name = path.display().to_string();
                    self.problems.push(Problem::of_file(&name, format!("cannot be read: {error}"), None));
                    None
                }
            },
        }
    }

    fn good<T>(&mut self, read: Result<T, Vec<Problem>>) -> Option<T> {
        read.map_err(|problems| self.problems.extend(problems)).ok()
    }
}

/// A persona with its detectors.
#[must_use]
pub fn character(persona: Persona) -> Character {
    let persona = Arc::new(persona);
    let detectors = detectors(&persona);
    (persona, detectors)
}

/// The rule-based detectors for a persona, and what measures its signals.
fn detectors(persona: &Persona) -> Detectors {
    let finding: [Box<dyn Detector>; 2] = [Box::new(IdentityDetector::new(persona)), Box::new(DegenerationDetector::default())];
    let register = Register::of(persona).map(|register| Arc::new(register) as Arc<dyn Gauge>);
    let voice = Voice::of(persona).map(|voice| Arc::new(voice) as Arc<dyn Gauge>);
    Detectors { finding: finding.into(), gauges: register.into_iter().chain(voice).collect() }
}

//! Reads the policies and personas that routes name, each file once.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Files, Part};
use crate::degeneration::DegenerationDetector;
use crate::detect::Detector;
use crate::document::Problem;
use crate::persona::Persona;
use crate::persona::identity::IdentityDetector;
use crate::policy::{Calibration, Policy};

/// The policy of a program that comes without files.
const POLICY: &str = include_str!("../../policies/default.toml");
/// The same where there is no classifier: rules on labels that only one can tell would be errors.
const POLICY_WITHOUT: &str = include_str!("../../policies/without-classifier.toml");
/// Its persona.
const PERSONA: &str = include_str!("../../policies/personas/assistant.toml");

/// A persona with the detectors that hold it to its identity.
pub type Character = (Arc<Persona>, Arc<[Box<dyn Detector>]>);

/// Policies and personas, as far as they have been read, and what is wrong with them.
pub struct Parts<'c> {
    calibration: &'c Calibration,
    policies: HashMap<Part, Option<Arc<Policy>>>,
    characters: HashMap<Part, Option<Character>>,
    problems: Vec<Problem>,
    files: Files,
}

impl<'c> Parts<'c> {
    /// Nothing read yet. `calibration`: what the classifier offers.
    #[must_use]
    pub fn new(calibration: &'c Calibration) -> Self {
        Parts { calibration, policies: HashMap::new(), characters: HashMap::new(), problems: Vec::new(), files: Files::default() }
    }

    /// The policy; `None` if it is bad.
    pub fn policy(&mut self, part: &Part) -> Option<Arc<Policy>> {
        if let Some(known) = self.policies.get(part) {
            return known.clone();
        }
        let builtin = if self.calibration.has_model() { POLICY } else { POLICY_WITHOUT };
        let policy = self
            .text(part, builtin)
            .and_then(|(text, name)| self.good(Policy::parse(&text, name.as_deref(), self.calibration)))
            .map(Arc::new);
        self.policies.insert(part.clone(), policy.clone());
        policy
    }

    /// The persona; `None` if it is bad.
    pub fn persona(&mut self, part: &Part) -> Option<Character> {
        if let Some(known) = self.characters.get(part) {
            return known.clone();
        }
        let persona = self.text(part, PERSONA).and_then(|(text, name)| self.good(Persona::parse(&text, name.as_deref())));
        let character = persona.map(|persona| {
            let persona = Arc::new(persona);
            let detectors = detectors(&persona);
            (persona, detectors)
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

/// The rule-based detectors for a persona.
fn detectors(persona: &Persona) -> Arc<[Box<dyn Detector>]> {
    let identity: Box<dyn Detector> = Box::new(IdentityDetector::new(persona));
    Arc::new([identity, Box::new(DegenerationDetector::default())])
}

//! The shipped policies decide their own cases as they say they do, with the shipped classifier, persona and detectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use steadfast::degeneration::DegenerationDetector;
use steadfast::detect::Detector;
use steadfast::guard::{Snapshot, assess};
use steadfast::infer::load::{Loaded, Options, load};
use steadfast::persona::Persona;
use steadfast::persona::identity::IdentityDetector;
use steadfast::policy::cases::{Case, Cases};
use steadfast::policy::{Calibration, Policy};
use steadfast::verdict::Verdict;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

async fn decide(snapshot: &Snapshot, case: &Case) -> Verdict {
    if let Some(verdict) = case.decide(&snapshot.policy) {
        return verdict;
    }
    let exchange = case.exchange();
    let mut worst: Option<Verdict> = None;
    for answer in &case.answers {
        let assessment = assess(snapshot, &exchange, case.session, answer).await;
        assert_eq!(assessment.unscored, [], "{}", case.name);
        if worst.as_ref().is_none_or(|worst| assessment.verdict.action > worst.action) {
            worst = Some(assessment.verdict);
        }
    }
    worst.expect("a case has an answer")
}

async fn run(name: &str, classifier: Option<&Loaded>) -> Vec<String> {
    run_cases(name, name, classifier).await
}

/// Runs `cases`.test.toml under the policy `name`.
async fn run_cases(name: &str, cases: &str, classifier: Option<&Loaded>) -> Vec<String> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let file: PathBuf = policies.join(format!("{name}.toml"));
    let calibration = classifier.map_or(Calibration::NONE, |classifier| classifier.thresholds.calibration());
    let policy = Policy::parse(&read(&file), Some(name), &calibration).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let tested = policies.join(format!("{cases}.test.toml"));
    let cases = Cases::parse(&read(&tested), tested.to_str(), Some(&policy)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(!cases.cases.is_empty());
    let persona = tested.with_file_name(cases.persona.as_ref().expect("the cases name a persona"));
    let persona = Persona::parse(&read(&persona), persona.to_str()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let detectors: Vec<Box<dyn Detector>> =
        vec![Box::new(IdentityDetector::new(&persona)), Box::new(DegenerationDetector::default())];
    let mut snapshot = Snapshot::new(policy).with_persona(Arc::new(persona), detectors.into());
    snapshot.scorer = classifier.map(|classifier| classifier.scorer.clone());
    let mut failures = Vec::new();
    for case in &cases.cases {
        let verdict = decide(&snapshot, case).await;
        match (case.check(&verdict), &case.known_failure) {
            (Err(mismatch), None) => failures.push(format!("{}:{}: {}: {mismatch}", tested.display(), case.line, case.name)),
            (Ok(()), Some(_)) => eprintln!("{}:{}: {}: passes now; remove known_failure", tested.display(), case.line, case.name),
            _ => {}
        }
    }
    failures
}

#[tokio::test]
async fn the_shipped_policies_decide_their_cases() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("classifiers/collapse");
    let classifier = load(&directory, &Options { workers: 1, ..Options::default() }).unwrap_or_else(|error| panic!("{error}"));
    let mut failures = Vec::new();
    for name in ["default", "strict", "shadow", "signed", "without-classifier"] {
        failures.extend(run(name, Some(&classifier)).await);
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[tokio::test]
async fn the_policy_without_a_classifier_decides_its_cases() {
    let failures = run("without-classifier", None).await;
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[tokio::test]
async fn the_shipped_personas_decide_their_cases_by_rule_alone() {
    let mut failures = run_cases("without-classifier", "personas/aria", None).await;
    failures.extend(run_cases("without-classifier", "personas/assistant", None).await);
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

//! `[circuit]`: when a route collapses as a whole, and what then. Only the settings; the machine that opens and closes is the guard's.

use std::time::Duration;

use crate::document::Table;
use crate::verdict::Action;

/// When a route's circuit opens, what its requests get then, and how it closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitSpec {
    /// Opens when the route's `steadfast_fleet_drift` (of one model and persona) reaches this.
    pub fleet_drift: Option<f64>,
    /// Opens when this share of the last `answers` answers was bad.
    pub rate: Option<f64>,
    /// Answers that the rate is about.
    pub answers: usize,
    /// From which action on an answer is bad.
    pub bad: Action,
    /// What requests get while it is open.
    pub then: Detour,
    /// How often one request goes to the route's own upstream while it is open.
    pub probe: Duration,
    /// Good answers to such requests, in a row, that close it.
    pub close: u32,
}

/// What requests get while a circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detour {
    /// The route's first fallback upstream.
    Fallback,
    /// The refusal of `[block]`.
    Block,
}

/// Reads the table, if it is there.
pub(super) fn read(root: &Table<'_>) -> Option<CircuitSpec> {
    let table = root.table("circuit")?;
    let fleet_drift = table.float("fleet_drift", 1.0..=1000.0);
    let rate = table.float("rate", 0.001..=1.0);
    if !table.has("fleet_drift") && !table.has("rate") {
        table.problem_here("the circuit never opens", Some("add rate = 0.3 or fleet_drift = 10.0, or both"));
    }
    let answers = table.count("answers", 5..=10_000);
    if answers.is_some() && !table.has("rate") {
        table.problem("answers", "is about rate, which is not there", Some("add rate = 0.3, or remove this"));
    }
    let actions = [Action::Flag, Action::Reanchor, Action::Retry, Action::Block].map(|action| (action.as_str(), action));
    let bad = table.choice("bad", &actions).unwrap_or(Action::Retry);
    let detours = [("fallback", Detour::Fallback), ("block", Detour::Block)];
    let then = table.require("then", "write then = \"fallback\" or \"block\"").and_then(|item| item.choice(&detours));
    let probe = table.duration("probe").unwrap_or(Duration::from_secs(30));
    if probe.is_zero() || probe > Duration::from_secs(24 * 3600) {
        table.problem("probe", "must be more than nothing and at most 24h", None);
    }
    let close = table.integer("close", 1..=1000).and_then(|count| u32::try_from(count).ok()).unwrap_or(5);
    table.finish();
    Some(CircuitSpec { fleet_drift, rate, answers: answers.unwrap_or(50), bad, then: then?, probe, close })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Calibration, Policy};

    fn read(text: &str) -> Result<Option<CircuitSpec>, Vec<String>> {
        Policy::parse(text, Some("p.toml"), &Calibration::NONE)
            .map(|policy| policy.circuit)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_and_settings() {
        assert_eq!(read("").unwrap(), None);
        let spec = read("[circuit]\nrate = 0.3\nthen = \"block\"").unwrap().unwrap();
        let expected = CircuitSpec {
            fleet_drift: None,
            rate: Some(0.3),
            answers: 50,
            bad: Action::Retry,
            then: Detour::Block,
            probe: Duration::from_secs(30),
            close: 5,
        };
        assert_eq!(spec, expected);
        let all =
            "[circuit]\nfleet_drift = 12\nrate = 1\nanswers = 20\nbad = \"flag\"\nthen = \"fallback\"\nprobe = \"5s\"\nclose = 2";
        let spec = read(all).unwrap().unwrap();
        assert_eq!((spec.fleet_drift, spec.answers, spec.bad, spec.close), (Some(12.0), 20, Action::Flag, 2));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("[circuit]\nthen = \"block\"", "the circuit never opens"),
            ("[circuit]\nrate = 0.3", "circuit.then: missing"),
            ("[circuit]\nrate = 0.3\nthen = \"fall back\"", "did you mean \"fallback\"?"),
            ("[circuit]\nrate = 0\nthen = \"block\"", "circuit.rate"),
            ("[circuit]\nfleet_drift = 12\nanswers = 20\nthen = \"block\"", "circuit.answers: is about rate"),
            ("[circuit]\nrate = 0.3\nthen = \"block\"\nprobe = \"0s\"", "circuit.probe"),
            ("[circuit]\nrate = 0.3\nthen = \"block\"\nbad = \"allow\"", "circuit.bad"),
            ("[circuit]\nrate = 0.3\nthen = \"block\"\nprobes = 3", "circuit.probes"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(message)), "{text}: {problems:?}");
        }
    }
}

//! Whether this gateway should be sent traffic, and why not. A set of latches that other parts turn; knows none of them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::admin::Check;

/// Readiness.
#[derive(Debug, Default)]
pub struct Health {
    warm: AtomicBool,
    listening: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
    /// The classifier has proved itself (or there is none to wait for).
    pub fn set_warm(&self) {
        self.warm.store(true, Ordering::Release);
    }

    /// The configuration is good and the data port is open.
    pub fn set_listening(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// A signal to stop has come. There is no way back.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether a signal to stop has come.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// What must hold for traffic to be welcome. A reload that failed is no reason: the configuration before it is still in force.
    #[must_use]
    pub fn checks(&self, classifier: &str) -> Vec<Check> {
        let warm = self.warm.load(Ordering::Acquire);
        let listening = self.listening.load(Ordering::Acquire);
        let check = |name, good: bool, yes: &str, no: &str| Check { name, good, detail: if good { yes } else { no }.to_owned() };
        vec![
            check("classifier", warm, classifier, "warming up"),
            check("config", listening, "in force", "not in force yet"),
            check("draining", !self.stopping(), "no", "stopping"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_warm_and_listening_until_it_stops() {
        let health = Health::default();
        let bad = |health: &Health| -> Vec<&str> {
            health.checks("x").iter().filter(|check| !check.good).map(|check| check.name).collect()
        };
        assert_eq!(bad(&health), ["classifier", "config"]);
        health.set_warm();
        health.set_listening();
        assert!(bad(&health).is_empty());
        health.set_stopping();
        assert_eq!(bad(&health), ["draining"]);
    }
}

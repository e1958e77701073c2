//! Whether this gateway should be sent traffic, and why not. A set of latches that other parts turn; knows none of them.

use std::sync::atomic::{AtomicBool, Ordering};

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

    /// The data port is open.
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

    /// Whether traffic is welcome.
    ///
    /// # Errors
    /// Why it is not.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.stopping() {
            Err("stopping")
        } else if !self.warm.load(Ordering::Acquire) {
            Err("the classifier is not warm yet")
        } else if !self.listening.load(Ordering::Acquire) {
            Err("not listening yet")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_warm_and_listening_until_it_stops() {
        let health = Health::default();
        assert!(health.ready().is_err());
        health.set_warm();
        health.set_listening();
        assert_eq!(health.ready(), Ok(()));
        health.set_stopping();
        assert_eq!(health.ready(), Err("stopping"));
    }
}

//! Why an exchange ended that the program itself gave up. The guard sees only that a body is dropped, and takes that for its client's leaving; what is
//! told to watchers goes through here. Knows no connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::guard::events::{Ending, Observe, Observers, Outcome, RetryOutcome, Subject};
use crate::infer::Scored;

/// The program's watchers, who are told when it was the program that did not wait.
pub struct Stopping {
    watchers: Observers,
    cut: AtomicBool,
}

impl Stopping {
    /// Tells these watchers.
    #[must_use]
    pub fn new(watchers: Observers) -> Self {
        Stopping { watchers, cut: AtomicBool::new(false) }
    }

    /// From now on exchanges are not waited for: call it before they are dropped.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

impl Observe for Stopping {
    fn on_window(&self, subject: &Subject, scored: &Scored) {
        self.watchers.on_window(subject, scored);
    }

    fn on_hold(&self, subject: &Subject, held: Duration) {
        self.watchers.on_hold(subject, held);
    }

    fn on_retry(&self, subject: &Subject, outcome: RetryOutcome) {
        self.watchers.on_retry(subject, outcome);
    }

    fn on_end(&self, outcome: &Outcome) {
        if outcome.ending == Ending::ClientLeft && self.cut.load(Ordering::SeqCst) {
            self.watchers.on_end(&Outcome { ending: Ending::GatewayStopped, ..outcome.clone() });
        } else {
            self.watchers.on_end(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::telemetry::samples;

    #[derive(Default)]
    struct Endings(Mutex<Vec<Ending>>);

    impl Observe for Endings {
        fn on_end(&self, outcome: &Outcome) {
            self.0.lock().unwrap().push(outcome.ending);
        }
    }

    #[test]
    fn what_the_program_drops_was_not_left_by_its_client() {
        let seen = Arc::new(Endings::default());
        let stopping = Stopping::new(Observers(vec![seen.clone()]));
        let end = |ending| stopping.on_end(&Outcome { ending, ..samples::allowed() });
        end(Ending::ClientLeft);
        stopping.cut();
        end(Ending::ClientLeft);
        end(Ending::Complete);
        end(Ending::UpstreamBroke);
        let told = seen.0.lock().unwrap().clone();
        assert_eq!(told, [Ending::ClientLeft, Ending::GatewayStopped, Ending::Complete, Ending::UpstreamBroke]);
    }
}

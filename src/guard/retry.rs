//! Whether an answer may be thrown away for another attempt: attempts, the global budget, the overall deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use tower::retry::budget::Budget;

use super::events::RetryOutcome;
use crate::inspect::RetryGate;
use crate::policy::Retry;

/// Decides for one attempt. What it decided is read by the exchange, which tells the metrics.
pub(super) struct Gate {
    budget: Arc<dyn Budget + Send + Sync>,
    /// Upstream calls made, this one included.
    calls: u32,
    until: Instant,
    repeatable: bool,
    said: AtomicU8,
}

const UNASKED: u8 = 0;
const OUTCOMES: [RetryOutcome; 6] = [
    RetryOutcome::Attempted,
    RetryOutcome::Exhausted,
    RetryOutcome::Budget,
    RetryOutcome::Deadline,
    RetryOutcome::Committed,
    RetryOutcome::Unsupported,
];

impl Gate {
    pub(super) fn new(budget: Arc<dyn Budget + Send + Sync>, calls: u32, until: Instant, repeatable: bool) -> Self {
        Gate { budget, calls, until, repeatable, said: AtomicU8::new(UNASKED) }
    }

    /// What it decided, if it was asked.
    pub(super) fn said(&self) -> Option<RetryOutcome> {
        match self.said.load(Ordering::Relaxed) {
            UNASKED => None,
            said => OUTCOMES.get(usize::from(said) - 1).copied(),
        }
    }
}

impl RetryGate for Gate {
    fn may_retry(&self, retry: &Retry, committed: bool) -> bool {
        let outcome = if committed {
            4
        } else if !self.repeatable {
            5
        } else if self.calls > retry.attempts {
            1
        } else if Instant::now() >= self.until {
            3
        } else if self.budget.withdraw() {
            0
        } else {
            2
        };
        self.said.store(outcome + 1, Ordering::Relaxed);
        outcome == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Action;
    use std::time::Duration;
    use tower::retry::budget::TpsBudget;

    fn retry(attempts: u32) -> Retry {
        Retry { attempts, reanchor: false, temperature: None, fallback: false, then: Action::Block }
    }

    fn gate(calls: u32, tokens: u32, left: Duration) -> Gate {
        Gate::new(Arc::new(TpsBudget::new(Duration::from_secs(1), tokens, 0.0)), calls, Instant::now() + left, true)
    }

    #[test]
    fn attempts_deadline_budget_and_commit_each_say_no() {
        let minute = Duration::from_secs(60);
        for (gate, committed, says) in [
            (gate(1, 10, minute), false, RetryOutcome::Attempted),
            (gate(2, 10, minute), false, RetryOutcome::Exhausted),
            (gate(1, 0, minute), false, RetryOutcome::Budget),
            (gate(1, 10, Duration::ZERO), false, RetryOutcome::Deadline),
            (gate(1, 10, minute), true, RetryOutcome::Committed),
        ] {
            assert_eq!(gate.said(), None);
            assert_eq!(gate.may_retry(&retry(1), committed), says == RetryOutcome::Attempted);
            assert_eq!(gate.said(), Some(says));
        }
        let once = Gate { repeatable: false, ..gate(1, 10, minute) };
        assert!(!once.may_retry(&retry(1), false));
        assert_eq!(once.said(), Some(RetryOutcome::Unsupported), "nobody could send it again");
    }
}

//! How many exchanges may be under way. A permit lives in the response body: one that is released with the head does not limit streams.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Admits a bounded number of exchanges.
#[derive(Clone, Debug)]
pub struct Admission {
    permits: Arc<Semaphore>,
    limit: usize,
}

/// One admitted exchange; ends when dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Admission {
    /// Admits `limit` exchanges at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Admission { permits: Arc::new(Semaphore::new(limit)), limit }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Admits an exchange, or not: nobody waits in a queue that the caller's own time limit knows nothing of.
    #[must_use]
    pub fn admit(&self) -> Option<Permit> {
        self.permits.clone().try_acquire_owned().ok().map(Permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_given_back_when_it_is_dropped() {
        let admission = Admission::new(1);
        let permit = admission.admit();
        assert!(permit.is_some());
        assert!(admission.admit().is_none());
        drop(permit);
        assert!(admission.admit().is_some());
    }
}

//! What operators see of the running program: metrics and logs. Both are fed by the guard's [`crate::guard::events::Observe`] and by the
//! proxy; neither ever holds message text, matched text or a secret.

pub mod catalogue;
pub mod exposition;
pub mod fleet;
pub mod log;
pub mod metrics;
mod watch;

pub use exposition::Format;
pub use fleet::Fleet;
pub use log::ExchangeLog;
pub use metrics::{InFlight, Metrics};

#[cfg(test)]
pub(crate) mod samples;

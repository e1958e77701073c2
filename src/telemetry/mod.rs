//! What operators see of the running program: metrics, logs and traces. All are fed by the guard's [`crate::guard::events::Observe`] and by the
//! proxy; none ever holds message text, matched text or a secret.

pub mod catalogue;
pub mod dropped;
pub mod exposition;
pub mod fleet;
mod json;
pub mod log;
pub mod metrics;
pub mod models;
mod sink;
pub mod traces;
mod values;
mod watch;

pub use exposition::Format;
pub use fleet::Fleet;
pub use log::ExchangeLog;
pub use metrics::{InFlight, Metrics};
pub use sink::Flush;
pub use traces::Tracer;

#[cfg(test)]
pub(crate) mod samples;

//! Incidents: what was flagged, retried or blocked, kept in SQLite for people to look at and to review.
//!
//! The store lives on its own thread behind two bounded queues: one for incidents, which never blocks an exchange (what does not fit is
//! dropped and counted), and one for questions from the admin API.

pub mod quote;
pub mod record;
mod schema;
pub mod store;
pub mod time;
mod writer;

pub use quote::KeepText;
pub use record::Incident;
pub use store::{Query, StoreError};
pub use writer::{Incidents, OpenError, Options};

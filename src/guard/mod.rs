//! The guard: a `tower` layer that judges answers. Knows HTTP bodies and services; no server, no configuration, no command line.
//!
//! One exchange (`exchange`) is one snapshot, one request read once, up to a few attempts, and one answer that leaves through
//! [`GuardedBody`] as the [`crate::inspect::Inspector`] clears it.

mod assess;
mod body;
mod circuit;
pub mod events;
mod exchange;
mod follow;
mod layer;
mod live;
mod outcome;
mod recorded;
mod report;
mod retry;
pub mod signature;
mod snapshot;
mod steer;

use crate::text::Str;

pub use assess::{Assessment, assess};
pub use body::{BoxError, Erased, GuardedBody, ReplayBody};
pub use circuit::{Change, Circuit, Phase, Told, Way};
pub use layer::{GuardLayer, GuardService};
pub use outcome::Failure;
pub use recorded::{Fate, Recorded, Replayed, rejudge};
pub use snapshot::{Limits, Snapshot};

/// Request extension: the exchange's id. Without one, and without [`GuardService::known_as`], the guard makes a ULID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Str);

/// Request extension that the inner service sees: which attempt this is and where it should go. Without it, it is the first one, to the
/// route's own upstream ([`Target::default`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// 1 for the first call.
    pub attempt: u32,
    /// Which of the route's fallback upstreams; `None`: the route's own upstream.
    pub fallback: Option<usize>,
}

impl Default for Target {
    fn default() -> Self {
        Target { attempt: 1, fallback: None }
    }
}

/// Seconds since 1970.
fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! The statistics of drift: charts that add up small deviations over turns and over answers, and how their limits are found. Pure
//! arithmetic on numbers and whole sequences of them; what a turn's number is says [`Baseline`]. Knows nothing of personas, conversations
//! or requests.
//!
//! | question | chart | limit from |
//! | --- | --- | --- |
//! | has this conversation moved away from its persona? | a [`Cusum`] of standardised residuals for each quantity ([`Sums`]), [`Ewma`] beside it | [`guaranteed_limit`] of harmless conversations, by a [`BlockBootstrap`] |
//! | do too many answers of a route collapse? | [`RateCusum`], a log-likelihood ratio of two rates | [`RateCusum::limit_for`] |
//! | has a distribution moved? | [`psi`] of a [`Histogram`], kept by a [`Monitor`] | the usual 0.1 and 0.25 |
//! | since when? | [`mean_shift`], and the last turn at which a CUSUM was 0 | |
//!
//! A CUSUM is the chart of choice because it is the fastest to see a lasting shift of known size among all charts with the same rate of
//! false alarms (Moustakides 1986), needs one number of state, and forgets by itself when things are well again.

mod baseline;
mod bootstrap;
mod change;
mod cusum;
mod distribution;
mod guarantee;
mod monitor;
mod normal;
mod random;
mod rate;
mod residuals;

pub use baseline::{Asked, Baseline, Prompt, Ranks, SHARES, Spread};
pub use bootstrap::{BlockBootstrap, BootstrapError, FEWEST_TURNS, false_alarm_rate, limit_for};
pub use change::{Shift, mean_shift};
pub use cusum::{Cusum, Ewma};
pub use distribution::{Histogram, psi};
pub use guarantee::guaranteed_limit;
pub use monitor::{BASELINE, Monitor, Moved, RECENT};
pub use normal::{normal_cdf, normal_quantile};
pub use random::Random;
pub use rate::RateCusum;
pub use residuals::{Residuals, Sums};

/// The drift that independent, normal turns reach once in 10,000 with the charts' defaults: what holds until a persona is calibrated.
pub const LIMIT: f64 = 5.0;

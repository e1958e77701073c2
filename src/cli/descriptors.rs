//! How many files and sockets the process may have open. Shells and service managers start programs with a low limit that they may raise,
//! for the sake of very old ones; each exchange takes two sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside exchanges: listeners, the store, watched folders, scrapes, connections that wait for their next request.
const OTHERS: u64 = 128;

/// Takes all that the process may have, and warns where that is too little for so many exchanges at once.
pub(super) fn raise(in_flight: usize) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where the system knows better, the warning below is what is left.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let wanted = 2 * in_flight as u64 + OTHERS;
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "too few files may be open for limits.in_flight = {in_flight}: raise the limit (ulimit -n, LimitNOFILE), or lower in_flight"
        );
    }
}

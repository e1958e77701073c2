//! What integration tests stand on: an upstream that does exactly what a script says (and can do wrong things), a client that shows
//! exactly what came over the wire, and ways to start the gateway.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]

pub mod answers;
pub mod client;
pub mod gateway;
pub mod guarded;
pub mod recordings;
pub mod upstream;
pub mod web;

use std::time::Duration;

pub use client::{Answer, Client};
pub use gateway::{Folder, Gateway, Process};
pub use upstream::{Script, Seen, Upstream};

/// Longer than anything here should take: a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `check` is true.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !check() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

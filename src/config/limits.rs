//! `[limits]`: how much, how long and how many. Every one has a default that a production gateway can live with.

use std::time::Duration;

use super::show;
use crate::document::Table;

/// Sizes, times and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request that the gateway reads as a whole (judged apis). Untouched traffic is streamed and has no limit.
    pub request_body: u64,
    /// Bytes of an answer that the gateway reads and judges, decoded.
    pub response_body: u64,
    /// From the first byte of a request to the end of its head; also TLS handshakes and connections that say nothing.
    pub header_read: Duration,
    /// How long a client may stay silent in the middle of its request, and how long it may leave its answer unread.
    pub client_stall: Duration,
    /// How long an idle connection of a client is kept.
    pub client_idle: Duration,
    /// Name lookup, TCP and TLS to the upstream.
    pub upstream_connect: Duration,
    /// From the end of the request to the head of the answer.
    pub upstream_first_byte: Duration,
    /// Silence in the middle of an answer.
    pub upstream_idle: Duration,
    /// Exchanges at once; beyond it the answer is 503.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_body: 20 << 20,
            response_body: 50 << 20,
            header_read: Duration::from_secs(10),
            client_stall: Duration::from_secs(60),
            client_idle: Duration::from_secs(120),
            upstream_connect: Duration::from_secs(5),
            upstream_first_byte: Duration::from_secs(120),
            upstream_idle: Duration::from_secs(60),
            in_flight: 1024,
        }
    }
}

impl Limits {
    pub(super) fn read(table: Option<Table<'_>>) -> Self {
        let mut limits = Limits::default();
        let Some(table) = table else { return limits };
        let size = |key: &str, into: &mut u64| {
            if let Some(value) = table.bytes(key) {
                if value == 0 { table.problem(key, "must not be 0", None) } else { *into = value }
            }
        };
        size("request_body", &mut limits.request_body);
        size("response_body", &mut limits.response_body);
        let time = |key: &str, into: &mut Duration| {
            if let Some(value) = table.duration(key) {
                if value.is_zero() { table.problem(key, "must not be 0", None) } else { *into = value }
            }
        };
        time("header_read", &mut limits.header_read);
        time("client_stall", &mut limits.client_stall);
        time("client_idle", &mut limits.client_idle);
        time("upstream_connect", &mut limits.upstream_connect);
        time("upstream_first_byte", &mut limits.upstream_first_byte);
        time("upstream_idle", &mut limits.upstream_idle);
        if let Some(value) = table.count("in_flight", 1..=1_000_000) {
            limits.in_flight = value;
        }
        table.finish();
        limits
    }

    pub(super) fn show(&self) -> serde_json::Value {
        serde_json::json!({
            "request_body": show::bytes(self.request_body),
            "response_body": show::bytes(self.response_body),
            "header_read": show::duration(self.header_read),
            "client_stall": show::duration(self.client_stall),
            "client_idle": show::duration(self.client_idle),
            "upstream_connect": show::duration(self.upstream_connect),
            "upstream_first_byte": show::duration(self.upstream_first_byte),
            "upstream_idle": show::duration(self.upstream_idle),
            "in_flight": self.in_flight,
        })
    }
}

//! `[limits]`: how much, how long and how many. Every one has a default that a production gateway can live with.

use std::time::Duration;

use super::documented::documented;
use super::show;
use crate::document::Table;

documented! {
    /// Sizes, times and counts.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Limits {
        /// Size of a request that is judged, and so is read as a whole; others are streamed.
        pub request_body: u64,
        /// Size of an answer that is held and judged, decoded; of a stream also the text that is kept until it ends: beyond it the
        /// policy's `on_error` decides.
        pub response_body: u64,
        /// From a request's first byte to the end of its head; TLS handshakes; connections that say nothing.
        pub header_read: Duration,
        /// Silence in the middle of a request, or an answer left unread.
        pub client_stall: Duration,
        /// A connection without requests.
        pub client_idle: Duration,
        /// Name lookup, TCP and TLS to the upstream.
        pub upstream_connect: Duration,
        /// From the request sent to the first byte of the answer.
        pub upstream_first_byte: Duration,
        /// Silence in the middle of an answer.
        pub upstream_idle: Duration,
        /// Exchanges at once; beyond it 503. Each takes two sockets: the log warns where the system allows too few open files.
        pub in_flight: usize,
    }
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

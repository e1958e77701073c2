//! All integration tests: one binary, so that it links once; one module a subject.

mod admin;
mod bedrock;
mod calibrate;
mod cascade;
mod circuit;
mod cli;
mod clients;
mod codings;
mod command_line;
mod custom;
mod documents;
mod failures;
mod forwarding;
mod hidden;
mod layer;
mod metrics;
mod mutations;
mod policies;
mod protocols;
mod quiet;
mod recorded;
#[cfg(feature = "redis")]
mod redis;
mod reloading;
mod replay;
mod sessions;
mod signals;
mod steering;
mod stopping;
mod streaming;
mod support;
#[cfg(feature = "otel")]
mod traces;
mod traffic;
mod verdicts;

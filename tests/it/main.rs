//! All integration tests: one binary, so that it links once; one module a subject.

mod admin;
mod failures;
mod forwarding;
mod layer;
mod metrics;
mod streaming;
mod support;
mod traffic;

//! All integration tests: one binary, so that it links once; one module a subject.

mod admin;
mod layer;
mod metrics;
mod support;
mod traffic;

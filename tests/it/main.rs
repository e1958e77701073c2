//! All integration tests: one binary, so that it links once; one module a subject.

mod layer;
mod support;
mod traffic;

//! What must hold of arbitrary bytes. The checks are the same here, under libFuzzer, and in the main package's tests, which run them
//! on mutations of recorded traffic.

pub mod checks;

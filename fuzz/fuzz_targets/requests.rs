//! The `requests` checks on whatever libFuzzer comes up with.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| steadfast_fuzz::checks::requests(data));

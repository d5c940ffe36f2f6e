//! See `bodies/rows.rs`.
#![no_main]

#[path = "../bodies/peak.rs"]
mod peak;
#[path = "../bodies/rows.rs"]
mod rows;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rows::check_npy(bytes));

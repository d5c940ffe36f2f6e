//! See `bodies/checkpoint.rs`.
#![no_main]

#[path = "../bodies/checkpoint.rs"]
mod checkpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checkpoint::check(bytes));

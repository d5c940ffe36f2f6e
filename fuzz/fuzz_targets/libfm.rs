//! See `bodies/libfm.rs`.
#![no_main]

#[path = "../bodies/libfm.rs"]
mod libfm;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| libfm::check(bytes));

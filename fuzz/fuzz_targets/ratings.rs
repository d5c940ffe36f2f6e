//! See `bodies/ratings.rs`.
#![no_main]

#[path = "../bodies/ratings.rs"]
mod ratings;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ratings::check(bytes));

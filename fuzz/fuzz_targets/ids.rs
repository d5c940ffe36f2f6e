//! See `bodies/ids.rs`.
#![no_main]

#[path = "../bodies/ids.rs"]
mod ids;
#[path = "../bodies/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ids::check(bytes));

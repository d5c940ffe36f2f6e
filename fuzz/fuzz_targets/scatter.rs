//! See `bodies/scatter.rs`.
#![no_main]

#[path = "../bodies/cases.rs"]
mod cases;
#[path = "../bodies/input.rs"]
mod input;
#[path = "../bodies/scatter.rs"]
mod scatter;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scatter::check(bytes));

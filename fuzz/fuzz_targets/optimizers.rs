//! See `bodies/optimizers.rs`.
#![no_main]

#[path = "../bodies/cases.rs"]
mod cases;
#[path = "../bodies/input.rs"]
mod input;
#[path = "../bodies/optimizers.rs"]
mod optimizers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optimizers::check(bytes));

//! See `bodies/gather.rs`.
#![no_main]

#[path = "../bodies/cases.rs"]
mod cases;
#[path = "../bodies/gather.rs"]
mod gather;
#[path = "../bodies/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gather::check(bytes));

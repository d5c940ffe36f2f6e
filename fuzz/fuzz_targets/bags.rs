//! See `bodies/bags.rs`.
#![no_main]

#[path = "../bodies/bags.rs"]
mod bags;
#[path = "../bodies/cases.rs"]
mod cases;
#[path = "../bodies/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bags::check(bytes));

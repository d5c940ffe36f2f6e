//! See `bodies/messages.rs`.
#![no_main]

#[path = "../bodies/input.rs"]
mod input;
#[path = "../bodies/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| messages::check(bytes));

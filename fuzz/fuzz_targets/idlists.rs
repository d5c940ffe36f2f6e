//! See `bodies/idlists.rs`.
#![no_main]

#[path = "../bodies/idlists.rs"]
mod idlists;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| idlists::check(bytes));

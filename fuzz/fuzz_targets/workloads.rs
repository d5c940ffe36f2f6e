//! See `bodies/workloads.rs`.
#![no_main]

#[path = "../bodies/workloads.rs"]
mod workloads;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| workloads::check(bytes));

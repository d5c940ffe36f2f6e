//! See `bodies/safetensors.rs`.
#![no_main]

#[path = "../bodies/peak.rs"]
mod peak;
#[path = "../bodies/safetensors.rs"]
mod tensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tensors::check(bytes));

//! Remembers which compiler built the command: `hotrow bench` prints it beside its results.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    let output = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("--version").output().ok());
    let version = output.and_then(|output| String::from_utf8(output.stdout).ok());
    if let Some(version) = version.as_deref().map(str::trim).filter(|version| !version.is_empty()) {
        println!("cargo::rustc-env=HOTROW_RUSTC_VERSION={version}");
    }
}

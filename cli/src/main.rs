//! The `hotrow` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    hotrow_cli::main(std::env::args_os())
}

//! The `hotrow` command: trains recommenders on the `hotrow` engine and answers from them.
//!
//! The command is a library with a small program around it, so that its readers can be tested and fuzzed on their own.

pub mod args;
pub mod bench;
pub mod commands;
pub mod data;
mod embeddings;
pub mod fm;
mod interrupt;
pub mod model;
mod output;
mod plot;
mod progress;
mod random;
pub mod train;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Runs the command with these arguments, of which the first is the program's name. Exit codes: 0 when all went well, 1 for
/// a failure, 2 for wrong usage, 130 after Ctrl-C.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match args::Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // This is also the way of `--help`, which prints to standard output and exits with 0. When nobody listens any
            // more, there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match commands::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(stopped @ train::TrainError::Stopped { .. }) = error.downcast_ref() {
                output::complain(&stopped.to_string());
                return ExitCode::from(interrupt::EXIT_CODE);
            }
            output::complain(&format!("error: {error:#}"));
            if error.is::<commands::Usage>() {
                let command = args.get(1).map_or_else(String::new, |name| format!("{} ", name.to_string_lossy()));
                output::complain(&format!("\nFor more information, try 'hotrow {command}--help'."));
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

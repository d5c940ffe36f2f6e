//! Embedding files that go in and come out, for the subcommands that turn one into another.

mod bar;
mod input;
mod output;

pub(super) use bar::Bar;
pub(super) use input::{Input, lines_of_standard_input};
pub(super) use output::{Output, Summary, ToArgs};

use clap::Args;

// No documentation of the type here: clap would print it in place of the command's own.
#[derive(Clone, Debug, Args)]
#[allow(missing_docs)]
pub struct Formats {
    /// How what goes in is read.
    #[command(flatten)]
    pub from: input::FromArgs,

    /// How what comes out is written.
    #[command(flatten)]
    pub to: ToArgs,
}

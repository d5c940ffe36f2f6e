//! Embedding files that go in and come out, for the subcommands that turn one into another.

mod bar;
mod input;
mod output;

pub(super) use bar::Bar;
pub(super) use input::{FromArgs, Input, lines_of_standard_input};
pub(super) use output::{Output, Summary, ToArgs};

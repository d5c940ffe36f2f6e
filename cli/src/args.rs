//! The arguments of the command.

use clap::Parser;

use crate::commands::Command;

/// Embeddings for recommenders, on CPUs
#[derive(Debug, Parser)]
#[command(name = "hotrow", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hotrow train                                  learn the tastes of a made-up market
  hotrow recommend --user 42                    what user 42 might like
  hotrow similar \"Smoked Trout (fish)\"          what is near it
  hotrow train u.data --items u.item            learn from MovieLens
  hotrow similar king --in glove.6B.300d.txt    what is near to a word of an embedding file
  hotrow analogy words.vec king man woman       king - man + woman
  hotrow lookup words.vec king queen            their rows
  hotrow convert glove.6B.300d.txt glove.npz    another format

Exit codes: 0 all went well, 1 something failed, 2 wrong usage, 130 stopped by Ctrl-C, 130 stopped by Ctrl-C";

//! `hotrow completions`.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::output::say_bytes;

/// Print a script that makes a shell complete the arguments of hotrow
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  hotrow completions bash > ~/.local/share/bash-completion/completions/hotrow
  hotrow completions zsh > ~/.zfunc/_hotrow                 (a folder of $fpath, before compinit)
  hotrow completions fish > ~/.config/fish/completions/hotrow.fish";

/// Runs the command.
pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hotrow", &mut script);
    say_bytes(&script)
}

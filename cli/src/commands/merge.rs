//! `hotrow merge`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use hotrow::store::{MergedRows, Repeated};

use super::Usage;
use super::rows::{Formats, Input, Output};

/// Join embedding files, one after the other, into a new one
///
/// All files must have rows of the same length, and words or none. The last argument is the file to write.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MergeArgs {
    /// The files to read, in this order, and then the file to write, or - for standard output
    #[arg(value_name = "IN... OUT", num_args = 2.., required = true)]
    pub files: Vec<PathBuf>,

    /// What becomes of a word that comes twice: it is an error without this, and the first row stays with `--keep first`
    #[arg(long, value_name = "WHICH")]
    pub keep: Option<Keep>,

    /// How it is read and written.
    #[command(flatten)]
    pub formats: Formats,
}

/// Which of the rows with the same word stays.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Keep {
    /// The first.
    First,
}

const EXAMPLES: &str = "\
Examples:
  hotrow merge old.vec new.vec all.vec --keep first
  hotrow merge items-*.safetensors items.safetensors       joins what `hotrow shard` has cut
  hotrow merge a.npy b.npy - --to csv";

/// Runs the command.
pub(super) fn run(args: &MergeArgs) -> Result<()> {
    let Some((output, inputs)) = args.files.split_last() else {
        return Err(Usage("files to read and a file to write are needed".into()).into());
    };
    let output = Output::new(output, &args.formats.to)?;
    let mut sources = Vec::with_capacity(inputs.len());
    for path in inputs {
        let input = Input::new(path, &args.formats.from)?;
        sources.push((input.name().to_owned(), input.open()?));
    }
    let repeated = match args.keep {
        Some(Keep::First) => Repeated::KeepFirst,
        None => Repeated::Refuse,
    };
    output.write(&mut MergedRows::new(sources, repeated)?, "joining")
}

//! `hotrow info`.

mod checkpoints;
mod file;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use hotrow::store::inspect;

use super::paths::Named;
use crate::output::{complain, say, say_json};

/// Tell what an embedding file holds, without reading its data
///
/// Shapes, types and sizes; whether there are words and checksums; how tables are aligned. Only the header is read: a file of 100 GB takes
/// as long as one of 100 bytes. Of a folder of checkpoints, each step is shown; of any other, such as a trained model's, each embedding file in
/// it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InfoArgs {
    /// Files of any format (safetensors, npy, npz, word2vec, GloVe, fastText, CSV, TSV), or folders
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Print one line of JSON for each file
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow info vectors.safetensors
  hotrow info hotrow-model                      the tables of a trained model
  hotrow info checkpoints                       its steps, and what each holds
  hotrow info *.vec --json | jq '.tensors[].shape'

Exit codes: 0 all files could be read, 1 one could not, 2 wrong usage";

/// Runs the command.
pub(super) fn run(args: &InfoArgs) -> Result<()> {
    let mut failed = 0;
    for (at, path) in args.files.iter().enumerate() {
        if at > 0 && !args.json {
            say("")?;
        }
        match tell(path, args.json) {
            Err(error) if args.files.len() > 1 => {
                complain(&format!("error: {error:#}"));
                failed += 1;
            }
            outcome => outcome?,
        }
    }
    if failed > 0 {
        bail!("{failed} of {} could not be read", args.files.len());
    }
    Ok(())
}

fn tell(path: &Path, json: bool) -> Result<()> {
    match Named::of(path)? {
        Named::Files(files) => {
            for (at, path) in files.iter().enumerate() {
                let info = inspect(path)?;
                if json {
                    say_json(&file::report(path, &info))?;
                } else {
                    say(&format!("{}{}", if at > 0 { "\n" } else { "" }, file::text(path, &info)))?;
                }
            }
            Ok(())
        }
        Named::Checkpoints(steps) => checkpoints::tell(path, &steps, json),
    }
}

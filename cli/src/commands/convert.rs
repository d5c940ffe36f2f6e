//! `hotrow convert`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::rows::{Formats, Input, Output};

/// Convert an embedding file into another format
///
/// Reads safetensors, npy, npz, word2vec (text and binary), GloVe, fastText, CSV, TSV and the weights of Keras, and writes all but the last. Rows go
/// from file to file a few megabytes at a time, so files may be larger than memory. The new file appears when it is whole.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConvertArgs {
    /// The file to read, or - for standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The file to write, or - for standard output
    #[arg(value_name = "OUT")]
    pub output: PathBuf,

    /// How it is read and written.
    #[command(flatten)]
    pub formats: Formats,
}

const EXAMPLES: &str = "\
Examples:
  hotrow convert glove.6B.300d.txt glove.safetensors
  hotrow convert wiki.en.vec wiki.npz --dtype f16
  hotrow convert vectors.bin vectors.txt                   word2vec, from binary to text
  hotrow convert model.npz users.npy --table users
  hotrow convert model.weights.h5 items.npy --table embedding
  hotrow convert words.npz - --to glove | head -n 3
  zcat cc.en.300.vec.gz | hotrow convert - cc.safetensors --from fasttext";

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> Result<()> {
    let output = Output::new(&args.output, &args.formats.to)?;
    let input = Input::new(&args.input, &args.formats.from)?;
    output.write(&mut *input.open()?, "converting")
}

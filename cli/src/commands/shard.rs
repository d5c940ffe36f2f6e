//! `hotrow shard`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use hotrow::store::{Cut, Format, Shards};

use super::rows::{Bar, Formats, Input, Output, Summary, ToArgs};

/// Cut an embedding file into several
///
/// The files are called `name-00001-of-00004.safetensors`, after the file that is read. `hotrow merge` joins them again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShardArgs {
    /// The file to read, or - for standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The folder to write into; it is made if it is not there
    #[arg(value_name = "OUTDIR")]
    pub folder: PathBuf,

    /// Cut after every so many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "parts", required_unless_present = "parts")]
    pub rows: Option<u64>,

    /// Cut into so many files of equal length
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=99_999))]
    pub parts: Option<u64>,

    /// How it is read and written.
    #[command(flatten)]
    pub formats: Formats,
}

const EXAMPLES: &str = "\
Examples:
  hotrow shard items.safetensors shards --rows 1000000
  hotrow shard wiki.vec shards --parts 4 --to npz
  hotrow merge shards/items-*.safetensors items.safetensors";

/// Runs the command.
pub(super) fn run(args: &ShardArgs) -> Result<()> {
    let format = args.formats.to.to.unwrap_or(Format::Safetensors);
    let output = Output::new(&args.folder, &ToArgs { to: Some(format), ..args.formats.to.clone() })?;
    let input = Input::new(&args.input, &args.formats.from)?;
    let count = input.count()?;
    let mut rows = input.open()?;
    let (new, mut notes) = output.plan(rows.info());
    std::fs::create_dir_all(&args.folder).with_context(|| format!("{}: cannot make the folder", args.folder.display()))?;
    let stem = match args.input.file_stem() {
        Some(stem) if args.input != Path::new("-") => stem.to_string_lossy().into_owned(),
        _ => "embeddings".to_owned(),
    };
    let cut = match (args.rows, args.parts) {
        (Some(rows), _) => Cut::Rows(rows),
        (None, parts) => Cut::Parts(parts.unwrap_or(1)),
    };
    let extension = extension(output.format()).to_owned();
    let shards = Shards { folder: args.folder.clone(), stem, extension, format, rows: count, cut };
    let bar = Bar::new("cutting");
    let paths = shards.write(&mut *rows, &new, |rows, part| bar.show(rows, part))?;
    drop(bar);
    notes.splice(0..0, rows.info().notes.iter().cloned());
    let files = paths.iter().map(|path| path.display().to_string()).collect();
    let (dim, dtype, words) = (new.dim, new.dtype.to_string(), new.named);
    output.report(&Summary { files, format: format.name(), rows: count, dim, dtype, words, notes })
}

/// The extension by which the format is known again.
fn extension(format: Format) -> &'static str {
    match format {
        Format::Word2vecText => "txt",
        Format::Word2vecBinary => "bin",
        Format::FastText => "vec",
        Format::KerasH5 => "h5",
        other => other.name(),
    }
}

//! `hotrow select`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use hotrow::store::{SelectedRows, Wanted};

use super::Usage;
use super::rows::{Formats, Input, Output, lines_of_standard_input};
use crate::output::complain;

/// Write some rows of an embedding file into a new one
///
/// Rows come in the order in which they are asked for: by number, from 0, or by word. Without --ids and --words, standard input has them, one a line:
/// words if the file has words, and numbers if it has none.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SelectArgs {
    /// The file to read
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The file to write, or - for standard output
    #[arg(value_name = "OUT")]
    pub output: PathBuf,

    /// Numbers of rows, from 0, with commas between them
    #[arg(long, value_name = "ID,...", value_delimiter = ',', conflicts_with = "words")]
    pub ids: Vec<u64>,

    /// Words, each an argument of its own
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub words: Vec<String>,

    /// Leave out what the file does not have, instead of failing
    #[arg(long)]
    pub skip_missing: bool,

    /// How it is read and written.
    #[command(flatten)]
    pub formats: Formats,
}

const EXAMPLES: &str = "\
Examples:
  hotrow select items.npy some.npy --ids 3,1,2
  hotrow select glove.6B.300d.txt colors.vec --words red green blue
  hotrow select wiki.safetensors mine.safetensors --skip-missing < vocabulary.txt
  cut -f1 top.tsv | hotrow select wiki.vec - --to csv";

/// Missing rows are named up to so many.
const NAMED: usize = 10;

/// Runs the command.
pub(super) fn run(args: &SelectArgs) -> Result<()> {
    let output = Output::new(&args.output, &args.formats.to)?;
    let from_arguments = !args.ids.is_empty() || !args.words.is_empty();
    if args.input == Path::new("-") && !from_arguments {
        return Err(Usage("standard input cannot have both the file and the words; use --ids or --words".into()).into());
    }
    let input = Input::new(&args.input, &args.formats.from)?;
    let mut rows = input.open()?;
    let wanted = match (from_arguments, args.ids.is_empty()) {
        (true, true) => Wanted::Words(args.words.clone()),
        (true, false) => Wanted::Rows(args.ids.clone()),
        (false, _) if rows.info().named => Wanted::Words(lines_of_standard_input()?),
        (false, _) => Wanted::Rows(numbers(&lines_of_standard_input()?)?),
    };
    let mut selected = SelectedRows::new(&mut *rows, &wanted, input.name(), &std::env::temp_dir())?;
    let missing = selected.missing();
    if !missing.is_empty() {
        let mut shown = missing.iter().take(NAMED).map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
        if missing.len() > NAMED {
            shown += &format!(" and {} more", missing.len() - NAMED);
        }
        if !args.skip_missing {
            bail!("{} has no {shown}; --skip-missing leaves out what is not there", input.name());
        }
        complain(&format!("note: {} has no {shown}", input.name()));
    }
    output.write(&mut selected, "writing")
}

fn numbers(lines: &[String]) -> Result<Vec<u64>> {
    let mut numbers = Vec::with_capacity(lines.len());
    for (line, text) in lines.iter().enumerate() {
        match text.trim().parse() {
            Ok(number) => numbers.push(number),
            Err(_) => bail!(
                "standard input: line {}: `{}` is no number of a row, and rows of this file have no words",
                line + 1,
                text.escape_debug()
            ),
        }
    }
    Ok(numbers)
}

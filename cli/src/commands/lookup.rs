//! `hotrow lookup`.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use hotrow::DType;
use hotrow::store::{Block, Format, NewRows, Target, Values, create_rows, write_rows};
use serde::Serialize;

use crate::embeddings::{Asked, Embeddings, MissingArgs, SourceArgs, asked, find_all};
use crate::model::Catalog;
use crate::output::{say_bytes, write_all};

/// Print rows of an embedding file, by word or by number
///
/// Rows come in the order in which they are asked for, widened to f32. Rows of a file without words have numbers, from 0.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct LookupArgs {
    /// An embedding file of any format, or the folder of a model
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Which rows: words or ids, as the file names them. Without any, the lines of standard input
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,

    /// Take what is asked for as row numbers, though the rows have names
    #[arg(long)]
    pub by_row: bool,

    /// How rows are printed: text (the word and its values), json (an object a line), npy (an array of f32, for NumPy)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Printed,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Write into this file, in place of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How the file is opened.
    #[command(flatten)]
    pub source: SourceArgs,

    /// What is done about missing words.
    #[command(flatten)]
    pub missing: MissingArgs,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    /// The word and its values.
    Text,
    /// An object a line.
    Json,
    /// A NumPy array.
    Npy,
}

const EXAMPLES: &str = "\
Examples:
  hotrow lookup glove.6B.300d.txt king queen                   a line for each: the word, then its values
  hotrow lookup words.safetensors king --map --json            {\"word\":\"king\",\"row\":7,\"vector\":[...]}
  hotrow lookup users.npy 0 17 41                              rows without words have numbers
  hotrow lookup words.vec --format npy -o some.npy < words.txt
  cut -f1 query.tsv | hotrow lookup words.vec --skip-missing";

#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    word: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    row: usize,
    vector: Vec<f32>,
}

/// Runs the command.
pub(super) fn run(args: &LookupArgs) -> Result<()> {
    let format = if args.json { Printed::Json } else { args.format };
    if format == Printed::Npy && args.output.is_none() && io::stdout().is_terminal() {
        bail!("an array is not for terminals: say where to write it with -o FILE, or pipe it on");
    }
    let queries = asked(&args.words)?;
    let embeddings = Embeddings::open(&args.file, &args.source)?;
    let catalog = embeddings.catalog()?;
    let found = find_all(if args.by_row { catalog.numbered() } else { catalog }, &queries, &args.missing)?;
    let rows = Rows { embeddings: &embeddings, catalog, found: &found };
    match (format, &args.output) {
        (Printed::Npy, Some(path)) => rows.array_to(create_rows(path, Format::Npy, &rows.array())?),
        (Printed::Npy, None) => {
            let mut bytes = Vec::new();
            rows.array_to(write_rows(&mut bytes, "the array", Format::Npy, &rows.array())?)?;
            say_bytes(&bytes)
        }
        (_, Some(path)) => {
            let mut file = Target::create(path)?;
            rows.print(format, &mut file)?;
            Ok(file.commit()?)
        }
        (_, None) => write_all(|out| rows.print(format, out)),
    }
}

/// What was found.
struct Rows<'a> {
    embeddings: &'a Embeddings,
    catalog: Catalog<'a>,
    found: &'a [Asked<'a>],
}

impl Rows<'_> {
    fn print(&self, format: Printed, out: &mut dyn Write) -> io::Result<()> {
        for asked in self.found {
            let row = asked.found.item;
            let vector = self.embeddings.gather([row]);
            let name = self.catalog.name(row);
            if format == Printed::Json {
                let word = (!self.catalog.ids.is_empty()).then_some(name);
                serde_json::to_writer(&mut *out, &Row { word, title: self.catalog.title(row), row, vector })?;
            } else {
                write!(out, "{name}")?;
                for value in vector {
                    write!(out, " {value}")?;
                }
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn array(&self) -> NewRows {
        let dim = self.embeddings.view().shape()[1];
        NewRows { dim, rows: Some(self.found.len() as u64), dtype: DType::F32, named: false, table: None }
    }

    fn array_to(&self, mut array: Box<dyn hotrow::store::WriteRows + '_>) -> Result<()> {
        for some in self.found.chunks(1024) {
            let values = self.embeddings.gather(some.iter().map(|asked| asked.found.item));
            array.write(&Block { values: Values::F32(values), words: Vec::new() })?;
        }
        array.finish()?;
        Ok(())
    }
}

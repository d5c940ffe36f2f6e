//! `hotrow stats`.

mod picture;
mod text;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use hotrow::AnyView;
use hotrow::store::{Bin, FoundRows, Open, OpenOptions, OpenTable, TableStats, open_with, table_stats};
use serde::Serialize;

use super::train::whole;
use crate::embeddings::{Embeddings, SourceArgs};
use crate::output::{complain, grouped, say, say_json};
use crate::plot;
use crate::progress::Bytes;
use picture::Histogram;
use text::text;

/// Look at every row of an embedding file: norms, zeros, NaN, duplicates
///
/// Norms are Euclidean. A row is a duplicate if an earlier one is equal to the bit. Files of safetensors and npy are mapped, not copied into
/// memory.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatsArgs {
    /// A file of any format, a folder of checkpoints (its newest), or that of a trained model (its items)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The table, in a file that holds several
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,

    /// Draw the histogram of norms into a file that ends with .svg or .png
    #[arg(long, value_name = "FILE", value_parser = plot::file)]
    pub plot: Option<PathBuf>,

    /// How many bins the histogram has
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = whole(1, 1000))]
    pub bins: usize,

    /// Print the result as one line of JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow stats vectors.safetensors
  hotrow stats model.safetensors --table item_embedding.weight
  hotrow stats checkpoints --table items
  hotrow stats words.vec --bins 40 --plot norms.svg
  hotrow stats words.vec --json | jq .duplicate_rows.count

Exit codes: 0 all went well, 1 the file cannot be read, 2 wrong usage";

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    table: Option<&'a str>,
    #[serde(rename = "type")]
    dtype: String,
    rows: usize,
    dim: usize,
    values: Range,
    norms: Range,
    nan_values: u64,
    infinite_values: u64,
    broken_rows: Rows,
    zero_rows: Rows,
    duplicate_rows: Rows,
    histogram: Vec<Bar>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Range {
    min: Option<f64>,
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<f64>,
    max: Option<f64>,
}

#[derive(Serialize)]
struct Rows {
    count: usize,
    first: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<String>,
}

#[derive(Serialize)]
struct Bar {
    from: f64,
    to: f64,
    count: usize,
}

/// What is looked at.
enum Opened {
    File(Box<OpenTable>),
    /// A checkpoint or a trained model.
    Folder(Embeddings),
}

impl Opened {
    fn open(args: &StatsArgs) -> Result<Opened> {
        let table = args.table.clone();
        if args.file.is_dir() {
            return Ok(Opened::Folder(Embeddings::open(&args.file, &SourceArgs { table, map: false })?));
        }
        let options = OpenOptions { table, open: Open::MapOrRead, ..Default::default() };
        let bar = Bytes::new(None).about(args.file.display().to_string());
        Ok(Opened::File(Box::new(open_with(&args.file, &options, &|bytes| bar.add(bytes))?)))
    }

    fn view(&self) -> AnyView<'_> {
        match self {
            Opened::File(opened) => opened.table(),
            Opened::Folder(embeddings) => embeddings.view(),
        }
    }

    fn words(&self) -> Result<&[String]> {
        Ok(match self {
            Opened::File(opened) => opened.words()?.unwrap_or_default(),
            Opened::Folder(embeddings) => embeddings.catalog()?.ids,
        })
    }

    fn name(&self) -> Option<&str> {
        match self {
            Opened::File(opened) => opened.name(),
            Opened::Folder(_) => None,
        }
    }

    fn notes(&self) -> &[String] {
        match self {
            Opened::File(opened) => opened.notes(),
            Opened::Folder(_) => &[],
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &StatsArgs) -> Result<()> {
    let opened = Opened::open(args)?;
    let stats = table_stats(opened.view()).with_context(|| args.file.display().to_string())?;
    let histogram = stats.histogram(args.bins);
    if let Some(path) = &args.plot {
        let title = format!("{}: norms of {} rows", name(args), grouped(stats.norms.len()));
        plot::save(&Histogram { title, bins: &histogram }, path)?;
    }
    let report = report(args, &opened, &stats, &histogram)?;
    if args.json {
        return say_json(&report);
    }
    opened.notes().iter().for_each(|note| complain(&format!("note: {note}")));
    say(text(&report).trim_end())
}

/// The file's name without its folders.
fn name(args: &StatsArgs) -> String {
    args.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn report<'a>(args: &'a StatsArgs, opened: &'a Opened, stats: &TableStats, histogram: &[Bin]) -> Result<Report<'a>> {
    let words = opened.words()?;
    let rows = |found: &FoundRows| Rows {
        count: found.count,
        first: found.first.clone(),
        words: found.first.iter().filter_map(|&row| words.get(row).cloned()).collect(),
    };
    let [count, dim] = stats.shape;
    let (least, greatest) = (stats.least.map(f64::from), stats.greatest.map(f64::from));
    Ok(Report {
        file: args.file.display().to_string(),
        table: opened.name().or(args.table.as_deref()),
        dtype: opened.view().dtype().to_string(),
        rows: count,
        dim,
        values: Range { min: least, mean: stats.mean, median: None, max: greatest },
        norms: Range {
            min: stats.norms.first().copied(),
            mean: stats.mean_norm(),
            median: stats.median_norm(),
            max: stats.norms.last().copied(),
        },
        nan_values: stats.nan_values,
        infinite_values: stats.infinite_values,
        broken_rows: rows(&stats.broken_rows),
        zero_rows: rows(&stats.zero_rows),
        duplicate_rows: rows(&stats.duplicate_rows),
        histogram: histogram.iter().map(|bin| Bar { from: bin.from, to: bin.to, count: bin.count }).collect(),
        notes: opened.notes(),
    })
}

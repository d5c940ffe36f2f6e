//! `hotrow similar`.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use hotrow::{Metric, Workspace};
use serde::Serialize;

use super::ranking::{Ranked, ranked, table};
use super::train::whole;
use crate::embeddings::{Asked, Embeddings, MissingArgs, SourceArgs, asked, find_all};
use crate::model::Catalog;
use crate::output::{complain, say, say_json};

/// How many are looked for in one pass over the table. Whoever waits for the first answer does not wait for the last.
const TOGETHER: usize = 64;

/// Find what is nearest to an item of a trained model, or to a word of an embedding file
///
/// Nearness is the cosine of the angle between two embeddings: 1 for the same direction, 0 for unrelated ones. The answer is exact: every row
/// of the table is compared. Of a factorization machine (`hotrow train --model fm`), features are compared in place of items; of a file
/// without words, rows by their numbers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct SimilarArgs {
    /// What to look for: an item by its id, or by its title in upper or lower case, with or without the year; a word; the number of a row. Without
    /// any, the lines of standard input
    #[arg(value_name = "ITEM")]
    pub items: Vec<String>,

    /// Folder of a model, or an embedding file of any format
    #[arg(long, value_name = "PATH", default_value = "hotrow-model", visible_alias = "in")]
    pub model: PathBuf,

    /// How many to show of each, at least 1
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = whole(1, u32::MAX as usize))]
    pub top: usize,

    /// How near: cosine, or dot (the dot product, for which long embeddings are near to more)
    #[arg(long, value_name = "METRIC", default_value = "cosine")]
    pub metric: Metric,

    /// How the file is opened.
    #[command(flatten)]
    pub source: SourceArgs,

    /// What is done about missing words.
    #[command(flatten)]
    pub missing: MissingArgs,

    /// Print each result as one line of JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow similar \"Smoked Trout (fish)\"                    an item of the model in hotrow-model
  hotrow similar \"star wars\" --model films --top 5
  hotrow similar 204 --model clicks --json
  hotrow similar king queen --in glove.6B.300d.txt         words of a file, whoever made it
  hotrow similar king --in words.safetensors --map         at once, however large
  hotrow similar --in words.safetensors < words.txt        many words in one pass
  hotrow similar 17 --in users.npy --metric dot            rows without names have numbers";

#[derive(Serialize)]
struct Answer<'a> {
    item: Cow<'a, str>,
    title: Option<&'a str>,
    similar: Vec<Ranked<'a>>,
}

/// Runs the command.
pub(super) fn run(args: &SimilarArgs) -> Result<()> {
    let queries = asked(&args.items)?;
    let embeddings = Embeddings::open(&args.model, &args.source)?;
    embeddings.prefault()?;
    let catalog = embeddings.catalog()?;
    let found = find_all(catalog, &queries, &args.missing)?;
    let mut workspace = Workspace::new();
    for (block, found) in found.chunks(TOGETHER).enumerate() {
        let rows = || found.iter().map(|asked| asked.found.item);
        let itself: Vec<[u32; 1]> = rows().map(|row| [row as u32]).collect();
        let exclude: Vec<&[u32]> = itself.iter().map(|row| &row[..]).collect();
        let near = workspace.nearest(embeddings.view(), &embeddings.gather(rows()), args.top, args.metric, &exclude)?;
        for (at, (asked, near)) in found.iter().zip(near).enumerate() {
            let first = block == 0 && at == 0;
            show(args, catalog, asked, ranked(catalog, &near), first)?;
        }
    }
    Ok(())
}

/// Shows what is near to one that was asked for.
fn show(args: &SimilarArgs, catalog: Catalog<'_>, asked: &Asked<'_>, similar: Vec<Ranked<'_>>, first: bool) -> Result<()> {
    let (what, row) = (catalog.what, asked.found.item);
    let (item, title) = (catalog.name(row), catalog.title(row));
    if !asked.found.others.is_empty() {
        let others: Vec<_> = asked.found.others.iter().map(|&other| catalog.name(other)).collect();
        complain(&format!("note: `{}` is also the title of {what} {}; this is {what} {item}", asked.query, others.join(", ")));
    }
    if args.json {
        return say_json(&Answer { item, title, similar });
    }
    let gap = if first { "" } else { "\n" };
    if similar.is_empty() {
        return say(&format!("{gap}{what} {item} is the only one"));
    }
    let name = title.map_or(format!("{what} {item}"), |title| format!("{title} ({what} {item})"));
    say(&format!("{gap}nearest to {name}:\n{}", table(catalog, &similar, &args.metric.to_string())))
}

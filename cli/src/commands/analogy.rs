//! `hotrow analogy`.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use hotrow::{Metric, Neighbour, Workspace};
use serde::Serialize;

use super::ranking::{Ranked, ranked, table};
use super::train::whole;
use crate::embeddings::{Asked, Embeddings, MissingArgs, SourceArgs, asked, find_all};
use crate::model::Catalog;
use crate::output::{say, say_json};
use crate::train::dot;

/// Find what completes an analogy: king is to man as what is to woman?
///
/// The rows that count for and those that count against are scaled to length 1; the mean of the first and the negatives of the others is
/// compared with every row by cosine (3CosAdd, as `most_similar` of gensim computes it). The rows that were given are no answers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct AnalogyArgs {
    /// An embedding file of any format, or the folder of a model
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Three words A B C, for A - B + C. Without any, lines of three words of standard input
    #[arg(value_name = "WORD", conflicts_with_all = ["positive", "negative"])]
    pub words: Vec<String>,

    /// What counts for
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub positive: Vec<String>,

    /// What counts against
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub negative: Vec<String>,

    /// How many to show, at least 1
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = whole(1, u32::MAX as usize))]
    pub top: usize,

    /// How the file is opened.
    #[command(flatten)]
    pub source: SourceArgs,

    /// Print each result as one line of JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow analogy glove.6B.300d.txt king man woman                   king - man + woman: queen, if all goes well
  hotrow analogy words.safetensors paris france japan --map --top 3
  hotrow analogy words.vec --positive good better --negative bad    any number of words
  hotrow analogy words.vec --json < analogies.txt                   three words a line";

#[derive(Serialize)]
struct Answer<'a> {
    positive: Vec<Cow<'a, str>>,
    negative: Vec<Cow<'a, str>>,
    nearest: Vec<Ranked<'a>>,
}

/// Words that count for, and words that count against.
struct Question {
    words: Vec<String>,
    /// How many of them count for.
    positive: usize,
}

/// Runs the command.
pub(super) fn run(args: &AnalogyArgs) -> Result<()> {
    let questions = questions(args)?;
    let embeddings = Embeddings::open(&args.file, &args.source)?;
    embeddings.prefault()?;
    let catalog = embeddings.catalog()?;
    let mut workspace = Workspace::new();
    for (at, question) in questions.iter().enumerate() {
        let found = find_all(catalog, &question.words, &MissingArgs::default())?;
        let rows: Vec<u32> = found.iter().map(|asked| asked.found.item as u32).collect();
        let target = target(&embeddings, &found, question.positive);
        let near = workspace.nearest(embeddings.view(), &target, args.top, Metric::Cosine, &[&rows])?;
        show(args, catalog, &found, question.positive, near.first().map_or(&[], |near| near), at == 0)?;
    }
    Ok(())
}

fn questions(args: &AnalogyArgs) -> Result<Vec<Question>> {
    if !args.positive.is_empty() || !args.negative.is_empty() {
        let words = [&args.positive[..], &args.negative].concat();
        return Ok(vec![Question { words, positive: args.positive.len() }]);
    }
    if !args.words.is_empty() {
        return Ok(vec![of_three(&args.words)?]);
    }
    let words = |line: String| of_three(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    asked(&[])?.into_iter().map(words).collect()
}

/// A - B + C: what counts for stands before what counts against.
fn of_three(words: &[String]) -> Result<Question> {
    let [a, b, c] = words else {
        bail!("an analogy has three words, as in `king man woman`, not {}: `{}`", words.len(), words.join(" "));
    };
    Ok(Question { words: vec![a.clone(), c.clone(), b.clone()], positive: 2 })
}

/// The mean of the rows' directions, those that count against turned round. A row of zeros has none.
fn target(embeddings: &Embeddings, found: &[Asked<'_>], positive: usize) -> Vec<f32> {
    let mut mean = vec![0.0; embeddings.view().shape()[1]];
    for (at, asked) in found.iter().enumerate() {
        let row = embeddings.gather([asked.found.item]);
        let length = dot(&row, &row).sqrt();
        if length > 0.0 {
            let sign = if at < positive { 1.0 } else { -1.0 };
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += sign * (value / length));
        }
    }
    mean.iter_mut().for_each(|mean| *mean /= found.len() as f32);
    mean
}

fn show(
    args: &AnalogyArgs,
    catalog: Catalog<'_>,
    found: &[Asked<'_>],
    positive: usize,
    near: &[Neighbour],
    first: bool,
) -> Result<()> {
    let names = |found: &[Asked<'_>]| found.iter().map(|asked| catalog.name(asked.found.item)).collect::<Vec<_>>();
    let (positive, negative) = (names(&found[..positive]), names(&found[positive..]));
    let nearest = ranked(catalog, near);
    if args.json {
        return say_json(&Answer { positive, negative, nearest });
    }
    let gap = if first { "" } else { "\n" };
    let minus = if negative.is_empty() { "" } else { " - " };
    let sum = format!("{}{minus}{}", positive.join(" + "), negative.join(" - "));
    say(&format!("{gap}nearest to {sum}:\n{}", table(catalog, &nearest, "cosine")))
}

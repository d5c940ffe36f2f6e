//! `hotrow similar`.

use anyhow::Result;
use clap::Args;
use hotrow::Table;
use serde::Serialize;

use super::ranking::{AnswerArgs, Ranked, best, table};
use crate::model::{Catalog, Features, Model};
use crate::output::{complain, say, say_json};
use crate::train::dot;

/// Find the items nearest to an item of a trained model
///
/// Nearness is the cosine of the angle between two embeddings: 1 for the same direction, 0 for unrelated ones. Of a factorization
/// machine (`hotrow train --model fm`), features are compared in place of items.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct SimilarArgs {
    /// The item: its id, or its title in upper or lower case, with or without the year; or the index of a feature
    #[arg(value_name = "ITEM")]
    pub item: String,

    /// Which model answers, and how.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

const EXAMPLES: &str = "\
Examples:
  hotrow similar \"Smoked Trout (fish)\"
  hotrow similar \"star wars\" --model films --top 5
  hotrow similar 50 --model films --json
  hotrow similar 204 --model clicks";

#[derive(Serialize)]
struct Answer<'a> {
    item: &'a str,
    title: Option<&'a str>,
    similar: Vec<Ranked<'a>>,
}

/// Runs the command.
pub(super) fn run(args: &SimilarArgs) -> Result<()> {
    if let Some(features) = Features::load(&args.answer.model)? {
        return neighbours(args, features.catalog(), &features.vectors);
    }
    let model = Model::load(&args.answer.model)?;
    neighbours(args, model.description.catalog(), &model.items)
}

/// Shows what is near to the one that was asked for.
fn neighbours(args: &SimilarArgs, catalog: Catalog<'_>, vectors: &Table<f32>) -> Result<()> {
    let Catalog { what, ids, .. } = catalog;
    let found = catalog.find(&args.item)?;
    let id = &ids[found.item];
    if !found.others.is_empty() {
        let others: Vec<_> = found.others.iter().map(|&item| ids[item].as_str()).collect();
        complain(&format!("note: `{}` is also the title of {what} {}; this is {what} {id}", args.item, others.join(", ")));
    }
    let wanted = vectors.row(found.item).unwrap_or_default();
    let length = dot(wanted, wanted).sqrt();
    let scores = vectors.iter().map(|other| {
        let lengths = length * dot(other, other).sqrt();
        // An embedding of zeros has no direction and is near to nothing.
        if lengths > 0.0 { dot(wanted, other) / lengths } else { 0.0 }
    });
    let similar = best(catalog, scores, &[found.item as u32], args.answer.top);
    let title = catalog.title(found.item);
    if args.answer.json {
        return say_json(&Answer { item: id, title, similar });
    }
    if similar.is_empty() {
        return say(&format!("{what} {id} is the only one"));
    }
    let name = title.map_or(format!("{what} {id}"), |title| format!("{title} ({what} {id})"));
    say(&format!("nearest to {name}:\n{}", table(&similar, "cosine")))
}

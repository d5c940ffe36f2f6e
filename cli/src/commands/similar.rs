//! `hotrow similar`.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::ranking::{AnswerArgs, Ranked, best, table};
use crate::model::Model;
use crate::output::{complain, say, say_json};
use crate::train::dot;

/// Find the items nearest to an item of a trained model
///
/// Nearness is the cosine of the angle between two embeddings: 1 for the same direction, 0 for unrelated ones.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct SimilarArgs {
    /// The item: its id, or its title in upper or lower case, with or without the year
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
  hotrow similar 50 --model films --json";

#[derive(Serialize)]
struct Answer<'a> {
    item: &'a str,
    title: Option<&'a str>,
    similar: Vec<Ranked<'a>>,
}

/// Runs the command.
pub(super) fn run(args: &SimilarArgs) -> Result<()> {
    let model = Model::load(&args.answer.model)?;
    let description = &model.description;
    let found = description.find_item(&args.item)?;
    if !found.others.is_empty() {
        let others: Vec<_> = found.others.iter().map(|&item| description.items[item].as_str()).collect();
        complain(&format!(
            "note: `{}` is also the title of item {}; this is item {}",
            args.item,
            others.join(", "),
            description.items[found.item]
        ));
    }
    let wanted = model.items.row(found.item).unwrap_or_default();
    let length = dot(wanted, wanted).sqrt();
    let scores = model.items.iter().map(|item| {
        let lengths = length * dot(item, item).sqrt();
        // An embedding of zeros has no direction and is near to nothing.
        if lengths > 0.0 { dot(wanted, item) / lengths } else { 0.0 }
    });
    let similar = best(description, scores, &[found.item as u32], args.answer.top);
    let id = &description.items[found.item];
    let title = description.title(found.item);
    if args.answer.json {
        return say_json(&Answer { item: id, title, similar });
    }
    if similar.is_empty() {
        return say(&format!("item {id} is the only one"));
    }
    let name = title.map_or(format!("item {id}"), |title| format!("{title} (item {id})"));
    say(&format!("nearest to {name}:\n{}", table(&similar, "cosine")))
}

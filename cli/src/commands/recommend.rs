//! `hotrow recommend`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::ranking::{Ranked, best, table};
use super::train_args::whole;
use crate::model::Model;
use crate::output::{say, say_json};
use crate::train::dot;

/// Recommend items to a user of a trained model
///
/// Shows the items with the highest scores among those that the user has not met.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct RecommendArgs {
    /// The user's id, as in the training data
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub user: String,

    /// How many items to show, at least 1
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = whole(1, u32::MAX as usize))]
    pub top: usize,

    /// Folder of the model
    #[arg(long, value_name = "DIR", default_value = "hotrow-model")]
    pub model: PathBuf,

    /// Print the result as one line of JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  hotrow recommend --user 42
  hotrow recommend --user 42 --top 3 --model films --json";

#[derive(Serialize)]
struct Answer<'a> {
    user: &'a str,
    recommendations: Vec<Ranked<'a>>,
}

/// Runs the command.
pub(super) fn run(args: &RecommendArgs) -> Result<()> {
    let model = Model::load(&args.model)?;
    let description = &model.description;
    let row = description.find_user(&args.user)?;
    let user = model.users.row(row).unwrap_or_default();
    let scores = model.items.iter().map(|item| dot(user, item));
    let recommendations = best(description, scores, &description.seen[row], args.top);
    if args.json {
        return say_json(&Answer { user: &args.user, recommendations });
    }
    let note = description.notes.get(row).map_or(String::new(), |note| format!(" ({note})"));
    if recommendations.is_empty() {
        return say(&format!("user {}{note} has met every item", args.user));
    }
    say(&format!("for user {}{note}:\n{}", args.user, table(&recommendations, "score")))
}

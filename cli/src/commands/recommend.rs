//! `hotrow recommend`.

use anyhow::Result;
use clap::Args;
use hotrow::{Metric, Workspace};
use serde::Serialize;

use super::ranking::{AnswerArgs, Ranked, ranked, table};
use crate::model::Model;
use crate::output::{say, say_json};

/// Recommend items to a user of a trained model
///
/// Shows the items with the highest scores among those that the user has not met.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct RecommendArgs {
    /// The user's id, as in the training data
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub user: String,

    /// Which model answers, and how.
    #[command(flatten)]
    pub answer: AnswerArgs,
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
    let model = Model::load(&args.answer.model)?;
    let description = &model.description;
    let row = description.find_user(&args.user)?;
    let user = model.users.row(row).unwrap_or_default();
    let (catalog, top, seen) = (description.catalog(), args.answer.top, &description.seen[row][..]);
    let found = Workspace::new().nearest(&model.items, user, top, Metric::Dot, &[seen])?;
    let recommendations = ranked(catalog, found.first().map_or(&[], |found| found));
    if args.answer.json {
        return say_json(&Answer { user: &args.user, recommendations });
    }
    let note = description.notes.get(row).map_or(String::new(), |note| format!(" ({note})"));
    if recommendations.is_empty() {
        return say(&format!("user {}{note} has met every item", args.user));
    }
    say(&format!("for user {}{note}:\n{}", args.user, table(catalog, &recommendations, "score")))
}

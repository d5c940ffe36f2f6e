//! The best of many scores, and how they are shown.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::train::whole;
use crate::model::Catalog;

// No documentation of the type here: clap would print it in place of the command's own.
#[derive(Debug, Args)]
#[allow(missing_docs)]
pub struct AnswerArgs {
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

/// An item in its place.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Ranked<'a> {
    /// Its place, from 1.
    pub rank: usize,
    /// Its id.
    pub item: &'a str,
    /// Its title, if it has one.
    pub title: Option<&'a str>,
    /// Its score.
    pub score: f32,
}

/// The items with the highest scores, without those in `left_out`, which must ascend. Among equal scores the first item of
/// the model comes first.
pub(super) fn best<'a>(catalog: Catalog<'a>, scores: impl Iterator<Item = f32>, left_out: &[u32], top: usize) -> Vec<Ranked<'a>> {
    let mut order: Vec<(f32, usize)> = scores
        .enumerate()
        .filter(|(item, _)| left_out.binary_search(&(*item as u32)).is_err())
        .map(|(item, score)| (score, item))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.truncate(top);
    order
        .into_iter()
        .enumerate()
        .map(|(place, (score, item))| Ranked { rank: place + 1, item: &catalog.ids[item], title: catalog.title(item), score })
        .collect()
}

/// A table for people.
pub(super) fn table(ranked: &[Ranked<'_>], score: &str) -> String {
    let name = |item: &Ranked<'_>| item.title.unwrap_or(item.item).to_owned();
    let width = ranked.iter().map(|item| name(item).chars().count()).max().unwrap_or(0).max(5);
    let id = ranked.iter().map(|item| item.item.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!("{:>4}  {:<width$}  {:>id$}  {score:>8}", "", "title", "item");
    for item in ranked {
        text += &format!("\n{:>4}  {:<width$}  {:>id$}  {:>8.4}", item.rank, name(item), item.item, item.score);
    }
    text
}

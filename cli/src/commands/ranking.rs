//! The best of many scores, and how they are shown.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use hotrow::Neighbour;
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
    pub item: Cow<'a, str>,
    /// Its title, if it has one.
    pub title: Option<&'a str>,
    /// Its score.
    pub score: f32,
}

/// What the engine found, by name.
pub(super) fn ranked<'a>(catalog: Catalog<'a>, found: &[Neighbour]) -> Vec<Ranked<'a>> {
    let named = |(place, near): (usize, &Neighbour)| {
        let row = near.row as usize;
        Ranked { rank: place + 1, item: catalog.name(row), title: catalog.title(row), score: near.score }
    };
    found.iter().enumerate().map(named).collect()
}

/// A table for people. A column of titles is there when any of the catalog's items has one.
pub(super) fn table(catalog: Catalog<'_>, ranked: &[Ranked<'_>], score: &str) -> String {
    let width =
        |texts: &mut dyn Iterator<Item = &str>, least: usize| texts.map(|text| text.chars().count()).max().unwrap_or(0).max(least);
    let id = width(&mut ranked.iter().map(|item| &*item.item), 4);
    if catalog.titles.is_empty() {
        let mut text = format!("{:>4}  {:<id$}  {score:>8}", "", catalog.what);
        for item in ranked {
            text += &format!("\n{:>4}  {:<id$}  {:>8.4}", item.rank, item.item, item.score);
        }
        return text;
    }
    let name = |item: &Ranked<'_>| item.title.unwrap_or(&item.item).to_owned();
    let names: Vec<String> = ranked.iter().map(name).collect();
    let title = width(&mut names.iter().map(String::as_str), 5);
    let mut text = format!("{:>4}  {:<title$}  {:>id$}  {score:>8}", "", "title", "item");
    for (item, name) in ranked.iter().zip(names) {
        text += &format!("\n{:>4}  {name:<title$}  {:>id$}  {:>8.4}", item.rank, item.item, item.score);
    }
    text
}

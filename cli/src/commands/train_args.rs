//! The arguments of `hotrow train`.

use std::path::PathBuf;

use clap::Args;
use hotrow::Level;

use crate::data::Format;
use crate::model::Precision;
use crate::train::Settings;

/// Train a recommender and measure how well it ranks
///
/// Users and items get embeddings that are learnt by matrix factorization with the BPR loss: what a user took shall score
/// higher than what they did not. Each user's last item (by time, or by its place in the file) is held out, all items that
/// the user has not met are ranked, and the hit rate and NDCG among the first ten are shown beside those of ranking by
/// popularity. Ratings are read but not used: every line counts as an interaction.
///
/// The result depends on the data and on the settings below alone, to the last bit, and not on --threads or --level.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct TrainArgs {
    /// Interactions, or - for standard input; without it, a made-up market with known tastes
    pub file: Option<PathBuf>,

    /// Format of FILE; found out from its first line if not given
    #[arg(long, value_enum, requires = "file")]
    pub format: Option<Format>,

    /// Titles of the items: RecBole .item, or MovieLens u.item, movies.dat or movies.csv
    #[arg(long, value_name = "FILE", requires = "file")]
    pub items: Option<PathBuf>,

    /// Folder for model.safetensors and model.json
    #[arg(long, value_name = "DIR", default_value = "hotrow-model")]
    pub out: PathBuf,

    /// Numbers in an embedding, 1 to 65536
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = whole(1, 65_536))]
    pub dim: usize,

    /// Passes over the interactions, 1 to 1000000
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = whole(1, 1_000_000))]
    pub epochs: usize,

    /// Step size of gradient descent for each sample, above 0; it falls evenly towards 0
    #[arg(long, default_value_t = 0.1, value_name = "X", value_parser = above_zero)]
    pub lr: f32,

    /// Strength of L2 regularization, 0 or above
    #[arg(long, default_value_t = 0.01, value_name = "X", value_parser = zero_or_above)]
    pub l2: f32,

    /// Samples in a step, 1 to 1048576
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = whole(1, 1 << 20))]
    pub batch: usize,

    /// Type of the numbers in the tables
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,

    /// Seed of all random numbers
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub seed: u64,

    /// Threads, or 0 for one on each core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = whole(0, 4096))]
    pub threads: usize,

    /// Vector instructions of the engine; the best of the machine if not given
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<Level>,

    /// Print the result as one line of JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Formats:
  inter        user_id:token<TAB>item_id:token<TAB>rating:float<TAB>timestamp:float   (RecBole; columns in any order)
  u.data       196<TAB>242<TAB>3<TAB>881250949                                        (MovieLens 100K)
  ratings.dat  1::1193::5::978300760                                                  (MovieLens 1M, 10M)
  ratings.csv  userId,movieId,rating,timestamp                                        (MovieLens 20M and later)
  pairs        user item [rating [timestamp]], between spaces, tabs or commas         (ids may be any text)

Examples:
  hotrow train
  hotrow train ml-100k.inter --items ml-100k.item
  hotrow train ratings.csv --items movies.csv --dim 32 --dtype f16 --out films
  hotrow train purchases.txt --json | jq .hr_at_10";

impl TrainArgs {
    /// What decides the result.
    pub fn settings(&self) -> Settings {
        Settings {
            dim: self.dim,
            epochs: self.epochs,
            lr: self.lr,
            l2: self.l2,
            batch: self.batch,
            dtype: self.dtype,
            seed: self.seed,
        }
    }
}

/// Parses a whole number from `low` to `high`.
pub(super) fn whole(low: usize, high: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| format!("it must be a whole number from {low} to {high}"))
    }
}

fn above_zero(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite() && *number > 0.0).ok_or_else(|| "it must be a number above 0".into())
}

fn zero_or_above(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|number: &f32| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| "it must be a number that is 0 or above".into())
}

fn level(text: &str) -> Result<Level, String> {
    let names: Vec<_> = Level::available().iter().map(ToString::to_string).collect();
    Level::available()
        .iter()
        .find(|level| level.to_string() == text)
        .copied()
        .ok_or_else(|| format!("this machine has: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert_eq!(whole(1, 5)("5"), Ok(5));
        for text in ["0", "6", "-1", "x", "", "1.5", "99999999999999999999999"] {
            assert_eq!(whole(1, 5)(text), Err("it must be a whole number from 1 to 5".into()));
        }
        assert_eq!(above_zero("0.5"), Ok(0.5));
        assert_eq!(zero_or_above("0"), Ok(0.0));
        for text in ["-1", "nan", "inf", "1e99", "x"] {
            assert!(above_zero(text).is_err() && zero_or_above(text).is_err(), "{text}");
        }
        assert!(above_zero("0").is_err());
        assert!(level("portable").is_ok());
        assert!(level("sse9").unwrap_err().starts_with("this machine has: portable"));
    }
}

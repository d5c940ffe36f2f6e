//! The arguments of `hotrow train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hotrow::Level;
use thiserror::Error;

use super::defaults::Defaults;
use crate::data::Format;
use crate::model::Precision;
use crate::train::{Method, Settings};

/// What to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Matrix factorization: who takes what
    Mf,
    /// Factorization machine: yes or no, from any features
    Fm,
}

/// Train a recommender, or a click model, and measure how good it is
///
/// --model mf: users and items get embeddings that are learnt by matrix factorization with the BPR loss: what a user took shall
/// score higher than what they did not. Each user's last item (by time, or by its place in the file) is held out, all items
/// that the user has not met are ranked, and the hit rate and NDCG among the first ten are shown beside those of ranking by
/// popularity. Ratings are read but not used: every line counts as an interaction.
///
/// --model fm: a factorization machine tells yes from no by sparse features: a weight for each feature, and for each two
/// features of a line the dot product of their embeddings, learnt with the logistic loss. After each epoch the area under the
/// ROC curve and the mean loss are measured on the lines of --valid, or on the last tenth of FILE, which is then not learnt from.
///
/// The result depends on the data and on the settings below alone, to the last bit, and not on --threads or --level, nor on whether the
/// training was stopped and resumed. Ctrl-C stops it: with --checkpoint, where it is can be gone on from with --resume.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct TrainArgs {
    /// Interactions, or labelled features for --model fm, or - for standard input; without it, a made-up market with known tastes
    pub file: Option<PathBuf>,

    /// What to learn
    #[arg(long, value_enum, default_value_t = Kind::Mf)]
    pub model: Kind,

    /// Format of FILE; found out from its first line if not given (mf)
    #[arg(long, value_enum, requires = "file")]
    pub format: Option<Format>,

    /// Titles of the items: RecBole .item, or MovieLens u.item, movies.dat or movies.csv (mf)
    #[arg(long, value_name = "FILE", requires = "file")]
    pub items: Option<PathBuf>,

    /// Labelled features to measure with, of the same form as FILE (fm)
    #[arg(long, value_name = "FILE", requires = "file")]
    pub valid: Option<PathBuf>,

    /// Folder for model.safetensors and model.json
    #[arg(long, value_name = "DIR", default_value = "hotrow-model")]
    pub out: PathBuf,

    /// Folder for checkpoints, from which a training that was stopped goes on
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,

    /// Epochs between two checkpoints, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 1, requires = "checkpoint", value_parser = whole(1, 1_000_000))]
    pub every: usize,

    /// Checkpoints that are kept, the newest ones, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 3, requires = "checkpoint", value_parser = whole(1, 1_000_000))]
    pub keep: usize,

    /// Go on from the newest checkpoint in DIR, or begin if there is none
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,

    /// Numbers in an embedding, 1 to 65536 [default: mf 64, fm 32]
    #[arg(long, value_name = "N", value_parser = whole(1, 65_536))]
    pub dim: Option<usize>,

    /// Passes over the data, 1 to 1000000 [default: by model and optimizer, see below]
    #[arg(long, value_name = "N", value_parser = whole(1, 1_000_000))]
    pub epochs: Option<usize>,

    /// How steps are made of gradients [default: rowwise_adagrad for mf, adagrad for fm]
    #[arg(long, value_enum, value_name = "NAME")]
    pub optimizer: Option<Method>,

    /// Step size, above 0; it falls evenly towards 0, but for ftrl [default: by model and optimizer, see below]
    #[arg(long, value_name = "X", value_parser = above_zero)]
    pub lr: Option<f32>,

    /// Strength of L2 regularization, 0 or above; of decoupled weight decay for adamw [default: by model and optimizer, see below]
    #[arg(long, value_name = "X", value_parser = zero_or_above)]
    pub l2: Option<f32>,

    /// Samples in a step, 1 to 1048576 [default: by model and optimizer, see below]
    #[arg(long, value_name = "N", value_parser = whole(1, 1 << 20))]
    pub batch: Option<usize>,

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
Formats of interactions:
  inter        user_id:token<TAB>item_id:token<TAB>rating:float<TAB>timestamp:float   (RecBole; columns in any order)
  u.data       196<TAB>242<TAB>3<TAB>881250949                                        (MovieLens 100K)
  ratings.dat  1::1193::5::978300760                                                  (MovieLens 1M, 10M)
  ratings.csv  userId,movieId,rating,timestamp                                        (MovieLens 20M and later)
  pairs        user item [rating [timestamp]], between spaces, tabs or commas         (ids may be any text)

Labelled features (libFM, LIBSVM): a label (1 or -1, or 1 or 0), then pairs index:value
  1 204:1 4798:1 5041:0.5

Examples:
  hotrow train
  hotrow train ml-100k.inter --items ml-100k.item
  hotrow train ml-100k.inter --optimizer adam --epochs 10
  hotrow train ratings.csv --items movies.csv --dim 32 --dtype f16 --out films
  hotrow train purchases.txt --json | jq .hr_at_10
  hotrow train ratings.csv --checkpoint run-1 --every 2 --resume     go on, or begin
  hotrow train --model fm clicks.libfm --valid later.libfm
  hotrow train --model fm clicks.libfm --optimizer ftrl --json | jq .auc";

/// Arguments that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl TrainArgs {
    /// Whether the arguments go together.
    pub(super) fn check(&self) -> Result<(), Usage> {
        let strangers = match self.model {
            Kind::Mf => vec![("--valid", self.valid.is_some(), "fm")],
            Kind::Fm => vec![("--format", self.format.is_some(), "mf"), ("--items", self.items.is_some(), "mf")],
        };
        if let Some((option, _, owner)) = strangers.into_iter().find(|(_, given, _)| *given) {
            return Err(Usage(format!("{option} is for --model {owner}")));
        }
        if self.model == Kind::Fm && self.file.is_none() {
            return Err(Usage(
                "--model fm needs a FILE of examples: on each line a label (1 or -1, or 1 or 0) and pairs `index:value`, such as\n  \
                 1 204:1 4798:1 5041:0.5"
                    .into(),
            ));
        }
        Ok(())
    }

    /// What decides the result.
    pub(super) fn settings(&self) -> Settings {
        let optimizer = self.optimizer.unwrap_or(Defaults::optimizer(self.model));
        let defaults = Defaults::of(self.model, optimizer);
        Settings {
            dim: self.dim.unwrap_or(defaults.dim),
            epochs: self.epochs.unwrap_or(defaults.epochs),
            optimizer,
            lr: self.lr.unwrap_or(defaults.lr),
            l2: self.l2.unwrap_or(defaults.l2),
            batch: self.batch.unwrap_or(defaults.batch),
            dtype: self.dtype,
            seed: self.seed,
        }
    }
}

/// Parses a whole number from `low` to `high`.
pub(in crate::commands) fn whole(low: usize, high: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
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

//! The subcommands, one in each file.

mod analogy;
mod completions;
mod convert;
mod files;
mod info;
mod lookup;
mod merge;
mod paths;
mod ranking;
mod recommend;
mod rows;
mod select;
mod shard;
mod similar;
mod stats;
mod train;
mod verify;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use train::Usage;

use crate::bench;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a recommender and measure how well it ranks
    Train(train::TrainArgs),
    /// Recommend items to a user of a trained model
    Recommend(recommend::RecommendArgs),
    /// Find what is nearest to an item of a trained model, or to a word of an embedding file
    Similar(similar::SimilarArgs),
    /// Find what completes an analogy: king is to man as what is to woman?
    Analogy(analogy::AnalogyArgs),
    /// Print rows of an embedding file, by word or by number
    Lookup(lookup::LookupArgs),
    /// Tell what an embedding file holds, without reading its data
    Info(info::InfoArgs),
    /// Read all of an embedding file and tell whether it is damaged
    Verify(verify::VerifyArgs),
    /// Look at every row of an embedding file: norms, zeros, NaN, duplicates
    Stats(stats::StatsArgs),
    /// Time the engine's operations beside what this machine's memory can do
    Bench(bench::BenchArgs),
    /// Convert an embedding file into another format
    Convert(convert::ConvertArgs),
    /// Write some rows of an embedding file into a new one
    Select(select::SelectArgs),
    /// Join embedding files, one after the other, into a new one
    Merge(merge::MergeArgs),
    /// Cut an embedding file into several
    Shard(shard::ShardArgs),
    /// Print a script that makes a shell complete the arguments of hotrow
    Completions(completions::CompletionsArgs),
}

/// Does it.
///
/// # Errors
/// Whatever went wrong, in words for the user.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Train(args) => train::run(&args),
        Command::Recommend(args) => recommend::run(&args),
        Command::Similar(args) => similar::run(&args),
        Command::Analogy(args) => analogy::run(&args),
        Command::Lookup(args) => lookup::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Bench(args) => Ok(bench::run(&args)?),
        Command::Convert(args) => convert::run(&args),
        Command::Select(args) => select::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Shard(args) => shard::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

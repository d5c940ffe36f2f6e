//! `hotrow train`.

mod args;
mod bar;
mod defaults;
mod fm;
mod mf;
mod outcome;

use anyhow::Result;
use hotrow::Level;

pub(super) use args::TrainArgs;
pub(crate) use args::Usage;
pub(super) use args::whole;

use args::Kind;

use crate::model::Folder;
use crate::train::Compute;

/// Runs the command.
pub(super) fn run(args: &TrainArgs) -> Result<()> {
    args.check()?;
    let compute = Compute::new(args.threads, args.level.unwrap_or_else(Level::best))?;
    let folder = Folder::prepare(&args.out)?;
    match args.model {
        Kind::Mf => mf::run(args, &compute, &folder),
        Kind::Fm => fm::run(args, &compute, &folder),
    }
}

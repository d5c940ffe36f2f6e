//! `hotrow train`.

mod args;
mod bar;
mod defaults;
mod fm;
mod keeper;
mod mf;
mod outcome;

use std::path::Path;

use anyhow::Result;
use hotrow::Level;

pub(super) use args::TrainArgs;
pub(crate) use args::Usage;
pub(super) use args::whole;

use args::Kind;

use crate::model::Folder;
use crate::output::say;
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

/// Says where the model is. Returns the option that names it, where a command would not find it by itself.
fn say_saved(out: &Path) -> Result<String> {
    let shown = out.display();
    say(&format!("\nsaved the model in {shown}; now try:"))?;
    Ok(if out == Path::new("hotrow-model") { String::new() } else { format!(" --model {shown}") })
}

//! Checkpoints, as the arguments ask for them.

use anyhow::{Context, Result, bail};
use hotrow::store::Checkpoints;

use super::args::TrainArgs;
use super::bar::checkpoint_bar;
use crate::interrupt::Listening;
use crate::output::complain;
use crate::train::{Identity, Keeper, Labels};

/// Who stops and saves the training of these arguments. What would be in vain is found out here, before anything is learnt.
pub(super) fn keeper(
    args: &TrainArgs,
    identity: impl FnOnce() -> Identity,
    labels: impl FnOnce() -> Vec<(&'static str, Labels)>,
) -> Result<Keeper<'static>> {
    let keeper = Keeper::new(&Listening::asked);
    let Some(folder) = &args.checkpoint else { return Ok(keeper) };
    let shown = folder.display();
    let checkpoints = Checkpoints::open(folder).keep_last(args.keep).with_progress(checkpoint_bar());
    let identity = identity();
    let epochs = identity.settings.epochs;
    let mut keeper = keeper.saving(checkpoints, args.every, identity, labels()).with_context(|| format!("--checkpoint {shown}"))?;
    if args.resume {
        match keeper.resume().with_context(|| format!("--checkpoint {shown} --resume"))? {
            Some(done) => complain(&format!("going on with {shown}, which has {done} of {epochs} epochs behind it")),
            None => complain(&format!("there is no checkpoint in {shown} yet: training begins")),
        }
    } else if !Checkpoints::open(folder).steps()?.is_empty() {
        bail!(
            "--checkpoint {shown}: it has checkpoints already: --resume goes on with them; to begin anew, name another folder or empty it"
        );
    }
    Ok(keeper)
}

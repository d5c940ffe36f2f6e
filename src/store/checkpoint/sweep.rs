//! Removing what is needed no longer, and never what is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::Path;

use super::manifest::{Crc, Manifest, Texts};
use super::names::{self, Shard};
use crate::store::atomic::is_temporary;
use crate::store::error::{FileError, FileResult};
use crate::store::storage::Storage;

/// The steps that have manifests, ascending.
pub(super) fn steps(names: &[OsString]) -> Vec<u64> {
    let steps: BTreeSet<u64> = names.iter().filter_map(|name| names::step_of_manifest(name.to_str()?)).collect();
    steps.into_iter().collect()
}

/// The shards among these names.
pub(super) fn shards(names: &[OsString]) -> impl Iterator<Item = Shard> {
    names.iter().filter_map(|name| Shard::parse(name.to_str()?))
}

/// Whether a delta can change a checkpoint; `Err` says why not.
pub(super) fn same_tables(base: &Manifest, delta: &Manifest) -> Result<(), String> {
    if base.tables.len() != delta.tables.len() {
        return Err(format!("which has {} tables instead of {}", base.tables.len(), delta.tables.len()));
    }
    for (old, new) in base.tables.iter().zip(&delta.tables) {
        if (&old.name, old.dtype, old.shape) != (&new.name, new.dtype, new.shape) {
            let told = |table: &super::manifest::TableRecord| format!("{:?} of {:?} {:?}", table.name, table.dtype, table.shape);
            return Err(format!("which has {} where this has {}", told(old), told(new)));
        }
        let rule = |table: &super::manifest::TableRecord| table.optimizer.as_ref().map(|optimizer| optimizer.name().to_owned());
        if rule(old) != rule(new) {
            return Err(format!("whose table {:?} has another optimizer", old.name));
        }
        for (old_texts, new_texts) in [(old.ids, new.ids), (old.titles, new.titles)] {
            if new_texts == Texts::Base && old_texts == Texts::None {
                return Err(format!("whose table {:?} has no ids or titles to keep", old.name));
            }
        }
    }
    Ok(())
}

/// What sweeping did.
#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) removed: Vec<u64>,
    pub(super) failed: Option<FileError>,
}

/// Reads a manifest.
type ReadManifest<'r> = dyn Fn(&Path) -> FileResult<Option<(Manifest, Crc)>> + 'r;

/// Removes the checkpoints beyond the newest `keep`, except those that one of them is a change of, then every shard that no manifest names
/// and whatever crashed saves have left behind. The shards of a step whose manifest cannot be read stay.
pub(super) fn sweep(storage: &dyn Storage, folder: &Path, keep: Option<usize>, read: &ReadManifest<'_>) -> Swept {
    let mut swept = Swept::default();
    swept.failed = sweep_all(storage, folder, keep, read, &mut swept.removed).err();
    swept
}

fn sweep_all(
    storage: &dyn Storage,
    folder: &Path,
    keep: Option<usize>,
    read: &ReadManifest<'_>,
    removed: &mut Vec<u64>,
) -> FileResult<()> {
    let names = storage.list(folder).map_err(|error| FileError::io(folder, "list the folder", &error))?;
    let remove = |name: &str| {
        let path = folder.join(name);
        storage.remove(&path).map_err(|error| FileError::io(&path, "remove the file", &error))
    };
    let mut manifests = BTreeMap::new();
    let mut unreadable = HashSet::new();
    for step in steps(&names) {
        match read(&folder.join(names::manifest(step))) {
            Ok(Some((manifest, _))) => drop(manifests.insert(step, manifest)),
            Ok(None) => {}
            Err(_) => drop(unreadable.insert(step)),
        }
    }
    let mut kept = BTreeSet::new();
    for &step in manifests.keys().rev().take(keep.unwrap_or(usize::MAX)) {
        let mut needed = Some(step);
        while let Some(step) = needed.filter(|&step| kept.insert(step)) {
            needed = manifests.get(&step).and_then(|manifest| manifest.base).map(|base| base.step);
        }
    }
    // The newest first: a delta goes before what it is a change of, and neither comes back after its shards, or its base, have gone.
    for &step in manifests.keys().rev().filter(|step| !kept.contains(step)) {
        remove(&names::manifest(step))?;
        removed.push(step);
        storage.sync_folder(folder).map_err(|error| FileError::io(folder, "bring the folder onto the disk", &error))?;
    }
    let named: HashSet<&str> = manifests
        .iter()
        .filter(|(step, _)| kept.contains(step))
        .flat_map(|(_, manifest)| manifest.files.iter().map(|file| file.name.as_str()))
        .collect();
    for name in &names {
        let Some(text) = name.to_str() else { continue };
        let orphan = Shard::parse(text).is_some_and(|shard| !named.contains(text) && !unreadable.contains(&shard.step));
        if orphan || is_temporary(name) {
            remove(text)?;
        }
    }
    Ok(())
}

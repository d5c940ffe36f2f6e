//! What a path is: a file, a folder of files, or a folder of checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hotrow::store::Checkpoints;

/// What the user named.
pub(super) enum Named {
    /// A file; or the embedding files of a folder, such as a trained model's.
    Files(Vec<PathBuf>),
    /// A folder of checkpoints of these steps.
    Checkpoints(Vec<u64>),
}

impl Named {
    /// Looks at a path.
    pub(super) fn of(path: &Path) -> Result<Named> {
        if !path.is_dir() {
            return Ok(Named::Files(vec![path.to_owned()]));
        }
        let steps = Checkpoints::open(path).steps()?;
        if steps.is_empty() { files(path).map(Named::Files) } else { Ok(Named::Checkpoints(steps)) }
    }
}

/// The embedding files of a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let known = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        ["safetensors", "npy", "npz", "vec", "glove", "h5"].contains(&extension)
    };
    let list = || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect() };
    let mut found = list().with_context(|| format!("{}: cannot read the folder", path.display()))?;
    found.retain(|path| known(path) && path.is_file());
    found.sort();
    if found.is_empty() {
        bail!("{}: there is no embedding file in this folder", path.display());
    }
    Ok(found)
}

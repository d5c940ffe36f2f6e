//! Files that the user names.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

/// The bytes of a file, or of standard input for `-`.
pub(super) fn contents(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes)?;
            Ok(bytes)
        } else {
            fs::read(path)
        }
    };
    read().with_context(|| format!("{}: cannot read the file", path.display()))
}

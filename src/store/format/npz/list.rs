//! All arrays of an archive, whether they can be tables or not.

use std::fs::File;
use std::path::Path;

use super::entry::{Archive, Entry};
use super::read::inside;
use crate::store::error::{FileError, FileResult};
use crate::store::format::npy::Header;

/// An array of an archive.
#[derive(Debug)]
pub(in crate::store) struct Array {
    /// Its name.
    pub(in crate::store) name: String,
    /// Its header, or why it cannot be read.
    pub(in crate::store) header: FileResult<Header>,
    /// Bytes of header and values, unpacked.
    pub(in crate::store) bytes: u64,
    /// The CRC-32 of those.
    pub(in crate::store) crc32: u32,
}

fn open(path: &Path) -> FileResult<Archive<File>> {
    let file = File::open(path).map_err(|error| FileError::io(path, "open the file", &error))?;
    Archive::open(file, &path.display().to_string())
}

/// The directory and the headers.
pub(in crate::store) fn list(path: &Path) -> FileResult<Vec<Array>> {
    let archive = open(path)?;
    let array = |entry: &Entry| Array {
        name: entry.name.clone(),
        header: Header::read(&mut archive.contents(entry), &inside(&path.display().to_string(), entry)),
        bytes: entry.bytes,
        crc32: entry.crc32,
    };
    Ok(archive.entries.iter().map(array).collect())
}

/// Unpacks all arrays and compares their checksums; the outcome of each.
pub(in crate::store) fn verify(path: &Path, progress: &dyn Fn(u64)) -> FileResult<Vec<(Array, FileResult<()>)>> {
    let archive = open(path)?;
    let arrays = list(path)?.into_iter().zip(&archive.entries);
    let verified = arrays.map(|(array, entry)| {
        let outcome = archive.contents(entry).verify(&path.display().to_string());
        progress(array.bytes);
        (array, outcome)
    });
    Ok(verified.collect())
}

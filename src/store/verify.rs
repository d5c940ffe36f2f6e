//! Whether all of a file is as it was written.

use std::path::Path;

use super::block::Block;
use super::error::{FileError, FileResult};
use super::format::{Format, RowOptions, format_of, npz, open_rows};
use super::safetensors::{Header, read_names, read_titles};
use super::source::Source;
use super::transfer::{Progress, checksum};

/// What became of a part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedPart {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// How many bytes were read.
    pub bytes: u64,
    /// The outcome.
    pub checked: Checked,
}

/// How a part compares with its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checked {
    /// It is what was written.
    Equal,
    /// It could be read; nothing tells whether it is what was written.
    Unrecorded,
    /// It is not what was written.
    Damaged {
        /// The CRC-32 that was recorded.
        expected: u32,
        /// The CRC-32 of what is there.
        found: u32,
    },
}

/// Reads all of a file and compares each part with its checksum if there is one: safetensors as this library writes them, and npz. Other formats
/// are read as they are for any use, so that what their tools would stumble over comes to light. Damage is an outcome, not an error, so that all
/// of it is found. `progress` counts the bytes of values.
///
/// # Errors
/// [`FileError`]: the file cannot be read, or it is not what its format asks for.
pub fn verify(path: &Path, progress: Progress<'_>) -> FileResult<Vec<VerifiedPart>> {
    let format = format_of(path)?;
    match format {
        Format::Safetensors => tensors(path, progress),
        Format::Npz => arrays(path, progress),
        _ => {
            let mut reader = open_rows(path, &RowOptions { format: Some(format), ..Default::default() })?;
            let mut block = Block::new(reader.info().dtype);
            let mut rows = 0;
            let row_bytes = reader.info().dim * reader.info().dtype.size();
            loop {
                let read = reader.read(&mut block)?;
                if read == 0 {
                    break;
                }
                rows += read as u64;
                progress((read * row_bytes) as u64);
            }
            let bytes = rows * row_bytes as u64;
            Ok(vec![VerifiedPart { name: None, bytes, checked: Checked::Unrecorded }])
        }
    }
}

fn tensors(path: &Path, progress: Progress<'_>) -> FileResult<Vec<VerifiedPart>> {
    let source = Source::open(path)?;
    let header = Header::read(&source)?;
    let mut parts = Vec::new();
    for tensor in &header.tensors {
        let found = checksum(&source, tensor.offset, tensor.bytes, progress)?;
        let checked = match tensor.crc32 {
            Some(expected) if expected == found => Checked::Equal,
            Some(expected) => Checked::Damaged { expected, found },
            None => Checked::Unrecorded,
        };
        parts.push(VerifiedPart { name: Some(tensor.name.clone()), bytes: tensor.bytes, checked });
    }
    // What is damaged has been found; whether the rest makes sense is another question.
    if parts.iter().all(|part| !matches!(part.checked, Checked::Damaged { .. })) {
        for table in header.tensors.iter().filter(|tensor| tensor.shape.len() == 2) {
            read_names(&source, &header, &table.name, table.shape[0])?;
            read_titles(&source, &header, &table.name, table.shape[0])?;
        }
    }
    Ok(parts)
}

fn arrays(path: &Path, progress: Progress<'_>) -> FileResult<Vec<VerifiedPart>> {
    let mut parts = Vec::new();
    for (array, outcome) in npz::verify(path, progress)? {
        let checked = match outcome {
            Ok(()) => Checked::Equal,
            Err(FileError::Checksum { expected, found, .. }) => Checked::Damaged { expected, found },
            Err(error) => return Err(error),
        };
        parts.push(VerifiedPart { name: Some(array.name), bytes: array.bytes, checked });
    }
    Ok(parts)
}

//! What a file holds, from its header alone; and whether all of it is as it was written.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::FileResult;
use super::safetensors::{Header, read_names, read_titles, text_tensor};
use super::source::Source;
use super::stored::Stored;
use super::transfer::{Progress, checksum};

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FileInfo {
    /// The name of its format.
    pub format: &'static str,
    /// Its size.
    pub bytes: u64,
    /// The tensors or tables in it, in its order.
    pub parts: Vec<PartInfo>,
    /// What the file says besides, such as who made it.
    pub metadata: BTreeMap<String, String>,
    /// What a reader will have to change, in words for the user.
    pub notes: Vec<String>,
}

/// A tensor or table of a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PartInfo {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What it is for.
    pub role: Role,
    /// The type of its values, in formats that store numbers as such.
    pub dtype: Option<Stored>,
    /// Its shape. The number of rows is `None` where only reading the whole file would tell.
    pub shape: Vec<Option<usize>>,
    /// Where it begins, in bytes from the start of the file, if that is one place.
    pub offset: Option<u64>,
    /// How many bytes of the file it takes, if that is known.
    pub bytes: Option<u64>,
    /// The CRC-32 that the file records for it.
    pub crc32: Option<u32>,
    /// Whether there is a word or id for each row.
    pub named: bool,
    /// Whether there are titles for its rows.
    pub titled: bool,
}

/// What a part of a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It has two dimensions, and can be read as a table.
    Table,
    /// It is the words or the titles of a table.
    Text,
    /// It fills a gap, so that the next table begins at a multiple of 64 bytes.
    Padding,
    /// Anything else.
    Other,
}

impl PartInfo {
    /// The greatest power of two up to 4096 (a page) that divides the place where it begins.
    pub fn alignment(&self) -> Option<u64> {
        self.offset.map(|offset| 1 << offset.trailing_zeros().min(12))
    }
}

/// Looks at a file without reading its data, whatever its size.
///
/// # Errors
/// [`FileError`](super::FileError): there is no such file, or its header is wrong.
pub fn inspect(path: &Path) -> FileResult<FileInfo> {
    let source = Source::open(path)?;
    let header = Header::read(&source)?;
    Ok(of_safetensors(&source, header))
}

fn of_safetensors(source: &Source, header: Header) -> FileInfo {
    let parts = header.tensors.iter().map(|tensor| {
        let text = |suffix: &str| text_tensor(&header, &format!("{}{suffix}", tensor.name)).is_some();
        let owner = [".ids", ".titles"].into_iter().find_map(|suffix| tensor.name.strip_suffix(suffix));
        let table = |tensor: &super::TensorInfo| tensor.shape.len() == 2 && tensor.dtype.read_as().is_some();
        let role = if table(tensor) {
            Role::Table
        } else if text_tensor(&header, &tensor.name).is_some() && owner.and_then(|owner| header.tensor(owner)).is_some_and(table) {
            Role::Text
        } else if tensor.name.starts_with("__padding__.") {
            Role::Padding
        } else {
            Role::Other
        };
        PartInfo {
            name: Some(tensor.name.clone()),
            role,
            dtype: Some(tensor.dtype),
            shape: tensor.shape.iter().copied().map(Some).collect(),
            offset: Some(tensor.offset),
            bytes: Some(tensor.bytes),
            crc32: tensor.crc32,
            named: role == Role::Table && text(".ids"),
            titled: role == Role::Table && text(".titles"),
        }
    });
    FileInfo { format: "safetensors", bytes: source.len(), parts: parts.collect(), notes: Vec::new(), metadata: header.metadata }
}

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

/// Reads all of a file, in parallel, and compares each part with its checksum if there is one. Damage is an outcome, not an error, so that all of
/// it comes to light.
///
/// # Errors
/// [`FileError`](super::FileError): the file cannot be read, or it is not what its format asks for.
pub fn verify(path: &Path, progress: Progress<'_>) -> FileResult<Vec<VerifiedPart>> {
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
    if parts.iter().all(|part| !matches!(part.checked, Checked::Damaged { .. })) {
        for table in header.tensors.iter().filter(|tensor| tensor.shape.len() == 2) {
            read_names(&source, &header, &table.name, table.shape[0])?;
            read_titles(&source, &header, &table.name, table.shape[0])?;
        }
    }
    Ok(parts)
}

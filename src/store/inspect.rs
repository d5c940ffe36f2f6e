//! What a file holds, from its header alone.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::FileResult;
use super::format::{Format, RowOptions, format_of, npy, npz, open_rows};
use super::safetensors::{Header, text_tensor};
use super::source::Source;
use super::stored::Stored;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its format.
    pub format: Format,
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
/// [`FileError`](super::FileError): there is no such file, its format cannot be told, or its header is wrong.
pub fn inspect(path: &Path) -> FileResult<FileInfo> {
    let source = Source::open(path)?;
    let format = format_of(path)?;
    match format {
        Format::Safetensors => Ok(of_safetensors(&source, Header::read(&source)?)),
        Format::Npy => {
            let header = npy::read_header(path)?;
            Ok(FileInfo { parts: vec![array(None, &header)], ..FileInfo::new(format, &source) })
        }
        Format::Npz => of_archive(&source, path),
        _ => {
            let reader = open_rows(path, &RowOptions { format: Some(format), ..Default::default() })?;
            let info = reader.info();
            let part = PartInfo {
                role: Role::Table,
                dtype: (format == Format::Word2vecBinary).then_some(Stored::F32),
                shape: vec![info.rows.and_then(|rows| usize::try_from(rows).ok()), Some(info.dim)],
                named: info.named,
                ..PartInfo::new(None)
            };
            Ok(FileInfo { parts: vec![part], notes: info.notes.clone(), ..FileInfo::new(format, &source) })
        }
    }
}

impl FileInfo {
    fn new(format: Format, source: &Source) -> FileInfo {
        FileInfo { format, bytes: source.len(), parts: Vec::new(), metadata: BTreeMap::new(), notes: Vec::new() }
    }
}

impl PartInfo {
    fn new(name: Option<String>) -> PartInfo {
        PartInfo {
            name,
            role: Role::Other,
            dtype: None,
            shape: Vec::new(),
            offset: None,
            bytes: None,
            crc32: None,
            named: false,
            titled: false,
        }
    }
}

fn array(name: Option<String>, header: &npy::Header) -> PartInfo {
    let dtype = match header.descr {
        npy::Descr::Number(number) => Some(number.stored()),
        _ => None,
    };
    PartInfo {
        role: if dtype.is_some() && header.shape.len() == 2 { Role::Table } else { Role::Other },
        dtype,
        shape: header.shape.iter().copied().map(Some).collect(),
        offset: Some(header.data),
        bytes: header.bytes(),
        ..PartInfo::new(name)
    }
}

fn of_archive(source: &Source, path: &Path) -> FileResult<FileInfo> {
    let mut info = FileInfo::new(Format::Npz, source);
    for found in npz::list(path)? {
        let crc32 = Some(found.crc32);
        info.parts.push(match found.header {
            // Where it begins in the archive tells nothing of where its values would be in memory.
            Ok(header) => PartInfo { crc32, offset: None, ..array(Some(found.name), &header) },
            Err(error) => {
                info.notes.push(error.to_string());
                PartInfo { crc32, bytes: Some(found.bytes), ..PartInfo::new(Some(found.name)) }
            }
        });
    }
    // Which of the texts are the words is the reader's to say.
    let tables: Vec<Option<String>> =
        info.parts.iter().filter(|part| part.role == Role::Table).map(|part| part.name.clone()).collect();
    for table in tables {
        if let Ok(reader) = open_rows(path, &RowOptions { format: Some(Format::Npz), table: table.clone(), ..Default::default() })
            && let Some(part) = info.parts.iter_mut().find(|part| part.name == table)
        {
            part.named = reader.info().named;
        }
    }
    Ok(info)
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
    FileInfo { parts: parts.collect(), metadata: header.metadata.clone(), ..FileInfo::new(Format::Safetensors, source) }
}

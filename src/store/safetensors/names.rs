//! The words of a table: a tensor of bytes that is a JSON array.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, SeqAccess, Visitor};

use super::header::{Header, TensorInfo, quoted, words};
use crate::store::error::{FileError, FileResult, Place};
use crate::store::source::Source;
use crate::store::stored::Stored;

/// The name of the tensor with the words of a table.
pub(crate) fn ids_of(table: &str) -> String {
    format!("{table}.ids")
}

/// The word of each row; `None` where the file has none.
pub(crate) fn read_names(source: &Source, header: &Header, table: &str, rows: usize) -> FileResult<Option<Vec<String>>> {
    read_array(source, header, &ids_of(table), rows)
}

/// The title of each row that has one; `None` where the file has none.
pub(crate) fn read_titles(source: &Source, header: &Header, table: &str, rows: usize) -> FileResult<Option<Vec<Option<String>>>> {
    read_array(source, header, &format!("{table}.titles"), rows)
}

/// A tensor that holds a text.
pub(crate) fn text_tensor<'h>(header: &'h Header, name: &str) -> Option<&'h TensorInfo> {
    header.tensor(name).filter(|tensor| tensor.dtype == Stored::U8 && tensor.shape.len() == 1)
}

fn read_array<T: DeserializeOwned>(source: &Source, header: &Header, name: &str, rows: usize) -> FileResult<Option<Vec<T>>> {
    let Some(tensor) = text_tensor(header, name) else { return Ok(None) };
    let bytes = source.read_vec(tensor.offset, tensor.bytes)?;
    check(source, tensor, crc32fast::hash(&bytes))?;
    let Grown(values) = serde_json::from_slice::<Grown<T>>(&bytes).map_err(|error| {
        if error.is_data() && words(&error) == NO_MEMORY {
            return source.no_memory(bytes.len());
        }
        let problem = format!("tensor {} is no JSON array of names: {}", quoted(name), words(&error));
        source.malformed(Place::Byte(tensor.offset), problem)
    })?;
    if values.len() != rows {
        let problem = format!("tensor {} has {} names, and the table {rows} rows", quoted(name), values.len());
        return Err(source.malformed(Place::Byte(tensor.offset), problem));
    }
    Ok(Some(values))
}

/// What the parser is told when there is no memory for more.
const NO_MEMORY: &str = "out of memory";

/// A list whose memory is asked for, not taken.
struct Grown<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Grown<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Grown<T>, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Grown<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Grown<T>, A::Error> {
                let mut grown = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    grown.try_reserve(1).map_err(|_| A::Error::custom(NO_MEMORY))?;
                    grown.push(entry);
                }
                Ok(Grown(grown))
            }
        }
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

/// Compares the checksum of a tensor's bytes with the one that is recorded, if there is one.
pub(crate) fn check(source: &Source, tensor: &TensorInfo, found: u32) -> FileResult<()> {
    check_at(&source.name(), tensor, found)
}

/// [`check`] of a file of that name.
pub(crate) fn check_at(path: &str, tensor: &TensorInfo, found: u32) -> FileResult<()> {
    match tensor.crc32 {
        Some(expected) if expected != found => {
            let what = format!("tensor {}", quoted(&tensor.name));
            Err(FileError::Checksum { path: path.to_owned(), what, expected, found })
        }
        _ => Ok(()),
    }
}

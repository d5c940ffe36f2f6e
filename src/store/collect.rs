//! The rows of a reader as one table.

use std::path::Path;

use super::block::{Block, ReadRows, Values};
use super::error::{FileError, FileResult, Place};
use super::transfer::Progress;
use crate::element::{DType, Element};
use crate::table::{AnyTable, Table};
use crate::{bf16, f16};

/// All rows, and their words. Where the reader knows how many rows there are, and a file of `bytes` can hold as many, they go straight into
/// the table.
pub(crate) fn collect_rows(
    reader: &mut dyn ReadRows,
    path: &Path,
    bytes: u64,
    progress: Progress<'_>,
) -> FileResult<(AnyTable, Vec<String>)> {
    let info = reader.info();
    // What a file says is believed only as far as it could be so: a value takes a byte, or the file is compressed.
    let known = info.rows.filter(|rows| rows.saturating_mul(info.dim.max(1) as u64) <= bytes);
    let place = (path, known.and_then(|rows| usize::try_from(rows).ok()));
    match info.dtype {
        DType::F32 => typed(reader, place, progress, |values| if let Values::F32(values) = values { values } else { &[] }),
        DType::F16 => typed::<f16>(reader, place, progress, |values| if let Values::F16(values) = values { values } else { &[] }),
        DType::BF16 => {
            typed::<bf16>(reader, place, progress, |values| if let Values::BF16(values) = values { values } else { &[] })
        }
    }
}

fn typed<E: Element>(
    reader: &mut dyn ReadRows,
    (path, known): (&Path, Option<usize>),
    progress: Progress<'_>,
    of: impl Fn(&Values) -> &[E],
) -> FileResult<(AnyTable, Vec<String>)>
where
    AnyTable: From<Table<E>>,
{
    let name = || path.display().to_string();
    let engine = |error| FileError::engine(name(), error);
    let dim = reader.info().dim;
    let mut table = match known {
        Some(rows) => Some(Table::<E>::zeros(rows, dim).map_err(engine)?),
        None => None,
    };
    let (mut values, mut words, mut rows) = (Vec::new(), Vec::new(), 0);
    let mut block = Block::new(E::DTYPE);
    loop {
        let read = reader.read(&mut block)?;
        if read == 0 {
            break;
        }
        let new = of(&block.values);
        match &mut table {
            Some(table) => {
                if rows + read > table.rows() {
                    return Err(unexpected(name(), table.rows(), rows + read));
                }
                for (row, new) in (rows..).zip(new.chunks_exact(dim.max(1))) {
                    if let Some(row) = table.row_mut(row) {
                        row.copy_from_slice(new);
                    }
                }
            }
            None => {
                let room = values.try_reserve(new.len());
                room.map_err(|_| engine(crate::Error::OutOfMemory { bytes: size_of_val(&values[..]) + size_of_val(new) }))?;
                values.extend_from_slice(new);
            }
        }
        words.append(&mut block.words);
        rows += read;
        progress(size_of_val(new) as u64);
    }
    let table = match table {
        Some(table) if table.rows() == rows => table,
        Some(table) => return Err(unexpected(name(), table.rows(), rows)),
        None => Table::from_slice(&values, rows, dim).map_err(engine)?,
    };
    Ok((table.into(), words))
}

fn unexpected(name: String, said: usize, found: usize) -> FileError {
    FileError::malformed(name, Place::Whole, format!("{said} rows are announced, and there are {found}"))
}

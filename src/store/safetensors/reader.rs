//! A table of a safetensors file, block by block.

use std::path::Path;
use std::vec;

use super::choose::{Chosen, choose};
use super::header::Header;
use super::names::{check, read_names};
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values, check_dim};
use crate::store::bytes::{fill_values, reserve};
use crate::store::error::{FileError, FileResult};
use crate::store::source::Source;

/// Reads one table of a safetensors file, with its words if it has any. Integers and f64 become f32, and [`RowsInfo::notes`] says so. A
/// checksum that the file records is compared when the last row has been read.
#[derive(Debug)]
pub struct SafetensorsReader {
    source: Source,
    chosen: Chosen,
    info: RowsInfo,
    words: vec::IntoIter<String>,
    /// The first row that has not been read.
    row: usize,
    /// Bytes as they are in the file, of values that are converted.
    raw: Vec<u8>,
    hasher: crc32fast::Hasher,
}

impl SafetensorsReader {
    /// Opens the table of this name, or the only one of the file.
    ///
    /// # Errors
    /// [`FileError`](crate::store::FileError): the header is wrong, there is no such table, or there are several.
    pub fn open(path: &Path, table: Option<&str>) -> FileResult<SafetensorsReader> {
        SafetensorsReader::of(Source::open(path)?, table)
    }

    /// [`open`](SafetensorsReader::open) of bytes in memory, which errors call `name`.
    ///
    /// # Errors
    /// As [`open`](SafetensorsReader::open).
    pub fn from_bytes(name: &str, bytes: Vec<u8>, table: Option<&str>) -> FileResult<SafetensorsReader> {
        SafetensorsReader::of(Source::memory(name, bytes), table)
    }

    fn of(source: Source, table: Option<&str>) -> FileResult<SafetensorsReader> {
        let header = Header::read(&source)?;
        let chosen = choose(&source, &header, table)?;
        check_dim(chosen.dim, &source.name())?;
        let words = read_names(&source, &header, &chosen.tensor.name, chosen.rows)?;
        let info = RowsInfo {
            rows: Some(chosen.rows as u64),
            dim: chosen.dim,
            dtype: chosen.dtype,
            named: words.is_some(),
            notes: chosen.tensor.dtype.note().into_iter().collect(),
        };
        let words = words.unwrap_or_default().into_iter();
        Ok(SafetensorsReader { source, chosen, info, words, row: 0, raw: Vec::new(), hasher: crc32fast::Hasher::new() })
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.chosen.tensor.name
    }
}

impl ReadRows for SafetensorsReader {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        let Chosen { tensor, rows, dim, dtype } = &self.chosen;
        block.restart(*dtype);
        let stored = tensor.dtype.bits() / 8;
        let row_bytes = dim * stored.max(dtype.size());
        let count = (BLOCK_BYTES / row_bytes.max(1)).max(1).min(rows - self.row);
        if count > 0 {
            let room = reserve(&mut block.values, count * dim);
            room.map_err(|error| FileError::engine(self.source.name(), error))?;
            let offset = tensor.offset + (self.row * dim * stored) as u64;
            let (source, raw, hasher) = (&self.source, &mut self.raw, &mut self.hasher);
            let mut fill = |bytes: &mut [u8]| {
                source.read(offset, bytes)?;
                hasher.update(bytes);
                Ok(())
            };
            match &mut block.values {
                Values::F32(values) if tensor.dtype.dtype().is_none() => {
                    raw.try_reserve_exact((count * dim * stored).saturating_sub(raw.len()))
                        .map_err(|_| source.no_memory(count * dim * stored))?;
                    raw.resize(count * dim * stored, 0);
                    fill(raw)?;
                    values.resize(count * dim, 0.0);
                    tensor.dtype.widen(raw, values);
                }
                values => fill_values(values, count * dim, fill)?,
            }
            block.words.extend(self.words.by_ref().take(count));
            self.row += count;
        }
        if self.row == *rows {
            check(&self.source, tensor, self.hasher.clone().finalize())?;
        }
        Ok(count)
    }

    fn progress(&self) -> Option<f64> {
        Some(if self.chosen.rows == 0 { 1.0 } else { self.row as f64 / self.chosen.rows as f64 })
    }
}

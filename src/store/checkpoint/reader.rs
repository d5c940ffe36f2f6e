//! Some rows and columns of a checkpoint's tables, straight from its shards.

use std::ops::Range;
use std::path::Path;

use bytemuck::Pod;
use rayon::prelude::*;

use super::content::CHUNK_BYTES;
use super::info::{CheckpointInfo, info_of};
use super::manifest::{Crc, Kind, Manifest, PieceRecord, TensorRecord, state_name};
use super::read::{check, open_shards, zeros};
use crate::element::{DType, Element};
use crate::optim::OptimizerRecord;
use crate::store::bytes::fill_bytes;
use crate::store::error::{FileError, FileResult};
use crate::store::source::Source;
use crate::store::transfer::{Pieces, checksum};
use crate::table::{AnyViewMut, TableViewMut};

/// An open checkpoint, of which any rows and columns can be read into memory that is there: nothing is allocated but a few rows for each
/// thread. The shards are open, so that a save that removes the checkpoint does not take them away.
///
/// ```
/// use hotrow::Table;
/// use hotrow::store::{Checkpoints, Snapshot};
///
/// # let folder = tempfile::tempdir()?;
/// let table = Table::<f32>::uniform(100, 8, 7)?;
/// Checkpoints::open(folder.path()).save(&Snapshot::new(1).table("items", &table)?)?;
///
/// let reader = Checkpoints::open(folder.path()).reader(1)?;
/// let mut part = Table::<f32>::zeros(10, 3)?;
/// reader.read("items", 90..100, 5..8, &mut part)?;
/// assert_eq!(part.row(9), Some(&table.row(99).unwrap()[5..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CheckpointReader {
    path: String,
    manifest: Manifest,
    crc32: Crc,
    files: Vec<Source>,
}

impl CheckpointReader {
    pub(super) fn open(folder: &Path, path: String, (manifest, crc32): (Manifest, Crc)) -> FileResult<CheckpointReader> {
        if manifest.kind == Kind::Delta {
            let problem = "it holds the rows that have changed, so its tables cannot be read in parts: compact it first";
            return Err(FileError::unsupported(path, problem));
        }
        let files = open_shards(folder, &manifest)?;
        Ok(CheckpointReader { path, manifest, crc32, files })
    }

    /// What the checkpoint holds.
    pub fn info(&self) -> CheckpointInfo {
        info_of(&self.manifest)
    }

    /// The checksum of the manifest: checkpoints of the same checksum are the same.
    pub fn crc32(&self) -> u32 {
        self.crc32.0
    }

    /// A table's optimizer, if one was saved.
    pub fn optimizer(&self, table: &str) -> Option<&OptimizerRecord> {
        self.manifest.tables.iter().find(|found| found.name == table)?.optimizer.as_ref()
    }

    /// Reads rows and columns of a table. Every piece that has some of these rows is compared with its checksum as a whole.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when there is no such table, it does not have these rows and columns, or `out` is of another shape or
    /// element; [`FileError`] when a file cannot be read or is damaged: then some of `out` may be written.
    pub fn read<'o>(
        &self,
        table: &str,
        rows: Range<usize>,
        columns: Range<usize>,
        out: impl Into<AnyViewMut<'o>>,
    ) -> FileResult<()> {
        self.read_tensor(table, rows, columns, out.into())
    }

    /// The same of a state of a table's optimizer; one that has a value for each row has one column.
    ///
    /// # Errors
    /// As [`read`](CheckpointReader::read).
    pub fn read_state<'o>(
        &self,
        table: &str,
        state: &str,
        rows: Range<usize>,
        columns: Range<usize>,
        out: impl Into<TableViewMut<'o, f32>>,
    ) -> FileResult<()> {
        self.read_tensor(&state_name(table, state), rows, columns, AnyViewMut::F32(out.into()))
    }

    fn read_tensor(&self, name: &str, rows: Range<usize>, columns: Range<usize>, out: AnyViewMut<'_>) -> FileResult<()> {
        let refuse = |problem: String| FileError::unsupported(self.path.clone(), format!("tensor {name:?}: {problem}"));
        let Some(tensor) = self.manifest.tensor(name).filter(|tensor| tensor.shape.len() == 2) else {
            return Err(refuse("there is none of this name".into()));
        };
        let inside = |part: &Range<usize>, all: usize| part.start <= part.end && part.end <= all;
        if !inside(&rows, tensor.shape[0]) || !inside(&columns, tensor.shape[1]) {
            let shape = &tensor.shape;
            return Err(refuse(format!("it has the shape {shape:?}, and not rows {rows:?} and columns {columns:?}")));
        }
        let (dtype, shape) = described(&out);
        if (Some(dtype), shape) != (tensor.dtype.stored().dtype(), [rows.len(), columns.len()]) {
            let wanted = [rows.len(), columns.len()];
            return Err(refuse(format!("{wanted:?} values of {:?} do not go into {shape:?} of {dtype:?}", tensor.dtype)));
        }
        match out {
            AnyViewMut::F32(out) => self.read_rows(tensor, rows, columns, out),
            AnyViewMut::F16(out) => self.read_rows(tensor, rows, columns, out),
            AnyViewMut::BF16(out) => self.read_rows(tensor, rows, columns, out),
        }
    }

    fn read_rows<E: Element + Pod>(
        &self,
        tensor: &TensorRecord,
        rows: Range<usize>,
        columns: Range<usize>,
        out: TableViewMut<'_, E>,
    ) -> FileResult<()> {
        if rows.is_empty() || columns.is_empty() {
            return Ok(());
        }
        let (row_bytes, stride) = (tensor.row_bytes(), out.stride());
        let values = out.into_values();
        let mut start = 0;
        for piece in &tensor.pieces {
            let held = start..start + piece.rows;
            start = held.end;
            let (first, end) = (rows.start.max(held.start), rows.end.min(held.end));
            if first >= end {
                continue;
            }
            let crcs = Pieces::default();
            let bytes_to = |row: usize| (row - held.start) as u64 * row_bytes;
            self.skim(piece, 0..bytes_to(first), &crcs)?;
            let till = values.len().min((end - rows.start) * stride);
            let wanted = Wanted { row_bytes, columns: columns.clone(), stride };
            self.read_piece(piece, bytes_to(first), &wanted, &mut values[(first - rows.start) * stride..till], &crcs)?;
            self.skim(piece, bytes_to(end)..piece.bytes, &crcs)?;
            check(&self.files[piece.file], piece, crcs.crc32())?;
        }
        Ok(())
    }

    /// Reads what is only compared.
    fn skim(&self, piece: &PieceRecord, bytes: Range<u64>, crcs: &Pieces) -> FileResult<()> {
        let len = bytes.end - bytes.start;
        if len > 0 {
            let crc32 = checksum(&self.files[piece.file], piece.offset + bytes.start, len, &|_| ())?;
            crcs.note(bytes.start, len, crc32);
        }
        Ok(())
    }

    /// Reads rows of a piece from a byte of it on, as many as there is room for.
    fn read_piece<E: Element + Pod>(
        &self,
        piece: &PieceRecord,
        from: u64,
        wanted: &Wanted,
        values: &mut [E],
        crcs: &Pieces,
    ) -> FileResult<()> {
        let Wanted { row_bytes, ref columns, stride } = *wanted;
        let source = &self.files[piece.file];
        let width = row_bytes as usize / size_of::<E>();
        let at_a_time = (CHUNK_BYTES / row_bytes.max(1) as usize).clamp(1, values.len().div_ceil(stride).max(1));
        let read = |packed: &mut Vec<E>, (block, into): (usize, &mut [E])| -> FileResult<()> {
            let rows = into.len().div_ceil(stride);
            if packed.is_empty() {
                *packed = zeros(at_a_time * width).map_err(|error| FileError::engine(source.name(), error))?;
            }
            let packed = &mut packed[..rows * width];
            let at = from + (block * at_a_time) as u64 * row_bytes;
            fill_bytes(packed, |bytes| {
                source.read(piece.offset + at, bytes)?;
                crcs.add(at, bytes);
                Ok(())
            })?;
            for (row, into) in packed.chunks_exact(width).zip(into.chunks_mut(stride)) {
                into[..columns.len()].copy_from_slice(&row[columns.clone()]);
            }
            Ok(())
        };
        values.par_chunks_mut(at_a_time * stride).enumerate().map_init(Vec::new, read).collect()
    }
}

/// What is taken of the rows of a file, and how far apart they are put.
struct Wanted {
    row_bytes: u64,
    columns: Range<usize>,
    stride: usize,
}

fn described(out: &AnyViewMut<'_>) -> (DType, [usize; 2]) {
    match out {
        AnyViewMut::F32(out) => (DType::F32, [out.rows(), out.dim()]),
        AnyViewMut::F16(out) => (DType::F16, [out.rows(), out.dim()]),
        AnyViewMut::BF16(out) => (DType::BF16, [out.rows(), out.dim()]),
    }
}

//! A shard that one of several writers fills, row by row; together they make a checkpoint.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crc32fast::Hasher;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::content::{self, Content};
use super::manifest::{Crc, FROM_ROW, FileRecord, Number, PieceRecord, TableRecord, TensorRecord, Texts, state_name};
use super::names::Shard;
use super::shard_file::ShardFile;
use super::snapshot::{check_name, refuse};
use crate::element::DType;
use crate::optim::OptimizerRecord;
use crate::store::error::{FileError, FileResult, Place};
use crate::store::safetensors::NewTensor;
use crate::store::storage::Storage;
use crate::table::AnyView;

/// Which of the files of a checkpoint a writer fills: number `at`, from 1, of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartName {
    /// The step of the checkpoint.
    pub step: u64,
    /// What [`begin`](super::Checkpoints::begin) has chosen for this save.
    pub generation: u64,
    /// The number of the file.
    pub at: u64,
    /// How many files there are.
    pub count: u64,
}

/// A table of which a part has some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct PartTable {
    record: TableRecord,
    rows: Range<usize>,
}

impl PartTable {
    /// All rows of a table of this element and shape.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when it is no name for a table, as for [`Snapshot::table`](super::Snapshot::table).
    pub fn new(name: &str, dtype: DType, shape: [usize; 2]) -> FileResult<PartTable> {
        check_name(name)?;
        let (name, dtype) = (name.to_owned(), dtype.into());
        let record = TableRecord { name, dtype, shape, ids: Texts::None, titles: Texts::None, optimizer: None };
        Ok(PartTable { record, rows: 0..shape[0] })
    }

    /// Some of the rows alone.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when the table does not have them.
    pub fn rows(self, rows: Range<usize>) -> FileResult<PartTable> {
        let all = self.record.shape[0];
        if rows.start <= rows.end && rows.end <= all {
            return Ok(PartTable { rows, ..self });
        }
        Err(refuse(&self.record.name, format!("it has {all} rows, and not rows {} to {}", rows.start, rows.end)))
    }

    /// The same with the table's optimizer: the part has its states for the same rows. It may be one [of some columns](crate::Optimizer::of_columns): it
    /// is saved as that of all.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when there is no such optimizer.
    pub fn optimizer(mut self, optimizer: &OptimizerRecord) -> FileResult<PartTable> {
        optimizer.states().map_err(|error| refuse(&self.record.name, error.to_string()))?;
        self.record.optimizer = Some(optimizer.of_all_columns());
        Ok(self)
    }
}

/// A file being written that holds some rows of some tables: under a temporary name, until [`finish`](Part::finish). Rows come in order, and
/// no table has to be whole in memory. Dropped before that, the file is removed.
#[derive(Debug)]
pub struct Part {
    name: String,
    shard: ShardFile,
    tables: Vec<TableRecord>,
    tensors: Vec<Growing>,
}

/// What a manifest has to know of a part; printed and read again it is the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    pub(super) file: FileRecord,
    pub(super) tables: Vec<TableRecord>,
    pub(super) tensors: Vec<Rows>,
}

/// Some rows of a tensor, in pieces that follow each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    /// The first of them.
    pub(super) first: usize,
    pub(super) tensor: TensorRecord,
}

/// Rows of a tensor that are being written.
#[derive(Debug)]
struct Growing {
    rows: Rows,
    hashers: Vec<Hasher>,
    written: usize,
}

impl Part {
    pub(super) fn create(
        storage: &Arc<dyn Storage>,
        folder: &Path,
        PartName { step, generation, at, count }: PartName,
        tables: &[PartTable],
        piece_bytes: u64,
    ) -> FileResult<Part> {
        let name = Shard { step, generation, at, count }.name();
        let path = folder.join(&name);
        let mut tensors = Vec::new();
        for (at, table) in tables.iter().enumerate() {
            let record = &table.record;
            if tables[..at].iter().any(|other| other.record.name == record.name) {
                return Err(refuse(&record.name, "two tables of the part have this name"));
            }
            tensors.push(Rows::cut(&record.name, record.dtype.into(), record.shape[1], table, piece_bytes));
            let states = record.optimizer.as_ref().map_or(Ok(Vec::new()), OptimizerRecord::states);
            for (state, one) in states.map_err(|error| refuse(&record.name, error.to_string()))? {
                let width = if one { 1 } else { record.shape[1] };
                tensors.push(Rows::cut(&state_name(&record.name, state), Number::F32, width, table, piece_bytes));
            }
        }
        let describe = |(tensor, piece): (&TensorRecord, &PieceRecord)| NewTensor {
            name: piece.tensor.clone(),
            dtype: tensor.dtype.stored(),
            shape: [&[piece.rows], &tensor.shape[1..]].concat(),
            crc32: Some(0),
        };
        let described = tensors.iter().flat_map(|rows| rows.tensor.pieces.iter().map(|piece| (&rows.tensor, piece)));
        let shard = ShardFile::create(storage, &path, described.map(describe).collect())?;
        let pieces = tensors.iter_mut().flat_map(|rows| &mut rows.tensor.pieces);
        pieces.enumerate().for_each(|(at, piece)| piece.offset = shard.offset(at));
        let growing = |rows: Rows| Growing { hashers: vec![Hasher::new(); rows.tensor.pieces.len()], rows, written: 0 };
        let records = tables.iter().map(|table| table.record.clone()).collect();
        Ok(Part { name, shard, tables: records, tensors: tensors.into_iter().map(growing).collect() })
    }

    /// Writes the next rows of a table.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when the part has no such table, or its rows are of another element or width, or there are more of them than
    /// were announced; [`FileError::Io`]: the file cannot be finished then.
    pub fn write<'v>(&mut self, table: &str, rows: impl Into<AnyView<'v>>) -> FileResult<()> {
        self.append(table.to_owned(), rows.into())
    }

    /// Writes the next rows of a state of a table's optimizer.
    ///
    /// # Errors
    /// As [`write`](Part::write).
    pub fn write_state<'v>(&mut self, table: &str, state: &str, rows: impl Into<AnyView<'v>>) -> FileResult<()> {
        self.append(state_name(table, state), rows.into())
    }

    fn append(&mut self, name: String, view: AnyView<'_>) -> FileResult<()> {
        let path = self.shard.path();
        let refuse = |problem: String| FileError::unsupported(path.clone(), format!("tensor {name:?}: {problem}"));
        let Some(growing) = self.tensors.iter_mut().find(|growing| growing.rows.tensor.name == name) else {
            return Err(refuse("this part has none of its rows".into()));
        };
        let (tensor, [count, width]) = (&growing.rows.tensor, view.shape());
        let content = Content::Rows(view, None);
        if (content.number(), width) != (tensor.dtype, tensor.shape[1]) {
            let (dtype, of) = (content.number(), tensor.shape[1]);
            return Err(refuse(format!("rows of {width} {dtype:?} are no rows of {of} {:?}", tensor.dtype)));
        }
        let announced = growing.rows.count();
        if count > announced - growing.written {
            return Err(refuse(format!("{} rows are given, and {announced} were announced", growing.written + count)));
        }
        let jobs = growing.jobs(count, content.units().at_a_time());
        let shard = &self.shard;
        let write = |room: &mut crate::Result<Vec<u8>>, job: &Job| -> FileResult<Hasher> {
            let room = room.as_mut().map_err(|error| FileError::engine(shard.path(), error.clone()))?;
            let (mut hasher, mut at) = (Hasher::new(), job.offset);
            content.write(job.rows.clone(), room, &mut |bytes| {
                shard.write_at(at, bytes)?;
                hasher.update(bytes);
                at += bytes.len() as u64;
                Ok(())
            })?;
            Ok(hasher)
        };
        let written: FileResult<Vec<Hasher>> = jobs.par_iter().map_init(content::room, write).collect();
        for (job, hasher) in jobs.iter().zip(&written?) {
            growing.hashers[job.piece].combine(hasher);
        }
        growing.written += count;
        Ok(())
    }

    /// Brings the file onto the disk and gives it its name. It belongs to no checkpoint until [`commit`](super::Checkpoints::commit) says so.
    ///
    /// # Errors
    /// [`FileError::Unsupported`] when rows are missing; [`FileError::Io`].
    pub fn finish(self) -> FileResult<PartRecord> {
        let Part { name, shard, tables, tensors } = self;
        for Growing { rows, written, .. } in &tensors {
            let (tensor, announced) = (&rows.tensor.name, rows.count());
            if *written < announced {
                let problem = format!("tensor {tensor:?}: {announced} rows were announced, and {written} were given");
                return Err(FileError::unsupported(shard.path(), problem));
            }
        }
        let mut crcs = Vec::new();
        let mut finished = Vec::new();
        for Growing { mut rows, hashers, .. } in tensors {
            for (piece, hasher) in rows.tensor.pieces.iter_mut().zip(hashers) {
                piece.crc32 = Crc(hasher.finalize());
                crcs.push(piece.crc32.0);
            }
            finished.push(rows);
        }
        let file = FileRecord { name, ..shard.commit(&crcs)? };
        Ok(PartRecord { file, tables, tensors: finished })
    }
}

impl Rows {
    /// The rows of a tensor that a part has, in pieces of at most so many bytes: who reads some rows compares the checksums of whole pieces.
    fn cut(name: &str, dtype: Number, width: usize, table: &PartTable, piece_bytes: u64) -> Rows {
        let shape = vec![table.record.shape[0], width];
        let mut tensor = TensorRecord { name: name.to_owned(), dtype, shape, pieces: Vec::new() };
        let (row_bytes, Range { start, end }) = (tensor.row_bytes(), table.rows.clone());
        let most = usize::try_from(piece_bytes / row_bytes.max(1)).unwrap_or(usize::MAX).max(1);
        let mut from = start;
        while from < end || tensor.pieces.is_empty() {
            let rows = (end - from).min(most);
            let whole = rows == tensor.shape[0];
            tensor.pieces.push(PieceRecord {
                file: 0,
                tensor: if whole { name.to_owned() } else { format!("{name}{FROM_ROW}{from}") },
                rows,
                offset: 0,
                bytes: (rows as u64).saturating_mul(row_bytes),
                crc32: Crc(0),
            });
            from += rows;
        }
        Rows { first: start, tensor }
    }

    pub(super) fn count(&self) -> usize {
        self.tensor.pieces.iter().fold(0, |rows, piece| rows.saturating_add(piece.rows))
    }
}

impl Growing {
    /// What is to be written for the next `count` rows, at most so many rows at a time, none across the end of a piece.
    fn jobs(&self, count: usize, at_a_time: usize) -> Vec<Job> {
        let (row_bytes, mut jobs) = (self.rows.tensor.row_bytes(), Vec::new());
        let (mut piece_start, mut given) = (0, 0);
        for (piece, record) in self.rows.tensor.pieces.iter().enumerate() {
            let piece_end = piece_start + record.rows;
            while given < count && (piece_start..piece_end).contains(&(self.written + given)) {
                let at = self.written + given;
                let end = given + at_a_time.min(count - given).min(piece_end - at);
                let offset = record.offset + (at - piece_start) as u64 * row_bytes;
                jobs.push(Job { piece, rows: given..end, offset });
                given = end;
            }
            piece_start = piece_end;
        }
        jobs
    }
}

/// What one worker writes in one go.
struct Job {
    piece: usize,
    rows: Range<usize>,
    offset: u64,
}

impl fmt::Display for PartRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for PartRecord {
    type Err = FileError;

    fn from_str(text: &str) -> FileResult<PartRecord> {
        let malformed = |error| FileError::malformed("record of a part", Place::Whole, format!("it cannot be read: {error}"));
        serde_json::from_str(text).map_err(malformed)
    }
}

//! Shards: which tensors go into which file, and how they get there.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crc32fast::Hasher;
use rayon::prelude::*;

use super::content::{self, Content};
use super::manifest::{Crc, FROM_ROW, FileRecord, PieceRecord, TensorRecord};
use super::names::Shard;
use super::progress::Meter;
use super::shard_file::ShardFile;
use super::snapshot::Tensor;
use crate::store::error::{FileError, FileResult};
use crate::store::safetensors::NewTensor;
use crate::store::storage::Storage;

/// Some rows of a tensor that go into one file.
#[derive(Clone, Debug)]
struct Piece {
    tensor: usize,
    units: Range<usize>,
    /// Its first row among those of the tensor.
    first: usize,
    rows: usize,
    bytes: u64,
}

/// What is to be written.
pub(super) struct Plan<'p, 'a> {
    tensors: &'p [Tensor<'a>],
    records: Vec<TensorRecord>,
    shards: Vec<Vec<Piece>>,
}

impl<'p, 'a> Plan<'p, 'a> {
    /// Fills shards one after the other, each up to about `shard_bytes`. A tensor that is larger is cut between rows, and a row or a text
    /// stays whole.
    pub(super) fn new(tensors: &'p [Tensor<'a>], shard_bytes: u64) -> Plan<'p, 'a> {
        let describe = |tensor: &Tensor<'_>| {
            let (dtype, shape) = (tensor.content.number(), tensor.content.shape());
            TensorRecord { name: tensor.name.clone(), dtype, shape, pieces: Vec::new() }
        };
        let records: Vec<TensorRecord> = tensors.iter().map(describe).collect();
        let mut shards = Shards { full: Vec::new(), open: Vec::new(), bytes: 0, limit: shard_bytes };
        for (at, (tensor, record)) in tensors.iter().zip(&records).enumerate() {
            let (units, rows, row_bytes) = (tensor.content.units(), record.shape[0], record.row_bytes());
            let whole = Piece { tensor: at, units: 0..units.all, first: 0, rows, bytes: rows as u64 * row_bytes };
            if !units.can_be_cut() || whole.bytes <= shard_bytes {
                shards.put(whole);
                continue;
            }
            let fitting = usize::try_from(shard_bytes / row_bytes.max(1)).unwrap_or(usize::MAX).max(1);
            let step = units.at_a_time().min(fitting);
            let mut piece = Piece { tensor: at, units: 0..0, first: 0, rows: 0, bytes: 0 };
            while piece.units.end < units.all {
                let end = units.all.min(piece.units.end + step);
                let rows = tensor.content.rows_of(piece.units.end..end);
                let bytes = rows as u64 * row_bytes;
                if piece.bytes > 0 && piece.bytes + bytes > shard_bytes {
                    let (from, first) = (piece.units.end, piece.first + piece.rows);
                    shards.put(piece);
                    piece = Piece { tensor: at, units: from..from, first, rows: 0, bytes: 0 };
                }
                piece.units.end = end;
                piece.rows += rows;
                piece.bytes += bytes;
            }
            if piece.bytes > 0 {
                shards.put(piece);
            }
        }
        let shards = shards.finish();
        Plan { tensors, records, shards }
    }

    /// How many bytes of tensors there are.
    pub(super) fn bytes(&self) -> u64 {
        self.shards.iter().flatten().map(|piece| piece.bytes).sum()
    }

    /// Writes all shards, each through to the disk, and says what the manifest needs to know.
    pub(super) fn write(
        mut self,
        (storage, folder): (&Arc<dyn Storage>, &Path),
        (step, generation): (u64, u64),
        meter: &Meter,
    ) -> FileResult<(Vec<FileRecord>, Vec<TensorRecord>)> {
        let shards = std::mem::take(&mut self.shards);
        let count = shards.len() as u64;
        let mut files = Vec::new();
        for (file, pieces) in shards.into_iter().enumerate() {
            let name = Shard { step, generation, at: file as u64 + 1, count }.name();
            let record = self.write_shard(storage, &folder.join(&name), (file, pieces), meter)?;
            files.push(FileRecord { name, ..record });
        }
        Ok((files, self.records))
    }

    fn write_shard(
        &mut self,
        storage: &Arc<dyn Storage>,
        path: &Path,
        (file, pieces): (usize, Vec<Piece>),
        meter: &Meter,
    ) -> FileResult<FileRecord> {
        let shape = |piece: &Piece| [&[piece.rows], &self.records[piece.tensor].shape[1..]].concat();
        let dtype = |piece: &Piece| self.records[piece.tensor].dtype.stored();
        let described: Vec<NewTensor> = pieces
            .iter()
            .map(|piece| NewTensor { name: self.name(piece), dtype: dtype(piece), shape: shape(piece), crc32: Some(0) })
            .collect();
        let shard = ShardFile::create(storage, path, described)?;
        let jobs = self.jobs(&pieces, &shard);
        let engine = |error| FileError::engine(path.display().to_string(), error);
        let write = |room: &mut crate::Result<Vec<u8>>, job: &Job<'_>| -> FileResult<Hasher> {
            let room = room.as_mut().map_err(|error| engine(error.clone()))?;
            let (mut hasher, mut at) = (Hasher::new(), job.offset);
            job.content.write(job.units.clone(), room, &mut |bytes| {
                shard.write_at(at, bytes)?;
                hasher.update(bytes);
                at += bytes.len() as u64;
                meter.add(bytes.len() as u64);
                Ok(())
            })?;
            Ok(hasher)
        };
        let written: FileResult<Vec<Hasher>> = jobs.par_iter().map_init(content::room, write).collect();
        let mut hashers = vec![Hasher::new(); pieces.len()];
        for (job, hasher) in jobs.iter().zip(&written?) {
            hashers[job.piece].combine(hasher);
        }
        drop(jobs);

        let crcs: Vec<u32> = hashers.into_iter().map(Hasher::finalize).collect();
        for (at, (piece, &crc)) in pieces.iter().zip(&crcs).enumerate() {
            let (tensor, offset) = (self.name(piece), shard.offset(at));
            let record = PieceRecord { file, tensor, rows: piece.rows, offset, bytes: piece.bytes, crc32: Crc(crc) };
            self.records[piece.tensor].pieces.push(record);
        }
        shard.commit(&crcs)
    }

    /// What a tensor or a part of it is called in its file.
    fn name(&self, piece: &Piece) -> String {
        let name = &self.tensors[piece.tensor].name;
        if piece.rows == self.records[piece.tensor].shape[0] { name.clone() } else { format!("{name}{FROM_ROW}{}", piece.first) }
    }

    fn jobs(&self, pieces: &[Piece], shard: &ShardFile) -> Vec<Job<'a>> {
        let mut jobs = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let content = self.tensors[piece.tensor].content;
            let (row_bytes, step) = (self.records[piece.tensor].row_bytes(), content.units().at_a_time());
            let mut offset = shard.offset(at);
            for from in piece.units.clone().step_by(step) {
                let units = from..piece.units.end.min(from + step);
                let rows = content.rows_of(units.clone()) as u64;
                jobs.push(Job { piece: at, content, units, offset });
                offset += rows * row_bytes;
            }
        }
        jobs
    }
}

/// What one worker writes in one go.
struct Job<'a> {
    piece: usize,
    content: Content<'a>,
    units: Range<usize>,
    offset: u64,
}

/// Files being filled.
struct Shards {
    full: Vec<Vec<Piece>>,
    open: Vec<Piece>,
    bytes: u64,
    limit: u64,
}

impl Shards {
    fn put(&mut self, piece: Piece) {
        if !self.open.is_empty() && self.bytes.saturating_add(piece.bytes) > self.limit {
            self.full.push(std::mem::take(&mut self.open));
            self.bytes = 0;
        }
        self.bytes += piece.bytes;
        self.open.push(piece);
    }

    fn finish(mut self) -> Vec<Vec<Piece>> {
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        self.full
    }
}

//! Shards: which tensors go into which file, and how they get there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crc32fast::Hasher;
use rayon::prelude::*;

use super::content::{self, Content};
use super::manifest::{Crc, FROM_ROW, FileRecord, PieceRecord, TensorRecord};
use super::names::Shard;
use super::progress::Meter;
use super::snapshot::Tensor;
use crate::store::atomic::Target;
use crate::store::error::{FileError, FileResult};
use crate::store::safetensors::{NewTensor, lay_out};
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
        let mut described: Vec<NewTensor> = pieces
            .iter()
            .map(|piece| NewTensor { name: self.name(piece), dtype: dtype(piece), shape: shape(piece), crc32: Some(0) })
            .collect();
        let refuse = |problem| FileError::unsupported(path.display().to_string(), problem);
        let layout = lay_out(&described, &BTreeMap::new(), 0).map_err(refuse)?;

        let target = Target::create_in(Arc::clone(storage), path)?;
        let jobs = self.jobs(&pieces, &layout.tensors.iter().map(|tensor| tensor.offset).collect::<Vec<_>>());
        let engine = |error| FileError::engine(path.display().to_string(), error);
        let write = |room: &mut crate::Result<Vec<u8>>, job: &Job<'_>| -> FileResult<Hasher> {
            let room = room.as_mut().map_err(|error| engine(error.clone()))?;
            let (mut hasher, mut at) = (Hasher::new(), job.offset);
            job.content.write(job.units.clone(), room, &mut |bytes| {
                target.write_at(at, bytes)?;
                hasher.update(bytes);
                at += bytes.len() as u64;
                meter.add(bytes.len() as u64);
                Ok(())
            })?;
            Ok(hasher)
        };
        let written: FileResult<Vec<Hasher>> = jobs.par_iter().map_init(content::room, write).collect();
        let mut crcs = vec![Hasher::new(); pieces.len()];
        for (job, hasher) in jobs.iter().zip(&written?) {
            crcs[job.piece].combine(hasher);
        }
        drop(jobs);

        let mut end = layout.head.len() as u64;
        for (at, (piece, hasher)) in pieces.into_iter().zip(crcs).enumerate() {
            let (crc, offset) = (hasher.finalize(), layout.tensors[at].offset);
            let (tensor, rows, bytes) = (std::mem::take(&mut described[at].name), piece.rows, piece.bytes);
            self.records[piece.tensor].pieces.push(PieceRecord {
                file,
                tensor: tensor.clone(),
                rows,
                offset,
                bytes,
                crc32: Crc(crc),
            });
            (described[at].name, described[at].crc32) = (tensor, Some(crc));
            end = end.max(offset + bytes);
        }
        // The header names the checksums, which have a fixed length, so it is as long as the one before.
        let layout = lay_out(&described, &BTreeMap::new(), 0).map_err(refuse)?;
        target.write_at(0, &layout.head)?;
        if end < layout.bytes {
            // Padding in front of an empty tensor ends the file, and what is never written does not lengthen it.
            target.write_at(layout.bytes - 1, &[0])?;
        }
        target.commit()?;
        Ok(FileRecord { name: String::new(), bytes: layout.bytes, header_crc32: Crc(crc32fast::hash(&layout.head)) })
    }

    /// What a tensor or a part of it is called in its file.
    fn name(&self, piece: &Piece) -> String {
        let name = &self.tensors[piece.tensor].name;
        if piece.rows == self.records[piece.tensor].shape[0] { name.clone() } else { format!("{name}{FROM_ROW}{}", piece.first) }
    }

    fn jobs(&self, pieces: &[Piece], offsets: &[u64]) -> Vec<Job<'a>> {
        let mut jobs = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let content = self.tensors[piece.tensor].content;
            let (row_bytes, step) = (self.records[piece.tensor].row_bytes(), content.units().at_a_time());
            let mut offset = offsets[at];
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

//! Shards read back: every byte of them is compared with what was written.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use bytemuck::Pod;
use crc32fast::Hasher;
use half::{bf16, f16};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

use super::content::CHUNK_BYTES;
use super::manifest::{FileRecord, Manifest, PieceRecord, TensorRecord};
use super::progress::Meter;
use crate::element::{DType, Element};
use crate::error::Error;
use crate::store::bytes::fill_bytes;
use crate::store::error::{FileError, FileResult, Place};
use crate::store::map::Mapped;
use crate::store::safetensors::Header;
use crate::store::source::Source;
use crate::store::transfer::{Failure, Pieces, checksum};
use crate::table::{AnyTable, AnyViewMut, Table, TableViewMut};

/// The files of one checkpoint: they are there, as long as they should be, and their headers say what the manifest says.
pub(super) struct Shards<'m> {
    manifest: &'m Manifest,
    files: Vec<Source>,
    meter: &'m Meter,
}

impl<'m> Shards<'m> {
    pub(super) fn open(folder: &Path, manifest: &'m Manifest, meter: &'m Meter) -> FileResult<Shards<'m>> {
        Ok(Shards { manifest, files: open_shards(folder, manifest)?, meter })
    }

    /// A tensor that the manifest has: its consistency was checked.
    fn tensor(&self, name: &str) -> FileResult<&'m TensorRecord> {
        self.manifest.tensor(name).ok_or_else(|| FileError::malformed(name, Place::Whole, "there is no such tensor"))
    }

    /// The table that a tensor of this element and shape is, read in parallel without a second copy.
    pub(super) fn table(&self, name: &str, dtype: DType, shape: [usize; 2]) -> FileResult<AnyTable> {
        let tensor = self.tensor(name)?;
        Ok(match dtype {
            DType::F32 => self.table_of::<f32>(tensor, shape)?.into(),
            DType::F16 => self.table_of::<f16>(tensor, shape)?.into(),
            DType::BF16 => self.table_of::<bf16>(tensor, shape)?.into(),
        })
    }

    /// [`table`](Shards::table) of a type.
    pub(super) fn state(&self, name: &str, shape: [usize; 2]) -> FileResult<Table<f32>> {
        self.table_of(self.tensor(name)?, shape)
    }

    fn table_of<E: Element + Pod>(&self, tensor: &TensorRecord, [rows, dim]: [usize; 2]) -> FileResult<Table<E>> {
        let mut ends = Vec::new();
        for piece in &tensor.pieces {
            ends.push(ends.last().copied().unwrap_or(0) + piece.bytes);
        }
        let crcs: Vec<Pieces> = tensor.pieces.iter().map(|_| Pieces::default()).collect();
        let table = Table::read(rows, dim, |first, values| {
            fill_bytes(values, |mut bytes| {
                let mut at = (first * size_of::<E>()) as u64;
                while !bytes.is_empty() {
                    let which = ends.partition_point(|&end| end <= at);
                    let piece = &tensor.pieces[which];
                    let inside = at - (ends[which] - piece.bytes);
                    let len = (piece.bytes - inside).min(bytes.len() as u64);
                    let (now, later) = bytes.split_at_mut(len as usize);
                    self.files[piece.file].read(piece.offset + inside, now)?;
                    crcs[which].add(inside, now);
                    self.meter.add(len);
                    (bytes, at) = (later, at + len);
                }
                Ok(())
            })
        });
        let table = table.map_err(|error: Failure| error.named(format!("tensor {:?}", tensor.name)))?;
        for (piece, crc) in tensor.pieces.iter().zip(crcs) {
            check(&self.files[piece.file], piece, crc.crc32())?;
        }
        Ok(table)
    }

    /// A tensor that is whole in one file, mapped.
    pub(super) fn map(&self, name: &str, shape: [usize; 2]) -> FileResult<Mapped> {
        let tensor = self.tensor(name)?;
        let [piece] = &tensor.pieces[..] else {
            let problem = format!("it is in {} shards, and only what is in one can be mapped", tensor.pieces.len());
            return Err(FileError::unsupported(format!("tensor {name:?}"), problem));
        };
        let source = &self.files[piece.file];
        let missing = || source.malformed(Place::Whole, format!("there is no tensor {:?}", piece.tensor));
        let info = Header::read(source)?.tensor(&piece.tensor).cloned().ok_or_else(missing)?;
        Mapped::new(source, info, shape)
    }

    /// Replaces the rows of a table that the tensor of row numbers lists by those of a tensor.
    ///
    /// That tensor is read once for the table and once for each state; `first` says which time counts as progress.
    pub(super) fn overwrite(&self, (rows, first): (&str, bool), name: &str, table: AnyViewMut<'_>) -> FileResult<()> {
        let (rows, values) = (TensorReader { counts: first, ..self.reader(rows)? }, self.reader(name)?);
        match table {
            AnyViewMut::F32(table) => overwrite(rows, values, table),
            AnyViewMut::F16(table) => overwrite(rows, values, table),
            AnyViewMut::BF16(table) => overwrite(rows, values, table),
        }
    }

    /// A text: a JSON array with an entry for each of so many rows.
    pub(super) fn texts<T: DeserializeOwned>(&self, name: &str, rows: usize) -> FileResult<Vec<T>> {
        let mut reader = io::BufReader::new(self.reader(name)?);
        let mut texts = Texts { all: Vec::new(), memory: true };
        let mut deserializer = serde_json::Deserializer::from_reader(&mut reader);
        let parsed = texts.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        let reader = reader.into_inner();
        // Damage is told from a text that is none: whatever the parser did not want is read as well.
        let name = reader.name();
        reader.finish()?;
        let Texts { all, memory } = texts;
        if !memory {
            return Err(FileError::engine(name, Error::OutOfMemory { bytes: (all.len() + 1).saturating_mul(size_of::<T>()) }));
        }
        parsed.map_err(|error| FileError::malformed(&name, Place::Whole, format!("it is no JSON array of texts: {error}")))?;
        if all.len() != rows {
            let problem = format!("it has {} texts, and the table {rows} rows", all.len());
            return Err(FileError::malformed(name, Place::Whole, problem));
        }
        Ok(all)
    }

    /// Reads every tensor and keeps nothing.
    pub(super) fn verify(&self) -> FileResult<()> {
        for piece in self.manifest.tensors.iter().flat_map(|tensor| &tensor.pieces) {
            let source = &self.files[piece.file];
            check(source, piece, checksum(source, piece.offset, piece.bytes, &|bytes| self.meter.add(bytes))?)?;
        }
        Ok(())
    }

    fn reader(&self, name: &str) -> FileResult<TensorReader<'_>> {
        let tensor = self.tensor(name)?;
        Ok(TensorReader { shards: self, tensor, piece: 0, at: 0, hasher: Hasher::new(), counts: true, failed: None })
    }
}

/// Opens the files of a checkpoint, and compares lengths and headers with its manifest.
pub(super) fn open_shards(folder: &Path, manifest: &Manifest) -> FileResult<Vec<Source>> {
    let mut pieces: Vec<HashMap<&str, (&TensorRecord, &PieceRecord)>> = vec![HashMap::new(); manifest.files.len()];
    for tensor in &manifest.tensors {
        for piece in &tensor.pieces {
            if pieces[piece.file].insert(&piece.tensor, (tensor, piece)).is_some() {
                let name = folder.join(&manifest.files[piece.file].name).display().to_string();
                return Err(FileError::malformed(name, Place::Whole, format!("the manifest names {:?} twice", piece.tensor)));
            }
        }
    }
    let files = manifest.files.iter().zip(pieces);
    files.map(|(file, pieces)| open_shard(&folder.join(&file.name), file, &pieces)).collect()
}

pub(super) fn check(source: &Source, piece: &PieceRecord, found: u32) -> FileResult<()> {
    if found == piece.crc32.0 {
        return Ok(());
    }
    let what = format!("tensor {:?}", piece.tensor);
    Err(FileError::Checksum { path: source.name(), what, expected: piece.crc32.0, found })
}

/// Zeros, or an error where there is no memory for them.
pub(super) fn zeros<E: Pod>(len: usize) -> Result<Vec<E>, Error> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes: len * size_of::<E>() })?;
    values.resize(len, E::zeroed());
    Ok(values)
}

fn open_shard(path: &Path, file: &FileRecord, pieces: &HashMap<&str, (&TensorRecord, &PieceRecord)>) -> FileResult<Source> {
    let source = Source::open(path)?;
    if source.len() != file.bytes {
        return Err(source.malformed(Place::Whole, format!("it has {} bytes, and the manifest says {}", source.len(), file.bytes)));
    }
    let header = Header::read(&source)?;
    if header.crc32 != file.header_crc32.0 {
        let (expected, found) = (file.header_crc32.0, header.crc32);
        return Err(FileError::Checksum { path: source.name(), what: "the header".into(), expected, found });
    }
    let mut found = 0;
    for tensor in &header.tensors {
        let same = pieces.get(tensor.name.as_str()).is_some_and(|(record, piece)| {
            found += 1;
            let same_shape = tensor.shape.first() == Some(&piece.rows) && tensor.shape.get(1..) == record.shape.get(1..);
            same_shape && tensor.dtype == record.dtype.stored() && (tensor.offset, tensor.bytes) == (piece.offset, piece.bytes)
        });
        // Nothing else covers the few zeros between tensors.
        let padding = || tensor.name.starts_with("__padding__.") && tensor.bytes < 64;
        if !same && !padding() {
            return Err(source.malformed(Place::Whole, format!("tensor {:?} is not as the manifest says", tensor.name)));
        }
        if !same && source.read_vec(tensor.offset, tensor.bytes)?.iter().any(|&byte| byte != 0) {
            return Err(source.malformed(Place::Byte(tensor.offset), "what lies between two tensors is not zero"));
        }
    }
    if found != pieces.len() {
        return Err(source.malformed(Place::Whole, "it lacks a tensor that the manifest names"));
    }
    Ok(source)
}

/// The bytes of a tensor in order, whatever files they are in.
struct TensorReader<'s> {
    shards: &'s Shards<'s>,
    tensor: &'s TensorRecord,
    piece: usize,
    /// How much of the piece is read.
    at: u64,
    hasher: Hasher,
    /// Whether what is read is progress.
    counts: bool,
    failed: Option<FileError>,
}

impl TensorReader<'_> {
    /// The tensor and its file, for errors.
    fn name(&self) -> String {
        let piece = self.tensor.pieces.get(self.piece).or(self.tensor.pieces.last());
        let file = piece.map_or(String::new(), |piece| format!("{}: ", self.shards.files[piece.file].name()));
        format!("{file}tensor {:?}", self.tensor.name)
    }

    fn some(&mut self, into: &mut [u8]) -> FileResult<usize> {
        while let Some(piece) = self.tensor.pieces.get(self.piece) {
            let source = &self.shards.files[piece.file];
            let left = piece.bytes - self.at;
            if left > 0 {
                let len = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                source.read(piece.offset + self.at, &mut into[..len])?;
                self.hasher.update(&into[..len]);
                self.at += len as u64;
                if self.counts {
                    self.shards.meter.add(len as u64);
                }
                return Ok(len);
            }
            check(source, piece, std::mem::take(&mut self.hasher).finalize())?;
            (self.piece, self.at) = (self.piece + 1, 0);
        }
        Ok(0)
    }

    fn exactly(&mut self, mut into: &mut [u8]) -> FileResult<()> {
        while !into.is_empty() {
            match self.some(into)? {
                0 => return Err(FileError::malformed(self.name(), Place::Whole, "it ends too early")),
                len => into = &mut into[len..],
            }
        }
        Ok(())
    }

    /// Reads to the end, where the last checksum is compared.
    fn finish(mut self) -> FileResult<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut rest = [0; 4096];
        while self.some(&mut rest)? > 0 {}
        Ok(())
    }
}

impl Read for TensorReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.some(into).map_err(|error| {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            told
        })
    }
}

/// Replaces rows of a table by those that follow each other in `values`; `rows` lists their numbers, ascending.
fn overwrite<E: Element + Pod>(
    mut rows: TensorReader<'_>,
    mut values: TensorReader<'_>,
    mut table: TableViewMut<'_, E>,
) -> FileResult<()> {
    let (count, dim) = (rows.tensor.shape[0], table.dim());
    let at_a_time = (CHUNK_BYTES / (dim * size_of::<E>()).max(size_of::<u32>())).max(1).min(count);
    let engine = |error| FileError::engine(rows.name(), error);
    let mut numbers = zeros::<u32>(at_a_time).map_err(engine)?;
    let mut packed = zeros::<E>(at_a_time * dim).map_err(engine)?;
    let mut next = 0;
    for from in (0..count).step_by(at_a_time.max(1)) {
        let some = (count - from).min(at_a_time);
        fill_bytes(&mut numbers[..some], |bytes| rows.exactly(bytes))?;
        fill_bytes(&mut packed[..some * dim], |bytes| values.exactly(bytes))?;
        for (at, &row) in numbers[..some].iter().enumerate() {
            let cells = if row < next { None } else { table.row_mut(row as usize) };
            let Some(cells) = cells else {
                let problem = format!("row {row} at position {} is out of order or not below {}", from + at, table.rows());
                return Err(FileError::malformed(rows.name(), Place::Whole, problem));
            };
            cells.copy_from_slice(&packed[at * dim..(at + 1) * dim]);
            next = row.saturating_add(1);
        }
    }
    rows.finish()?;
    values.finish()?;
    Ok(())
}

/// The entries of a JSON array, in memory that is asked for.
struct Texts<T> {
    all: Vec<T>,
    /// Whether there was enough of it.
    memory: bool,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for &mut Texts<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for &mut Texts<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(text) = entries.next_element()? {
            if self.all.try_reserve(1).is_err() {
                self.memory = false;
                return Err(A::Error::custom("there is not enough memory"));
            }
            self.all.push(text);
        }
        Ok(())
    }
}

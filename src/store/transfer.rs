//! Bytes on their way from files, in parallel, and their checksums.

use std::sync::{Mutex, OnceLock, PoisonError};

use bytemuck::Pod;

use super::bytes::fill_bytes;
use super::error::{FileError, FileResult};
use super::source::Source;
use super::stored::Stored;
use crate::element::{DType, Element};
use crate::par::{self, Parallelism, Scratch};
use crate::table::{AnyTable, Table};
use crate::{bf16, f16};

/// Is told how many bytes have been dealt with since it was last told, from any thread.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// What one task reads for a checksum.
const PIECE_BYTES: usize = 1 << 20;

/// The CRC-32 of bytes whose pieces are seen in any order.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Mutex<Vec<(u64, u64, u32)>>);

impl Pieces {
    /// Takes note of the bytes at a place.
    pub(crate) fn add(&self, from: u64, bytes: &[u8]) {
        self.note(from, bytes.len() as u64, crc32fast::hash(bytes));
    }

    /// Takes note of bytes whose checksum is known.
    pub(crate) fn note(&self, from: u64, len: u64, crc32: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((from, len, crc32));
    }

    /// The checksum of all pieces, which must lie one after the other.
    pub(crate) fn crc32(self) -> u32 {
        let mut pieces = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        pieces.sort_unstable();
        let mut all = crc32fast::Hasher::new();
        for (_, len, crc32) in pieces {
            all.combine(&crc32fast::Hasher::new_with_initial_len(crc32, len));
        }
        all.finalize()
    }
}

/// A table at a place of a file, and the CRC-32 of its bytes. The file was found to have them all. Nothing but the table and a piece for
/// each thread is allocated.
pub(crate) fn read_table(
    source: &Source,
    offset: u64,
    stored: Stored,
    [rows, dim]: [usize; 2],
    progress: Progress<'_>,
) -> FileResult<(AnyTable, u32)> {
    fn typed<E: Element + Pod>(
        source: &Source,
        offset: u64,
        [rows, dim]: [usize; 2],
        progress: Progress<'_>,
    ) -> FileResult<(Table<E>, u32)> {
        let pieces = Pieces::default();
        let table = Table::read(rows, dim, |first, values| {
            let at = (first * size_of::<E>()) as u64;
            fill_bytes(values, |bytes| {
                source.read(offset + at, bytes)?;
                pieces.add(at, bytes);
                progress(bytes.len() as u64);
                Ok(())
            })
        });
        Ok((table.map_err(|error: Failure| error.of(source))?, pieces.crc32()))
    }
    match stored.dtype() {
        Some(DType::F32) => typed::<f32>(source, offset, [rows, dim], progress).map(|(table, crc)| (table.into(), crc)),
        Some(DType::F16) => typed::<f16>(source, offset, [rows, dim], progress).map(|(table, crc)| (table.into(), crc)),
        Some(DType::BF16) => typed::<bf16>(source, offset, [rows, dim], progress).map(|(table, crc)| (table.into(), crc)),
        None => widened(source, offset, stored, [rows, dim], progress).map(|(table, crc)| (table.into(), crc)),
    }
}

/// [`read_table`] of numbers that become f32.
fn widened(
    source: &Source,
    offset: u64,
    stored: Stored,
    [rows, dim]: [usize; 2],
    progress: Progress<'_>,
) -> FileResult<(Table<f32>, u32)> {
    const VALUES: usize = 2048;
    let size = stored.bits() / 8;
    let pieces = Pieces::default();
    let table = Table::read(rows, dim, |first, values| {
        let mut raw = [0; 8 * VALUES];
        let mut hasher = crc32fast::Hasher::new();
        for (part, values) in values.chunks_mut(VALUES).enumerate() {
            let at = ((first + part * VALUES) * size) as u64;
            let raw = &mut raw[..values.len() * size];
            source.read(offset + at, raw)?;
            hasher.update(raw);
            stored.widen(raw, values);
            progress(raw.len() as u64);
        }
        pieces.note((first * size) as u64, (values.len() * size) as u64, hasher.finalize());
        Ok(())
    });
    Ok((table.map_err(|error: Failure| error.of(source))?, pieces.crc32()))
}

/// The CRC-32 of bytes of a file, which was found to have them.
pub(crate) fn checksum(source: &Source, offset: u64, bytes: u64, progress: Progress<'_>) -> FileResult<u32> {
    let all = usize::try_from(bytes).unwrap_or(usize::MAX);
    let workers = Parallelism::Auto.workers_for(all);
    let scratch = Scratch::<u8>::new(workers, all.min(PIECE_BYTES)).map_err(|error| FileError::engine(source.name(), error))?;
    let (pieces, failed) = (Pieces::default(), OnceLock::new());
    let tasks = usize::try_from(bytes.div_ceil(PIECE_BYTES as u64)).unwrap_or(usize::MAX);
    par::run(workers, tasks, &|task| {
        if failed.get().is_some() {
            return;
        }
        let from = task as u64 * PIECE_BYTES as u64;
        let len = (bytes - from).min(PIECE_BYTES as u64) as usize;
        scratch.with(|piece| match source.read(offset + from, &mut piece[..len]) {
            Ok(()) => {
                pieces.add(from, &piece[..len]);
                progress(len as u64);
            }
            Err(error) => {
                let _ = failed.set(error);
            }
        });
    });
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(pieces.crc32()),
    }
}

/// Why a table was not read: the file's fault, or the engine's, which does not know of the file.
pub(crate) enum Failure {
    File(FileError),
    Engine(crate::Error),
}

impl Failure {
    fn of(self, source: &Source) -> FileError {
        self.named(source.name())
    }

    pub(crate) fn named(self, name: impl Into<String>) -> FileError {
        match self {
            Failure::File(error) => error,
            Failure::Engine(error) => FileError::engine(name, error),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::File(error)
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Failure {
        Failure::Engine(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len as u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
    }

    #[test]
    fn tables_of_any_stride_are_read_to_the_bit() {
        for [rows, dim] in [[0, 3], [3, 0], [1, 1], [1000, 127], [70_000, 4], [3, 100_000], [1, 300_001], [5000, 63]] {
            let data = [bytes(7), bytes(rows * dim * 4)].concat();
            let source = Source::memory("x", data.clone());
            let done = AtomicU64::new(0);
            let progress = |bytes| {
                done.fetch_add(bytes, Ordering::Relaxed);
            };
            let (table, crc32) = read_table(&source, 7, Stored::F32, [rows, dim], &progress).unwrap();
            let AnyTable::F32(table) = table else { unreachable!() };
            assert_eq!((table.shape(), crc32), ([rows, dim], crc32fast::hash(&data[7..])));
            assert_eq!(done.into_inner(), (rows * dim * 4) as u64);
            let read: Vec<u8> = table.to_vec().iter().flat_map(|x| x.to_le_bytes()).collect();
            assert!(read == data[7..], "[{rows}, {dim}]");
            assert!(table.view().iter().len() == rows);
        }
    }

    #[test]
    fn integers_become_f32() {
        let data = bytes(10_000 * 3 * 2);
        let source = Source::memory("x", data.clone());
        let (table, crc32) = read_table(&source, 0, Stored::I16, [10_000, 3], &|_| ()).unwrap();
        assert_eq!(crc32, crc32fast::hash(&data));
        assert_eq!(checksum(&source, 0, data.len() as u64, &|_| ()).unwrap(), crc32);
        let row = &data[9_999 * 6..];
        let want: Vec<_> = row.chunks(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]]))).collect();
        assert_eq!(table.row_f32(9_999).unwrap(), want);
    }

    #[test]
    fn checksums_are_those_of_all_the_bytes() {
        for len in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES + 77] {
            let data = bytes(len + 9);
            let source = Source::memory("x", data.clone());
            assert_eq!(checksum(&source, 9, len as u64, &|_| ()).unwrap(), crc32fast::hash(&data[9..]));
        }
    }

    #[test]
    fn a_file_that_shrinks_or_fails_is_an_error() {
        #[derive(Debug)]
        struct Fails(u64);
        impl crate::store::source::ReadAt for Fails {
            fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
                if offset + into.len() as u64 > self.0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
        }
        let source = Source::of("x", 8 << 20, Fails(5 << 20));
        for error in [
            read_table(&source, 0, Stored::F32, [2 << 20, 1], &|_| ()).unwrap_err(),
            read_table(&source, 0, Stored::F64, [1 << 20, 1], &|_| ()).unwrap_err(),
            checksum(&source, 0, 8 << 20, &|_| ()).unwrap_err(),
        ] {
            assert!(error.to_string().ends_with("the file has become shorter while it was read"), "{error}");
        }
        let error = read_table(&source, 0, Stored::F32, [1 << 40, 1], &|_| ()).unwrap_err();
        assert!(matches!(error, FileError::Engine { error: crate::Error::TooManyRows { .. }, .. }), "{error}");
    }
}

//! Reading arrays of two dimensions.

use std::io::{self, Read, Seek, SeekFrom};

use super::element::{Descr, Number};
use super::header::Header;
use crate::store::block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values, check_dim};
use crate::store::error::{FileError, FileResult, Place};
use crate::store::format::source::{cannot_read, pieces};

/// How far an array is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::format) struct Progress {
    number: Number,
    dim: usize,
    rows: u64,
    next: u64,
}

impl Progress {
    /// Nothing is read so far.
    pub(in crate::store::format) fn new(number: Number, rows: u64, dim: usize) -> Progress {
        Progress { number, dim, rows, next: 0 }
    }

    /// The rows that a block may have, 0 at the end.
    pub(in crate::store::format) fn next_rows(&self) -> u64 {
        let row = (self.dim as u64).saturating_mul(self.number.dtype().size() as u64);
        (BLOCK_BYTES as u64 / row).max(1).min(self.rows - self.next)
    }

    /// Appends so many rows. False if the source ends before.
    pub(in crate::store::format) fn read(&mut self, source: &mut impl Read, rows: u64, values: &mut Values) -> io::Result<bool> {
        let Progress { number, dim, .. } = *self;
        let bytes = rows * dim as u64 * number.size as u64;
        let read = pieces(source, bytes, number.size, |piece| number.decode(piece, values))?;
        self.next += rows;
        Ok(read == bytes)
    }

    /// Appends so many rows of an array that stands by columns: a piece of every column, of which each value is put into its row.
    fn read_columns(&mut self, source: &mut (impl Read + Seek), data: u64, rows: u64, values: &mut Values) -> io::Result<bool> {
        fn put<E: Copy + Default>(row_major: &mut Vec<E>, column: &[E], at: usize, dim: usize) {
            row_major.resize(column.len() * dim, E::default());
            row_major.iter_mut().skip(at).step_by(dim).zip(column).for_each(|(to, from)| *to = *from);
        }
        let Progress { number, dim, .. } = *self;
        let size = number.size as u64;
        let mut column = Values::new(number.dtype());
        for at in 0..dim {
            source.seek(SeekFrom::Start(data + (at as u64 * self.rows + self.next) * size))?;
            column.clear();
            if pieces(source, rows * size, number.size, |piece| number.decode(piece, &mut column))? < rows * size {
                return Ok(false);
            }
            match (&mut *values, &column) {
                (Values::F32(to), Values::F32(from)) => put(to, from, at, dim),
                (Values::F16(to), Values::F16(from)) => put(to, from, at, dim),
                (Values::BF16(to), Values::BF16(from)) => put(to, from, at, dim),
                _ => {}
            }
        }
        self.next += rows;
        Ok(true)
    }

    /// The part that is read.
    pub(in crate::store::format) fn part(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.next as f64 / self.rows as f64 }
    }
}

/// The reader of `.npy`. Values other than f32, f16 and bf16 are converted, with a note; either byte order, rows or columns first.
pub(in crate::store::format) struct NpyReader<R> {
    source: R,
    name: String,
    info: RowsInfo,
    progress: Progress,
    /// Where the values begin, if they stand by columns.
    columns: Option<u64>,
}

impl<R: Read + Seek> NpyReader<R> {
    /// Reads the header. `bytes` is the length of the file.
    pub(in crate::store::format) fn new(mut source: R, name: &str, bytes: u64) -> FileResult<NpyReader<R>> {
        let header = Header::read(&mut source, name)?;
        let info = info(&header, name, bytes)?;
        let (number, rows, dim) = numbers(&header, name)?;
        let columns = header.fortran_order.then_some(header.data);
        Ok(NpyReader { source, name: name.to_owned(), info, progress: Progress::new(number, rows, dim), columns })
    }
}

/// What is known after a header, in a file of so many bytes.
pub(in crate::store::format) fn info(header: &Header, name: &str, bytes: u64) -> FileResult<RowsInfo> {
    let (number, rows, dim) = numbers(header, name)?;
    let (needed, there) = (header.bytes(), bytes.saturating_sub(header.data));
    if needed != Some(there) {
        let needed = needed.map_or("more than 2^64".to_owned(), |needed| needed.to_string());
        let problem = format!("values of the shape ({rows}, {dim}) take {needed} bytes, but {there} follow the header");
        return Err(FileError::malformed(name, Place::Byte(header.data), problem));
    }
    let notes = number.note().into_iter().collect();
    Ok(RowsInfo { rows: Some(rows), dim, dtype: number.dtype(), named: false, notes })
}

/// The numbers, rows and columns of an array of two dimensions.
pub(in crate::store::format) fn numbers(header: &Header, name: &str) -> FileResult<(Number, u64, usize)> {
    let Descr::Number(number) = header.descr else {
        return Err(FileError::unsupported(name, "the array holds texts; rows of numbers are needed"));
    };
    match header.shape[..] {
        [rows, dim] => check_dim(dim, name).map(|()| (number, rows as u64, dim)),
        _ => {
            let shape: Vec<String> = header.shape.iter().map(usize::to_string).collect();
            let comma = if shape.len() == 1 { "," } else { "" };
            let problem = format!("the array has the shape ({}{comma}); a table has two dimensions", shape.join(", "));
            Err(FileError::unsupported(name, problem))
        }
    }
}

/// The error of an array that is shorter than its header says.
pub(in crate::store::format) fn ends_early(name: &str) -> FileError {
    FileError::malformed(name, Place::Whole, "the file ends before the last row does")
}

impl<R: Read + Seek> ReadRows for NpyReader<R> {
    fn info(&self) -> &RowsInfo {
        &self.info
    }

    fn read(&mut self, block: &mut Block) -> FileResult<usize> {
        block.restart(self.info.dtype);
        let rows = self.progress.next_rows();
        let read = match self.columns {
            _ if rows == 0 => Ok(true),
            None => self.progress.read(&mut self.source, rows, &mut block.values),
            Some(data) => self.progress.read_columns(&mut self.source, data, rows, &mut block.values),
        };
        if read.map_err(cannot_read(&self.name))? { Ok(rows as usize) } else { Err(ends_early(&self.name)) }
    }

    fn progress(&self) -> Option<f64> {
        Some(self.progress.part())
    }
}

//! Rows on their way from one file to another.

use half::{bf16, f16};

use super::error::{FileError, FileResult};
use crate::element::lanes::AnySlice;
use crate::element::{DType, Element};

/// Values of one of the element types.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// Of f32.
    F32(Vec<f32>),
    /// Of f16.
    F16(Vec<f16>),
    /// Of bf16.
    BF16(Vec<bf16>),
}

impl Values {
    /// No values of this element.
    pub fn new(dtype: DType) -> Values {
        match dtype {
            DType::F32 => Values::F32(Vec::new()),
            DType::F16 => Values::F16(Vec::new()),
            DType::BF16 => Values::BF16(Vec::new()),
        }
    }

    /// The element.
    pub fn dtype(&self) -> DType {
        match self {
            Values::F32(_) => DType::F32,
            Values::F16(_) => DType::F16,
            Values::BF16(_) => DType::BF16,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all values away and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Values::F32(values) => values.clear(),
            Values::F16(values) => values.clear(),
            Values::BF16(values) => values.clear(),
        }
    }

    /// Takes away the rows of `dim` values that are not to be kept.
    pub(crate) fn keep_rows(&mut self, dim: usize, keep: &[bool]) {
        fn retain<T>(values: &mut Vec<T>, dim: usize, keep: &[bool]) {
            let mut at = 0;
            values.retain(|_| {
                at += 1;
                keep[(at - 1) / dim]
            });
        }
        match self {
            Values::F32(values) => retain(values, dim, keep),
            Values::F16(values) => retain(values, dim, keep),
            Values::BF16(values) => retain(values, dim, keep),
        }
    }

    pub(crate) fn as_slice(&self) -> AnySlice<'_> {
        match self {
            Values::F32(values) => AnySlice::F32(values),
            Values::F16(values) => AnySlice::F16(values),
            Values::BF16(values) => AnySlice::BF16(values),
        }
    }

    /// The same values in another element, rounded to nearest even where it is narrower. Widening is exact.
    pub fn convert(&self, dtype: DType) -> Values {
        fn to<E: Element>(values: &[E], dtype: DType) -> Values {
            let values = values.iter().map(|x| x.to_f32());
            match dtype {
                DType::F32 => Values::F32(values.collect()),
                DType::F16 => Values::F16(values.map(f16::from_f32).collect()),
                DType::BF16 => Values::BF16(values.map(bf16::from_f32).collect()),
            }
        }
        match self {
            same if same.dtype() == dtype => same.clone(),
            Values::F32(values) => to(values, dtype),
            Values::F16(values) => to(values, dtype),
            Values::BF16(values) => to(values, dtype),
        }
    }
}

/// Consecutive rows: `[rows, dim]` values, and a word for each row where the file has words.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The values, row-major, without padding.
    pub values: Values,
    /// A word for each row, or none at all.
    pub words: Vec<String>,
}

impl Block {
    /// No rows of this element.
    pub fn new(dtype: DType) -> Block {
        Block { values: Values::new(dtype), words: Vec::new() }
    }

    /// Takes all rows away and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.words.clear();
    }

    /// Takes all rows away; those that come next are of `dtype`.
    pub(crate) fn restart(&mut self, dtype: DType) {
        self.clear();
        if self.values.dtype() != dtype {
            self.values = Values::new(dtype);
        }
    }

    /// Takes all rows away, and the memory of their values if they were f32.
    pub(crate) fn take_memory(&mut self) -> Vec<f32> {
        self.clear();
        match std::mem::replace(&mut self.values, Values::F32(Vec::new())) {
            Values::F32(memory) => memory,
            _ => Vec::new(),
        }
    }

    /// A copy of `count` rows of `dim` values, with words or without.
    pub(crate) fn rows(&self, first: usize, count: usize, dim: usize, with_words: bool) -> Block {
        let range = first * dim..(first + count) * dim;
        let values = match &self.values {
            Values::F32(values) => Values::F32(values[range].to_vec()),
            Values::F16(values) => Values::F16(values[range].to_vec()),
            Values::BF16(values) => Values::BF16(values[range].to_vec()),
        };
        Block { values, words: if with_words { self.words[first..first + count].to_vec() } else { Vec::new() } }
    }
}

/// Refuses rows without a number. They take no bytes, so that a short file could name more of them than can be counted in an hour.
pub(crate) fn check_dim(dim: usize, name: &str) -> FileResult<()> {
    if dim > 0 { Ok(()) } else { Err(FileError::unsupported(name, "rows have at least one number, and here they have none")) }
}

/// What a file says of its rows before they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct RowsInfo {
    /// How many rows there are, where the file tells without being read to its end. Files of words may have fewer, since a row whose word came
    /// before is left out.
    pub rows: Option<u64>,
    /// Values in a row.
    pub dim: usize,
    /// The element in which the rows come.
    pub dtype: DType,
    /// Whether each row has a word.
    pub named: bool,
    /// What the reader had to change, in words for the user, such as `f64 values are rounded to f32`. Some it knows only at the end of the
    /// file: the list is complete once [`read`](ReadRows::read) has returned 0.
    pub notes: Vec<String>,
}

/// A file read block by block. Memory is bounded by the block, and by the words that must be remembered to know them again.
pub trait ReadRows {
    /// What is known so far.
    fn info(&self) -> &RowsInfo;

    /// Replaces the block by the next rows, at least one and about [`BLOCK_BYTES`] of values at most; returns how many. 0 is the end.
    ///
    /// # Errors
    /// [`FileError`](super::FileError) naming the place.
    fn read(&mut self, block: &mut Block) -> FileResult<usize>;

    /// Which part of the file has been read, from 0 to 1, where that is known.
    fn progress(&self) -> Option<f64> {
        None
    }
}

/// A file written block by block. It takes its name only in [`finish`](WriteRows::finish); dropped before, it leaves nothing behind.
pub trait WriteRows {
    /// Appends rows. A block of another element is converted.
    ///
    /// # Errors
    /// [`FileError`](super::FileError).
    fn write(&mut self, block: &Block) -> FileResult<()>;

    /// Puts the file in place, on disk, and returns how many rows it has.
    ///
    /// # Errors
    /// [`FileError`](super::FileError); the file of that name, if there is one, is as it was.
    fn finish(self: Box<Self>) -> FileResult<u64>;
}

/// About how many bytes of values a block has.
pub const BLOCK_BYTES: usize = 4 << 20;

//! Writing arrays of two dimensions.

use crate::element::DType;
use crate::store::block::{Block, WriteRows};
use crate::store::bytes::to_bytes;
use crate::store::error::FileResult;
use crate::store::format::sink::Sink;
use crate::store::format::{NewRows, rows_of};

/// The header ends here: a multiple of 64, so that the values can be mapped.
const HEADER_BYTES: usize = 128;

/// The writer of `.npy`, version 1. It holds no words. bf16 is written as ml_dtypes writes it: `numpy.load(file).view(ml_dtypes.bfloat16)`
/// reads it.
pub(in crate::store::format) struct NpyWriter<S> {
    sink: S,
    name: String,
    dim: usize,
    dtype: DType,
    rows: u64,
}

/// A header of [`HEADER_BYTES`] bytes.
pub(in crate::store::format) fn header_for(descr: &str, shape: &str) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&((HEADER_BYTES - 10) as u16).to_le_bytes());
    header.extend_from_slice(format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}").as_bytes());
    header.resize(HEADER_BYTES - 1, b' ');
    header.push(b'\n');
    header
}

/// The header of rows of numbers.
pub(in crate::store::format) fn header_of_rows(dtype: DType, rows: u64, dim: usize) -> Vec<u8> {
    let descr = match dtype {
        DType::F32 => "<f4",
        DType::F16 => "<f2",
        DType::BF16 => "<V2",
    };
    header_for(descr, &format!("({rows}, {dim})"))
}

impl<S: Sink> NpyWriter<S> {
    pub(in crate::store::format) fn new(mut sink: S, name: &str, new: &NewRows) -> FileResult<NpyWriter<S>> {
        sink.put(&header_of_rows(new.dtype, 0, new.dim))?;
        Ok(NpyWriter { sink, name: name.to_owned(), dim: new.dim, dtype: new.dtype, rows: 0 })
    }
}

impl<S: Sink> WriteRows for NpyWriter<S> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        let rows = rows_of(block, self.dim, false, &self.name)?;
        match block.values.dtype() == self.dtype {
            true => self.sink.put(&to_bytes(block.values.as_slice()))?,
            false => self.sink.put(&to_bytes(block.values.convert(self.dtype).as_slice()))?,
        }
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> FileResult<u64> {
        self.sink.patch(0, &header_of_rows(self.dtype, self.rows, self.dim))?;
        self.sink.commit()?;
        Ok(self.rows)
    }
}

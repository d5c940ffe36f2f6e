//! Writing arrays of two dimensions.

use crate::element::DType;
use crate::element::lanes::AnySlice;
use crate::store::block::{Block, Values, WriteRows};
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
    bytes: Vec<u8>,
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

/// Replaces the bytes by those of the values, converted to an element, low byte first.
pub(in crate::store::format) fn value_bytes(values: &Values, dtype: DType, bytes: &mut Vec<u8>) {
    bytes.clear();
    let converted;
    let values = if values.dtype() == dtype {
        values
    } else {
        converted = values.convert(dtype);
        &converted
    };
    match values.as_slice() {
        AnySlice::F32(values) => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
        AnySlice::F16(values) => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
        AnySlice::BF16(values) => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
    }
}

impl<S: Sink> NpyWriter<S> {
    pub(in crate::store::format) fn new(mut sink: S, name: &str, new: &NewRows) -> FileResult<NpyWriter<S>> {
        sink.put(&header_of_rows(new.dtype, 0, new.dim))?;
        Ok(NpyWriter { sink, name: name.to_owned(), dim: new.dim, dtype: new.dtype, rows: 0, bytes: Vec::new() })
    }
}

impl<S: Sink> WriteRows for NpyWriter<S> {
    fn write(&mut self, block: &Block) -> FileResult<()> {
        let rows = rows_of(block, self.dim, false, &self.name)?;
        value_bytes(&block.values, self.dtype, &mut self.bytes);
        self.sink.put(&self.bytes)?;
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> FileResult<u64> {
        self.sink.patch(0, &header_of_rows(self.dtype, self.rows, self.dim))?;
        self.sink.commit()?;
        Ok(self.rows)
    }
}

//! Vectors in a message: in f32, or rounded to 16 bits.

use half::{bf16, f16};

use crate::element::{DType, Element};
use crate::error::Result;

use super::wire::{Reader, Writer, f32s};

/// Writes values as the wire has them.
pub(super) fn put(message: &mut Writer, values: &[f32], wire: DType) {
    match wire {
        DType::F32 => message.f32s(values),
        DType::F16 => message.values(values, |x| <f16 as Element>::from_f32(x).to_le_bytes()),
        DType::BF16 => message.values(values, |x| <bf16 as Element>::from_f32(x).to_le_bytes()),
    }
}

/// Rows of one width in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    width: usize,
    wire: DType,
}

impl<'a> Block<'a> {
    /// The next `rows` rows.
    pub(super) fn read(reader: &mut Reader<'a>, rows: usize, width: usize, wire: DType) -> Result<Block<'a>> {
        let values =
            rows.checked_mul(width).ok_or_else(|| reader.damaged(format!("{rows} rows of {width} values cannot be in it")))?;
        Ok(Block { bytes: reader.values(values, wire.size())?, width, wire })
    }

    fn row(&self, row: usize) -> &'a [u8] {
        let size = self.width * self.wire.size();
        &self.bytes[row * size..(row + 1) * size]
    }

    /// Writes a row where it belongs.
    pub(super) fn copy(&self, row: usize, to: &mut [f32]) {
        self.each(row, to, |to, x| *to = x);
    }

    /// Adds a row to what is there.
    pub(super) fn add(&self, row: usize, to: &mut [f32]) {
        self.each(row, to, |to, x| *to += x);
    }

    fn each(&self, row: usize, to: &mut [f32], put: impl Fn(&mut f32, f32)) {
        let bytes = self.row(row);
        match self.wire {
            DType::F32 => to.iter_mut().zip(f32s(bytes)).for_each(|(to, x)| put(to, x)),
            DType::F16 => {
                let halves = bytes.as_chunks::<2>().0.iter().map(|&bytes| Element::to_f32(f16::from_le_bytes(bytes)));
                to.iter_mut().zip(halves).for_each(|(to, x)| put(to, x));
            }
            DType::BF16 => {
                let halves = bytes.as_chunks::<2>().0.iter().map(|&bytes| Element::to_f32(bf16::from_le_bytes(bytes)));
                to.iter_mut().zip(halves).for_each(|(to, x)| put(to, x));
            }
        }
    }
}

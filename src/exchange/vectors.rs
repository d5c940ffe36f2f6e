//! Vectors in a message: in f32, or rounded to 16 bits.

use bytemuck::Pod;
use half::{bf16, f16};

use crate::element::lanes::{load_part, store_part};
use crate::element::{DType, Element};
use crate::error::Result;
use crate::simd::{Kernel, Simd, Tier};

use super::wire::{Reader, Writer, f32s};

/// Values of 16 bits are converted so many at a time: they stay in the nearest cache, and a message may start at any byte.
const BLOCK: usize = 256;

/// Writes values as the wire has them.
pub(super) fn put(message: &mut Writer, values: &[f32], wire: DType) {
    match wire {
        DType::F32 => message.f32s(values),
        DType::F16 => put_narrow::<f16>(message, values),
        DType::BF16 => put_narrow::<bf16>(message, values),
    }
}

fn put_narrow<E: Element + Pod>(message: &mut Writer, values: &[f32]) {
    let tier = Tier::best();
    for from in values.chunks(BLOCK) {
        let mut block = [E::default(); BLOCK];
        let to = &mut block[..from.len()];
        tier.run(Convert { from, to });
        message.u16s(bytemuck::cast_slice(to));
    }
}

/// Reads values as the wire has them.
fn get(bytes: &[u8], wire: DType, to: &mut [f32]) {
    match wire {
        DType::F32 => to.iter_mut().zip(f32s(bytes)).for_each(|(to, x)| *to = x),
        DType::F16 => get_narrow::<f16>(bytes, to),
        DType::BF16 => get_narrow::<bf16>(bytes, to),
    }
}

fn get_narrow<E: Element + Pod>(bytes: &[u8], to: &mut [f32]) {
    let tier = Tier::best();
    match bytemuck::try_cast_slice(bytes) {
        Ok(from) if cfg!(target_endian = "little") => tier.run(Convert::<E, f32> { from, to }),
        _ => {
            for (bytes, to) in bytes.chunks(2 * BLOCK).zip(to.chunks_mut(BLOCK)) {
                let mut block = [0u16; BLOCK];
                for (half, bytes) in block.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *half = u16::from_le_bytes(*bytes);
                }
                tier.run(Convert::<E, f32> { from: bytemuck::cast_slice(&block[..to.len()]), to });
            }
        }
    }
}

/// Reads one element and writes another, as many values as both have.
struct Convert<'a, F, T> {
    from: &'a [F],
    to: &'a mut [T],
}

impl<F: Element, T: Element> Kernel for Convert<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut from = self.from.chunks_exact(S::LANES);
        let mut to = self.to.chunks_exact_mut(S::LANES);
        for (from, to) in from.by_ref().zip(to.by_ref()) {
            T::store(simd, F::load(simd, from), to);
        }
        if !from.remainder().is_empty() {
            store_part(simd, load_part(simd, from.remainder()), to.into_remainder());
        }
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
        get(self.row(row), self.wire, to);
    }

    /// Adds a row to what is there.
    pub(super) fn add(&self, row: usize, to: &mut [f32]) {
        let size = self.wire.size();
        for (bytes, to) in self.row(row).chunks(BLOCK * size).zip(to.chunks_mut(BLOCK)) {
            let mut block = [0.0; BLOCK];
            get(bytes, self.wire, &mut block[..to.len()]);
            to.iter_mut().zip(&block).for_each(|(to, x)| *to += x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Kind;
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_rounded_wherever_they_start() -> Result<()> {
        let values: Vec<f32> = (0..2 * 700).map(|at| (at as f32 - 700.0) * 1.0001).collect();
        for wire in [DType::F32, DType::F16, DType::BF16] {
            let rounded = |x: f32| match wire {
                DType::F32 => x,
                DType::F16 => <f16 as Element>::from_f32(x).to_f32(),
                DType::BF16 => <bf16 as Element>::from_f32(x).to_f32(),
            };
            let expected: Vec<f32> = values[700..].iter().map(|&x| rounded(x)).collect();
            for offset in 0..4 {
                let mut message = Writer::new(Kind::Vectors, 0, 0)?;
                put(&mut message, &values, wire);
                let shifted = [vec![0; offset], message.finish()].concat();
                let (mut reader, _) = Reader::open(&shifted[offset..], 0, Kind::Vectors)?;
                let block = Block::read(&mut reader, 2, 700, wire)?;
                let mut copied = vec![7.0; 700];
                block.copy(1, &mut copied);
                assert_eq!(copied, expected, "{wire} from byte {offset}");
                block.add(1, &mut copied);
                let doubled: Vec<f32> = expected.iter().map(|x| x + x).collect();
                assert_eq!(copied, doubled, "{wire} from byte {offset}");
            }
        }
        Ok(())
    }
}

//! What the machine can do at best: copying in order, and reading random rows without writing them anywhere.

use super::{AHEAD_IN_ORDER, prefetch_distance};
use crate::Element;
use crate::simd::{Kernel, Out, Simd};
use crate::table::TableView;

/// Copies with streaming stores.
pub(crate) struct StreamCopy<'a, 'o, E> {
    pub(crate) from: &'a [E],
    pub(crate) out: &'a mut Out<'o, E>,
}

impl<E: Element> Kernel for StreamCopy<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        simd.stream(self.from, self.out);
        simd.fence();
    }
}

/// Adds up every value of the rows named.
pub(crate) struct ReadRows<'a, E> {
    pub(crate) table: TableView<'a, E>,
    /// The rows of this block, and those after it.
    pub(crate) rows: &'a [u32],
    pub(crate) count: usize,
}

impl<E: Element> Kernel for ReadRows<'_, E> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let ahead = prefetch_distance(self.table.dim() * size_of::<E>());
        // Two sums, so that an addition does not wait for the one before it.
        let (mut even, mut odd) = (simd.splat(0.0), simd.splat(0.0));
        for (at, &row) in self.rows[..self.count].iter().enumerate() {
            if let Some(&next) = self.rows.get(at + ahead)
                && let Some(next) = self.table.row(next as usize)
            {
                simd.prefetch(next);
            }
            if let Some(row) = self.table.row(row as usize) {
                for pair in row.chunks_exact(2 * S::LANES) {
                    even = simd.add(even, E::load(simd, pair));
                    odd = simd.add(odd, E::load(simd, &pair[S::LANES..]));
                }
            }
        }
        let mut sums = [0.0; crate::simd::MAX_LANES];
        simd.store_f32(simd.add(even, odd), &mut sums);
        sums[0]
    }
}

/// Adds up every value.
pub(crate) struct ReadInOrder<'a, E> {
    pub(crate) values: &'a [E],
}

impl<E: Element> Kernel for ReadInOrder<'_, E> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat(0.0); 8];
        let blocks = self.values.chunks_exact(8 * S::LANES);
        let tail = blocks.remainder();
        let mut ahead = self.values.chunks_exact(8 * S::LANES).skip(AHEAD_IN_ORDER / (8 * S::LANES * size_of::<E>()));
        for block in blocks {
            if let Some(next) = ahead.next() {
                simd.prefetch(next);
            }
            for (vector, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add(*sum, E::load(simd, &block[vector * S::LANES..]));
            }
        }
        let mut total = 0.0;
        for value in tail {
            total += value.to_f32();
        }
        let mut lanes = [0.0; crate::simd::MAX_LANES];
        for sum in sums {
            simd.store_f32(sum, &mut lanes);
            total += lanes[0];
        }
        total
    }
}

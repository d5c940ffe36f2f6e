//! Sums of products over a row, in one shape on every tier.

use super::prefetch_distance;
use crate::element::{Element, lanes};
use crate::simd::{Kernel, Simd, Tier};
use crate::table::TableView;

/// How many partial sums a sum over a row has, whatever the tier: value `k` goes to partial sum `k % 16`, and those are folded in halves.
const PARTS: usize = 16;

/// The sum of the squares of a row's values.
#[inline(always)]
pub(crate) fn sum_of_squares<S: Simd>(simd: S, row: &[f32]) -> f32 {
    dot(simd, row, row)
}

/// The sum of the products of two rows of one length.
#[inline(always)]
pub(crate) fn dot<S: Simd, E: Element>(simd: S, a: &[f32], b: &[E]) -> f32 {
    // One vector of partial sums on the widest tier, two on the others.
    let (mut first, mut second) = (simd.splat(0.0), simd.splat(0.0));
    let (mut xs, mut ys) = (a.chunks_exact(PARTS), b.chunks_exact(PARTS));
    for (x, y) in (&mut xs).zip(&mut ys) {
        first = simd.add(first, simd.mul(simd.load_f32(x), E::load(simd, y)));
        if S::LANES < PARTS {
            second = simd.add(second, simd.mul(simd.load_f32(&x[S::LANES..]), E::load(simd, &y[S::LANES..])));
        }
    }
    let (x, y) = (xs.remainder(), ys.remainder());
    if !x.is_empty() {
        // Lanes past the end add +0, which changes no sum that started there.
        let cut = x.len().min(S::LANES);
        first = simd.add(first, simd.mul(lanes::load_part(simd, &x[..cut]), lanes::load_part(simd, &y[..cut])));
        second = simd.add(second, simd.mul(lanes::load_part(simd, &x[cut..]), lanes::load_part(simd, &y[cut..])));
    }
    let mut parts = [0.0; PARTS];
    simd.store_f32(first, &mut parts);
    if S::LANES < PARTS {
        simd.store_f32(second, &mut parts[S::LANES..]);
    }
    let mut width = PARTS / 2;
    while width > 0 {
        for k in 0..width {
            parts[k] += parts[k + width];
        }
        width /= 2;
    }
    parts[0]
}

/// [`dot`] of two rows of f32.
pub(crate) fn dot_of(tier: Tier, a: &[f32], b: &[f32]) -> f32 {
    tier.run(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        dot(simd, self.a, self.b)
    }
}

/// The products of the rows of a table with the gradients of their bags.
pub(crate) struct RowDots<'a, E> {
    pub(crate) table: TableView<'a, E>,
    /// The rows of this block, and those after it: they are fetched ahead.
    pub(crate) rows: &'a [u32],
    /// The bag of each.
    pub(crate) bag_of: &'a [u32],
    /// `[bags, dim]`
    pub(crate) gradient: &'a [f32],
    /// What stands for a missing row.
    pub(crate) filler: &'a [f32],
    /// One product for each row of the block.
    pub(crate) out: &'a mut [f32],
}

impl<E: Element> Kernel for RowDots<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let RowDots { table, rows, bag_of, gradient, filler, out } = self;
        let dim = table.dim();
        let ahead = prefetch_distance(dim * size_of::<E>());
        for (at, out) in out.iter_mut().enumerate() {
            if let Some(&next) = rows.get(at + ahead)
                && let Some(next) = table.row(next as usize)
            {
                simd.prefetch(next);
            }
            let bag = bag_of[at] as usize;
            let gradient = &gradient[bag * dim..(bag + 1) * dim];
            *out = match table.row(rows[at] as usize) {
                Some(row) => dot(simd, gradient, row),
                None => dot(simd, gradient, filler),
            };
        }
    }
}

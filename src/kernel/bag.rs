//! Bags of rows, pooled.
//!
//! ```text
//! ids     [ 7, 2 | | 2, 2, 5 ]          bounds [0, 2, 2, 5]
//! out     0: aaaa + bbbb                 columns in registers, ids in order; the row is written once
//!         1: 0000
//!         2: bbbb + bbbb + cccc
//! ```
//!
//! A row wider than eight vectors is done in several passes over its bag; the first one fetches whole rows ahead, across the ends of bags.

use super::prefetch_distance;
use crate::Element;
use crate::element::lanes;
use crate::index::Pooling;
use crate::par::TileMut;
use crate::simd::{Kernel, MAX_LANES, Simd};
use crate::table::TableView;

pub(crate) struct Pool<'a, 'p, E, O> {
    pub(crate) table: TableView<'a, E>,
    /// What the row numbers are raised by.
    pub(crate) base: u32,
    /// The rows of this tile's ids, and those after them: they are fetched ahead.
    pub(crate) ids: &'a [u32],
    /// One weight for each of `ids`.
    pub(crate) weights: Option<&'a [f32]>,
    /// Where each bag of the tile starts and where the last one ends, as positions; `ids` starts at the first.
    pub(crate) bounds: &'a [u32],
    /// The bag in the tile's first row.
    pub(crate) first: u32,
    pub(crate) pooling: Pooling,
    /// What a missing row is made of.
    pub(crate) fill: f32,
    pub(crate) out: TileMut<'p, O>,
    /// Where max pooling says which row won; of no columns unless somebody asks.
    pub(crate) argmax: TileMut<'p, u32>,
}

impl<E: Element, O: Element> Kernel for Pool<'_, '_, E, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let ahead = self.ahead();
        for &row in self.ids.iter().take(ahead) {
            self.fetch(simd, row);
        }
        match (self.pooling, self.weights) {
            (Pooling::Max, _) => self.max(simd, ahead),
            (_, None) => self.sums::<S, false>(simd, &[], ahead),
            (_, Some(weights)) => self.sums::<S, true>(simd, weights, ahead),
        }
    }
}

/// Rows that are asked for, and then added, at a time.
const TURN: usize = 8;

/// One bag of a tile.
#[derive(Clone, Copy)]
struct Bag<'a> {
    ids: &'a [u32],
    /// As many as there are ids, or none.
    weights: &'a [f32],
    /// The ids that lie `ahead` of each.
    ahead: &'a [u32],
}

impl<'a, E: Element, O: Element> Pool<'a, '_, E, O> {
    fn ahead(&self) -> usize {
        prefetch_distance(self.table.dim() * size_of::<E>())
    }

    #[inline(always)]
    fn fetch<S: Simd>(&self, simd: S, row: u32) {
        if let Some(row) = self.table.row(row.wrapping_sub(self.base) as usize) {
            simd.prefetch(row);
        }
    }

    #[inline(always)]
    fn bag(&self, at: usize, weights: &'a [f32], ahead: usize) -> Bag<'a> {
        let start = self.bounds[0];
        let (from, end) = ((self.bounds[at] - start) as usize, (self.bounds[at + 1] - start) as usize);
        let weights = if weights.is_empty() { weights } else { &weights[from..end] };
        let next = (from + ahead).min(self.ids.len());
        Bag { ids: &self.ids[from..end], weights, ahead: &self.ids[next..(end + ahead).min(self.ids.len())] }
    }

    #[inline(always)]
    fn sums<S: Simd, const WEIGHTED: bool>(&mut self, simd: S, weights: &'a [f32], ahead: usize) {
        let columns = self.out.columns();
        for at in 0..self.bounds.len() - 1 {
            let bag = self.bag(at, weights, ahead);
            let divisor = divisor::<WEIGHTED>(self.pooling, bag);
            let mut from = columns.start;
            // Only the first pass over a bag fetches.
            let mut rest = bag;
            macro_rules! pass {
                ($vectors:literal) => {
                    let sums = self.sum::<S, $vectors, WEIGHTED>(simd, rest, from);
                    self.write(simd, at, &divided(simd, sums, divisor), from - columns.start);
                    from += $vectors * S::LANES;
                    rest.ahead = &[];
                };
            }
            while columns.end - from >= 8 * S::LANES {
                pass!(8);
            }
            if columns.end - from >= 4 * S::LANES {
                pass!(4);
            }
            if columns.end - from >= 2 * S::LANES {
                pass!(2);
            }
            if columns.end - from >= S::LANES {
                pass!(1);
            }
            if from < columns.end {
                let sum = self.sum_tail::<S, WEIGHTED>(simd, rest, from..columns.end);
                let [mean] = divided(simd, [sum], divisor);
                if let Some(out) = self.out.row(self.first + at as u32) {
                    lanes::store_part(simd, mean, &mut out[from - columns.start..]);
                }
            }
        }
    }

    /// The sums of `N` vectors of columns.
    #[inline(always)]
    fn sum<S: Simd, const N: usize, const WEIGHTED: bool>(&self, simd: S, bag: Bag<'a>, from: usize) -> [S::V; N] {
        let mut sums = [simd.splat(0.0); N];
        // Asking and adding take turns of a few rows: one loop for both needs more registers than there are, and was a quarter slower.
        for (block, ids) in bag.ids.chunks(TURN).enumerate() {
            let start = (block * TURN).min(bag.ahead.len());
            for &next in &bag.ahead[start..(start + ids.len()).min(bag.ahead.len())] {
                self.fetch(simd, next);
            }
            for (k, &id) in ids.iter().enumerate() {
                let weight = if WEIGHTED { simd.splat(bag.weights[block * TURN + k]) } else { simd.splat(1.0) };
                match self.table.row(id.wrapping_sub(self.base) as usize) {
                    Some(row) => {
                        let row = &row[from..from + N * S::LANES];
                        for (vector, sum) in sums.iter_mut().enumerate() {
                            let value = E::load(simd, &row[vector * S::LANES..]);
                            *sum = simd.add(*sum, if WEIGHTED { simd.mul(weight, value) } else { value });
                        }
                    }
                    None => {
                        let value = simd.mul(weight, simd.splat(self.fill));
                        for sum in &mut sums {
                            *sum = simd.add(*sum, value);
                        }
                    }
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn sum_tail<S: Simd, const WEIGHTED: bool>(&self, simd: S, bag: Bag<'a>, columns: std::ops::Range<usize>) -> S::V {
        let mut sum = simd.splat(0.0);
        for (k, &id) in bag.ids.iter().enumerate() {
            if let Some(&next) = bag.ahead.get(k) {
                self.fetch(simd, next);
            }
            let weight = if WEIGHTED { simd.splat(bag.weights[k]) } else { simd.splat(1.0) };
            let value = self.tail(simd, id, columns.clone());
            sum = simd.add(sum, if WEIGHTED { simd.mul(weight, value) } else { value });
        }
        sum
    }

    #[inline(always)]
    fn tail<S: Simd>(&self, simd: S, id: u32, columns: std::ops::Range<usize>) -> S::V {
        match self.table.row(id.wrapping_sub(self.base) as usize) {
            Some(row) => lanes::load_part(simd, &row[columns]),
            None => simd.splat(self.fill),
        }
    }

    #[inline(always)]
    fn write<S: Simd, const N: usize>(&mut self, simd: S, at: usize, vectors: &[S::V; N], offset: usize) {
        if let Some(out) = self.out.row(self.first + at as u32) {
            let out = &mut out[offset..offset + N * S::LANES];
            for (at, &vector) in vectors.iter().enumerate() {
                O::store(simd, vector, &mut out[at * S::LANES..]);
            }
        }
    }

    #[inline(always)]
    fn max<S: Simd>(&mut self, simd: S, ahead: usize) {
        let columns = self.out.columns();
        for at in 0..self.bounds.len() - 1 {
            let mut bag = self.bag(at, &[], ahead);
            let mut from = columns.start;
            while from < columns.end {
                let end = (from + S::LANES).min(columns.end);
                let (max, won) = self.max_of(simd, bag, from..end);
                bag.ahead = &[];
                let offset = from - columns.start;
                if let Some(out) = self.out.row(self.first + at as u32) {
                    lanes::store_part(simd, max, &mut out[offset..offset + end - from]);
                }
                if let Some(argmax) = self.argmax.row(self.first + at as u32)
                    && !argmax.is_empty()
                {
                    let mut lanes = [0.0; MAX_LANES];
                    simd.store_f32(won, &mut lanes);
                    for (argmax, lane) in argmax[offset..offset + end - from].iter_mut().zip(lanes) {
                        *argmax = lane.to_bits();
                    }
                }
                from = end;
            }
        }
    }

    /// The largest of up to a vector of columns, and the bits of the rows that they come from.
    #[inline(always)]
    fn max_of<S: Simd>(&self, simd: S, bag: Bag<'a>, columns: std::ops::Range<usize>) -> (S::V, S::V) {
        let mut max = simd.splat(0.0);
        let mut won = simd.splat(f32::from_bits(u32::MAX));
        for (k, &id) in bag.ids.iter().enumerate() {
            if let Some(&next) = bag.ahead.get(k) {
                self.fetch(simd, next);
            }
            let value = self.tail(simd, id, columns.clone());
            let local = if id == crate::index::MISSING { id } else { id.wrapping_sub(self.base) };
            let row = simd.splat(f32::from_bits(local));
            if k == 0 {
                (max, won) = (value, row);
            } else {
                won = simd.select_gt(value, max, row, won);
                max = simd.select_gt(value, max, value, max);
            }
        }
        (max, won)
    }
}

/// What the sum of a bag is divided by.
#[inline(always)]
fn divisor<const WEIGHTED: bool>(pooling: Pooling, bag: Bag<'_>) -> Option<f32> {
    match pooling {
        Pooling::Sum | Pooling::Max => None,
        Pooling::Mean | Pooling::Sqrtn => Some(total(pooling, bag.ids.len(), WEIGHTED.then_some(bag.weights))),
    }
}

/// The divisor of a bag that is averaged: of so many ids, or of these weights.
#[inline(always)]
pub(crate) fn total(pooling: Pooling, ids: usize, weights: Option<&[f32]>) -> f32 {
    let squared = pooling == Pooling::Sqrtn;
    let mut sum = 0.0;
    match weights {
        None => sum = ids as f32,
        Some(weights) => {
            for &weight in weights {
                sum += if squared { weight * weight } else { weight };
            }
        }
    }
    if squared { sum.sqrt() } else { sum }
}

/// The sums divided, if they are. One block for all of them: a division for each was computed ahead of the question whether to divide, by whatever
/// lay in the register, and one by a denormal number takes two hundred cycles.
#[inline(always)]
fn divided<S: Simd, const N: usize>(simd: S, mut sums: [S::V; N], divisor: Option<f32>) -> [S::V; N] {
    match divisor {
        None => {}
        Some(0.0) => sums = [simd.splat(0.0); N],
        Some(divisor) => {
            let divisor = simd.splat(divisor);
            for sum in &mut sums {
                *sum = simd.div(*sum, divisor);
            }
        }
    }
    sums
}

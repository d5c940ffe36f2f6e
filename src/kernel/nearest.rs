//! Scores of every row of a stretch for a few queries, and the best of them.
//!
//! ```text
//! table    0 ................................      one pass over the rows, sixteen at a time
//!          1 ................................  x   queries, up to four at a time, while the row is in the nearest cache
//!          2 ................................  =   16 partial sums each; the row's own square beside them
//!          3 ................................      those of sixteen rows are folded together, by halves
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::AHEAD_IN_ORDER;
use crate::element::{Element, lanes};
use crate::simd::{Kernel, Simd};
use crate::table::TableView;

/// How many partial sums a sum over a row has: see `kernel/dot.rs`.
const PARTS: usize = 16;
/// Rows that are scored together: a vector of scores, on the widest tier.
const ROWS: usize = 16;
/// Queries that share a load of a row's values.
const TOGETHER: usize = 4;

/// Queries as the kernel reads them: by fours, the sixteens of values of each four in turn; what does not fill a four, one by one. Behind
/// its last value a query goes on with zeros.
#[derive(Debug)]
pub(crate) struct Queries {
    values: Vec<f32>,
    /// The length of each.
    lengths: Vec<f32>,
    /// A query's values, with the zeros.
    width: usize,
}

impl Queries {
    /// Queries `[n, dim]` of these lengths.
    pub(crate) fn new(queries: &[f32], dim: usize, lengths: Vec<f32>) -> Queries {
        let width = dim.next_multiple_of(PARTS);
        let mut values = vec![0.0; lengths.len() * width];
        let mut at = 0;
        while at < lengths.len() {
            let together = together(lengths.len() - at);
            let group = &mut values[at * width..(at + together) * width];
            for query in 0..together {
                let from = &queries[(at + query) * dim..(at + query + 1) * dim];
                for (block, from) in from.chunks(PARTS).enumerate() {
                    let to = (block * together + query) * PARTS;
                    group[to..to + from.len()].copy_from_slice(from);
                }
            }
            at += together;
        }
        Queries { values, lengths, width }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }
}

/// How many of the queries that are left are done together.
#[inline(always)]
fn together(left: usize) -> usize {
    if left >= TOGETHER { TOGETHER } else { 1 }
}

/// The best rows for one query, so far.
#[derive(Debug)]
pub(crate) struct Best {
    k: usize,
    /// The worst on top. See [`key`].
    keys: BinaryHeap<Reverse<u64>>,
    /// No later row with this score or a lower one is among the best; NaN when any may be.
    bar: f32,
}

/// What orders rows: the higher score is the larger key; of equal scores, that of the lower row; NaN is below all.
fn key(row: u32, score: f32) -> u64 {
    let bits = (score + 0.0).to_bits();
    let ordered = if score.is_nan() {
        0
    } else if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    };
    u64::from(ordered) << 32 | u64::from(!row)
}

/// The row and the score of a key.
pub(crate) fn of_key(key: u64) -> (u32, f32) {
    let ordered = (key >> 32) as u32;
    let score = match ordered {
        0 => f32::NAN,
        _ if ordered >> 31 == 1 => f32::from_bits(ordered ^ 1 << 31),
        _ => f32::from_bits(!ordered),
    };
    (!(key as u32), score)
}

impl Best {
    /// None yet, and `k` at most.
    pub(crate) fn new(k: usize) -> Best {
        Best { k, keys: BinaryHeap::new(), bar: if k == 0 { f32::INFINITY } else { f32::NAN } }
    }

    /// Takes a row if it is among the best. Rows must come in ascending order.
    #[cold]
    #[inline(never)]
    fn offer(&mut self, row: u32, score: f32, exclude: &[u32]) {
        let key = Reverse(key(row, score));
        let full = self.keys.len() >= self.k;
        if full && self.keys.peek().is_none_or(|worst| key >= *worst) || exclude.binary_search(&row).is_ok() {
            return;
        }
        if full {
            self.keys.pop();
        }
        self.keys.push(key);
        if self.keys.len() >= self.k {
            // A NaN among the best keeps the bar down.
            self.bar = self.keys.peek().map_or(f32::NAN, |worst| of_key(worst.0).1);
        }
    }

    /// Their keys, in no order.
    pub(crate) fn into_keys(self) -> impl Iterator<Item = u64> {
        self.keys.into_iter().map(|Reverse(key)| key)
    }
}

/// Scores rows, and keeps the best.
pub(crate) struct Score<'a, E> {
    pub(crate) table: TableView<'a, E>,
    pub(crate) rows: Range<usize>,
    pub(crate) queries: &'a Queries,
    /// Whether scores are cosines, or else dot products.
    pub(crate) cosine: bool,
    /// For each query, rows that are not meant, ascending.
    pub(crate) exclude: &'a [Vec<u32>],
    /// One for each query.
    pub(crate) best: &'a mut [Best],
}

impl<E: Element> Kernel for Score<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if self.cosine {
            self.all::<S, true>(simd);
        } else {
            self.all::<S, false>(simd);
        }
    }
}

/// The partial sums of one sum over a row: one vector on the widest tier, two on the others.
type Parts<S> = [<S as Simd>::V; 2];

impl<E: Element> Score<'_, E> {
    #[inline(always)]
    fn all<S: Simd, const COSINE: bool>(&mut self, simd: S) {
        let dim = self.table.dim();
        // Of the last sixteen values of a row, those that are there.
        let mut there = [0.0; PARTS];
        there[..dim % PARTS].fill(1.0);
        let there = [simd.load_f32(&there), simd.load_f32(&there[PARTS - S::LANES..])];
        let mut from = self.rows.start;
        while from < self.rows.end {
            let rows = from..(from + ROWS).min(self.rows.end);
            let mut squares = [0.0; ROWS];
            let mut at = 0;
            while at < self.queries.len() {
                let first = at == 0;
                at += match (together(self.queries.len() - at), first) {
                    (TOGETHER, true) => self.some::<S, TOGETHER, COSINE, true>(simd, at, &rows, &mut squares, there),
                    (TOGETHER, false) => self.some::<S, TOGETHER, COSINE, false>(simd, at, &rows, &mut squares, there),
                    (_, true) => self.some::<S, 1, COSINE, true>(simd, at, &rows, &mut squares, there),
                    (_, false) => self.some::<S, 1, COSINE, false>(simd, at, &rows, &mut squares, there),
                };
            }
            from = rows.end;
        }
    }

    /// Scores up to sixteen rows for `N` queries. The first queries find the squares of the rows, too.
    #[inline(always)]
    fn some<S: Simd, const N: usize, const COSINE: bool, const FIRST: bool>(
        &mut self,
        simd: S,
        at: usize,
        rows: &Range<usize>,
        squares: &mut [f32; ROWS],
        there: Parts<S>,
    ) -> usize {
        let width = self.queries.width;
        let queries = &self.queries.values[at * width..(at + N) * width];
        let ahead = (AHEAD_IN_ORDER / (self.table.stride() * size_of::<E>()).max(1)).max(1);
        let mut parts = [[[0.0; PARTS]; ROWS]; N];
        let mut square_parts = [[0.0; PARTS]; ROWS];
        for (place, row) in rows.clone().enumerate() {
            if FIRST && let Some(next) = self.table.row(row + ahead) {
                simd.prefetch(next);
            }
            let Some(row) = self.table.row_onward(row) else { break };
            let zero = [simd.splat(0.0); 2];
            let mut sums = [zero; N];
            let mut square = zero;
            let (blocks, tail) = row[..self.table.dim()].as_chunks::<PARTS>();
            let mut groups = queries.chunks_exact(N * PARTS);
            for (block, group) in blocks.iter().zip(&mut groups) {
                let values = [E::load(simd, block), E::load(simd, &block[PARTS - S::LANES..])];
                add::<S, N>(simd, &mut sums, values, group);
                if COSINE && FIRST {
                    add_square(simd, &mut square, values);
                }
            }
            if let Some(group) = groups.next() {
                let values = match row.get(blocks.len() * PARTS..(blocks.len() + 1) * PARTS) {
                    // What is behind the row is read with it, and taken for zeros.
                    Some(block) => [
                        simd.select_gt(there[0], zero[0], E::load(simd, block), zero[0]),
                        simd.select_gt(there[1], zero[0], E::load(simd, &block[PARTS - S::LANES..]), zero[0]),
                    ],
                    None => {
                        let cut = tail.len().min(S::LANES);
                        [lanes::load_part(simd, &tail[..cut]), lanes::load_part(simd, &tail[cut..])]
                    }
                };
                add::<S, N>(simd, &mut sums, values, group);
                if COSINE && FIRST {
                    add_square(simd, &mut square, values);
                }
            }
            for (query, sums) in sums.iter().enumerate() {
                keep(simd, *sums, &mut parts[query][place]);
            }
            if COSINE && FIRST {
                keep(simd, square, &mut square_parts[place]);
            }
        }
        if COSINE && FIRST {
            *squares = simd.fold(&square_parts);
        }
        for (query, parts) in parts.iter().enumerate() {
            let mut dots = simd.fold(parts);
            if COSINE {
                divide(simd, &mut dots, squares, self.queries.lengths[at + query]);
            }
            let best = &mut self.best[at + query];
            for (&score, row) in dots.iter().zip(rows.clone()) {
                // Most rows are not among the best. A NaN on either side means that this one may be.
                let beaten = score <= best.bar;
                if !beaten {
                    best.offer(row as u32, score, &self.exclude[at + query]);
                }
            }
        }
        N
    }
}

#[inline(always)]
fn add<S: Simd, const N: usize>(simd: S, sums: &mut [Parts<S>; N], values: Parts<S>, group: &[f32]) {
    for (query, sum) in sums.iter_mut().enumerate() {
        let query = &group[query * PARTS..(query + 1) * PARTS];
        sum[0] = simd.add(sum[0], simd.mul(simd.load_f32(query), values[0]));
        if S::LANES < PARTS {
            sum[1] = simd.add(sum[1], simd.mul(simd.load_f32(&query[S::LANES..]), values[1]));
        }
    }
}

#[inline(always)]
fn add_square<S: Simd>(simd: S, square: &mut Parts<S>, values: Parts<S>) {
    square[0] = simd.add(square[0], simd.mul(values[0], values[0]));
    if S::LANES < PARTS {
        square[1] = simd.add(square[1], simd.mul(values[1], values[1]));
    }
}

/// Keeps partial sums for later.
#[inline(always)]
fn keep<S: Simd>(simd: S, sums: Parts<S>, parts: &mut [f32; PARTS]) {
    simd.store_f32(sums[0], parts);
    if S::LANES < PARTS {
        simd.store_f32(sums[1], &mut parts[S::LANES..]);
    }
}

/// Dot products to cosines: over the product of the lengths, and 0 where that is 0.
#[inline(always)]
fn divide<S: Simd>(simd: S, dots: &mut [f32; ROWS], squares: &[f32; ROWS], length: f32) {
    let (length, zero) = (simd.splat(length), simd.splat(0.0));
    let mut at = 0;
    while at < ROWS {
        let lengths = simd.mul(length, simd.sqrt(simd.load_f32(&squares[at..])));
        let quotient = simd.div(simd.load_f32(&dots[at..]), lengths);
        // A product of lengths that is not above zero is zero or NaN, which is the score.
        simd.store_f32(simd.select_gt(lengths, zero, quotient, lengths), &mut dots[at..]);
        at += S::LANES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_scores_and_then_rows() {
        let scores = [f32::NAN, f32::NEG_INFINITY, -1.5, -1e-40, 0.0, 1e-40, 2.0, f32::INFINITY];
        let mut before = None;
        for score in scores {
            for row in [u32::MAX - 1, 7, 0] {
                let key = key(row, score);
                assert!(before < Some(key), "{score} of row {row}");
                let (back, same) = of_key(key);
                assert!(back == row && (same == score || same.is_nan() && score.is_nan()), "{score} of row {row}");
                before = Some(key);
            }
        }
        assert_eq!(key(3, -0.0), key(3, 0.0));
        assert_eq!(key(3, -f32::NAN), key(3, f32::NAN));
    }

    #[test]
    fn queries_are_laid_out_by_fours() {
        let values: Vec<f32> = (0..5 * 17).map(|k| k as f32).collect();
        let queries = Queries::new(&values, 17, vec![1.0; 5]);
        assert_eq!((queries.len(), queries.width, queries.values.len()), (5, 32, 5 * 32));
        assert_eq!(queries.values[..17], [&values[..16], &values[17..18]].concat());
        assert_eq!(queries.values[64..66], [16.0, 0.0]);
        assert_eq!(queries.values[128..128 + 18], [&values[4 * 17..], &[0.0]].concat());
    }
}

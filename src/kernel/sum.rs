//! The gradients of each row, summed: from the words of a grouped plan, a few rows at a time.
//!
//! ```text
//! words   [ (2, a) (2, c) (5, b) | … ]            by row, then in input order
//! out     2: 0 + ga + gc     5: 0 + gb            in registers, columns in blocks
//! ```

use std::ops::Range;

use super::scatter::unpack;
use crate::Element;
use crate::element::lanes::{self, AnySlice};
use crate::simd::{Kernel, MAX_LANES, Simd, Tier, prefetch_lines};

/// Where gradients come from, by the second half of a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) values: AnySlice<'a>,
    /// From one row of `values` to the next.
    pub(crate) stride: usize,
    /// What each gradient is multiplied by, by the second half of a word; all ones if there are none.
    pub(crate) scales: Option<&'a [f32]>,
    /// The bag of an id, where words name ids and gradients belong to bags.
    pub(crate) bag_of: Option<&'a [u32]>,
    /// Where the gradient of each bag starts in `values`; if there are none, rows lie `stride` apart.
    pub(crate) starts: Option<&'a [usize]>,
    /// `[bags, dim]` and its dim, the row that gave each value of a max-pooled bag: no other gets its gradient.
    pub(crate) argmax: Option<(&'a [u32], usize)>,
    /// Whether each sum is divided by the number of its gradients.
    pub(crate) by_freq: bool,
}

impl Sources<'_> {
    /// Where the gradient that a word names starts in the values.
    #[inline(always)]
    fn start(&self, second: usize) -> usize {
        let row = match self.bag_of {
            Some(bag_of) => bag_of[second] as usize,
            None => second,
        };
        match self.starts {
            Some(starts) => starts[row],
            None => row * self.stride,
        }
    }

    /// Asks memory for the first `dim` values of the gradient that a word names.
    #[inline(always)]
    pub(crate) fn fetch(&self, second: usize, dim: usize) {
        let start = self.start(second);
        match self.values {
            AnySlice::F32(values) => prefetch_lines(&values[start..start + dim]),
            AnySlice::F16(values) => prefetch_lines(&values[start..start + dim]),
            AnySlice::BF16(values) => prefetch_lines(&values[start..start + dim]),
        }
    }
}

/// Sums the gradients of the first rows of `words`, as many as `rows` has room for: returns how many rows, and how many words they had.
pub(crate) fn sum(
    tier: Tier,
    sources: &Sources<'_>,
    words: &[u64],
    columns: Range<usize>,
    rows: &mut [u32],
    out: &mut [f32],
) -> (usize, usize) {
    match sources.values {
        AnySlice::F32(values) => tier.run(Sum { sources, values, words, columns, rows, out }),
        AnySlice::F16(values) => tier.run(Sum { sources, values, words, columns, rows, out }),
        AnySlice::BF16(values) => tier.run(Sum { sources, values, words, columns, rows, out }),
    }
}

/// [`sum`] of values of one element.
struct Sum<'a, 'o, S> {
    sources: &'a Sources<'a>,
    values: &'a [S],
    /// Whole rows' words, from [`pack`](super::pack).
    words: &'a [u64],
    columns: Range<usize>,
    /// Which rows they are.
    rows: &'o mut [u32],
    /// `[rows.len(), columns.len()]`
    out: &'o mut [f32],
}

impl<S: Element> Kernel for Sum<'_, '_, S> {
    /// How many rows, and how many words.
    type Output = (usize, usize);

    #[inline(always)]
    fn run<T: Simd>(mut self, simd: T) -> (usize, usize) {
        let width = self.columns.len();
        let (mut count, mut at) = (0, 0);
        while count < self.rows.len() && at < self.words.len() {
            let (row, _) = unpack(self.words[at]);
            let mut end = at + 1;
            while end < self.words.len() && unpack(self.words[end]).0 == row {
                end += 1;
            }
            self.rows[count] = row;
            let words = &self.words[at..end];
            let range = count * width..(count + 1) * width;
            if let Some((argmax, dim)) = self.sources.argmax {
                self.max_row(simd, row, words, range.clone(), argmax, dim);
            } else if self.sources.scales.is_some() {
                self.sum_row::<T, true>(simd, words, range.clone());
            } else {
                self.sum_row::<T, false>(simd, words, range.clone());
            }
            if self.sources.by_freq {
                let frequency = words.len() as f32;
                for sum in &mut self.out[range] {
                    *sum /= frequency;
                }
            }
            count += 1;
            at = end;
        }
        (count, at)
    }
}

impl<'a, S: Element> Sum<'a, '_, S> {
    /// The gradient that a word names.
    #[inline(always)]
    fn gradient(&self, second: usize, columns: Range<usize>) -> &'a [S] {
        let start = self.sources.start(second);
        &self.values[start + columns.start..start + columns.end]
    }

    #[inline(always)]
    fn sum_row<T: Simd, const SCALED: bool>(&mut self, simd: T, words: &[u64], range: Range<usize>) {
        let mut from = 0;
        let width = range.len();
        macro_rules! pass {
            ($vectors:literal) => {
                self.sum_vectors::<T, $vectors, SCALED>(simd, words, from, range.start + from);
                from += $vectors * T::LANES;
            };
        }
        while width - from >= 8 * T::LANES {
            pass!(8);
        }
        if width - from >= 4 * T::LANES {
            pass!(4);
        }
        if width - from >= 2 * T::LANES {
            pass!(2);
        }
        if width - from >= T::LANES {
            pass!(1);
        }
        if from < width {
            let mut sum = simd.splat(0.0);
            let columns = self.columns.start + from..self.columns.end;
            for &word in words {
                let second = unpack(word).1;
                let gradient = lanes::load_part(simd, self.gradient(second, columns.clone()));
                sum = simd.add(sum, self.scaled::<T, SCALED>(simd, gradient, second));
            }
            lanes::store_part(simd, sum, &mut self.out[range.start + from..range.end]);
        }
    }

    #[inline(always)]
    fn sum_vectors<T: Simd, const N: usize, const SCALED: bool>(&mut self, simd: T, words: &[u64], from: usize, to: usize) {
        let columns = self.columns.start + from..self.columns.start + from + N * T::LANES;
        let mut sums = [simd.splat(0.0); N];
        for &word in words {
            let second = unpack(word).1;
            let gradient = self.gradient(second, columns.clone());
            for (vector, sum) in sums.iter_mut().enumerate() {
                let gradient = S::load(simd, &gradient[vector * T::LANES..]);
                *sum = simd.add(*sum, self.scaled::<T, SCALED>(simd, gradient, second));
            }
        }
        let out = &mut self.out[to..to + N * T::LANES];
        for (vector, &sum) in sums.iter().enumerate() {
            simd.store_f32(sum, &mut out[vector * T::LANES..]);
        }
    }

    #[inline(always)]
    fn scaled<T: Simd, const SCALED: bool>(&self, simd: T, gradient: T::V, second: usize) -> T::V {
        match self.sources.scales {
            Some(scales) if SCALED => simd.mul(simd.splat(scales[second]), gradient),
            _ => gradient,
        }
    }

    /// The gradients of a max-pooled bag belong to the rows that gave its values. A row that stands in a bag twice has two equal words.
    #[inline(always)]
    fn max_row<T: Simd>(&mut self, simd: T, row: u32, words: &[u64], range: Range<usize>, argmax: &[u32], dim: usize) {
        let (sources, values, columns) = (self.sources, self.values, self.columns.clone());
        let out = &mut self.out[range];
        out.fill(0.0);
        for (at, &word) in words.iter().enumerate() {
            if at > 0 && words[at - 1] == word {
                continue;
            }
            let bag = unpack(word).1;
            let start = sources.start(bag);
            let gradient = &values[start + columns.start..start + columns.end];
            let won = &argmax[bag * dim + columns.start..bag * dim + columns.end];
            for (out, (gradient, won)) in out.chunks_mut(T::LANES).zip(gradient.chunks(T::LANES).zip(won.chunks(T::LANES))) {
                let mut lanes = [0.0; MAX_LANES];
                simd.store_f32(lanes::load_part(simd, gradient), &mut lanes);
                for ((sum, gradient), &won) in out.iter_mut().zip(lanes).zip(won) {
                    if won == row {
                        *sum += gradient;
                    }
                }
            }
        }
    }
}

//! Adds rows to rows. Each column adds up in the order of the updates, multiply and add apart, so every tier and every cut of the
//! work gives the same bits.

use std::ops::Range;

use super::prefetch_distance;
use crate::Element;
use crate::element::lanes;
use crate::par::TileMut;
use crate::simd::{Kernel, Simd};
use crate::table::TableViewMut;

/// A row and the position of its update, in one word: words in ascending order are updates in row order, then input order.
#[inline(always)]
pub(crate) fn pack(row: u32, position: u32) -> u64 {
    u64::from(row) << 32 | u64::from(position)
}

#[inline(always)]
pub(crate) fn unpack(word: u64) -> (u32, usize) {
    ((word >> 32) as u32, word as u32 as usize)
}

/// The plain loop: row after row in input order, each stored as it is. For f32, where nothing is lost by storing.
pub(crate) struct AddInOrder<'a, E, S> {
    pub(crate) table: TableViewMut<'a, E>,
    pub(crate) rows: &'a [u32],
    /// `[rows.len(), dim]`
    pub(crate) source: &'a [S],
    pub(crate) alpha: f32,
}

impl<E: Element, S: Element> Kernel for AddInOrder<'_, E, S> {
    type Output = ();

    #[inline(always)]
    fn run<T: Simd>(mut self, simd: T) {
        let dim = self.table.dim();
        let ahead = prefetch_distance(dim * size_of::<E>());
        let alpha = simd.splat(self.alpha);
        for (at, &row) in self.rows.iter().enumerate() {
            if let Some(&next) = self.rows.get(at + ahead)
                && let Some(next) = self.table.row_mut(next as usize)
            {
                simd.prefetch(next);
            }
            if let Some(row) = self.table.row_mut(row as usize) {
                add_row(simd, row, &self.source[at * dim..(at + 1) * dim], alpha);
            }
        }
    }
}

/// The updates of one tile. Updates of one row that follow each other are summed in f32 before the row is rounded and stored; for
/// 16-bit elements the caller has sorted them, so that these are all updates of the row.
pub(crate) struct AddTile<'a, E, S> {
    pub(crate) tile: TileMut<'a, E>,
    /// From [`pack`].
    pub(crate) updates: &'a [u64],
    /// `[_, dim]`, indexed by position.
    pub(crate) source: &'a [S],
    pub(crate) dim: usize,
    pub(crate) alpha: f32,
    /// Whether positions ascend: then the processor fetches the updates ahead by itself, and asking costs it places to fetch to.
    pub(crate) in_order: bool,
}

impl<E: Element, S: Element> Kernel for AddTile<'_, E, S> {
    type Output = ();

    #[inline(always)]
    fn run<T: Simd>(mut self, simd: T) {
        let columns = self.tile.columns();
        let ahead = prefetch_distance(columns.len() * size_of::<E>());
        let alpha = simd.splat(self.alpha);
        let mut at = 0;
        while at < self.updates.len() {
            let (row, position) = unpack(self.updates[at]);
            let mut end = at + 1;
            while end < self.updates.len() && unpack(self.updates[end]).0 == row {
                end += 1;
            }
            if end - at == 1 {
                self.fetch(simd, at + ahead);
                let update = self.update(position, columns.clone());
                if let Some(row) = self.tile.row(row) {
                    add_row(simd, row, update, alpha);
                }
            } else {
                self.add_run(simd, row, at..end, alpha, ahead);
            }
            at = end;
        }
    }
}

impl<'a, E: Element, S: Element> AddTile<'a, E, S> {
    #[inline(always)]
    fn update(&self, position: usize, columns: Range<usize>) -> &'a [S] {
        let from = position * self.dim;
        &self.source[from + columns.start..from + columns.end]
    }

    /// Asks for the row and the update of the word at `at`.
    #[inline(always)]
    fn fetch<T: Simd>(&self, simd: T, at: usize) {
        let Some(&word) = self.updates.get(at) else { return };
        let (row, position) = unpack(word);
        if !self.in_order {
            simd.prefetch(self.update(position, self.tile.columns()));
        }
        if let Some(row) = self.tile.peek(row) {
            simd.prefetch(row);
        }
    }

    /// Adds all of `updates` to one row, which is kept in registers meanwhile: eight vectors of columns at a time, then four, two, one. A
    /// hot row has more updates than a cache holds, so each pass over them should take as many columns as there are registers.
    #[inline(always)]
    fn add_run<T: Simd>(&mut self, simd: T, row: u32, updates: Range<usize>, alpha: T::V, ahead: usize) {
        let columns = self.tile.columns();
        let mut from = columns.start;
        while columns.end - from >= 8 * T::LANES {
            self.add_run_to::<T, 8>(simd, row, updates.clone(), alpha, from, ahead);
            from += 8 * T::LANES;
        }
        if columns.end - from >= 4 * T::LANES {
            self.add_run_to::<T, 4>(simd, row, updates.clone(), alpha, from, ahead);
            from += 4 * T::LANES;
        }
        if columns.end - from >= 2 * T::LANES {
            self.add_run_to::<T, 2>(simd, row, updates.clone(), alpha, from, ahead);
            from += 2 * T::LANES;
        }
        if columns.end - from >= T::LANES {
            self.add_run_to::<T, 1>(simd, row, updates.clone(), alpha, from, ahead);
            from += T::LANES;
        }
        if from < columns.end {
            let offset = from - columns.start;
            let Some(cells) = self.tile.peek(row) else { return };
            let mut sum = lanes::load_part(simd, &cells[offset..]);
            for at in updates {
                self.fetch(simd, at + ahead);
                let update = lanes::load_part(simd, self.update(unpack(self.updates[at]).1, from..columns.end));
                sum = simd.add(sum, simd.mul(alpha, update));
            }
            if let Some(cells) = self.tile.row(row) {
                lanes::store_part(simd, sum, &mut cells[offset..]);
            }
        }
    }

    #[inline(always)]
    fn add_run_to<T: Simd, const N: usize>(
        &mut self,
        simd: T,
        row: u32,
        updates: Range<usize>,
        alpha: T::V,
        from: usize,
        ahead: usize,
    ) {
        let offset = from - self.tile.columns().start;
        let Some(cells) = self.tile.peek(row) else { return };
        let mut sums = [alpha; N];
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum = E::load(simd, &cells[offset + lane * T::LANES..]);
        }
        for at in updates {
            self.fetch(simd, at + ahead);
            let update = self.update(unpack(self.updates[at]).1, from..from + N * T::LANES);
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add(*sum, simd.mul(alpha, S::load(simd, &update[lane * T::LANES..])));
            }
        }
        if let Some(cells) = self.tile.row(row) {
            for (lane, &sum) in sums.iter().enumerate() {
                E::store(simd, sum, &mut cells[offset + lane * T::LANES..]);
            }
        }
    }
}

/// `row += alpha * update`
#[inline(always)]
fn add_row<T: Simd, E: Element, S: Element>(simd: T, row: &mut [E], update: &[S], alpha: T::V) {
    let mut cells = row.chunks_exact_mut(T::LANES);
    let mut values = update.chunks_exact(T::LANES);
    for (cells, values) in (&mut cells).zip(&mut values) {
        let sum = simd.add(E::load(simd, cells), simd.mul(alpha, S::load(simd, values)));
        E::store(simd, sum, cells);
    }
    let cells = cells.into_remainder();
    if !cells.is_empty() {
        let sum = simd.add(lanes::load_part(simd, cells), simd.mul(alpha, lanes::load_part(simd, values.remainder())));
        lanes::store_part(simd, sum, cells);
    }
}

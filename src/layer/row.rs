//! What constraints and renormalization do to rows: measure one, and map its values. Written once over tier and element; sixteen
//! values at a time in arrays, which the compiler makes vectors of.

use crate::element::Element;
use crate::error::Result;
use crate::index::{self, Ids, MISSING};
use crate::par::{self, Parallelism};
use crate::simd::{Kernel, Simd, Tier};
use crate::sums::LANES;
use crate::table::{FILL_BYTES, Table, TableView, TableViewMut};

/// How many rows ahead to ask memory for a row of a list.
const AHEAD: usize = 8;

/// What to do to one row.
pub(super) trait RowRule: Sync {
    /// What becomes of row `at`. Must be marked `#[inline(always)]`.
    fn apply<E: Element, S: Simd>(&self, simd: S, at: usize, row: &mut [E]);
}

/// Applies `rule` to every row.
pub(super) fn each_row<E: Element>(table: TableViewMut<'_, E>, rule: &impl RowRule) {
    let row_bytes = (table.dim() * size_of::<E>()).max(1);
    let workers = Parallelism::Auto.workers_for((2 * row_bytes).saturating_mul(table.rows()));
    by_blocks(table, workers, FILL_BYTES / row_bytes, rule, None);
}

/// Applies `rule` to the rows of a list that ascends and has no number twice.
pub(super) fn listed_rows<E: Element>(table: TableViewMut<'_, E>, listed: &[u32], rule: &impl RowRule) {
    let row_bytes = table.dim() * size_of::<E>();
    let workers = Parallelism::Auto.workers_for((2 * row_bytes).saturating_mul(listed.len()));
    let block = table.rows() / (8 * workers);
    by_blocks(table, workers, block, rule, Some(listed));
}

/// The row numbers of `ids`, ascending, each once. Ids that a policy fills are left out.
pub(super) fn unique_rows(ids: &Ids<'_>, rows: usize) -> Result<Vec<u32>> {
    let mut unique = Vec::new();
    index::check(ids, rows, &mut unique, Tier::best(), Parallelism::Auto)?;
    unique.truncate(ids.len());
    unique.sort_unstable();
    unique.dedup();
    unique.pop_if(|&mut row| row == MISSING);
    Ok(unique)
}

fn by_blocks<E: Element>(table: TableViewMut<'_, E>, workers: usize, block: usize, rule: &impl RowRule, listed: Option<&[u32]>) {
    let (rows, dim, stride) = (table.rows(), table.dim(), table.stride());
    if rows == 0 || dim == 0 {
        return;
    }
    let tier = Tier::best();
    let values = table.into_values();
    // What lies behind the last row is nobody's here.
    let end = (rows * stride).min(values.len());
    par::chunks_mut(workers, &mut values[..end], block.max(1) * stride, &|first, values| {
        let first = first / stride;
        let last = first + values.len().div_ceil(stride);
        let listed = listed.map(|rows| {
            let start = rows.partition_point(|&row| (row as usize) < first);
            let end = rows.partition_point(|&row| (row as usize) < last);
            &rows[start..end]
        });
        tier.run(Block { values, first, dim, stride, listed, rule });
    });
}

/// The rows of a piece of a table.
struct Block<'a, E, R> {
    values: &'a mut [E],
    first: usize,
    dim: usize,
    stride: usize,
    listed: Option<&'a [u32]>,
    rule: &'a R,
}

impl<E: Element, R: RowRule> Kernel for Block<'_, E, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.listed {
            None => {
                for (at, row) in self.values.chunks_mut(self.stride).enumerate() {
                    self.rule.apply(simd, self.first + at, &mut row[..self.dim]);
                }
            }
            Some(listed) => {
                for (at, &row) in listed.iter().enumerate() {
                    if let Some(&next) = listed.get(at + AHEAD) {
                        let from = (next as usize - self.first) * self.stride;
                        simd.prefetch(&self.values[from..from + self.dim]);
                    }
                    let from = (row as usize - self.first) * self.stride;
                    self.rule.apply(simd, row as usize, &mut self.values[from..from + self.dim]);
                }
            }
        }
    }
}

/// Sixteen values, widened; zeros beyond the end of a row.
#[inline(always)]
pub(super) fn widened<E: Element, S: Simd>(simd: S, from: &[E]) -> [f32; LANES] {
    let mut padded = [E::default(); LANES];
    let full = if from.len() == LANES {
        from
    } else {
        padded[..from.len()].copy_from_slice(from);
        &padded
    };
    let mut wide = [0.0; LANES];
    for (from, to) in full.chunks_exact(S::LANES).zip(wide.chunks_exact_mut(S::LANES)) {
        simd.store_f32(E::load(simd, from), to);
    }
    wide
}

/// The other way, each value rounded once.
#[inline(always)]
fn narrowed<E: Element, S: Simd>(simd: S, wide: &[f32; LANES], to: &mut [E]) {
    let mut padded = [E::default(); LANES];
    for (from, to) in wide.chunks_exact(S::LANES).zip(padded.chunks_exact_mut(S::LANES)) {
        E::store(simd, simd.load_f32(from), to);
    }
    to.copy_from_slice(&padded[..to.len()]);
}

/// How the values of a row become one number.
pub(super) trait Measure {
    /// What a value counts: not below zero, so that the padding of a row counts nothing.
    fn of(value: f32) -> f32;
    /// Two partial results together.
    fn join(a: f32, b: f32) -> f32;
}

pub(super) struct Squares;
pub(super) struct Magnitudes;
pub(super) struct Largest;

impl Measure for Squares {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value * value
    }
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Measure for Magnitudes {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value.abs()
    }
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Measure for Largest {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value.abs()
    }
    /// A NaN wins.
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        if b > a || b.is_nan() { b } else { a }
    }
}

/// Measures a row in sixteen parts, which are joined by halves.
#[inline(always)]
pub(super) fn measure<M: Measure, E: Element, S: Simd>(simd: S, row: &[E]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for block in row.chunks(LANES) {
        let values = widened(simd, block);
        for lane in 0..LANES {
            lanes[lane] = M::join(lanes[lane], M::of(values[lane]));
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = M::join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The length of a row.
#[inline(always)]
pub(super) fn norm<E: Element, S: Simd>(simd: S, row: &[E]) -> f32 {
    measure::<Squares, E, S>(simd, row).sqrt()
}

/// What becomes of a value.
pub(super) trait Map {
    fn of(&self, value: f32) -> f32;
}

pub(super) struct Times(pub(super) f32);
pub(super) struct Over(pub(super) f32);
pub(super) struct NotBelowZero;

impl Map for Times {
    #[inline(always)]
    fn of(&self, value: f32) -> f32 {
        value * self.0
    }
}

impl Map for Over {
    #[inline(always)]
    fn of(&self, value: f32) -> f32 {
        value / self.0
    }
}

impl Map for NotBelowZero {
    /// A NaN stays, and -0 becomes 0, as in TensorFlow's `maximum(w, 0)`.
    #[inline(always)]
    fn of(&self, value: f32) -> f32 {
        if value <= 0.0 { 0.0 } else { value }
    }
}

/// Maps every value of a row in f32.
#[inline(always)]
pub(super) fn map<M: Map, E: Element, S: Simd>(simd: S, row: &mut [E], map: &M) {
    for block in row.chunks_mut(LANES) {
        let mut wide = widened(simd, block);
        for value in &mut wide {
            *value = map.of(*value);
        }
        narrowed(simd, &wide, block);
    }
}

/// Maps the values of a row to those of another of the same length.
#[inline(always)]
pub(super) fn map_from<M: Map, E: Element, F: Element, S: Simd>(simd: S, from: &[E], to: &mut [F], map: &M) {
    for (from, to) in from.chunks(LANES).zip(to.chunks_mut(LANES)) {
        let mut wide = widened(simd, from);
        for value in &mut wide {
            *value = map.of(*value);
        }
        narrowed(simd, &wide, to);
    }
}

/// Adds `alpha` times another table to a table of the same shape, each value rounded once.
pub(super) fn add_scaled<E: Element>(table: TableViewMut<'_, E>, other: &Table<f32>, alpha: f32) {
    each_row(table, &AddScaled { other: other.view(), alpha });
}

struct AddScaled<'a> {
    other: TableView<'a, f32>,
    alpha: f32,
}

impl RowRule for AddScaled<'_> {
    #[inline(always)]
    fn apply<E: Element, S: Simd>(&self, simd: S, at: usize, row: &mut [E]) {
        let Some(other) = self.other.row(at) else { return };
        for (block, other) in row.chunks_mut(LANES).zip(other.chunks(LANES)) {
            let mut wide = widened(simd, block);
            for (wide, other) in wide.iter_mut().zip(other) {
                *wide += self.alpha * other;
            }
            narrowed(simd, &wide, block);
        }
    }
}

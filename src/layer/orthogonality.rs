//! How far from orthogonal the rows of a table are: Keras's orthogonal regularizer, in f64 and in a fixed order, without the matrix
//! of all products.

use super::regularizer::by_blocks;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::simd::{Kernel, Simd, Tier};
use crate::sums::dot;
use crate::table::{Table, TableView};

/// The shortest norm that a row is divided by: Keras's `epsilon`.
const EPSILON: f64 = 1e-7;

/// Rows of length 1.
struct Normalized {
    /// `[rows, dim]`
    values: Vec<f64>,
    /// What each row was divided by.
    norms: Vec<f64>,
    dim: usize,
}

impl Normalized {
    fn of<E: Element>(table: TableView<'_, E>) -> Result<Normalized> {
        let (rows, dim) = (table.rows(), table.dim());
        let mut values = zeros(rows.saturating_mul(dim))?;
        let mut norms = zeros(rows)?;
        for (row, wide) in table.iter().zip(values.chunks_exact_mut(dim.max(1))) {
            for (value, wide) in row.iter().zip(wide) {
                *wide = f64::from(value.to_f32());
            }
        }
        for (norm, row) in norms.iter_mut().zip(values.chunks_exact_mut(dim.max(1))) {
            *norm = dot(row, row).sqrt().max(EPSILON);
            for value in row {
                *value /= *norm;
            }
        }
        Ok(Normalized { values, norms, dim })
    }

    fn rows(&self) -> usize {
        self.norms.len()
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.dim..(row + 1) * self.dim]
    }
}

fn zeros(n: usize) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| Error::OutOfMemory { bytes: n.saturating_mul(size_of::<f64>()) })?;
    values.resize(n, 0.0);
    Ok(values)
}

/// The factor of one pair; `None` where there are no pairs.
fn per_pair(factor: f64, rows: usize) -> Option<f64> {
    (rows > 1).then(|| factor / (rows as f64 * (rows as f64 - 1.0) / 2.0))
}

/// `factor` times the mean magnitude of the products of all pairs.
pub(super) fn loss<E: Element>(table: TableView<'_, E>, factor: f64) -> Result<f64> {
    let Some(weight) = per_pair(factor, table.rows()) else { return Ok(0.0) };
    let normalized = Normalized::of(table)?;
    let tier = Tier::best();
    let rows = normalized.rows();
    // Each row is multiplied with all after it.
    let work = size_of::<f64>().saturating_mul(normalized.dim).saturating_mul(rows / 2);
    let blocks = by_blocks(rows, work, &|rows| {
        let mut sum = 0.0;
        for row in rows {
            sum += tier.run(Products { normalized: &normalized, row });
        }
        sum
    })?;
    Ok(weight * blocks.iter().fold(0.0, |sum, block| sum + block))
}

/// The gradient by every value of the table.
pub(super) fn gradient<E: Element>(table: TableView<'_, E>, factor: f64) -> Result<Table<f32>> {
    let (rows, dim) = (table.rows(), table.dim());
    let Some(weight) = per_pair(factor, rows) else { return Table::zeros(rows, dim) };
    let normalized = Normalized::of(table)?;
    let mut slopes = zeros(rows.saturating_mul(dim))?;
    let tier = Tier::best();
    let workers = Parallelism::Auto.workers_for(rows.saturating_mul(rows).saturating_mul(dim));
    par::chunks_mut(workers, &mut slopes, dim, &|first, slope| {
        tier.run(Slope { normalized: &normalized, row: first / dim, weight, slope });
    });
    Table::from_fn(rows, dim, |row, column| slopes[row * dim + column] as f32)
}

/// The magnitudes of the products of a row with those after it, summed.
struct Products<'a> {
    normalized: &'a Normalized,
    row: usize,
}

impl Kernel for Products<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let own = self.normalized.row(self.row);
        let mut sum = 0.0;
        for other in self.row + 1..self.normalized.rows() {
            sum += dot(own, self.normalized.row(other)).abs();
        }
        sum
    }
}

/// The derivative by a row: the other rows, each with the sign of its product with it, and then through the division by its length.
struct Slope<'a> {
    normalized: &'a Normalized,
    row: usize,
    weight: f64,
    /// Zeros at first.
    slope: &'a mut [f64],
}

impl Kernel for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let own = self.normalized.row(self.row);
        for other in 0..self.normalized.rows() {
            if other == self.row {
                continue;
            }
            let values = self.normalized.row(other);
            let product = dot(own, values);
            let sign = if product == 0.0 { 0.0 } else { product.signum() };
            for (slope, value) in self.slope.iter_mut().zip(values) {
                *slope += sign * value;
            }
        }
        let norm = self.normalized.norms[self.row];
        // A row shorter than epsilon is divided by a constant; the length of any other does not matter, so nothing goes along it.
        let along = if norm > EPSILON { dot(self.slope, own) } else { 0.0 };
        for (slope, own) in self.slope.iter_mut().zip(own) {
            *slope = self.weight * (*slope - along * own) / norm;
        }
    }
}

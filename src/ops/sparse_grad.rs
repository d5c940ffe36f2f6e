//! Sparse gradients: the rows that a batch touches, and the sum of the gradients of each.

use std::fmt;

use crate::error::{Error, Result};
use crate::index::grow;
use crate::kernel::dot_of;
use crate::ops::Workspace;
use crate::ops::gradient::{Gradient, Run};
use crate::ops::step::Job;
use crate::ops::sums::{Shares, Span, count_rows, cut_sums, sum_tile};
use crate::par::{self, Grid, Tiles};
use crate::simd::Tier;
use crate::table::{Buffer, Table};

/// The gradient of a table that only some rows have: which, in ascending order, and their summed gradients `[n, dim]` in f32.
///
/// The gradients of equal ids are added in the order of the ids, starting from zero, to the bit on any number of threads. TensorFlow calls it
/// `IndexedSlices` after de-duplication, PyTorch a coalesced sparse gradient.
///
/// ```
/// use hotrow::{Gradient, sparse_grad};
///
/// let mut gradient = sparse_grad(Gradient::of_gather(&[8, 2, 8], &[1.0f32, 2.0, 3.0]), 10, 1)?;
/// assert_eq!(gradient.rows(), [2, 8]);
/// assert_eq!(gradient.values(), [2.0, 4.0]);
/// gradient.clip_by_value(3.0);
/// assert_eq!(gradient.norm(), 13f32.sqrt());
/// # Ok::<(), hotrow::Error>(())
/// ```
pub struct SparseGrad {
    rows: Vec<u32>,
    values: Buffer<f32>,
    shape: [usize; 2],
}

/// The summed gradient of a lookup in a table of `rows` rows of `dim` values.
///
/// # Errors
/// Those of the lookup, as [`bag`](crate::bag()) or [`gather`](crate::gather()); [`Error::ShapeMismatch`] when the gradient has another
/// length than the lookup's output, [`Error::StrideTooShort`], [`Error::MaxWithoutArgmax`], [`Error::BatchMismatch`],
/// [`Error::PreparedPadding`], [`Error::SummedFrequencies`], [`Error::TooManyRows`]; [`Error::OutOfMemory`].
pub fn sparse_grad(gradient: Gradient<'_>, rows: usize, dim: usize) -> Result<SparseGrad> {
    Workspace::new().sparse_grad(gradient, rows, dim)
}

impl Workspace {
    /// [`sparse_grad`](crate::sparse_grad()) in this workspace.
    ///
    /// # Errors
    /// As [`sparse_grad`](crate::sparse_grad()).
    pub fn sparse_grad(&mut self, gradient: Gradient<'_>, rows: usize, dim: usize) -> Result<SparseGrad> {
        if let Some(summed) = gradient.summed([rows, dim])? {
            return summed.try_clone();
        }
        let run = Run { tier: self.tier, parallelism: self.parallelism };
        let batch = gradient.take(&mut self.batch, [rows, dim], run)?;
        let sources = gradient.sources(batch, dim, &mut self.scales)?;
        let workers = run.parallelism.workers_for(batch.rows().len().saturating_mul(dim.saturating_mul(2 * size_of::<f32>())));
        let plan = batch.plan();
        let spans = [Span { base: 0, rows, dim }];
        self.shares.cut(plan, &spans, workers);
        let job = Job { sources, words: plan.words(), spans: &spans, tier: run.tier };
        let mut gradients = collect(&job, &self.shares, workers)?;
        gradients.pop().ok_or(Error::GradientShape { gradient: [0, 0], table: [rows, dim] })
    }
}

/// The summed gradients of each table.
pub(super) fn collect(job: &Job<'_>, shares: &Shares, workers: usize) -> Result<Vec<SparseGrad>> {
    let (even, heavy) = (shares.even.as_slice(), shares.heavy.as_slice());
    // In the order of the rows, whichever kind a tile is of.
    let mut tiles: Vec<_> = even.iter().map(|tile| (tile, 1)).chain(heavy.iter().map(|tile| (tile, 2 * workers))).collect();
    tiles.sort_unstable_by_key(|(tile, _)| tile.updates.start);
    let mut counts = vec![0; tiles.len()];
    par::chunks_mut(workers, &mut counts, 1, &|at, count| count[0] = count_rows(&job.words[tiles[at].0.updates.clone()]));
    let mut sums = Tiles::default();
    let mut ends = vec![0; job.spans.len()];
    for ((tile, parts), count) in tiles.into_iter().zip(counts) {
        let end = &mut ends[tile.grid];
        cut_sums(&mut sums, (tile.grid, tile), job.spans[tile.grid].dim, *end..*end + count, parts);
        *end += count;
    }
    let mut gradients = Vec::new();
    for (span, n) in job.spans.iter().zip(ends) {
        let mut rows = Vec::new();
        grow(&mut rows, n)?;
        let values = n.checked_mul(span.dim).ok_or(Error::SizeOverflow { shape: vec![n, span.dim], element_bytes: 4 })?;
        gradients.push(SparseGrad { rows, values: Buffer::zeros(values)?, shape: [span.rows, span.dim] });
    }
    let mut grids: Vec<_> = gradients.iter_mut().map(SparseGrad::grids).collect();
    par::tiles(workers, &mut grids, &sums, &|tile, part| {
        let Span { base, dim, .. } = job.spans[tile.grid];
        sum_tile(job.tier, &job.sources, job.words, (tile, dim, base as u32), part);
    });
    drop(grids);
    Ok(gradients)
}

impl SparseGrad {
    /// A gradient from its parts: `rows` ascending and below `table_rows`, `values` `[rows.len(), dim]`.
    ///
    /// # Errors
    /// [`Error::SparseRows`] names the first row that is out of order or range; [`Error::ShapeMismatch`]; [`Error::OutOfMemory`].
    pub fn from_parts(rows: Vec<u32>, values: &[f32], table_rows: usize, dim: usize) -> Result<SparseGrad> {
        let wrong = |at: &usize| rows[*at] as usize >= table_rows || *at > 0 && rows[*at] <= rows[*at - 1];
        if let Some(position) = (0..rows.len()).find(wrong) {
            return Err(Error::SparseRows { position, row: rows[position], rows: table_rows });
        }
        if rows.len().checked_mul(dim) != Some(values.len()) {
            let (expected, needed) = (vec![rows.len(), dim], rows.len().saturating_mul(dim));
            return Err(Error::ShapeMismatch { what: "gradient", expected, needed, actual: values.len() });
        }
        let mut copy = Buffer::zeros(values.len())?;
        copy.copy_from_slice(values);
        Ok(SparseGrad { rows, values: copy, shape: [table_rows, dim] })
    }

    /// Which rows have a gradient, ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Their gradients, `[rows().len(), dim]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The gradient of the `k`-th of the rows; `None` past the last.
    pub fn row(&self, k: usize) -> Option<&[f32]> {
        let dim = self.dim();
        (k < self.rows.len()).then(|| &self.values[k * dim..(k + 1) * dim])
    }

    /// The values in a row.
    pub fn dim(&self) -> usize {
        self.shape[1]
    }

    /// The rows of the table.
    pub fn table_rows(&self) -> usize {
        self.shape[0]
    }

    /// The same as a table `[table_rows, dim]`, zeros where there is no gradient.
    ///
    /// # Errors
    /// As [`Table::zeros`].
    pub fn to_dense(&self) -> Result<Table<f32>> {
        let mut dense = Table::zeros(self.shape[0], self.shape[1])?;
        let mut view = dense.view_mut();
        for (k, &row) in self.rows.iter().enumerate() {
            if let (Some(to), Some(from)) = (view.row_mut(row as usize), self.row(k)) {
                to.copy_from_slice(from);
            }
        }
        Ok(dense)
    }

    /// The L2 norm of all values. Each row's squares are summed in f32 in one fixed shape (16 partial sums, then a tree), the rows'
    /// sums in f64 in ascending order, so the result is the same on every machine.
    pub fn norm(&self) -> f32 {
        let tier = Tier::best();
        let mut sum = 0.0;
        for k in 0..self.rows.len() {
            sum += f64::from({
                let row = self.row(k).unwrap_or(&[]);
                dot_of(tier, row, row)
            });
        }
        sum.sqrt() as f32
    }

    /// Multiplies all values by `max / norm` if the [`norm`](SparseGrad::norm) is above `max`, as TensorFlow's `clip_by_norm`. Returns the norm.
    pub fn clip_by_norm(&mut self, max: f32) -> f32 {
        let norm = self.norm();
        if norm > max {
            let scale = max / norm;
            self.values.iter_mut().for_each(|value| *value *= scale);
        }
        norm
    }

    /// Brings every value into `-limit..=limit`. A NaN stays.
    pub fn clip_by_value(&mut self, limit: f32) {
        for value in self.values.iter_mut() {
            if *value > limit {
                *value = limit;
            } else if -limit > *value {
                *value = -limit;
            }
        }
    }

    /// A copy.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn try_clone(&self) -> Result<SparseGrad> {
        let mut rows = Vec::new();
        grow(&mut rows, self.rows.len())?;
        rows.copy_from_slice(&self.rows);
        Ok(SparseGrad { rows, values: self.values.try_clone()?, shape: self.shape })
    }

    /// Its values and row numbers, to be cut among threads.
    fn grids(&mut self) -> (Grid<'_, f32>, Grid<'_, u32>) {
        let (n, dim) = (self.rows.len(), self.shape[1]);
        let values = if dim == 0 { Grid::none(n) } else { Grid::dense(&mut self.values, dim) };
        (values, Grid::dense(&mut self.rows, 1))
    }

    pub(crate) fn check_shape(&self, table: [usize; 2]) -> Result<()> {
        if self.shape == table { Ok(()) } else { Err(Error::GradientShape { gradient: self.shape, table }) }
    }
}

impl fmt::Debug for SparseGrad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SparseGrad[{} of {}, {}]", self.rows.len(), self.shape[0], self.shape[1])
    }
}

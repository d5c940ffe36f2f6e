//! Keras's regularizers: what a table's values cost, and the gradient of that.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::orthogonality;
use super::row::{self, Map, RowRule};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::simd::{Kernel, Simd, Tier};
use crate::sums::{self, LANES};
use crate::table::{FILL_BYTES, Table, TableView};

/// A penalty on all values of a table, as Keras 3.15's regularizers are.
///
/// The loss is added up in f64: within each block of 256 rows in sixteen parts, value `k` of a row to part `k % 16`, and then block
/// after block. So it is the same on any number of threads.
///
/// ```
/// use hotrow::{Regularizer, Table};
///
/// let table = Table::from_slice(&[1.0f32, -2.0, 0.0, 3.0], 2, 2)?;
/// let regularizer = Regularizer::L1L2 { l1: 0.5, l2: 0.25 };
/// assert_eq!(regularizer.loss(&table)?, 0.5 * 6.0 + 0.25 * 14.0);
/// assert_eq!(regularizer.gradient(&table)?.to_vec(), [1.0, -1.5, 0.0, 2.0]);
/// assert_eq!("l2".parse::<Regularizer>()?, Regularizer::L2 { l2: 0.01 });
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Regularizer {
    /// `l1 * sum(abs(w))`; gradient `l1 * sign(w)`, 0 at 0.
    L1 {
        /// The factor.
        l1: f32,
    },
    /// `l2 * sum(w * w)`; gradient `2 * l2 * w`.
    L2 {
        /// The factor.
        l2: f32,
    },
    /// Both.
    L1L2 {
        /// The factor of the magnitudes.
        l1: f32,
        /// The factor of the squares.
        l2: f32,
    },
    /// Keras's `OrthogonalRegularizer` with `mode="rows"`: `factor` times the mean magnitude of the dot products of all pairs of
    /// rows, each divided by its length.
    ///
    /// It takes `rows² · dim` steps, and 8 bytes a value of memory, its gradient 16: it is for tables of some thousand rows. With
    /// fewer than two rows there are no pairs, and the loss is 0 (Keras divides by zero there).
    Orthogonal {
        /// The factor.
        factor: f32,
    },
}

/// Rows whose losses are added up together.
const BLOCK_ROWS: usize = 256;

impl Regularizer {
    /// The penalty of a table.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when a factor is negative or not finite; [`Error::OutOfMemory`].
    pub fn loss<'t, E: Element>(&self, table: impl Into<TableView<'t, E>>) -> Result<f64> {
        self.check()?;
        let table = table.into();
        match *self {
            Regularizer::L1 { l1 } => Ok(sum(table, f64::from(l1), 0.0)?),
            Regularizer::L2 { l2 } => Ok(sum(table, 0.0, f64::from(l2))?),
            Regularizer::L1L2 { l1, l2 } => Ok(sum(table, f64::from(l1), f64::from(l2))?),
            Regularizer::Orthogonal { factor } => orthogonality::loss(table, f64::from(factor)),
        }
    }

    /// The gradient of [`loss`](Regularizer::loss) by every value: `[rows, dim]`.
    ///
    /// # Errors
    /// As [`loss`](Regularizer::loss), and those of [`Table::zeros`].
    pub fn gradient<'t, E: Element>(&self, table: impl Into<TableView<'t, E>>) -> Result<Table<f32>> {
        self.check()?;
        let table = table.into();
        let (l1, l2) = match *self {
            Regularizer::L1 { l1 } => (l1, 0.0),
            Regularizer::L2 { l2 } => (0.0, l2),
            Regularizer::L1L2 { l1, l2 } => (l1, l2),
            Regularizer::Orthogonal { factor } => return orthogonality::gradient(table, f64::from(factor)),
        };
        let mut gradient = Table::<f32>::zeros(table.rows(), table.dim())?;
        row::each_row(gradient.view_mut(), &Slopes { table, slope: Slope { l1, l2 } });
        Ok(gradient)
    }

    /// [`gradient`](Regularizer::gradient), added to a gradient that is there already.
    ///
    /// ```
    /// use hotrow::{Regularizer, Table, scatter_add_dense};
    ///
    /// let table = Table::from_slice(&[1.0f32, -2.0, 0.0, 3.0], 2, 2)?;
    /// let mut gradient = scatter_add_dense(&[1], &[10.0f32, 20.0], 2, 2)?;
    /// Regularizer::L2 { l2: 0.5 }.add_gradient(&table, &mut gradient)?;
    /// assert_eq!(gradient.to_vec(), [1.0, -2.0, 10.0, 23.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`gradient`](Regularizer::gradient), and [`Error::ShapeMismatch`] when the shapes differ. Nothing is changed then.
    pub fn add_gradient<'t, E: Element>(&self, table: impl Into<TableView<'t, E>>, gradient: &mut Table<f32>) -> Result<()> {
        let table = table.into();
        if gradient.shape() != [table.rows(), table.dim()] {
            return Err(Error::ShapeMismatch {
                what: "gradient",
                expected: vec![table.rows(), table.dim()],
                needed: table.rows().saturating_mul(table.dim()),
                actual: gradient.rows() * gradient.dim(),
            });
        }
        let own = self.gradient(table)?;
        row::add_scaled(gradient.view_mut(), &own, 1.0);
        Ok(())
    }

    /// Whether the factors make sense.
    pub(crate) fn check(&self) -> Result<()> {
        let factors = match *self {
            Regularizer::L1 { l1 } => [l1, 0.0],
            Regularizer::L2 { l2 } => [l2, 0.0],
            Regularizer::L1L2 { l1, l2 } => [l1, l2],
            Regularizer::Orthogonal { factor } => [factor, 0.0],
        };
        if factors.iter().all(|factor| factor.is_finite() && *factor >= 0.0) {
            return Ok(());
        }
        let expected = "its factors must be finite and not below zero";
        Err(Error::InvalidOption { option: "regularizer", given: format!("{self:?}"), expected })
    }

    /// The name of Keras's class, as `get_config` has it.
    pub(crate) fn class_name(self) -> &'static str {
        match self {
            Regularizer::L1 { .. } => "L1",
            Regularizer::L2 { .. } => "L2",
            Regularizer::L1L2 { .. } => "L1L2",
            Regularizer::Orthogonal { .. } => "OrthogonalRegularizer",
        }
    }
}

/// The derivative of `l1 * abs(x) + l2 * x * x`. A factor of zero takes its term away, even if `x` is not finite; a NaN has no
/// sign.
struct Slope {
    l1: f32,
    l2: f32,
}

impl Map for Slope {
    #[inline(always)]
    fn of(&self, x: f32) -> f32 {
        let sign = if x.abs() > 0.0 { 1.0f32.copysign(x) } else { x.abs() };
        let from_l1 = if self.l1 == 0.0 { 0.0 } else { self.l1 * sign };
        let from_l2 = if self.l2 == 0.0 { 0.0 } else { self.l2 * (2.0 * x) };
        from_l1 + from_l2
    }
}

/// The slopes at a table's values.
struct Slopes<'a, E> {
    table: TableView<'a, E>,
    slope: Slope,
}

impl<E: Element> RowRule for Slopes<'_, E> {
    #[inline(always)]
    fn apply<F: Element, S: Simd>(&self, simd: S, at: usize, row: &mut [F]) {
        if let Some(values) = self.table.row(at) {
            row::map_from(simd, values, row, &self.slope);
        }
    }
}

/// `l1 * sum(abs(w)) + l2 * sum(w * w)`. A factor of zero makes its sum count nothing, as in Keras, even if that is not finite.
fn sum<E: Element>(table: TableView<'_, E>, l1: f64, l2: f64) -> Result<f64> {
    let tier = Tier::best();
    let sums = by_blocks(table.rows(), table.dim() * size_of::<E>(), &|rows| tier.run(Sums { table, rows }))?;
    let mut total = 0.0;
    for (factor, which) in [(l1, 0), (l2, 1)] {
        if factor != 0.0 {
            total += factor * sums.iter().map(|block| block[which]).fold(0.0, |sum, block| sum + block);
        }
    }
    Ok(total)
}

/// The sums of the magnitudes and of the squares of some rows.
struct Sums<'a, E> {
    table: TableView<'a, E>,
    rows: Range<usize>,
}

impl<E: Element> Kernel for Sums<'_, E> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; 2] {
        let (mut magnitudes, mut squares) = ([0.0f64; LANES], [0.0f64; LANES]);
        for at in self.rows {
            let Some(values) = self.table.row(at) else { continue };
            for block in values.chunks(LANES) {
                let wide = row::widened(simd, block);
                for lane in 0..LANES {
                    let value = f64::from(wide[lane]);
                    magnitudes[lane] += value.abs();
                    squares[lane] += value * value;
                }
            }
        }
        [sums::total(magnitudes), sums::total(squares)]
    }
}

/// What `of` finds in each block of rows, in order.
pub(super) fn by_blocks<T: Copy + Default + Send>(
    rows: usize,
    row_bytes: usize,
    of: &(impl Fn(Range<usize>) -> T + Sync),
) -> Result<Vec<T>> {
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let mut found: Vec<T> = Vec::new();
    found.try_reserve_exact(blocks).map_err(|_| Error::OutOfMemory { bytes: blocks * size_of::<T>() })?;
    found.resize(blocks, T::default());
    let workers = Parallelism::Auto.workers_for(rows.saturating_mul(row_bytes));
    let at_a_time = (FILL_BYTES / (BLOCK_ROWS * row_bytes.max(1))).max(1);
    par::chunks_mut(workers, &mut found, at_a_time, &|first, found| {
        for (at, found) in found.iter_mut().enumerate() {
            let start = (first + at) * BLOCK_ROWS;
            *found = of(start..(start + BLOCK_ROWS).min(rows));
        }
    });
    Ok(found)
}

impl fmt::Display for Regularizer {
    /// Keras's name, without parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Regularizer::L1 { .. } => "l1",
            Regularizer::L2 { .. } => "l2",
            Regularizer::L1L2 { .. } => "l1_l2",
            Regularizer::Orthogonal { .. } => "orthogonal_regularizer",
        })
    }
}

impl FromStr for Regularizer {
    type Err = Error;

    /// Keras's names and those of its classes, with its defaults: `"l1l2"` and `"L1L2"` are Keras 3's, of factors 0; `"l1_l2"` is
    /// Keras 2's, of factors 0.01.
    fn from_str(name: &str) -> Result<Regularizer> {
        match name {
            "l1" | "L1" => Ok(Regularizer::L1 { l1: 0.01 }),
            "l2" | "L2" => Ok(Regularizer::L2 { l2: 0.01 }),
            "l1_l2" => Ok(Regularizer::L1L2 { l1: 0.01, l2: 0.01 }),
            "l1l2" | "L1L2" => Ok(Regularizer::L1L2 { l1: 0.0, l2: 0.0 }),
            "orthogonal_regularizer" | "OrthogonalRegularizer" => Ok(Regularizer::Orthogonal { factor: 0.01 }),
            _ => Err(Error::UnknownName {
                what: "regularizer",
                given: name.to_owned(),
                expected: "l1, l2, l1_l2, l1l2, orthogonal_regularizer, or the names of Keras's classes",
            }),
        }
    }
}

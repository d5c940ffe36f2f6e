//! PyTorch's `max_norm`: rows that a lookup reads are shortened first.

use std::sync::atomic::{AtomicBool, Ordering};

use super::row::{self, Largest, Magnitudes, RowRule, Times};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::Ids;
use crate::simd::Simd;
use crate::sums::{self, LANES};
use crate::table::TableViewMut;

/// Shortens, in place, those of the rows that `ids` name whose norm is above `max_norm`: PyTorch 2.14's `embedding_renorm_`, which
/// `torch.nn.functional.embedding(…, max_norm, norm_type)` calls before it reads them.
///
/// The norm is that of order `norm_type`: 1, 2, infinity, or any other number above zero. A row above `max_norm` is multiplied by
/// `max_norm / (norm + 1e-7)`, computed in f64 and rounded to f32; every other keeps its bits. Each row is looked at once, however
/// often its id occurs. Norms of order 1, 2 and infinity are computed in f32, sums in sixteen parts, value `k` to part `k % 16`;
/// others in f64, with powers that are the same on every machine, which is slower by far. A row whose norm is NaN stays.
///
/// ```
/// use hotrow::{Table, renorm};
///
/// let mut table = Table::from_slice(&[3.0f32, 4.0, 0.3, 0.4, 30.0, 40.0], 3, 2)?;
/// renorm(&mut table, &[0, 1, 0], 1.0, 2.0)?;
/// assert!((table.row(0).unwrap()[0] - 0.6).abs() < 1e-6);
/// assert_eq!(table.row(1), Some(&[0.3, 0.4][..])); // short enough
/// assert_eq!(table.row(2), Some(&[30.0, 40.0][..])); // not read
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidOption`] when `max_norm` is negative or NaN, or `norm_type` is not above zero; those of the ids, as in
/// [`gather`](crate::gather()). The table is unchanged then.
pub fn renorm<'t, 'i, E: Element>(
    table: impl Into<TableViewMut<'t, E>>,
    ids: impl Into<Ids<'i>>,
    max_norm: f32,
    norm_type: f32,
) -> Result<()> {
    Renorm::new(max_norm, norm_type)?.apply(table.into(), &ids.into()).map(|_| ())
}

/// The two options, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Renorm {
    pub(super) max_norm: f32,
    pub(super) norm_type: f32,
}

impl Renorm {
    pub(super) fn new(max_norm: f32, norm_type: f32) -> Result<Renorm> {
        if max_norm.is_nan() || max_norm < 0.0 {
            let expected = "it must not be below zero";
            return Err(Error::InvalidOption { option: "max_norm", given: max_norm.to_string(), expected });
        }
        if norm_type.is_nan() || norm_type <= 0.0 {
            let expected = "it must be above zero; infinity is the largest magnitude";
            return Err(Error::InvalidOption { option: "norm_type", given: norm_type.to_string(), expected });
        }
        Ok(Renorm { max_norm, norm_type })
    }

    /// Returns whether any row was changed.
    pub(super) fn apply<E: Element>(self, table: TableViewMut<'_, E>, ids: &Ids<'_>) -> Result<bool> {
        let rows = row::unique_rows(ids, table.rows())?;
        let rule = Shorten { renorm: self, changed: AtomicBool::new(false) };
        row::listed_rows(table, &rows, &rule);
        Ok(rule.changed.into_inner())
    }

    #[inline(always)]
    fn norm<E: Element, S: Simd>(self, simd: S, values: &[E]) -> f32 {
        if self.norm_type == 2.0 {
            row::norm(simd, values)
        } else if self.norm_type == 1.0 {
            row::measure::<Magnitudes, E, S>(simd, values)
        } else if self.norm_type == f32::INFINITY {
            row::measure::<Largest, E, S>(simd, values)
        } else {
            general_norm(values, f64::from(self.norm_type))
        }
    }
}

struct Shorten {
    renorm: Renorm,
    changed: AtomicBool,
}

impl RowRule for Shorten {
    #[inline(always)]
    fn apply<E: Element, S: Simd>(&self, simd: S, _: usize, row: &mut [E]) {
        let norm = f64::from(self.renorm.norm(simd, row));
        let most = f64::from(self.renorm.max_norm);
        if norm > most {
            row::map(simd, row, &Times((most / (norm + 1e-7)) as f32));
            self.changed.store(true, Ordering::Relaxed);
        }
    }
}

/// The norm of any order. `libm` is plain Rust: its powers have the same bits everywhere, which those of a system's library have
/// not.
fn general_norm<E: Element>(values: &[E], order: f64) -> f32 {
    let mut lanes = [0.0f64; LANES];
    for (at, value) in values.iter().enumerate() {
        lanes[at % LANES] += libm::pow(f64::from(value.to_f32().abs()), order);
    }
    libm::pow(sums::total(lanes), 1.0 / order) as f32
}

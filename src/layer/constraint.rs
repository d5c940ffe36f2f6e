//! Keras's constraints: what a table is brought back to after each step.

use std::fmt;
use std::str::FromStr;

use super::row::{self, NotBelowZero, Over, RowRule, Times};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::Ids;
use crate::simd::Simd;
use crate::table::TableViewMut;

/// Added to a norm before anything is divided by it: Keras's `epsilon`.
pub(crate) const EPSILON: f32 = 1e-7;

/// A constraint on each row of a table, as Keras 3.15's constraints with `axis=1` are.
///
/// Computed in f32, by Keras's own formulas, its epsilon of 1e-7 included: a row within bounds is multiplied by `norm / (norm +
/// 1e-7)`, as there. A row's sum of squares is added up in sixteen parts, value `k` to part `k % 16`; a value of an f16 or bf16
/// table is rounded once. Keras's own default is `axis=0`, which makes sense for a dense kernel and not for a table.
///
/// ```
/// use hotrow::{Constraint, Table};
///
/// let mut table = Table::from_slice(&[3.0f32, 4.0, 0.3, 0.4], 2, 2)?;
/// Constraint::MaxNorm { max_value: 1.0 }.apply(&mut table)?;
/// for (value, want) in table.to_vec().iter().zip([0.6, 0.8, 0.3, 0.4]) {
///     assert!((value - want).abs() < 1e-6);
/// }
/// assert_eq!("max_norm".parse::<Constraint>()?, Constraint::MaxNorm { max_value: 2.0 });
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Constraint {
    /// Rows longer than `max_value` are shortened to it.
    MaxNorm {
        /// The longest norm.
        max_value: f32,
    },
    /// Rows are made of length 1.
    UnitNorm,
    /// Values below zero become zero.
    NonNeg,
    /// Norms are moved into `min_value..=max_value`, by `rate` of the way.
    MinMaxNorm {
        /// The shortest norm.
        min_value: f32,
        /// The longest norm.
        max_value: f32,
        /// How much of the way: from 0 (not at all) to 1 (all of it).
        rate: f32,
    },
}

impl Constraint {
    /// Keras's `"max_norm"`: 2.
    pub const MAX_NORM: Constraint = Constraint::MaxNorm { max_value: 2.0 };
    /// Keras's `"min_max_norm"`: from 0 to 1, all of the way.
    pub const MIN_MAX_NORM: Constraint = Constraint::MinMaxNorm { min_value: 0.0, max_value: 1.0, rate: 1.0 };

    /// Applies the constraint to every row, in parallel.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when a norm is negative or not finite, `min_value` is above `max_value`, or the rate is not in
    /// 0..=1. The table is unchanged then.
    pub fn apply<'t, E: Element>(&self, table: impl Into<TableViewMut<'t, E>>) -> Result<()> {
        self.check()?;
        row::each_row(table.into(), self);
        Ok(())
    }

    /// Applies the constraint to the rows that `ids` name, once to each, in parallel: a step that touches few rows of a large table
    /// need not read all of it. Ids that a policy fills are left out.
    ///
    /// ```
    /// use hotrow::{Constraint, Table};
    ///
    /// let mut table = Table::from_slice(&[-1.0f32, 2.0, -3.0, 4.0], 2, 2)?;
    /// Constraint::NonNeg.apply_rows(&mut table, &[1, 1])?;
    /// assert_eq!(table.to_vec(), [-1.0, 2.0, 0.0, 4.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`apply`](Constraint::apply), and those of the ids, as in [`gather`](crate::gather()).
    pub fn apply_rows<'t, 'i, E: Element>(&self, table: impl Into<TableViewMut<'t, E>>, ids: impl Into<Ids<'i>>) -> Result<()> {
        self.check()?;
        let table = table.into();
        let rows = row::unique_rows(&ids.into(), table.rows())?;
        row::listed_rows(table, &rows, self);
        Ok(())
    }

    /// Whether the parameters make sense.
    pub(crate) fn check(&self) -> Result<()> {
        let sound = match *self {
            Constraint::MaxNorm { max_value } => max_value.is_finite() && max_value >= 0.0,
            Constraint::MinMaxNorm { min_value, max_value, rate } => {
                min_value >= 0.0 && min_value <= max_value && max_value.is_finite() && (0.0..=1.0).contains(&rate)
            }
            Constraint::UnitNorm | Constraint::NonNeg => true,
        };
        if sound {
            return Ok(());
        }
        let expected = "norms must be finite, not below zero, with min_value <= max_value, and the rate in 0..=1";
        Err(Error::InvalidOption { option: "constraint", given: format!("{self:?}"), expected })
    }

    /// The name of Keras's class, as `get_config` has it.
    pub(crate) fn class_name(self) -> &'static str {
        match self {
            Constraint::MaxNorm { .. } => "MaxNorm",
            Constraint::UnitNorm => "UnitNorm",
            Constraint::NonNeg => "NonNeg",
            Constraint::MinMaxNorm { .. } => "MinMaxNorm",
        }
    }
}

impl RowRule for Constraint {
    #[inline(always)]
    fn apply<E: Element, S: Simd>(&self, simd: S, _: usize, row: &mut [E]) {
        match *self {
            Constraint::NonNeg => row::map(simd, row, &NotBelowZero),
            Constraint::UnitNorm => {
                let norm = row::norm(simd, row);
                row::map(simd, row, &Over(EPSILON + norm));
            }
            Constraint::MaxNorm { max_value } => {
                let norm = row::norm(simd, row);
                row::map(simd, row, &Times(norm.clamp(0.0, max_value) / (EPSILON + norm)));
            }
            Constraint::MinMaxNorm { min_value, max_value, rate } => {
                let norm = row::norm(simd, row);
                let desired = rate * norm.clamp(min_value, max_value) + (1.0 - rate) * norm;
                row::map(simd, row, &Times(desired / (EPSILON + norm)));
            }
        }
    }
}

impl fmt::Display for Constraint {
    /// Keras's name, without parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Constraint::MaxNorm { .. } => "max_norm",
            Constraint::UnitNorm => "unit_norm",
            Constraint::NonNeg => "non_neg",
            Constraint::MinMaxNorm { .. } => "min_max_norm",
        })
    }
}

impl FromStr for Constraint {
    type Err = Error;

    /// Keras's names and those of its classes; parameters are Keras's defaults, but for the axis.
    fn from_str(name: &str) -> Result<Constraint> {
        match name {
            "max_norm" | "MaxNorm" => Ok(Constraint::MAX_NORM),
            "unit_norm" | "UnitNorm" => Ok(Constraint::UnitNorm),
            "non_neg" | "NonNeg" => Ok(Constraint::NonNeg),
            "min_max_norm" | "MinMaxNorm" => Ok(Constraint::MIN_MAX_NORM),
            _ => Err(Error::UnknownName {
                what: "constraint",
                given: name.to_owned(),
                expected: "max_norm, unit_norm, non_neg, min_max_norm, or the names of Keras's classes",
            }),
        }
    }
}

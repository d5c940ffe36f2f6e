//! Tables that are some of the columns of a wider one, under rules that look at whole rows.

use std::ops::Range;

use super::optimizer::{Optimizer, WeightDecay};
use crate::error::{Error, Result};

/// The table that an optimizer's table is some columns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wider {
    /// Which of its columns is the first.
    pub(crate) first: usize,
    /// How many columns it has.
    pub(crate) dim: usize,
}

impl Optimizer {
    /// The same for a table that is only `columns` of one of `dim` columns. Its gradients have all `dim` columns: what the rule makes of
    /// a whole row it makes of those, and what it does to each column it does to the table's own. So tables that together are the columns of one
    /// take together the steps of that one, to the bit, and each keeps the same state of its rows.
    ///
    /// This is for [`RowWiseAdagrad`](crate::RowWiseAdagrad) and [`PartialRowWiseAdam`](crate::PartialRowWiseAdam). Random rounding draws by the columns
    /// of the table itself, not by those of the wider one.
    ///
    /// ```
    /// use hotrow::{Gradient, Optimizer, RowWiseAdagrad, Table};
    ///
    /// let rule = RowWiseAdagrad { lr: 0.5, eps: 0.0, ..RowWiseAdagrad::default() };
    /// let mut right = Table::<f32>::zeros(10, 1)?;
    /// let mut optimizer = Optimizer::new(rule, 10, 1)?.of_columns(1..2, 2)?;
    /// assert_eq!((optimizer.columns(), optimizer.gradient_dim()), (1..2, 2));
    /// optimizer.step(&mut right, Gradient::of_gather(&[4], &[1.0f32, 7.0]))?;
    /// assert_eq!(right.row(4), Some(&[-0.5 * 7.0 / 5.0][..])); // the mean square is 25
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when `columns` are not as many as the optimizer's table has, or not all below `dim`; [`Error::OptionConflict`] beside
    /// a rule that steps each column by itself, which needs the gradient of its columns alone, and beside options that need the weights of a whole row: L2
    /// decay and `max_row_norm`.
    pub fn of_columns(mut self, columns: Range<usize>, dim: usize) -> Result<Optimizer> {
        if columns.start > columns.end || columns.len() != self.dim() || columns.end > dim {
            return Err(Error::InvalidOption {
                option: "columns",
                given: format!("{columns:?} of {dim} for a table of {}", self.dim()),
                expected: "as many as the table has, all of them the wider table's",
            });
        }
        if self.rule().states().per_row.is_none() {
            let reason = "it steps each column by itself, by the gradient of that column";
            return Err(Error::OptionConflict { option: "columns of a wider table", optimizer: self.rule().name(), reason });
        }
        self.wider = Some(Wider { first: columns.start, dim });
        self.check_whole_rows()?;
        Ok(self)
    }

    /// Which columns of a wider table the optimizer's table is: all of its own, where nothing else was said.
    pub fn columns(&self) -> Range<usize> {
        let first = self.wider.map_or(0, |wider| wider.first);
        first..first + self.dim()
    }

    /// How many columns a gradient has: those of the table, or of the wider one that it is some columns of.
    pub fn gradient_dim(&self) -> usize {
        self.wider.map_or(self.dim(), |wider| wider.dim)
    }

    /// Refuses options that need the weights of a whole row where the table has only some of its columns.
    pub(super) fn check_whole_rows(&self) -> Result<()> {
        let option = match (self.wider, self.weight_decay(), self.max_row_norm()) {
            (Some(_), WeightDecay::L2(_), _) => "weight decay",
            (Some(_), _, Some(_)) => "max_row_norm",
            _ => return Ok(()),
        };
        let reason = "it needs the weights of a whole row, and the table has some of its columns";
        Err(Error::OptionConflict { option, optimizer: self.rule().name(), reason })
    }
}

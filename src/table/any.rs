//! A table whose element is known when the program runs.

use half::{bf16, f16};

use super::view::{AnyView, AnyViewMut};
use super::{Initializer, Table};
use crate::element::DType;
use crate::error::Result;

/// A [`Table`] of any element.
///
/// ```
/// use hotrow::{AnyTable, DType, Initializer};
///
/// let table = AnyTable::init(DType::BF16, 10, 4, Initializer::Ones, 0)?;
/// assert_eq!((table.dtype(), table.shape()), (DType::BF16, [10, 4]));
/// assert_eq!(table.row_f32(9), Some(vec![1.0; 4]));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyTable {
    /// Of f32.
    F32(Table<f32>),
    /// Of f16.
    F16(Table<f16>),
    /// Of bf16.
    BF16(Table<bf16>),
}

/// Evaluates `$body` with `$table` bound to the typed table.
macro_rules! for_table {
    ($any:expr, $table:ident => $body:expr) => {
        match $any {
            AnyTable::F32($table) => $body,
            AnyTable::F16($table) => $body,
            AnyTable::BF16($table) => $body,
        }
    };
}

impl AnyTable {
    /// [`Table::init`] of an element.
    ///
    /// # Errors
    /// As [`Table::init`].
    pub fn init(dtype: DType, rows: usize, dim: usize, initializer: Initializer, seed: u64) -> Result<AnyTable> {
        Ok(match dtype {
            DType::F32 => AnyTable::F32(Table::init(rows, dim, initializer, seed)?),
            DType::F16 => AnyTable::F16(Table::init(rows, dim, initializer, seed)?),
            DType::BF16 => AnyTable::BF16(Table::init(rows, dim, initializer, seed)?),
        })
    }

    /// A copy of a table, made in parallel.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn copy_of(view: AnyView<'_>) -> Result<AnyTable> {
        Ok(match view {
            AnyView::F32(view) => AnyTable::F32(Table::copy_of(view)?),
            AnyView::F16(view) => AnyTable::F16(Table::copy_of(view)?),
            AnyView::BF16(view) => AnyTable::BF16(Table::copy_of(view)?),
        })
    }

    /// The element.
    pub fn dtype(&self) -> DType {
        match self {
            AnyTable::F32(_) => DType::F32,
            AnyTable::F16(_) => DType::F16,
            AnyTable::BF16(_) => DType::BF16,
        }
    }

    /// `[rows, dim]`.
    pub fn shape(&self) -> [usize; 2] {
        for_table!(self, table => table.shape())
    }

    /// One row, widened; `None` past the last.
    pub fn row_f32(&self, row: usize) -> Option<Vec<f32>> {
        self.view().row_f32(row)
    }

    /// A view of the whole table.
    pub fn view(&self) -> AnyView<'_> {
        for_table!(self, table => table.view().erase())
    }

    pub(crate) fn view_mut(&mut self) -> AnyViewMut<'_> {
        for_table!(self, table => table.view_mut().erase())
    }
}

impl From<Table<f32>> for AnyTable {
    fn from(table: Table<f32>) -> AnyTable {
        AnyTable::F32(table)
    }
}

impl From<Table<f16>> for AnyTable {
    fn from(table: Table<f16>) -> AnyTable {
        AnyTable::F16(table)
    }
}

impl From<Table<bf16>> for AnyTable {
    fn from(table: Table<bf16>) -> AnyTable {
        AnyTable::BF16(table)
    }
}

//! Borrowed tables. Every operation works on these.

use std::fmt;

use half::{bf16, f16};

use super::any::AnyTable;
use super::layout::Layout;
use super::owned::Table;
use crate::element::lanes::{AnySlice, AnySliceMut};
use crate::element::{DType, Element};
use crate::error::{Error, Result};

/// A borrowed table: `[rows, dim]`, with `stride` elements from one row to the next.
///
/// ```
/// use hotrow::{TableView, gather};
///
/// let values = [0.0f32, 0.5, -1.0, 1.0, 1.5, -1.0, 2.0, 2.5];
/// let table = TableView::new(&values, 3, 2, 3)?; // the third column belongs to somebody else
/// assert_eq!(gather(table, &[2, 0])?.as_slice(), [2.0, 2.5, 0.0, 0.5]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct TableView<'a, E> {
    /// Row `r < layout.rows` lies at `r * stride .. r * stride + dim`, which is inside: checked when the view was made.
    values: &'a [E],
    layout: Layout,
}

/// A table borrowed to be changed. See [`TableView`].
pub struct TableViewMut<'a, E> {
    /// The same invariant as in [`TableView`].
    values: &'a mut [E],
    layout: Layout,
}

fn checked<E>(len: usize, rows: usize, dim: usize, stride: usize) -> Result<Layout> {
    let layout = Layout::strided(rows, dim, stride, size_of::<E>())?;
    if layout.span() > len {
        return Err(Error::ShapeMismatch { what: "table view", expected: vec![rows, dim], needed: layout.span(), actual: len });
    }
    Ok(layout)
}

impl<'a, E: Element> TableView<'a, E> {
    /// A view of `values`. The last row need not be followed by padding.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the values do not reach the end of the last row, [`Error::StrideTooShort`],
    /// [`Error::TooManyRows`], [`Error::SizeOverflow`].
    pub fn new(values: &'a [E], rows: usize, dim: usize, stride: usize) -> Result<TableView<'a, E>> {
        let layout = checked::<E>(values.len(), rows, dim, stride)?;
        Ok(TableView { values, layout })
    }

    /// A view whose layout is known to fit its values.
    pub(super) fn of(values: &'a [E], layout: Layout) -> TableView<'a, E> {
        debug_assert!(layout.span() <= values.len());
        TableView { values, layout }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// How many values a row has.
    pub fn dim(&self) -> usize {
        self.layout.dim
    }

    /// Elements from one row to the next.
    pub fn stride(&self) -> usize {
        self.layout.stride
    }

    /// One row; `None` past the last.
    #[inline(always)]
    pub fn row(&self, row: usize) -> Option<&'a [E]> {
        if row >= self.layout.rows {
            return None;
        }
        let from = row * self.layout.stride;
        Some(&self.values[from..from + self.layout.dim])
    }

    /// One row and everything behind it, other rows and padding; `None` past the last.
    #[inline(always)]
    pub(crate) fn row_onward(&self, row: usize) -> Option<&'a [E]> {
        if row >= self.layout.rows {
            return None;
        }
        Some(&self.values[row * self.layout.stride..])
    }

    /// Some rows in one slice, where nothing lies between them. They must be there.
    pub(crate) fn dense(&self, rows: std::ops::Range<usize>) -> Option<&'a [E]> {
        let Layout { dim, stride, .. } = self.layout;
        (stride == dim).then(|| &self.values[rows.start * dim..rows.end * dim])
    }

    /// All values in row-major order, if nothing lies between rows.
    pub fn as_slice(&self) -> Option<&'a [E]> {
        self.dense(0..self.layout.rows)
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [E]> + use<'a, E> {
        let (values, layout) = (self.values, self.layout);
        (0..layout.rows).map(move |row| &values[row * layout.stride..row * layout.stride + layout.dim])
    }
}

impl<'a, E: Element> TableViewMut<'a, E> {
    /// A view of `values`. See [`TableView::new`].
    ///
    /// # Errors
    /// As [`TableView::new`].
    pub fn new(values: &'a mut [E], rows: usize, dim: usize, stride: usize) -> Result<TableViewMut<'a, E>> {
        let layout = checked::<E>(values.len(), rows, dim, stride)?;
        Ok(TableViewMut { values, layout })
    }

    /// A view whose layout is known to fit its values.
    pub(super) fn of(values: &'a mut [E], layout: Layout) -> TableViewMut<'a, E> {
        debug_assert!(layout.span() <= values.len());
        TableViewMut { values, layout }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// How many values a row has.
    pub fn dim(&self) -> usize {
        self.layout.dim
    }

    /// Elements from one row to the next.
    pub fn stride(&self) -> usize {
        self.layout.stride
    }

    /// The same table, to look at.
    pub fn view(&self) -> TableView<'_, E> {
        TableView { values: self.values, layout: self.layout }
    }

    /// One row; `None` past the last.
    #[inline(always)]
    pub fn row_mut(&mut self, row: usize) -> Option<&mut [E]> {
        if row >= self.layout.rows {
            return None;
        }
        let from = row * self.layout.stride;
        Some(&mut self.values[from..from + self.layout.dim])
    }

    /// The values, padding included.
    pub(crate) fn into_values(self) -> &'a mut [E] {
        self.values
    }
}

/// A [`TableView`] whose element is known when the program runs.
///
/// ```
/// use hotrow::{AnyTable, AnyView, DType, Initializer};
///
/// let table = AnyTable::init(DType::F16, 10, 4, Initializer::Ones, 0)?;
/// let view: AnyView<'_> = table.view();
/// assert_eq!((view.dtype(), view.shape(), view.row_f32(9)), (DType::F16, [10, 4], Some(vec![1.0; 4])));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AnyView<'a> {
    /// Of f32.
    F32(TableView<'a, f32>),
    /// Of f16.
    F16(TableView<'a, f16>),
    /// Of bf16.
    BF16(TableView<'a, bf16>),
}

/// Evaluates `$body` with `$view` bound to the typed view.
macro_rules! for_view {
    ($any:expr, $view:ident => $body:expr) => {
        match $any {
            AnyView::F32($view) => $body,
            AnyView::F16($view) => $body,
            AnyView::BF16($view) => $body,
        }
    };
}

pub(crate) use for_view;

impl AnyView<'_> {
    /// The element.
    pub fn dtype(&self) -> DType {
        match self {
            AnyView::F32(_) => DType::F32,
            AnyView::F16(_) => DType::F16,
            AnyView::BF16(_) => DType::BF16,
        }
    }

    /// `[rows, dim]`.
    pub fn shape(&self) -> [usize; 2] {
        for_view!(self, view => [view.rows(), view.dim()])
    }

    /// One row, widened; `None` past the last.
    pub fn row_f32(&self, row: usize) -> Option<Vec<f32>> {
        for_view!(self, view => Some(view.row(row)?.iter().map(|&x| Element::to_f32(x)).collect()))
    }
}

impl<'a, E: Element> From<TableView<'a, E>> for AnyView<'a> {
    fn from(view: TableView<'a, E>) -> AnyView<'a> {
        view.erase()
    }
}

impl<'a, E: Element> From<&'a Table<E>> for AnyView<'a> {
    fn from(table: &'a Table<E>) -> AnyView<'a> {
        table.view().erase()
    }
}

impl<'a> From<&'a AnyTable> for AnyView<'a> {
    fn from(table: &'a AnyTable) -> AnyView<'a> {
        table.view()
    }
}

impl<'a, E: Element> From<TableViewMut<'a, E>> for AnyViewMut<'a> {
    fn from(view: TableViewMut<'a, E>) -> AnyViewMut<'a> {
        view.erase()
    }
}

impl<'a, E: Element> From<&'a mut Table<E>> for AnyViewMut<'a> {
    fn from(table: &'a mut Table<E>) -> AnyViewMut<'a> {
        table.view_mut().erase()
    }
}

/// A [`TableViewMut`] of any element.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyViewMut<'a> {
    /// Of f32.
    F32(TableViewMut<'a, f32>),
    /// Of f16.
    F16(TableViewMut<'a, f16>),
    /// Of bf16.
    BF16(TableViewMut<'a, bf16>),
}

impl<'a, E: Element> TableView<'a, E> {
    /// The same table, its element as a value.
    pub(crate) fn erase(self) -> AnyView<'a> {
        let layout = self.layout;
        match E::erase(self.values) {
            AnySlice::F32(values) => AnyView::F32(TableView { values, layout }),
            AnySlice::F16(values) => AnyView::F16(TableView { values, layout }),
            AnySlice::BF16(values) => AnyView::BF16(TableView { values, layout }),
        }
    }
}

impl<'a, E: Element> TableViewMut<'a, E> {
    /// The same table, its element as a value.
    pub(crate) fn erase(self) -> AnyViewMut<'a> {
        let layout = self.layout;
        match E::erase_mut(self.values) {
            AnySliceMut::F32(values) => AnyViewMut::F32(TableViewMut { values, layout }),
            AnySliceMut::F16(values) => AnyViewMut::F16(TableViewMut { values, layout }),
            AnySliceMut::BF16(values) => AnyViewMut::BF16(TableViewMut { values, layout }),
        }
    }
}

impl<'a, E: Element> From<&'a Table<E>> for TableView<'a, E> {
    fn from(table: &'a Table<E>) -> TableView<'a, E> {
        table.view()
    }
}

impl<'a, E: Element> From<&'a mut Table<E>> for TableViewMut<'a, E> {
    fn from(table: &'a mut Table<E>) -> TableViewMut<'a, E> {
        table.view_mut()
    }
}

impl<'a, E: Element> From<TableViewMut<'a, E>> for TableView<'a, E> {
    fn from(view: TableViewMut<'a, E>) -> TableView<'a, E> {
        TableView { values: view.values, layout: view.layout }
    }
}

impl<E: Element> fmt::Debug for TableView<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableView<{}>[{}, {}]", E::DTYPE, self.rows(), self.dim())
    }
}

impl<E: Element> fmt::Debug for TableViewMut<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableViewMut<{}>[{}, {}]", E::DTYPE, self.rows(), self.dim())
    }
}

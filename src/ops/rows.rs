//! What a gather returns.

use std::fmt;
use std::ops::Index;

use crate::element::Element;
use crate::index::product;
use crate::table::{Buffer, MemoryReport};

/// Gathered rows: a dense array of shape `ids.shape + [dim]`, in aligned memory, on huge pages when large.
///
/// ```
/// use hotrow::{Table, gather};
///
/// let table = Table::<f32>::from_fn(10, 4, |row, column| (4 * row + column) as f32)?;
/// let rows = gather(&table, &[[0], [3]])?;
/// assert_eq!(rows.shape(), [2, 1, 4]);
/// assert_eq!(rows.row(1), Some(&[12.0, 13.0, 14.0, 15.0][..]));
/// assert_eq!(rows.flatten().shape(), [2, 4]);
/// # Ok::<(), hotrow::Error>(())
/// ```
pub struct Rows<E> {
    values: Buffer<E>,
    shape: Vec<usize>,
}

impl<E: Element> Rows<E> {
    pub(crate) fn new(values: Buffer<E>, mut shape: Vec<usize>, dim: usize) -> Rows<E> {
        shape.push(dim);
        debug_assert_eq!(product(&shape), Some(values.len()));
        Rows { values, shape }
    }

    /// The ids' shape, and the dim after it.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The last dimension.
    pub fn dim(&self) -> usize {
        *self.shape.last().unwrap_or(&0)
    }

    /// How many rows there are: the product of the ids' shape.
    pub fn count(&self) -> usize {
        product(&self.shape[..self.shape.len() - 1]).unwrap_or(0)
    }

    /// The row of the `k`-th id in row-major order; `None` past the last.
    pub fn row(&self, k: usize) -> Option<&[E]> {
        (k < self.count()).then(|| &self.values[k * self.dim()..(k + 1) * self.dim()])
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[E]> {
        (0..self.count()).map(|k| &self[k])
    }

    /// All values in row-major order.
    pub fn as_slice(&self) -> &[E] {
        &self.values
    }

    /// All values in row-major order, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [E] {
        &mut self.values
    }

    /// A copy of all values in row-major order.
    pub fn to_vec(&self) -> Vec<E> {
        self.values.to_vec()
    }

    /// The same values with every dimension but the first made one, as Keras's `Flatten` does behind an `Embedding`: `[batch,
    /// sequence, dim]` becomes `[batch, sequence * dim]`, so a sequence of one is dropped. A single row, `[dim]`, stays as it is.
    #[must_use]
    pub fn flatten(mut self) -> Rows<E> {
        if self.shape.len() > 1 {
            let rest = product(&self.shape[1..]).unwrap_or(0);
            self.shape.truncate(1);
            self.shape.push(rest);
        }
        self
    }

    /// The memory behind the rows.
    pub fn into_buffer(self) -> Buffer<E> {
        self.values
    }

    /// How much memory the rows take, and of what kind.
    pub fn memory(&self) -> MemoryReport {
        self.values.memory()
    }
}

/// The row of the `k`-th id. Panics past the last, as slices do; [`Rows::row`] does not.
impl<E: Element> Index<usize> for Rows<E> {
    type Output = [E];

    fn index(&self, k: usize) -> &[E] {
        &self.values[k * self.dim()..(k + 1) * self.dim()]
    }
}

impl<E: Element> fmt::Debug for Rows<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows<{}>{:?}", E::DTYPE, self.shape)
    }
}

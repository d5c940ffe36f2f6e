//! Tables that own their memory.

use std::fmt;
use std::sync::OnceLock;

use super::initializer::Initializer;
use super::layout::Layout;
use super::memory::{Buffer, FILL_BYTES, MemoryReport};
use super::view::{TableView, TableViewMut};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::par::{Parallelism, Scratch};
use crate::simd::Out;

/// An embedding table: `[rows, dim]`, row-major, aligned, of f32, f16 or bf16.
///
/// Rows lie one after the other. A row is padded to whole cache lines where that costs at most 2 %
/// (see [`stride`](Table::stride)). Sizes of zero are legal. Nothing here aborts: memory that is not there is an error.
///
/// ```
/// use hotrow::{Table, f16};
///
/// let table = Table::<f32>::from_fn(3, 4, |row, column| (4 * row + column) as f32)?;
/// assert_eq!(table.shape(), [3, 4]);
/// assert_eq!(table.row(2), Some(&[8.0, 9.0, 10.0, 11.0][..]));
/// let half = table.convert::<f16>()?;
/// assert_eq!(half.row(2).unwrap()[3].to_f32(), 11.0);
/// # Ok::<(), hotrow::Error>(())
/// ```
pub struct Table<E> {
    values: Buffer<E>,
    layout: Layout,
}

impl<E: Element> Table<E> {
    /// A table of zeros.
    ///
    /// # Errors
    /// [`Error::TooManyRows`], [`Error::SizeOverflow`], [`Error::OutOfMemory`]: so for every constructor.
    pub fn zeros(rows: usize, dim: usize) -> Result<Table<E>> {
        let layout = Layout::new(rows, dim, size_of::<E>())?;
        Ok(Table { values: Buffer::zeros(layout.len())?, layout })
    }

    /// A copy of `values`, which hold `[rows, dim]` in row-major order.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when there are more or fewer of them, and the sizes' errors.
    pub fn from_slice(values: &[E], rows: usize, dim: usize) -> Result<Table<E>> {
        let needed = Layout::strided(rows, dim, dim, size_of::<E>())?.len();
        if needed != values.len() {
            let expected = vec![rows, dim];
            return Err(Error::ShapeMismatch { what: "table", expected, needed, actual: values.len() });
        }
        Table::by_rows(rows, dim, |row, out| out.push_slice(&values[row * dim..(row + 1) * dim]))
    }

    /// A copy of a borrowed table, made in parallel.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn copy_of(view: TableView<'_, E>) -> Result<Table<E>> {
        Table::by_rows(view.rows(), view.dim(), |row, out| out.push_slice(view.row(row).unwrap_or_default()))
    }

    /// A table whose values are `value(row, column)`, called in parallel.
    ///
    /// # Errors
    /// The sizes' errors.
    pub fn from_fn(rows: usize, dim: usize, value: impl Fn(usize, usize) -> E + Sync) -> Result<Table<E>> {
        Table::by_rows(rows, dim, |row, out| {
            for column in 0..dim {
                out.push(value(row, column));
            }
        })
    }

    /// A table drawn by `initializer`. Every value depends on the seed, the shape, its row and its column alone, not on threads.
    ///
    /// # Errors
    /// [`Error::InvalidInitializer`], [`Error::OrthogonalTooLarge`], and the sizes' errors.
    pub fn init(rows: usize, dim: usize, initializer: Initializer, seed: u64) -> Result<Table<E>> {
        Layout::new(rows, dim, size_of::<E>())?;
        let draw = initializer.prepare(rows, dim, seed)?;
        Table::by_rows(rows, dim, |row, out| draw.row(row, dim, out))
    }

    /// Keras's `"uniform"`: from -0.05 to 0.05. Other bounds: [`Initializer::Uniform`].
    ///
    /// # Errors
    /// The sizes' errors.
    pub fn uniform(rows: usize, dim: usize, seed: u64) -> Result<Table<E>> {
        Table::init(rows, dim, Initializer::UNIFORM, seed)
    }

    /// Keras's `"normal"`: mean 0, standard deviation 0.05. Others: [`Initializer::Normal`].
    ///
    /// # Errors
    /// The sizes' errors.
    pub fn normal(rows: usize, dim: usize, seed: u64) -> Result<Table<E>> {
        Table::init(rows, dim, Initializer::NORMAL, seed)
    }

    /// Keras's `"glorot_uniform"`: uniform within the root of `6 / (rows + dim)`.
    ///
    /// # Errors
    /// The sizes' errors.
    pub fn glorot_uniform(rows: usize, dim: usize, seed: u64) -> Result<Table<E>> {
        Table::init(rows, dim, Initializer::GlorotUniform, seed)
    }

    /// Makes the table one of `rows` rows. The old rows keep their bits; a new row `r` is row `r` of `Table::init(rows, dim,
    /// initializer, seed)`. Old and new memory are both there while it grows.
    ///
    /// ```
    /// use hotrow::{Initializer, Table};
    ///
    /// let mut table = Table::<f32>::uniform(3, 2, 7)?;
    /// let before = table.to_vec();
    /// table.grow(5, Initializer::UNIFORM, 7)?;
    /// assert_eq!(table.to_vec()[..6], before);
    /// assert_eq!(table.to_vec(), Table::<f32>::uniform(5, 2, 7)?.to_vec());
    /// assert!(table.grow(4, Initializer::Zeros, 0).is_err());
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::CannotShrink`] when it has more rows already, and those of [`Table::init`]. The table is as it was then.
    pub fn grow(&mut self, rows: usize, initializer: Initializer, seed: u64) -> Result<()> {
        let (old, dim) = (self.rows(), self.dim());
        if rows < old {
            return Err(Error::CannotShrink { rows: old, asked: rows });
        }
        if rows == old {
            return Ok(());
        }
        Layout::new(rows, dim, size_of::<E>())?;
        let draw = initializer.prepare(rows, dim, seed)?;
        *self = Table::by_rows(rows, dim, |row, out| match self.row(row) {
            Some(values) => out.push_slice(values),
            None => draw.row(row, dim, out),
        })?;
        Ok(())
    }

    /// Builds a table from a function that writes a whole row. Padding is zero.
    fn by_rows(rows: usize, dim: usize, write: impl Fn(usize, &mut Out<'_, E>) + Sync) -> Result<Table<E>> {
        let layout = Layout::new(rows, dim, size_of::<E>())?;
        let stride = layout.stride;
        if stride == 0 {
            return Table::zeros(rows, dim);
        }
        let block = (FILL_BYTES / (stride * size_of::<E>())).max(1) * stride;
        let workers = Parallelism::Auto.workers_for(layout.len() * size_of::<E>());
        let values = Buffer::written(layout.len(), workers, block, &|first, piece| {
            let mut row = first / stride;
            while piece.remaining() > 0 {
                write(row, piece);
                piece.push_fill(E::default(), stride - dim);
                row += 1;
            }
        })?;
        Ok(Table { values, layout })
    }

    /// Builds a table from a source of values: `read(first, values)` is called in parallel for pieces of the row-major values. No second
    /// copy of the table is made. After an error, which is the answer then, not all pieces are asked for.
    pub(crate) fn read<X: Send + Sync + From<Error>>(
        rows: usize,
        dim: usize,
        read: impl Fn(usize, &mut [E]) -> std::result::Result<(), X> + Sync,
    ) -> std::result::Result<Table<E>, X> {
        const PIECE_BYTES: usize = 256 << 10;
        let layout = Layout::new(rows, dim, size_of::<E>())?;
        let stride = layout.stride;
        if dim == 0 {
            return Ok(Table::zeros(rows, dim)?);
        }
        let block = (FILL_BYTES / (stride * size_of::<E>())).max(1) * stride;
        let workers = Parallelism::Auto.workers_for(layout.len() * size_of::<E>());
        let pieces = Scratch::new(workers, (PIECE_BYTES / size_of::<E>()).min(rows * dim))?;
        let failed = OnceLock::new();
        let values = Buffer::written(layout.len(), workers, block, &|first, out| {
            let (mut at, end) = (first / stride * dim, (first + out.remaining()) / stride * dim);
            let mut column = 0;
            pieces.with(|piece| {
                while at < end && failed.get().is_none() {
                    let len = piece.len().min(end - at);
                    let mut rest = &mut piece[..len];
                    if let Err(error) = read(at, rest) {
                        let _ = failed.set(error);
                        break;
                    }
                    at += len;
                    while !rest.is_empty() {
                        let (now, later) = rest.split_at_mut((dim - column).min(rest.len()));
                        out.push_slice(now);
                        column = (column + now.len()) % dim;
                        if column == 0 {
                            out.push_fill(E::default(), stride - dim);
                        }
                        rest = later;
                    }
                }
            });
            out.push_fill(E::default(), out.remaining());
        })?;
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(Table { values, layout }),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// How many values a row has.
    pub fn dim(&self) -> usize {
        self.layout.dim
    }

    /// `[rows, dim]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows(), self.dim()]
    }

    /// Elements from one row to the next: `dim`, or up to 2 % more where that saves a cache line.
    pub fn stride(&self) -> usize {
        self.layout.stride
    }

    /// One row; `None` past the last.
    pub fn row(&self, row: usize) -> Option<&[E]> {
        self.view().row(row)
    }

    /// One row, to be changed; `None` past the last.
    pub fn row_mut(&mut self, row: usize) -> Option<&mut [E]> {
        if row >= self.rows() {
            return None;
        }
        let from = row * self.layout.stride;
        Some(&mut self.values[from..from + self.layout.dim])
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[E]> {
        self.view().iter()
    }

    /// All values in row-major order, if no padding lies between rows.
    pub fn as_slice(&self) -> Option<&[E]> {
        (self.layout.stride == self.layout.dim).then_some(&self.values)
    }

    /// The memory behind the table: rows lie [`stride`](Table::stride) elements apart, padding included.
    pub fn into_buffer(self) -> Buffer<E> {
        self.values
    }

    /// All values in row-major order, without padding.
    pub fn to_vec(&self) -> Vec<E> {
        let mut values = Vec::with_capacity(self.rows() * self.dim());
        self.iter().for_each(|row| values.extend_from_slice(row));
        values
    }

    /// The same table in another element, rounded to nearest even where it is narrower.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn convert<F: Element>(&self) -> Result<Table<F>> {
        Table::from_fn(self.rows(), self.dim(), |row, column| F::from_f32(self.values[row * self.stride() + column].to_f32()))
    }

    /// A copy, made in parallel.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn try_clone(&self) -> Result<Table<E>> {
        Ok(Table { values: self.values.try_clone()?, layout: self.layout })
    }

    /// A view of the whole table.
    pub fn view(&self) -> TableView<'_, E> {
        TableView::of(&self.values, self.layout)
    }

    /// A view of the whole table, to be changed.
    pub fn view_mut(&mut self) -> TableViewMut<'_, E> {
        TableViewMut::of(&mut self.values, self.layout)
    }

    /// How much memory the table takes, and of what kind.
    pub fn memory(&self) -> MemoryReport {
        self.values.report(self.rows() * self.dim() * size_of::<E>())
    }
}

impl<E: Element> fmt::Debug for Table<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table<{}>[{}, {}]", E::DTYPE, self.rows(), self.dim())
    }
}

//! Gather: rows by id.

use crate::element::lanes::AnyOut;
use crate::element::{Element, Widen};
use crate::error::{Error, Result};
use crate::index::{Ids, RowIds};
use crate::kernel::Gather;
use crate::ops::batch::fill_value;
use crate::ops::{Batch, Rows, Workspace};
use crate::par;
use crate::simd::{CACHE_LINE, Out, Tier};
use crate::table::{AnyView, Buffer, TableView};

/// The rows that `ids` name, in a new array of shape `ids.shape + [dim]`: `out[k] = table[ids[k]]`, to the bit.
///
/// It equals the product of the one-hot matrix of the ids with the table, as Keras's `Embedding.call` and `tf.gather` do, and does
/// not compute it. How ids are cast and what happens to those out of range is their [policy](crate::IdPolicy).
///
/// ```
/// use hotrow::{Table, gather};
///
/// let table = Table::from_slice(&[0.0f32, 0.1, 1.0, 1.1, 2.0, 2.1], 3, 2)?;
/// let rows = gather(&table, &[2, 0, 2])?;
/// assert_eq!(rows.shape(), [3, 2]);
/// assert_eq!(rows.as_slice(), [2.0, 2.1, 0.0, 0.1, 2.0, 2.1]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// [`Error::IdOutOfRange`], [`Error::IdNotCastable`], [`Error::IdTypeRefused`] name the first bad id;
/// [`Error::TooManyIds`], [`Error::SizeOverflow`], [`Error::OutOfMemory`].
pub fn gather<'t, 'i, E: Element>(table: impl Into<TableView<'t, E>>, ids: impl Into<Ids<'i>>) -> Result<Rows<E>> {
    Workspace::new().gather(table, ids)
}

/// [`gather`], widened to f32: exact for every element.
///
/// ```
/// use hotrow::{Table, bf16, gather_f32};
///
/// let table = Table::<bf16>::from_fn(4, 2, |row, _| bf16::from_f32(row as f32))?;
/// assert_eq!(gather_f32(&table, &[3])?.as_slice(), [3.0f32, 3.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`].
pub fn gather_f32<'t, 'i, E: Widen<f32>>(table: impl Into<TableView<'t, E>>, ids: impl Into<Ids<'i>>) -> Result<Rows<f32>> {
    Workspace::new().gather_f32(table, ids)
}

/// [`gather`] into memory that is there already: `out` holds `ids.len() * dim` values, of the table's element or f32.
///
/// ```
/// use hotrow::{Table, gather_into};
///
/// let table = Table::<f32>::from_fn(4, 2, |row, column| (2 * row + column) as f32)?;
/// let mut out = [0.0f32; 4];
/// gather_into(&table, &[3, 1], &mut out)?;
/// assert_eq!(out, [6.0, 7.0, 2.0, 3.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`], and [`Error::ShapeMismatch`] when `out` has another length. Nothing has been written then.
pub fn gather_into<'t, 'i, E: Widen<O>, O: Element>(
    table: impl Into<TableView<'t, E>>,
    ids: impl Into<Ids<'i>>,
    out: &mut [O],
) -> Result<()> {
    Workspace::new().gather_into(table, ids, out)
}

impl Workspace {
    /// [`gather`](crate::gather()) in this workspace.
    ///
    /// # Errors
    /// As [`gather`](crate::gather()).
    pub fn gather<'t, 'i, E: Element>(&mut self, table: impl Into<TableView<'t, E>>, ids: impl Into<Ids<'i>>) -> Result<Rows<E>> {
        self.gather_new(table.into(), ids.into())
    }

    /// [`gather_f32`](crate::gather_f32()) in this workspace.
    ///
    /// # Errors
    /// As [`gather`](crate::gather()).
    pub fn gather_f32<'t, 'i, E: Widen<f32>>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        ids: impl Into<Ids<'i>>,
    ) -> Result<Rows<f32>> {
        self.gather_new(table.into(), ids.into())
    }

    /// [`gather_into`](crate::gather_into()) in this workspace: allocates nothing once the workspace has seen as many ids.
    ///
    /// # Errors
    /// As [`gather_into`](crate::gather_into()).
    pub fn gather_into<'t, 'i, E: Widen<O>, O: Element>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        ids: impl Into<Ids<'i>>,
        out: &mut [O],
    ) -> Result<()> {
        let (table, ids) = (table.into(), ids.into());
        let needed = ids.len().checked_mul(table.dim());
        if needed != Some(out.len()) {
            let expected = shape_of(&ids, table.dim());
            let needed = needed.ok_or_else(|| overflow::<O>(&expected))?;
            return Err(Error::ShapeMismatch { what: "output", expected, needed, actual: out.len() });
        }
        let (parallelism, tier) = (self.parallelism, self.tier);
        let fill = fill_value(&ids);
        let rows = self.check(&ids, table.rows())?;
        Job::new::<O>(table.erase(), rows, fill, tier).fill(parallelism, out);
        Ok(())
    }

    /// [`gather_into`](crate::gather_into()) of ids that have been checked already.
    ///
    /// ```
    /// use hotrow::{Table, Workspace};
    ///
    /// let table = Table::<f32>::from_fn(4, 2, |row, _| row as f32)?;
    /// let mut workspace = Workspace::new();
    /// let batch = workspace.batch_of_ids(&[3, 1], 4)?;
    /// let mut out = [0.0f32; 4];
    /// workspace.gather_batch_into(&table, &batch, &mut out)?;
    /// assert_eq!(out, [3.0, 3.0, 1.0, 1.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`]; [`Error::BatchMismatch`] when the batch was made for a table of another number of rows, or is made of
    /// bags.
    pub fn gather_batch_into<'t, E: Widen<O>, O: Element>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        batch: &Batch,
        out: &mut [O],
    ) -> Result<()> {
        let table: TableView<'_, E> = table.into();
        let feature = batch.single(table.rows())?;
        if feature.bags.is_some() {
            return Err(Error::BatchMismatch { batch: feature.rows, rows: table.rows(), pooled: true });
        }
        let rows = RowIds::checked(batch.rows(), table.rows());
        let expected = vec![rows.len(), table.dim()];
        let needed = rows.len().checked_mul(table.dim()).ok_or_else(|| overflow::<O>(&expected))?;
        if needed != out.len() {
            return Err(Error::ShapeMismatch { what: "output", expected, needed, actual: out.len() });
        }
        Job::new::<O>(table.erase(), rows, feature.fill, self.tier).fill(self.parallelism, out);
        Ok(())
    }

    fn gather_new<E: Widen<O>, O: Element>(&mut self, table: TableView<'_, E>, ids: Ids<'_>) -> Result<Rows<O>> {
        let values = ids.len().checked_mul(table.dim()).ok_or_else(|| overflow::<O>(&shape_of(&ids, table.dim())))?;
        let (parallelism, tier) = (self.parallelism, self.tier);
        let fill = fill_value(&ids);
        let rows = self.check(&ids, table.rows())?;
        let job = Job::new::<O>(table.erase(), rows, fill, tier);
        let workers = job.workers(parallelism);
        let out = Buffer::written(values, workers, job.chunk(), &|first, piece| job.run_piece(first, piece))?;
        Ok(Rows::new(out, ids.shape().to_vec(), table.dim()))
    }
}

/// A gather that has been validated, cut into blocks of rows. Its elements are matched here, once a block, so that the kernels are compiled
/// in this crate and not in every crate that gathers.
struct Job<'a> {
    table: AnyView<'a>,
    dim: usize,
    rows: RowIds<'a>,
    fill: f32,
    tier: Tier,
    /// Bytes of a value of the output.
    out_bytes: usize,
    /// Whether the output is written past the caches.
    stream: bool,
}

/// From this size on an output is streamed. It would not stay in the caches of a core anyway, and an ordinary store first reads the
/// line that it is about to overwrite: `ARCHITECTURE.md` has the times of both.
const STREAM_BYTES: usize = 16 << 20;

/// What a worker takes at a time: some ten microseconds of work.
const BLOCK_BYTES: usize = 256 * 1024;

impl<'a> Job<'a> {
    fn new<O: Element>(table: AnyView<'a>, rows: RowIds<'a>, fill: f32, tier: Tier) -> Self {
        let ([count, dim], out_bytes) = (table.shape(), size_of::<O>());
        // `check` was asked for this very table: a row number that passed is a row of it.
        debug_assert_eq!(rows.bound(), count);
        let row_bytes = dim * out_bytes;
        let whole_lines = row_bytes.is_multiple_of(CACHE_LINE);
        let stream = whole_lines && rows.len().saturating_mul(row_bytes) >= STREAM_BYTES;
        Job { table, dim, rows, fill, tier, out_bytes, stream }
    }

    fn workers(&self, parallelism: par::Parallelism) -> usize {
        let row_bytes = self.dim * (self.table.dtype().size() + self.out_bytes);
        parallelism.workers_for(self.rows.len().saturating_mul(row_bytes))
    }

    /// Writes all rows.
    fn fill<O: Element>(&self, parallelism: par::Parallelism, out: &mut [O]) {
        match self.workers(parallelism) {
            1 => self.run(0, self.rows.len(), O::erase_out(&mut Out::over(out))),
            workers => par::chunks(workers, Out::over(out), self.chunk(), &|first, piece| self.run_piece(first, piece)),
        }
    }

    /// Values an output block: whole rows.
    fn chunk(&self) -> usize {
        let row_bytes = (self.dim * self.out_bytes).max(1);
        (BLOCK_BYTES / row_bytes).max(1) * self.dim
    }

    /// Fills the piece of the output that starts at value `first`.
    fn run_piece<O: Element>(&self, first: usize, out: &mut Out<'_, O>) {
        self.run(first / self.dim, out.remaining() / self.dim, O::erase_out(out));
    }

    /// Writes `count` rows from the `first` on.
    fn run(&self, first: usize, count: usize, out: AnyOut<'_, '_>) {
        let rows = &self.rows.as_slice()[first..];
        match (self.table, out) {
            (AnyView::F32(table), AnyOut::F32(out)) => self.rows(table, rows, count, out),
            (AnyView::F16(table), AnyOut::F16(out)) => self.rows(table, rows, count, out),
            (AnyView::BF16(table), AnyOut::BF16(out)) => self.rows(table, rows, count, out),
            (AnyView::F16(table), AnyOut::F32(out)) => self.rows(table, rows, count, out),
            (AnyView::BF16(table), AnyOut::F32(out)) => self.rows(table, rows, count, out),
            _ => unreachable!("`Widen` has no other pairs"),
        }
    }

    #[inline]
    fn rows<E: Widen<O>, O: Element>(&self, table: TableView<'_, E>, rows: &[u32], count: usize, out: &mut Out<'_, O>) {
        // An output that does not start a line would be written in halves of lines, which is slower than either way.
        let stream = self.stream && out.is_aligned();
        self.tier.run(Gather { table, base: 0, rows, count, fill: O::from_f32(self.fill), stream, out });
    }
}

fn shape_of(ids: &Ids<'_>, dim: usize) -> Vec<usize> {
    [ids.shape(), &[dim]].concat()
}

fn overflow<O>(shape: &[usize]) -> Error {
    Error::SizeOverflow { shape: shape.to_vec(), element_bytes: size_of::<O>() }
}

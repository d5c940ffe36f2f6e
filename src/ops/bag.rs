//! Bags: rows by id, pooled.

use crate::element::{Element, Widen};
use crate::error::{Error, Result};
use crate::index::{Bags, Pooling};
use crate::kernel::Pool;
use crate::ops::batch::Feature;
use crate::ops::{Batch, Rows, Workspace};
use crate::par::{self, Grid, TileMut, Tiles};
use crate::simd::{CACHE_LINE, Tier};
use crate::table::{AnyView, AnyViewMut, Buffer, TableView, TableViewMut};

/// Each bag's rows, pooled into one: a new f32 array `[bags, dim]`.
///
/// It equals gathering the rows and pooling them in the order of the ids, in f32, to the bit on any number of threads; the gathered rows
/// are never written to memory. PyTorch's `EmbeddingBag`, TensorFlow's `embedding_lookup_sparse`.
///
/// ```
/// use hotrow::{Bags, Pooling, Table, bag, bf16};
///
/// let table = Table::<bf16>::from_fn(10, 2, |row, column| bf16::from_f32((row + column) as f32))?;
/// let means = bag(&table, &Bags::from_lengths(&[1, 3, 8], &[2i64, 1]), Pooling::Mean)?;
/// assert_eq!(means.shape(), [2, 2]);
/// assert_eq!(means.as_slice(), [2.0, 3.0, 8.0, 9.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// Those of the ids, as [`gather`](crate::gather()); those of the splits, as [`Bags::bounds`]; [`Error::WeightCount`],
/// [`Error::WeightedMax`], [`Error::RowOption`]; [`Error::SizeOverflow`], [`Error::OutOfMemory`].
pub fn bag<'t, E: Widen<f32>>(table: impl Into<TableView<'t, E>>, bags: &Bags<'_>, pooling: Pooling) -> Result<Rows<f32>> {
    Workspace::new().bag(table, bags, pooling)
}

/// [`bag`] into memory that is there already: `out` is `[bags, dim]`, of f32 or of the table's element, and its rows may lie as far apart
/// as they like, so that several tables can write one `[bags, sum of dims]`. A row is rounded once.
///
/// ```
/// use hotrow::{Bags, Pooling, Table, TableViewMut, bag_into};
///
/// let (left, right) = (Table::<f32>::from_fn(4, 2, |row, _| row as f32)?, Table::<f32>::from_fn(4, 1, |_, _| 7.0)?);
/// let bags = Bags::from_matrix(&[[0, 1], [2, 3]])?;
/// let mut out = [0.0f32; 6]; // [2, 2 + 1]
/// bag_into(&left, &bags, Pooling::Sum, TableViewMut::new(&mut out, 2, 2, 3)?)?;
/// bag_into(&right, &bags, Pooling::Sum, TableViewMut::new(&mut out[2..], 2, 1, 3)?)?;
/// assert_eq!(out, [1.0, 1.0, 14.0, 5.0, 5.0, 14.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`bag`], and [`Error::OutputShape`]. Nothing has been written then.
pub fn bag_into<'t, 'o, E: Widen<O>, O: Element>(
    table: impl Into<TableView<'t, E>>,
    bags: &Bags<'_>,
    pooling: Pooling,
    out: impl Into<TableViewMut<'o, O>>,
) -> Result<()> {
    Workspace::new().bag_into(table, bags, pooling, out)
}

impl Workspace {
    /// [`bag`](crate::bag()) in this workspace.
    ///
    /// # Errors
    /// As [`bag`](crate::bag()).
    pub fn bag<'t, E: Widen<f32>>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        bags: &Bags<'_>,
        pooling: Pooling,
    ) -> Result<Rows<f32>> {
        let table: TableView<'_, E> = table.into();
        let (count, dim) = (bags.count(), table.dim());
        let values = count.checked_mul(dim);
        let overflow = || Error::SizeOverflow { shape: vec![count, dim], element_bytes: size_of::<f32>() };
        self.take_bags(bags, table.rows(), pooling)?;
        let mut out = Buffer::zeros(values.ok_or_else(overflow)?)?;
        let whole = TableViewMut::new(&mut out, count, dim, dim)?;
        self.pool(table.erase(), pooling, whole.erase(), Grid::none(count));
        Ok(Rows::new(out, vec![count], dim))
    }

    /// [`bag_into`](crate::bag_into()) in this workspace: allocates nothing once the workspace has seen as many ids and bags.
    ///
    /// # Errors
    /// As [`bag_into`](crate::bag_into()).
    pub fn bag_into<'t, 'o, E: Widen<O>, O: Element>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        bags: &Bags<'_>,
        pooling: Pooling,
        out: impl Into<TableViewMut<'o, O>>,
    ) -> Result<()> {
        let (table, out) = (table.into(), out.into());
        check_output([bags.count(), table.dim()], &out)?;
        self.take_bags(bags, table.rows(), pooling)?;
        self.pool(table.erase(), pooling, out.erase(), Grid::none(bags.count()));
        Ok(())
    }

    /// Max pooling that says which row each value came from: `argmax[bag * dim + column]` is a row number, or `u32::MAX` where the bag is
    /// empty or the value is a fill value. The gradient needs it: [`Gradient::of_max`](crate::Gradient::of_max).
    ///
    /// ```
    /// use hotrow::{Bags, Table, Workspace};
    ///
    /// let table = Table::from_slice(&[1.0f32, 9.0, 5.0, 2.0], 2, 2)?;
    /// let (mut out, mut argmax) = (Table::<f32>::zeros(1, 2)?, [0; 2]);
    /// Workspace::new().bag_max_into(&table, &Bags::from_matrix(&[[0, 1]])?, &mut out, &mut argmax)?;
    /// assert_eq!((out.to_vec(), argmax), (vec![5.0, 9.0], [1, 0]));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`bag_into`](crate::bag_into()), and [`Error::ShapeMismatch`] when `argmax` has another length.
    pub fn bag_max_into<'t, 'o, E: Widen<O>, O: Element>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        bags: &Bags<'_>,
        out: impl Into<TableViewMut<'o, O>>,
        argmax: &mut [u32],
    ) -> Result<()> {
        let (table, out) = (table.into(), out.into());
        let (count, dim) = (bags.count(), table.dim());
        check_output([count, dim], &out)?;
        if argmax.len() != count * dim {
            let (needed, actual) = (count * dim, argmax.len());
            return Err(Error::ShapeMismatch { what: "argmax", expected: vec![count, dim], needed, actual });
        }
        self.take_bags(bags, table.rows(), Pooling::Max)?;
        let argmax = if dim == 0 { Grid::none(count) } else { Grid::dense(argmax, dim) };
        self.pool(table.erase(), Pooling::Max, out.erase(), argmax);
        Ok(())
    }

    /// [`bag_into`](crate::bag_into()) of bags that have been checked already.
    ///
    /// # Errors
    /// [`Error::OutputShape`], [`Error::WeightedMax`]; [`Error::BatchMismatch`] when the batch was made for a table of another number
    /// of rows, or is not made of bags.
    pub fn bag_batch_into<'t, 'o, E: Widen<O>, O: Element>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        batch: &Batch,
        pooling: Pooling,
        out: impl Into<TableViewMut<'o, O>>,
    ) -> Result<()> {
        let (table, out) = (table.into(), out.into());
        let (feature, bags) = batch.single_of_bags(table.rows())?;
        check_pooling(pooling, feature.weighted)?;
        check_output([bags.len(), table.dim()], &out)?;
        let job = Job { batch, feature, pooling, tier: self.tier, parallelism: self.parallelism };
        job.run(table.erase(), &mut self.tiles, out.erase(), Grid::none(bags.len()));
        Ok(())
    }

    /// Checks bags into the workspace's own batch.
    pub(super) fn take_bags(&mut self, bags: &Bags<'_>, rows: usize, pooling: Pooling) -> Result<()> {
        check_pooling(pooling, bags.weights().is_some())?;
        self.batch.clear();
        self.batch.add_bags(bags, rows, 0, self.tier, self.parallelism)
    }

    /// Pools what is in the workspace's own batch.
    pub(super) fn pool(&mut self, table: AnyView<'_>, pooling: Pooling, out: AnyViewMut<'_>, argmax: Grid<'_, u32>) {
        let feature = &self.batch.features()[0];
        let job = Job { batch: &self.batch, feature, pooling, tier: self.tier, parallelism: self.parallelism };
        job.run(table, &mut self.tiles, out, argmax);
    }
}

pub(crate) fn check_pooling(pooling: Pooling, weighted: bool) -> Result<()> {
    if pooling == Pooling::Max && weighted { Err(Error::WeightedMax) } else { Ok(()) }
}

fn check_output<O: Element>(expected: [usize; 2], out: &TableViewMut<'_, O>) -> Result<()> {
    let actual = [out.rows(), out.dim()];
    if actual == expected { Ok(()) } else { Err(Error::OutputShape { expected, actual }) }
}

/// What a worker takes at a time, in bytes of rows read.
const BLOCK_BYTES: usize = 512 * 1024;

/// The pooling of one feature of a batch.
struct Job<'a> {
    batch: &'a Batch,
    feature: &'a Feature,
    pooling: Pooling,
    tier: Tier,
    parallelism: par::Parallelism,
}

impl Job<'_> {
    fn run(self, table: AnyView<'_>, tiles: &mut Tiles, out: AnyViewMut<'_>, argmax: Grid<'_, u32>) {
        match (table, out) {
            (AnyView::F32(table), AnyViewMut::F32(out)) => self.typed(table, tiles, out, argmax),
            (AnyView::F16(table), AnyViewMut::F32(out)) => self.typed(table, tiles, out, argmax),
            (AnyView::F16(table), AnyViewMut::F16(out)) => self.typed(table, tiles, out, argmax),
            (AnyView::BF16(table), AnyViewMut::F32(out)) => self.typed(table, tiles, out, argmax),
            (AnyView::BF16(table), AnyViewMut::BF16(out)) => self.typed(table, tiles, out, argmax),
            (table, out) => unreachable!("no `Widen` from {table:?} to {out:?}"),
        }
    }

    fn typed<E: Element, O: Element>(
        self,
        table: TableView<'_, E>,
        tiles: &mut Tiles,
        out: TableViewMut<'_, O>,
        argmax: Grid<'_, u32>,
    ) {
        let bags = self.feature.bags.clone().unwrap_or(0..0);
        if bags.is_empty() {
            return;
        }
        // One row of the output is in memory, so the size of one row fits.
        let (dim, row_bytes) = (table.dim(), table.dim() * size_of::<E>());
        let moved = self.feature.ids.len().saturating_mul(row_bytes) + bags.len().saturating_mul(dim * size_of::<O>());
        let workers = self.parallelism.workers_for(moved);
        tiles.clear();
        let bounds = &self.batch.bounds()[bags.start..bags.end + 1];
        let unit = CACHE_LINE / size_of::<E>();
        tiles.cut_bags(0, bounds, dim, unit, block_ids(row_bytes, workers), workers);
        par::tiles(workers, &mut [(Grid::from(out), argmax)], tiles, &|tile, (out, argmax)| {
            pool_tile(self.batch, self.feature, table, self.pooling, self.tier, (tile.rows.clone(), out, argmax));
        });
    }
}

/// How many ids make a block.
pub(crate) fn block_ids(row_bytes: usize, workers: usize) -> usize {
    if workers == 1 { usize::MAX } else { (BLOCK_BYTES / row_bytes.max(1)).max(16) }
}

/// Pools the bags `part.0` of a feature.
pub(crate) fn pool_tile<E: Element, O: Element>(
    batch: &Batch,
    feature: &Feature,
    table: TableView<'_, E>,
    pooling: Pooling,
    tier: Tier,
    part: (std::ops::Range<usize>, TileMut<'_, O>, TileMut<'_, u32>),
) {
    let (rows, out, argmax) = part;
    let start = feature.bags.as_ref().map_or(0, |bags| bags.start);
    let bounds = &batch.bounds()[start + rows.start..start + rows.end + 1];
    let first = bounds[0] as usize;
    let ids = &batch.rows()[first..feature.ids.end];
    let weights = feature.weighted.then(|| &batch.weights()[first..feature.ids.end]);
    tier.run(Pool {
        table,
        base: feature.base,
        ids,
        weights,
        bounds,
        first: rows.start as u32,
        pooling,
        fill: feature.fill,
        out,
        argmax,
    });
}

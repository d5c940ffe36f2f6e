//! Scatter-add: rows added to rows by id.

use crate::element::lanes::AnySlice;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::index::{self, Ids};
use crate::kernel::{AddInOrder, AddTile};
use crate::ops::Workspace;
use crate::ops::plan::{Order, Source};
use crate::par::{self, Grid};
use crate::simd::CACHE_LINE;
use crate::table::{AnyViewMut, Table, TableViewMut};

/// `table[ids[k]] += alpha * source[k]` for every `k` in input order, duplicates included.
///
/// `source` holds `ids.len()` rows of the table's dim, of any element. For an f32 table the result is that of the
/// plain loop, to the bit, on any number of threads. For f16 and bf16 the updates of a row are added in f32, in input order, onto
/// the widened row, which is rounded once, to nearest even. Ids that a fill policy lets pass are skipped.
///
/// PyTorch calls it `index_add_`, JAX `.at[].add`, TensorFlow `tensor_scatter_nd_add`.
///
/// ```
/// use hotrow::{Table, scatter_add};
///
/// let mut table = Table::<f32>::zeros(3, 2)?;
/// scatter_add(&mut table, &[2, 0, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], 0.5)?;
/// assert_eq!(table.to_vec(), [1.5, 2.0, 0.0, 0.0, 3.0, 4.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`](crate::gather()), and [`Error::ShapeMismatch`] when `source` has another length. The table is unchanged then.
pub fn scatter_add<'t, 'i, E: Element, S: Element>(
    table: impl Into<TableViewMut<'t, E>>,
    ids: impl Into<Ids<'i>>,
    source: &[S],
    alpha: f32,
) -> Result<()> {
    Workspace::new().scatter_add(table, ids, source, alpha)
}

/// The sum of `source` rows by id, in a new f32 table `[rows, dim]`: the dense gradient of a gather.
///
/// ```
/// use hotrow::scatter_add_dense;
///
/// let gradient = scatter_add_dense(&[1, 1], &[1.0f32, 2.0, 3.0, 4.0], 3, 2)?;
/// assert_eq!(gradient.to_vec(), [0.0, 0.0, 4.0, 6.0, 0.0, 0.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`scatter_add`], and those of [`Table::zeros`].
pub fn scatter_add_dense<'i, S: Element>(ids: impl Into<Ids<'i>>, source: &[S], rows: usize, dim: usize) -> Result<Table<f32>> {
    Workspace::new().scatter_add_dense(ids, source, rows, dim)
}

impl Workspace {
    /// [`scatter_add`](crate::scatter_add()) in this workspace: allocates nothing once the workspace has seen as many ids.
    ///
    /// # Errors
    /// As [`scatter_add`](crate::scatter_add()).
    pub fn scatter_add<'t, 'i, E: Element, S: Element>(
        &mut self,
        table: impl Into<TableViewMut<'t, E>>,
        ids: impl Into<Ids<'i>>,
        source: &[S],
        alpha: f32,
    ) -> Result<()> {
        self.scatter_any(table.into().erase(), ids.into(), S::erase(source), alpha)
    }

    /// Matches the elements, so that the kernels are compiled in this crate and not in every crate that scatters.
    fn scatter_any(&mut self, table: AnyViewMut<'_>, ids: Ids<'_>, source: AnySlice<'_>, alpha: f32) -> Result<()> {
        match (table, source) {
            (AnyViewMut::F32(table), AnySlice::F32(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::F32(table), AnySlice::F16(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::F32(table), AnySlice::BF16(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::F16(table), AnySlice::F32(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::F16(table), AnySlice::F16(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::F16(table), AnySlice::BF16(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::BF16(table), AnySlice::F32(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::BF16(table), AnySlice::F16(source)) => self.add(table, ids, source, alpha),
            (AnyViewMut::BF16(table), AnySlice::BF16(source)) => self.add(table, ids, source, alpha),
        }
    }

    fn add<E: Element, S: Element>(&mut self, table: TableViewMut<'_, E>, ids: Ids<'_>, source: &[S], alpha: f32) -> Result<()> {
        let (rows, dim) = (table.rows(), table.dim());
        let needed = ids.len().checked_mul(dim);
        if needed != Some(source.len()) {
            let expected = [ids.shape(), &[dim]].concat();
            let overflow = || Error::SizeOverflow { shape: expected.clone(), element_bytes: size_of::<S>() };
            return Err(Error::ShapeMismatch {
                what: "source",
                needed: needed.ok_or_else(overflow)?,
                expected,
                actual: source.len(),
            });
        }
        let (parallelism, tier) = (self.parallelism, self.tier);
        let bytes = source.len().saturating_mul(size_of::<S>() + 2 * size_of::<E>());
        let workers = parallelism.workers_for(bytes);
        let (numbers, plan) = self.batch.scratch();
        let checked = index::check(&ids, rows, numbers, tier, parallelism)?;
        if dim == 0 || checked.len() == 0 {
            return Ok(());
        }
        // A 16-bit row is rounded once, after all of its updates: these have to be brought together. An f32 row is not, so one
        // thread can take the updates as they come.
        let grouped = E::DTYPE != DType::F32;
        if workers == 1 && !grouped {
            tier.run(AddInOrder { table, rows: checked.as_slice(), source, alpha });
            return Ok(());
        }
        let unit = CACHE_LINE / size_of::<E>();
        if grouped {
            plan.make(checked.as_slice(), Source::Position, rows, Order::Grouped, workers)?;
            plan.cut(rows, dim, unit, workers);
        } else {
            plan.make(checked.as_slice(), Source::Position, rows, Order::Tiles { dim, unit }, workers)?;
        }
        let (updates, tiles) = plan.parts();
        par::tiles(workers, &mut [Grid::from(table)], tiles, &|part, tile| {
            tier.run(AddTile { tile, updates: &updates[part.updates.clone()], source, dim, alpha, in_order: !grouped });
        });
        Ok(())
    }

    /// [`scatter_add_dense`](crate::scatter_add_dense()) in this workspace.
    ///
    /// # Errors
    /// As [`scatter_add_dense`](crate::scatter_add_dense()).
    pub fn scatter_add_dense<'i, S: Element>(
        &mut self,
        ids: impl Into<Ids<'i>>,
        source: &[S],
        rows: usize,
        dim: usize,
    ) -> Result<Table<f32>> {
        let mut gradient = Table::zeros(rows, dim)?;
        self.scatter_add(&mut gradient, ids, source, 1.0)?;
        Ok(gradient)
    }
}

//! The gradient of the weights of bags.

use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::{Bags, MISSING, Pooling, grow};
use crate::kernel::{RowDots, dot_of, total};
use crate::ops::Workspace;
use crate::ops::bag::check_pooling;
use crate::par::{self, Grid};
use crate::table::{AnyView, Buffer, TableView, TableViewMut, for_view};

/// Ids a task.
const BLOCK: usize = 2048;

impl Workspace {
    /// The gradient of per-sample weights, one for each id, into `out`: `gradient` is that of the pooled rows, `[bags, dim]`.
    ///
    /// With `row` the id's row and `pooled` its bag's: the product `gradient · row` for a sum; `(gradient · row - gradient · pooled) / total` for
    /// a mean, `total` being the sum of the weights; `(gradient · row - weight / total * (gradient · pooled)) / total` for `sqrtn`, `total` being the
    /// root of the sum of their squares. Zero where the total is zero, and for ids that are left out. Bags without weights count as
    /// of ones. Products are summed in f32 in one fixed shape (16 partial sums, then a tree).
    ///
    /// ```
    /// use hotrow::{Bags, Pooling, Table, Workspace};
    ///
    /// let table = Table::from_slice(&[1.0f32, 2.0, 3.0, 4.0], 2, 2)?;
    /// let bags = Bags::from_matrix(&[[0, 1]])?.with_weights(&[0.5, 2.0]);
    /// let mut weight_gradient = [0.0; 2];
    /// Workspace::new().weight_grad(&table, &bags, Pooling::Sum, &[1.0, 10.0], &mut weight_gradient)?;
    /// assert_eq!(weight_gradient, [21.0, 43.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`bag`](crate::bag()); [`Error::WeightedMax`] for max pooling; [`Error::ShapeMismatch`] when `gradient` or `out` has another
    /// length.
    pub fn weight_grad<'t, E: Element>(
        &mut self,
        table: impl Into<TableView<'t, E>>,
        bags: &Bags<'_>,
        pooling: Pooling,
        gradient: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        self.weight_grad_any(table.into().erase(), bags, pooling, gradient, out)
    }

    /// Matches the element, so that the kernels are compiled in this crate and not in every crate that trains weights.
    fn weight_grad_any(
        &mut self,
        table: AnyView<'_>,
        bags: &Bags<'_>,
        pooling: Pooling,
        gradient: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        let [rows, dim] = table.shape();
        let (count, ids) = (bags.count(), bags.ids().len());
        check_pooling(pooling, true)?;
        let length = |what, shape: [usize; 2], actual| match shape[0].checked_mul(shape[1]) {
            Some(needed) if needed != actual => Err(Error::ShapeMismatch { what, expected: shape.to_vec(), needed, actual }),
            Some(_) => Ok(()),
            None => Err(Error::SizeOverflow { shape: shape.to_vec(), element_bytes: size_of::<f32>() }),
        };
        length("gradient", [count, dim], gradient.len())?;
        length("weight gradient", [ids, 1], out.len())?;
        self.take_bags(bags, rows, pooling)?;
        self.batch.list_bags()?;
        grow(&mut self.scales, self.batch.rows().len())?;
        // A divided sum depends on each weight a second time, through its divisor.
        let mut pooled = Buffer::zeros(if pooling == Pooling::Sum { 0 } else { count * dim })?;
        if pooling != Pooling::Sum {
            let whole = TableViewMut::new(&mut pooled, count, dim, dim)?;
            self.pool(table, pooling, whole.erase(), Grid::none(count));
        }
        for_view!(table, table => self.dots(table, gradient))?;
        self.finish_weights(pooling, gradient, &pooled, dim, out);
        Ok(())
    }

    /// Writes the product of each id's row with its bag's gradient where scales are kept.
    fn dots<E: Element>(&mut self, table: TableView<'_, E>, gradient: &[f32]) -> Result<()> {
        let (batch, tier) = (&self.batch, self.tier);
        let rows = batch.rows();
        if rows.is_empty() {
            return Ok(());
        }
        let mut filler = Vec::new();
        grow(&mut filler, table.dim())?;
        filler.fill(batch.features()[0].fill);
        let workers = self.parallelism.workers_for(rows.len().saturating_mul(table.dim() * size_of::<E>()));
        par::chunks_mut(workers, &mut self.scales[..rows.len()], BLOCK, &|first, out| {
            let (rows, bag_of) = (&rows[first..], &batch.bag_of()[first..]);
            tier.run(RowDots { table, rows, bag_of, gradient, filler: &filler, out });
        });
        Ok(())
    }

    /// From products to gradients, in the places where the ids stood.
    fn finish_weights(&self, pooling: Pooling, gradient: &[f32], pooled: &[f32], dim: usize, out: &mut [f32]) {
        let batch = &self.batch;
        let feature = &batch.features()[0];
        out.fill(0.0);
        for bag in 0..batch.bounds().len() - 1 {
            let ids = batch.bounds()[bag] as usize..batch.bounds()[bag + 1] as usize;
            let weights = feature.weighted.then(|| &batch.weights()[ids.clone()]);
            let divisor = if pooling == Pooling::Sum { 1.0 } else { total(pooling, ids.len(), weights) };
            let row = bag * dim..(bag + 1) * dim;
            let own = if pooling == Pooling::Sum { 0.0 } else { dot_of(self.tier, &gradient[row.clone()], &pooled[row]) };
            for (k, at) in ids.enumerate() {
                let place = if feature.changed { batch.places()[at] } else { at as u32 };
                if place == MISSING {
                    continue;
                }
                let product = self.scales[at];
                let weight = weights.map_or(1.0, |weights| weights[k]);
                out[place as usize] = match pooling {
                    Pooling::Sum | Pooling::Max => product,
                    _ if divisor == 0.0 => 0.0,
                    Pooling::Mean => (product - own) / divisor,
                    Pooling::Sqrtn => (product - (weight / divisor) * own) / divisor,
                };
            }
        }
    }
}

//! What a backward is given: the gradient of a lookup's output, and the lookup.

use crate::element::Element;
use crate::element::lanes::AnySlice;
use crate::error::{Error, Result};
use crate::index::{Bags, Ids, Pooling, grow};
use crate::kernel::{Sources, total};
use crate::ops::SparseGrad;
use crate::ops::bag::check_pooling;
use crate::ops::batch::{Batch, row_option};
use crate::par::Parallelism;
use crate::simd::Tier;

/// The gradient of a lookup's output, borrowed together with the lookup that it belongs to.
///
/// From it come a [`SparseGrad`], or the step of an [`Optimizer`](crate::Optimizer) without anything in between: the `[ids, dim]` gradient of a
/// bag's rows is never written to memory. A gradient may be of any element; arithmetic is in f32.
///
/// ```
/// use hotrow::{Bags, Gradient, Pooling, sparse_grad};
///
/// let bags = Bags::from_offsets(&[4i64, 4, 7], &[0i64, 2]); // [4, 4], [7]
/// let gradient = sparse_grad(Gradient::of_bags(&bags, Pooling::Mean, &[1.0f32, 2.0, 3.0, 4.0]), 10, 2)?;
/// assert_eq!(gradient.rows(), [4, 7]);
/// assert_eq!(gradient.values(), [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gradient<'a> {
    pub(super) lookup: Lookup<'a>,
    values: AnySlice<'a>,
    stride: Option<usize>,
    by_freq: bool,
    padding_idx: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup<'a> {
    Ids(Ids<'a>),
    Bags(Bags<'a>, Pooling),
    Max(Bags<'a>, &'a [u32]),
    Batch(&'a Batch, Pooling),
    Sparse(&'a SparseGrad),
}

impl<'a> Gradient<'a> {
    /// Of a gather: `values` is `ids.shape + [dim]`.
    pub fn of_gather<S: Element>(ids: impl Into<Ids<'a>>, values: &'a (impl AsRef<[S]> + ?Sized)) -> Gradient<'a> {
        Gradient::new(Lookup::Ids(ids.into()), S::erase(values.as_ref()))
    }

    /// Of pooled bags: `values` is `[bags, dim]`. For [`Pooling::Max`] see [`of_max`](Gradient::of_max).
    pub fn of_bags<S: Element>(bags: &Bags<'a>, pooling: Pooling, values: &'a (impl AsRef<[S]> + ?Sized)) -> Gradient<'a> {
        Gradient::new(Lookup::Bags(*bags, pooling), S::erase(values.as_ref()))
    }

    /// Of max-pooled bags, with what [`Workspace::bag_max_into`](crate::Workspace::bag_max_into) wrote: each value's gradient goes to the row that it came from.
    ///
    /// ```
    /// use hotrow::{Bags, Gradient, sparse_grad};
    ///
    /// let bags = Bags::from_matrix(&[[0, 1]])?;
    /// let gradient = sparse_grad(Gradient::of_max(&bags, &[1, 0], &[10.0f32, 20.0]), 2, 2)?;
    /// assert_eq!(gradient.to_dense()?.to_vec(), [0.0, 20.0, 10.0, 0.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    pub fn of_max<S: Element>(bags: &Bags<'a>, argmax: &'a [u32], values: &'a (impl AsRef<[S]> + ?Sized)) -> Gradient<'a> {
        Gradient::new(Lookup::Max(*bags, argmax), S::erase(values.as_ref()))
    }

    /// Of a batch that was prepared: `[bags, dim]`, or `[ids, dim]` where it is not made of bags (and `pooling` means nothing).
    pub fn of_batch<S: Element>(batch: &'a Batch, pooling: Pooling, values: &'a (impl AsRef<[S]> + ?Sized)) -> Gradient<'a> {
        Gradient::new(Lookup::Batch(batch, pooling), S::erase(values.as_ref()))
    }

    fn new(lookup: Lookup<'a>, values: AnySlice<'a>) -> Gradient<'a> {
        Gradient { lookup, values, stride: None, by_freq: false, padding_idx: None }
    }

    /// The gradient's rows are so many values apart: a part of the columns of a wider array.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Gradient<'a> {
        Gradient { stride: Some(stride), ..self }
    }

    /// Divides the summed gradient of each row by how often the row stands in the batch: PyTorch's `scale_grad_by_freq`. What has been
    /// summed already cannot be divided so.
    #[must_use]
    pub fn scale_by_freq(self, by_freq: bool) -> Gradient<'a> {
        Gradient { by_freq, ..self }
    }

    /// The row that is padding gets no gradient: PyTorch's `padding_idx`. A negative number counts from the end. Of bags it is best
    /// said by [`Bags::with_padding_idx`], which is what this does.
    #[must_use]
    pub fn with_padding_idx(self, row: i64) -> Gradient<'a> {
        Gradient { padding_idx: Some(row), ..self }
    }
}

impl<'a> Gradient<'a> {
    /// A gradient that has been summed by row already.
    pub fn of_sparse(gradient: &'a SparseGrad) -> Gradient<'a> {
        Gradient::new(Lookup::Sparse(gradient), AnySlice::F32(gradient.values()))
    }
}

impl<'a> Gradient<'a> {
    /// The gradient itself, where it has been summed already, checked against the shape of the table.
    pub(super) fn summed(&self, table: [usize; 2]) -> Result<Option<&'a SparseGrad>> {
        let Lookup::Sparse(summed) = self.lookup else { return Ok(None) };
        if self.padding_idx.is_some() {
            return Err(Error::PreparedPadding);
        }
        if self.stride.is_some_and(|stride| stride != summed.dim()) {
            return Err(Error::SummedStride);
        }
        if self.by_freq {
            return Err(Error::SummedFrequencies);
        }
        summed.check_shape(table)?;
        Ok(Some(summed))
    }

    /// Checks the lookup and partitions its ids, in `own` unless a batch was prepared.
    pub(super) fn take<'b>(&self, own: &'b mut Batch, shape: [usize; 2], run: Run) -> Result<&'b Batch>
    where
        'a: 'b,
    {
        let [rows, dim] = shape;
        let Run { tier, parallelism } = run;
        if let Lookup::Batch(batch, _) = self.lookup {
            batch.single(rows)?;
            return if self.padding_idx.is_none() { Ok(batch) } else { Err(Error::PreparedPadding) };
        }
        own.clear();
        match self.lookup {
            Lookup::Ids(ids) => {
                let padding = row_option("padding_idx", self.padding_idx, rows, 0)?;
                own.add_ids(&ids, rows, 0, tier, parallelism)?;
                if let Some(padding) = padding {
                    own.skip_row(padding);
                }
            }
            Lookup::Bags(mut bags, _) | Lookup::Max(mut bags, _) => {
                if let Some(row) = self.padding_idx {
                    bags = bags.with_padding_idx(row);
                }
                own.add_bags(&bags, rows, 0, tier, parallelism)?;
            }
            Lookup::Batch(..) | Lookup::Sparse(_) => {}
        }
        own.make_plan(parallelism.workers_for(own.rows().len().saturating_mul(dim.saturating_mul(size_of::<f32>()))))?;
        Ok(own)
    }

    /// Where the summed gradients come from, checked: `batch` is what [`take`](Gradient::take) gave.
    pub(super) fn sources<'b>(&self, batch: &'b Batch, dim: usize, scales: &'b mut Vec<f32>) -> Result<Sources<'b>>
    where
        'a: 'b,
    {
        let mut argmax = None;
        let mut pooling = Pooling::Sum;
        let feature = &batch.features()[0];
        match self.lookup {
            Lookup::Bags(_, how) | Lookup::Batch(_, how) => pooling = how,
            Lookup::Max(_, won) => argmax = Some((won, dim)),
            Lookup::Ids(_) | Lookup::Sparse(_) => {}
        }
        let count = feature.bags.as_ref().map_or(feature.given, ExactSizeIterator::len);
        if pooling == Pooling::Max && feature.bags.is_some() {
            return Err(Error::MaxWithoutArgmax);
        }
        if let Some((won, _)) = argmax {
            check_pooling(Pooling::Max, feature.weighted)?;
            check_length("argmax", [count, dim], dim, won.len(), false)?;
        }
        let stride = self.stride.unwrap_or(dim);
        if stride < dim {
            return Err(Error::StrideTooShort { stride, dim });
        }
        check_length("gradient", [count, dim], stride, self.values.len(), self.stride.is_some())?;
        let scaled = settle_scales(batch, &|_| pooling, scales)?;
        Ok(Sources {
            values: self.values,
            stride,
            scales: scaled.then_some(&scales[..]),
            bag_of: (feature.bags.is_some() && !batch.by_bag()).then(|| batch.bag_of()),
            starts: None,
            argmax,
            by_freq: self.by_freq,
        })
    }
}

/// How work is done.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) tier: Tier,
    pub(super) parallelism: Parallelism,
}

/// `[n, dim]` values, rows `stride` apart; with a stride, there may be more behind the last row.
fn check_length(what: &'static str, shape: [usize; 2], stride: usize, actual: usize, more: bool) -> Result<()> {
    let [n, dim] = shape;
    let span = n.saturating_sub(1).checked_mul(stride).and_then(|span| span.checked_add(if n == 0 { 0 } else { dim }));
    let needed = span.ok_or_else(|| Error::SizeOverflow { shape: shape.to_vec(), element_bytes: 1 })?;
    if needed == actual || more && needed < actual {
        Ok(())
    } else {
        Err(Error::ShapeMismatch { what, expected: shape.to_vec(), needed, actual })
    }
}

/// Writes what the gradients of a batch are multiplied by: one number a bag, or one an id where there are weights. Returns whether there is
/// anything but ones.
pub(super) fn settle_scales(batch: &Batch, pooling: &impl Fn(usize) -> Pooling, scales: &mut Vec<f32>) -> Result<bool> {
    let sums = |at: usize| batch.features()[at].bags.is_none() || matches!(pooling(at), Pooling::Sum | Pooling::Max);
    if batch.features().iter().enumerate().all(|(at, feature)| sums(at) && !feature.weighted) {
        return Ok(false);
    }
    let by_bag = batch.by_bag();
    grow(scales, batch.rows().len().max(batch.bounds().len()))?;
    for (at, feature) in batch.features().iter().enumerate() {
        for bag in feature.bags.clone().unwrap_or(0..0) {
            let ids = batch.bounds()[bag] as usize..batch.bounds()[bag + 1] as usize;
            let weights = feature.weighted.then(|| &batch.weights()[ids.clone()]);
            let divisor = if sums(at) { 1.0 } else { total(pooling(at), ids.len(), weights) };
            let scale = |weight: f32| if divisor == 0.0 { 0.0 } else { weight / divisor };
            match weights {
                Some(weights) => scales[ids].iter_mut().zip(weights).for_each(|(to, &weight)| *to = scale(weight)),
                None if by_bag => scales[bag] = scale(1.0),
                None => scales[ids].fill(scale(1.0)),
            }
        }
    }
    Ok(true)
}

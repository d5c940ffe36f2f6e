//! Ids that have been checked, and everything that is found out about them on the way: what a forward and a backward share.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::{self, Bags, Ids, MISSING, Negative, OutOfRange, grow};
use crate::ops::Workspace;
use crate::ops::plan::{Order, Plan, Source};
use crate::par::Parallelism;
use crate::simd::Tier;

/// Ids checked against a table, with their partition by row: made once by [`Workspace::batch`](crate::Workspace::batch), and used by the
/// forward and the backward of the same batch, or by several tables of as many rows.
///
/// ```
/// use hotrow::{Bags, Gradient, Pooling, Table, Workspace};
///
/// let mut workspace = Workspace::new();
/// let table = Table::<f32>::uniform(100, 4, 7)?;
/// let batch = workspace.batch(&Bags::from_matrix(&[[1, 2], [3, 1]])?, 100)?;
/// let mut out = Table::<f32>::zeros(2, 4)?;
/// workspace.bag_batch_into(&table, &batch, Pooling::Sum, &mut out)?;
/// let gradient = workspace.sparse_grad(Gradient::of_batch(&batch, Pooling::Sum, &[1.0f32; 8]), 100, 4)?;
/// assert_eq!(gradient.rows(), [1, 2, 3]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    /// One for each list of ids.
    features: Vec<Feature>,
    /// The row that each id names, raised by its feature's base, or [`MISSING`].
    rows: Vec<u32>,
    /// Where each bag starts, and the end of the last.
    bounds: Vec<u32>,
    /// One weight an id, where there are any.
    weights: Vec<f32>,
    /// For features that left ids out: where each id stood among those given, or [`MISSING`] for a default row.
    places: Vec<u32>,
    /// The bag of each id.
    bag_of: Vec<u32>,
    ids: usize,
    bags: usize,
    /// Where ids are left out, what was there before.
    spare: Spare,
    plan: Plan,
    planned: bool,
}

/// One list of ids: what looks up one table.
#[derive(Clone, Debug)]
pub(crate) struct Feature {
    /// Its part of the ids.
    pub(crate) ids: Range<usize>,
    /// Its part of the bags; none where rows are not pooled.
    pub(crate) bags: Option<Range<usize>>,
    /// The rows of its table.
    pub(crate) rows: usize,
    /// What its row numbers are raised by.
    pub(crate) base: u32,
    pub(crate) weighted: bool,
    /// Whether ids were left out or put in.
    pub(crate) changed: bool,
    /// How many ids were given.
    pub(crate) given: usize,
    /// What a missing row is made of.
    pub(crate) fill: f32,
}

/// A part of a list of ids that several features share.
pub(crate) struct Part<'a> {
    pub(crate) ids: Ids<'a>,
    /// Where the part's bags start among all ids, and where the last one ends.
    pub(crate) bounds: &'a [u32],
    /// One weight for each of all ids.
    pub(crate) weights: Option<&'a [f32]>,
    pub(crate) pooled: bool,
}

/// An error about an id of a part tells where the id stands among all.
fn further(error: Error, start: usize) -> Error {
    let moved = |mut position: Vec<usize>| {
        position.iter_mut().for_each(|at| *at += start);
        position
    };
    match error {
        Error::IdOutOfRange { position, value, rows, from_end } => {
            Error::IdOutOfRange { position: moved(position), value, rows, from_end }
        }
        Error::IdNotCastable { position, value, dtype } => Error::IdNotCastable { position: moved(position), value, dtype },
        other => other,
    }
}

#[derive(Debug, Default)]
struct Spare {
    rows: Vec<u32>,
    weights: Vec<f32>,
    bounds: Vec<u32>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.features.clear();
        (self.ids, self.bags, self.planned) = (0, 0, false);
    }

    pub(crate) fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The rows of all ids.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows[..self.ids]
    }

    /// Where each bag starts, and the end of the last.
    pub(crate) fn bounds(&self) -> &[u32] {
        &self.bounds[..self.bags + 1]
    }

    /// One weight an id; only those of weighted features mean anything.
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights[..self.ids.min(self.weights.len())]
    }

    /// Where the ids of a changed feature stood.
    pub(crate) fn places(&self) -> &[u32] {
        &self.places
    }

    /// The bag of each id, once they were [listed](Batch::list_bags).
    pub(crate) fn bag_of(&self) -> &[u32] {
        &self.bag_of
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The updates of the plan: words of row and source, those of a row together, rows ascending.
    pub(crate) fn updates(&self) -> &[u64] {
        let (starts, _) = self.plan.starts();
        &self.plan.words()[..starts[starts.len() - 1] as usize]
    }

    /// The buffer of row numbers and the plan, for operations on one plain list of ids.
    pub(crate) fn scratch(&mut self) -> (&mut Vec<u32>, &mut Plan) {
        self.clear();
        (&mut self.rows, &mut self.plan)
    }

    /// Whether any feature has weights.
    pub(crate) fn weighted(&self) -> bool {
        self.features.iter().any(|feature| feature.weighted)
    }

    /// The rows of all tables, one above the other.
    pub(crate) fn bound(&self) -> usize {
        self.features.iter().map(|feature| feature.base as usize + feature.rows).max().unwrap_or(0)
    }

    /// The one feature of a batch for a table of `rows` rows, which must be of bags, and those.
    pub(crate) fn single_of_bags(&self, rows: usize) -> Result<(&Feature, Range<usize>)> {
        let feature = self.single(rows)?;
        let bags = feature.bags.clone().ok_or(Error::BatchMismatch { batch: feature.rows, rows, pooled: false })?;
        Ok((feature, bags))
    }

    /// The one feature of a batch for a table of `rows` rows.
    pub(crate) fn single(&self, rows: usize) -> Result<&Feature> {
        match &self.features[..] {
            [feature] if feature.rows == rows => Ok(feature),
            features => {
                let first = features.first();
                let pooled = first.is_some_and(|feature| feature.bags.is_some());
                Err(Error::BatchMismatch { batch: first.map_or(0, |feature| feature.rows), rows, pooled })
            }
        }
    }

    /// Adds a list of ids that is not pooled.
    pub(crate) fn add_ids(&mut self, ids: &Ids<'_>, rows: usize, base: u32, tier: Tier, parallelism: Parallelism) -> Result<()> {
        let range = self.check(ids, rows, base, tier, parallelism)?;
        self.ids = range.end;
        let (given, fill) = (ids.len(), fill_value(ids));
        self.features.push(Feature { ids: range, bags: None, rows, base, weighted: false, changed: false, given, fill });
        Ok(())
    }

    /// Adds bags.
    pub(crate) fn add_bags(&mut self, bags: &Bags<'_>, rows: usize, base: u32, tier: Tier, parallelism: Parallelism) -> Result<()> {
        let ids = bags.ids();
        let padding = row_option("padding_idx", bags.padding_idx(), rows, base)?;
        let default = row_option("default_row", bags.default_row(), rows, base)?;
        if let Some(weights) = bags.weights()
            && weights.len() != ids.len()
        {
            return Err(Error::WeightCount { weights: weights.len(), ids: ids.len() });
        }
        let first = self.bags;
        let end = first + bags.checked_count(first)?;
        grow(&mut self.bounds, end + 1)?;
        bags.write_bounds(self.ids as u32, &mut self.bounds[first..end + 1])?;
        let range = self.check(&ids, rows, base, tier, parallelism)?;
        if let Some(weights) = bags.weights() {
            grow(&mut self.weights, range.end)?;
            self.weights[range.clone()].copy_from_slice(weights);
        }
        let mut feature = Feature {
            ids: range,
            bags: Some(first..end),
            rows,
            base,
            weighted: bags.weights().is_some(),
            changed: false,
            given: ids.len(),
            fill: fill_value(&ids),
        };
        let skips = ids.policy().negative == Negative::Skipped;
        // Two of the three options are rare, and none changes much: what is left out here costs nothing in any loop after.
        let left_out = [padding, skips.then_some(MISSING)];
        if left_out.iter().any(Option::is_some) || default.is_some() {
            self.leave_out(&mut feature, left_out, default)?;
        }
        self.ids = feature.ids.end;
        self.bags = end;
        self.features.push(feature);
        Ok(())
    }

    /// Adds a part of ids that others share: those of the bags that start at `bounds` (and end at the last of them), pooled or not.
    pub(crate) fn add_part(&mut self, part: &Part<'_>, rows: usize, base: u32, tier: Tier, parallelism: Parallelism) -> Result<()> {
        let own = part.bounds[0] as usize..part.bounds[part.bounds.len() - 1] as usize;
        let ids = part.ids.slice(own.clone());
        let range = self.check(&ids, rows, base, tier, parallelism).map_err(|error| further(error, own.start))?;
        let fill = fill_value(&ids);
        let mut feature =
            Feature { ids: range.clone(), bags: None, rows, base, weighted: false, changed: false, given: own.len(), fill };
        if part.pooled {
            let (first, count) = (self.bags, part.bounds.len() - 1);
            if count > u32::MAX as usize - first {
                return Err(Error::TooManyBags { bags: first + count });
            }
            grow(&mut self.bounds, first + count + 1)?;
            let start = range.start as u32;
            for (to, &bound) in self.bounds[first..].iter_mut().zip(part.bounds) {
                *to = bound - part.bounds[0] + start;
            }
            if let Some(weights) = part.weights {
                grow(&mut self.weights, range.end)?;
                self.weights[range].copy_from_slice(&weights[own]);
                feature.weighted = true;
            }
            feature.bags = Some(first..first + count);
            if ids.policy().negative == Negative::Skipped {
                self.leave_out(&mut feature, [Some(MISSING), None], None)?;
            }
            self.bags += count;
        }
        self.ids = feature.ids.end;
        self.features.push(feature);
        Ok(())
    }

    /// Ids that name this row are taken for ids that name none.
    pub(crate) fn skip_row(&mut self, row: u32) {
        for id in &mut self.rows[..self.ids] {
            if *id == row {
                *id = MISSING;
            }
        }
    }

    /// Checks ids into the place after those that are there.
    fn check(&mut self, ids: &Ids<'_>, rows: usize, base: u32, tier: Tier, parallelism: Parallelism) -> Result<Range<usize>> {
        if rows > (MISSING - base) as usize {
            return Err(Error::TooManyRows { rows });
        }
        let range = self.ids..self.ids + ids.len();
        if range.end > u32::MAX as usize {
            return Err(Error::TooManyIds { ids: range.end });
        }
        grow(&mut self.rows, range.end)?;
        index::check_into(ids, rows, base, &mut self.rows[range.clone()], tier, parallelism)?;
        Ok(range)
    }

    /// Takes the rows `left_out` out of a feature, and puts the row `default` into bags that are empty then.
    fn leave_out(&mut self, feature: &mut Feature, left_out: [Option<u32>; 2], default: Option<u32>) -> Result<()> {
        let (ids, bags) = (feature.ids.clone(), feature.bags.clone().unwrap_or(0..0));
        let most = ids.end + if default.is_some() { bags.len() } else { 0 };
        if most > u32::MAX as usize {
            return Err(Error::TooManyIds { ids: most });
        }
        for buffer in [&mut self.rows, &mut self.places] {
            grow(buffer, most)?;
        }
        if feature.weighted {
            grow(&mut self.weights, most)?;
            copy_over(&mut self.spare.weights, &self.weights[ids.clone()])?;
        }
        copy_over(&mut self.spare.rows, &self.rows[ids.clone()])?;
        copy_over(&mut self.spare.bounds, &self.bounds[bags.start..bags.end + 1])?;
        // Wider than any row number, so that there is one for none.
        let [first, second] = left_out.map(|row| row.map_or(u64::MAX, u64::from));
        let mut end = ids.start;
        let mut put = |end: usize, row, weight, place| {
            (self.rows[end], self.places[end]) = (row, place);
            if feature.weighted {
                self.weights[end] = weight;
            }
        };
        for (bag, bounds) in bags.clone().zip(self.spare.bounds.windows(2)) {
            let start = end;
            for k in bounds[0] as usize - ids.start..bounds[1] as usize - ids.start {
                let row = self.spare.rows[k];
                let weight = if feature.weighted { self.spare.weights[k] } else { 1.0 };
                // What is left out is written as well, and overwritten by the next: no processor can guess which it will be.
                put(end, row, weight, k as u32);
                end += usize::from((u64::from(row) != first) & (u64::from(row) != second));
            }
            if let Some(row) = default
                && end == start
            {
                put(end, row, 1.0, MISSING);
                end += 1;
            }
            self.bounds[bag + 1] = end as u32;
        }
        feature.changed = true;
        feature.ids.end = end;
        Ok(())
    }

    /// Finds the bag of each id.
    pub(crate) fn list_bags(&mut self) -> Result<()> {
        grow(&mut self.bag_of, self.ids)?;
        for feature in &self.features {
            for bag in feature.bags.clone().unwrap_or(0..0) {
                self.bag_of[self.bounds[bag] as usize..self.bounds[bag + 1] as usize].fill(bag as u32);
            }
        }
        Ok(())
    }

    /// Partitions the ids by row, and sorts them. Does nothing where that has been done.
    pub(crate) fn make_plan(&mut self, workers: usize) -> Result<()> {
        if self.planned {
            return Ok(());
        }
        let bound = self.bound();
        // A bag's gradient is that of each of its ids, so an update names the bag; with weights, the id that has one.
        let pooled = self.features.iter().any(|feature| feature.bags.is_some());
        if pooled {
            self.list_bags()?;
        }
        let ids = &self.rows[..self.ids];
        let by_bag = pooled && !self.features.iter().any(|feature| feature.weighted);
        let source = if by_bag { Source::Listed(&self.bag_of[..self.ids]) } else { Source::Position };
        self.plan.make(ids, source, bound, Order::Grouped, workers)?;
        self.planned = true;
        Ok(())
    }

    /// Whether updates of the plan name bags; otherwise they name ids.
    pub(crate) fn by_bag(&self) -> bool {
        self.features.iter().any(|feature| feature.bags.is_some()) && !self.weighted()
    }
}

impl Workspace {
    /// Checks bags against a table of `rows` rows and partitions their ids by row, once for several uses.
    ///
    /// # Errors
    /// As [`bag`](crate::bag()).
    pub fn batch(&mut self, bags: &Bags<'_>, rows: usize) -> Result<Batch> {
        let mut batch = Batch::default();
        self.batch_into(bags, rows, &mut batch)?;
        Ok(batch)
    }

    /// [`batch`](Workspace::batch) into one that is there already, whatever it was made for: its memory is used again.
    ///
    /// # Errors
    /// As [`batch`](Workspace::batch). The old batch is gone then.
    pub fn batch_into(&mut self, bags: &Bags<'_>, rows: usize, batch: &mut Batch) -> Result<()> {
        batch.clear();
        batch.add_bags(bags, rows, 0, self.tier, self.parallelism)?;
        self.plan(batch)
    }

    /// [`batch`](Workspace::batch) of ids that are not pooled.
    ///
    /// # Errors
    /// As [`gather`](crate::gather()).
    pub fn batch_of_ids<'i>(&mut self, ids: impl Into<Ids<'i>>, rows: usize) -> Result<Batch> {
        let mut batch = Batch::default();
        self.batch_of_ids_into(ids, rows, &mut batch)?;
        Ok(batch)
    }

    /// [`batch_of_ids`](Workspace::batch_of_ids) into a batch that is there already, whatever it was made for: its memory is used again.
    ///
    /// # Errors
    /// As [`batch_of_ids`](Workspace::batch_of_ids). The old batch is gone then.
    pub fn batch_of_ids_into<'i>(&mut self, ids: impl Into<Ids<'i>>, rows: usize, batch: &mut Batch) -> Result<()> {
        batch.clear();
        batch.add_ids(&ids.into(), rows, 0, self.tier, self.parallelism)?;
        self.plan(batch)
    }

    /// Partitions a batch; it is empty if that fails.
    fn plan(&self, batch: &mut Batch) -> Result<()> {
        let planned = batch.make_plan(self.parallelism.workers_for(batch.ids.saturating_mul(PLANNED_BYTES)));
        if planned.is_err() {
            batch.clear();
        }
        planned
    }
}

/// What partitioning one id is worth, in bytes moved: it decides how many threads do it.
const PLANNED_BYTES: usize = 64;

/// Replaces what a buffer holds.
fn copy_over<T: Copy>(buffer: &mut Vec<T>, values: &[T]) -> Result<()> {
    buffer.clear();
    buffer.try_reserve(values.len()).map_err(|_| Error::OutOfMemory { bytes: size_of_val(values) })?;
    buffer.extend_from_slice(values);
    Ok(())
}

/// A row named by an option, raised by `base`. A negative number counts from the end.
pub(crate) fn row_option(option: &'static str, row: Option<i64>, rows: usize, base: u32) -> Result<Option<u32>> {
    let Some(row) = row else { return Ok(None) };
    let from_start = if row < 0 { i128::from(row) + rows as i128 } else { i128::from(row) };
    if (0..rows as i128).contains(&from_start) {
        Ok(Some(base + from_start as u32))
    } else {
        Err(Error::RowOption { option, row, rows })
    }
}

pub(crate) fn fill_value(ids: &Ids<'_>) -> f32 {
    match ids.policy().out_of_range {
        OutOfRange::Fill(value) => value,
        OutOfRange::Error | OutOfRange::Clamp => 0.0,
    }
}

//! Examples as bags of the engine.

use hotrow::{Bags, Gradient, Pooling, TableView, TableViewMut, Widen, Workspace};

use crate::data::Examples;

/// Some examples, copied together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub labels: Vec<bool>,
    ids: Vec<u32>,
    values: Vec<f32>,
    /// The squares of the values; empty when all values are ones, as they are for categories.
    squares: Vec<f32>,
    splits: Vec<usize>,
    /// The features by row, which the lookups and their gradients share.
    plan: Option<hotrow::Batch>,
    /// The same, weighted with the squares, where those differ from the values.
    squared_plan: Option<hotrow::Batch>,
}

impl Batch {
    /// Takes in these examples in place of those it has.
    pub(super) fn fill(&mut self, examples: &Examples, which: impl IntoIterator<Item = usize>) {
        self.ids.clear();
        self.values.clear();
        self.squares.clear();
        self.labels.clear();
        self.splits.clear();
        self.splits.push(0);
        for example in which {
            let (features, values) = examples.of(example);
            self.ids.extend_from_slice(features);
            self.values.extend_from_slice(values);
            self.splits.push(self.ids.len());
            self.labels.push(examples.labels()[example]);
        }
        if self.values.iter().any(|&value| value != 1.0) {
            self.squares.extend(self.values.iter().map(|value| value * value));
        }
        (self.plan, self.squared_plan) = (None, None);
    }

    /// Sorts the features by row, of so many, for learning.
    pub(super) fn plan(&mut self, features: usize, workspace: &mut Workspace) -> hotrow::Result<()> {
        self.plan = Some(workspace.batch(&self.bags(), features)?);
        if !self.squares.is_empty() {
            self.squared_plan = Some(workspace.batch(&self.squared(), features)?);
        }
        Ok(())
    }

    /// How many examples there are.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// How many features they have in all.
    pub(super) fn entries(&self) -> usize {
        self.ids.len()
    }

    fn bags(&self) -> Bags<'_> {
        Bags::from_splits(&self.ids, &self.splits).with_weights(&self.values)
    }

    fn squared(&self) -> Bags<'_> {
        let squares = if self.squares.is_empty() { &self.values } else { &self.squares };
        Bags::from_splits(&self.ids, &self.splits).with_weights(squares)
    }

    /// Sums the rows of each example's features, weighted with their values, into `[examples, dim]`.
    pub(super) fn pool<'t, E: Widen<f32>>(
        &self,
        table: impl Into<TableView<'t, E>>,
        out: &mut [f32],
        workspace: &mut Workspace,
    ) -> hotrow::Result<()> {
        sum(table.into(), self.plan.as_ref(), &self.bags(), out, workspace)
    }

    /// The same, weighted with the squares of their values.
    pub(super) fn pool_squares<'t, E: Widen<f32>>(
        &self,
        table: impl Into<TableView<'t, E>>,
        out: &mut [f32],
        workspace: &mut Workspace,
    ) -> hotrow::Result<()> {
        let plan = if self.squares.is_empty() { &self.plan } else { &self.squared_plan };
        sum(table.into(), plan.as_ref(), &self.squared(), out, workspace)
    }

    /// What [`pool`](Self::pool) has for a gradient when its result has this one.
    pub(super) fn gradient<'a>(&'a self, of_sums: &'a [f32]) -> Gradient<'a> {
        match &self.plan {
            Some(plan) => Gradient::of_batch(plan, Pooling::Sum, of_sums),
            None => Gradient::of_bags(&self.bags(), Pooling::Sum, of_sums),
        }
    }

    /// The same of [`pool_squares`](Self::pool_squares), where that is another one.
    pub(super) fn gradient_of_squares<'a>(&'a self, of_sums: &'a [f32]) -> Option<Gradient<'a>> {
        match &self.squared_plan {
            Some(plan) => Some(Gradient::of_batch(plan, Pooling::Sum, of_sums)),
            None if self.squares.is_empty() => None,
            None => Some(Gradient::of_bags(&self.squared(), Pooling::Sum, of_sums)),
        }
    }
}

fn sum<E: Widen<f32>>(
    table: TableView<'_, E>,
    plan: Option<&hotrow::Batch>,
    bags: &Bags<'_>,
    out: &mut [f32],
    workspace: &mut Workspace,
) -> hotrow::Result<()> {
    let dim = table.dim();
    let out = TableViewMut::new(out, bags.count(), dim, dim)?;
    match plan {
        Some(plan) => workspace.bag_batch_into(table, plan, Pooling::Sum, out),
        None => workspace.bag_into(table, bags, Pooling::Sum, out),
    }
}

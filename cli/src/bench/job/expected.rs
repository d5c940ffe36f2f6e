//! What the plain loops learn from the same batches.

use hotrow::reference::{self, PlainBags, RowGradients};
use hotrow::{Element, Ids, Optimizer, Pooling, Rule, Table, Widen};

use super::{Fault, compare_tables};

/// Small, so that a table which learns all along keeps its scale.
const LEARNING_RATE: f32 = 1e-3;

/// The largest value of a gradient. Together with the learning rate it makes updates that a 16-bit table does not round away.
pub(super) const GRADIENT: f32 = 1.0;

/// The optimizer of a train step, before its first.
///
/// # Errors
///
/// When the memory is not there.
pub(super) fn optimizer(rule: Rule, rows: usize, dim: usize) -> hotrow::Result<Optimizer> {
    let mut optimizer = Optimizer::new(rule, rows, dim)?;
    optimizer.set_lr(LEARNING_RATE)?;
    Ok(optimizer)
}

/// The bytes of state that belong to one row of a table.
pub(super) fn state_bytes(optimizer: &Optimizer) -> usize {
    optimizer.state().map(|(_, state)| state.dim() * size_of::<f32>()).sum()
}

/// The same, of an optimizer that is not there yet. What cannot be made needs no memory.
pub(in crate::bench) fn row_state_bytes(rule: Rule, dim: usize) -> usize {
    optimizer(rule, 1, dim).map_or(0, |optimizer| state_bytes(&optimizer))
}

/// A copy of a table, and an optimizer of its own.
#[derive(Debug)]
pub(super) struct Expected<E: Element> {
    /// What to call the table.
    name: String,
    table: Table<E>,
    optimizer: Optimizer,
}

impl<E: Element> Expected<E> {
    /// A copy of a table before its first step.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(super) fn new(name: String, table: &Table<E>, rule: Rule) -> hotrow::Result<Expected<E>> {
        let [rows, dim] = table.shape();
        Ok(Expected { name, table: table.try_clone()?, optimizer: optimizer(rule, rows, dim)? })
    }

    /// Learns from ids; returns the output of the forward pass before.
    pub(super) fn learn_ids<O: Element>(&mut self, ids: Ids<'_>, grad: &[O]) -> hotrow::Result<Vec<O>>
    where
        E: Widen<O>,
    {
        let [rows, dim] = self.table.shape();
        let out = reference::gather(self.table.view(), ids)?;
        self.learn(&reference::gather_gradient(&reference::resolve(ids, rows)?, grad, dim, None, false))?;
        Ok(out)
    }

    /// Learns from bags; returns the output of the forward pass before.
    pub(super) fn learn_bags<O: Element>(&mut self, bags: &PlainBags, pooling: Pooling, grad: &[O]) -> hotrow::Result<Vec<O>>
    where
        E: Widen<O>,
    {
        let dim = self.table.dim();
        let out = reference::bag(self.table.view(), bags, pooling);
        self.learn(&match pooling {
            Pooling::Max => {
                let argmax = reference::bag_argmax(self.table.view(), bags);
                reference::bag_max_gradient(bags, &argmax, grad, dim, false)
            }
            _ => reference::bag_gradient(bags, pooling, grad, dim, false),
        })?;
        Ok(out)
    }

    fn learn(&mut self, gradient: &RowGradients) -> hotrow::Result<()> {
        reference::step(&mut self.optimizer, self.table.view_mut(), gradient)
    }

    /// Compares a whole table.
    pub(super) fn check_table(&self, table: &Table<E>) -> Result<(), Fault> {
        compare_tables(&self.name, table, &self.table)
    }

    /// Compares a whole state.
    pub(super) fn check_state(&self, optimizer: &Optimizer) -> Result<(), Fault> {
        for ((name, found), (_, expected)) in optimizer.state().zip(self.optimizer.state()) {
            compare_tables(&format!("{name} of {}", self.name), found, expected)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_counted_by_the_row() {
        let bytes = |name: &str| row_state_bytes(name.parse().expect("a name of the engine"), 64);
        let names = ["sgd", "rowwise_adagrad", "adagrad", "adam", "partial_rowwise_adam"];
        assert_eq!(names.map(bytes), [0, 4, 256, 512, 260]);
    }
}

//! Gradients added into a table.

use hotrow::{Buffer, Element, Table, TableViewMut, Widen, Workspace, reference};

use super::{Fault, Job, compare_tables, gradient};
use crate::bench::ids::IdPool;

/// The largest value of a gradient: small, so that a table into which it is added all along keeps its scale.
const GRADIENT: f32 = 1e-3;

/// One gradient row per id, added into the table. The table drifts.
#[derive(Debug)]
pub(in crate::bench) struct ScatterAdd<'a, E: Element, S: Element> {
    table: Table<E>,
    pool: &'a IdPool,
    gradient: Buffer<S>,
    workspace: Workspace,
    calls: usize,
}

impl<'a, E: Element, S: Element> ScatterAdd<'a, E, S> {
    /// A job whose calls take `ids` ids.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(in crate::bench) fn new(table: Table<E>, pool: &'a IdPool, ids: usize, workspace: Workspace) -> hotrow::Result<Self> {
        let gradient = gradient(ids * table.dim(), GRADIENT)?;
        Ok(ScatterAdd { table, pool, gradient, workspace, calls: 0 })
    }
}

impl<E: Widen<S>, S: Element> Job<E> for ScatterAdd<'_, E, S> {
    /// All batches in turn, into this table and by the plain loop into a copy. The whole tables are compared after the
    /// first and after the last batch.
    fn verify(&mut self) -> Result<(), Fault> {
        let mut expected = self.table.try_clone()?;
        let last = self.pool.batches() - 1;
        for call in 0..=last {
            self.workspace.scatter_add(&mut self.table, self.pool.batch(call), &self.gradient, 1.0)?;
            let view = TableViewMut::from(&mut expected);
            reference::scatter_add(view, self.pool.batch(call), &self.gradient, 1.0)?;
            if call == 0 || call == last {
                compare_tables("the table", &self.table, &expected)?;
            }
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.workspace.scatter_add(&mut self.table, self.pool.batch(self.calls), &self.gradient, 1.0)
    }

    fn tables(&self) -> Vec<&Table<E>> {
        vec![&self.table]
    }

    fn into_table(self) -> Option<Table<E>> {
        Some(self.table)
    }
}

//! Rows by id.

use hotrow::{Buffer, Element, Table, Widen, Workspace, reference};

use super::{Fault, Job, compare};
use crate::bench::ids::IdPool;

/// Rows by id into an output that is reused.
#[derive(Debug)]
pub(in crate::bench) struct Gather<'a, E: Element, O: Element> {
    table: Table<E>,
    pool: &'a IdPool,
    out: Buffer<O>,
    workspace: Workspace,
    calls: usize,
}

impl<'a, E: Element, O: Element> Gather<'a, E, O> {
    /// A job whose calls take `ids` ids at most.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(in crate::bench) fn new(table: Table<E>, pool: &'a IdPool, ids: usize, workspace: Workspace) -> hotrow::Result<Self> {
        let out = Buffer::zeros(ids * table.dim())?;
        Ok(Gather { table, pool, out, workspace, calls: 0 })
    }

    /// The output of the last call.
    pub(in crate::bench) fn out(&self) -> &[O] {
        &self.out
    }
}

impl<E: Widen<O>, O: Element> Gather<'_, E, O> {
    fn gather(&mut self, call: usize) -> hotrow::Result<()> {
        let ids = self.pool.batch(call);
        self.workspace.gather_into(&self.table, ids, &mut self.out[..ids.len() * self.table.dim()])
    }

    /// Compares the output with what the plain loop makes of batch `call`.
    fn check(&self, call: usize) -> Result<(), Fault> {
        let expected: Vec<O> = reference::gather(self.table.view(), self.pool.batch(call))?;
        compare("the output", self.table.dim(), &self.out[..expected.len()], &expected)
    }
}

impl<E: Widen<O>, O: Element> Job<E> for Gather<'_, E, O> {
    fn verify(&mut self) -> Result<(), Fault> {
        for call in 0..self.pool.batches() {
            // A value that the call leaves out must not pass for right because the last call wrote it.
            self.out.fill(O::from_f32(f32::NAN));
            self.gather(call)?;
            self.check(call)?;
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.gather(self.calls)
    }

    fn tables(&self) -> Vec<&Table<E>> {
        vec![&self.table]
    }

    fn into_table(self) -> Option<Table<E>> {
        Some(self.table)
    }
}

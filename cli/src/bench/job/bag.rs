//! Rows by id, pooled.

use hotrow::reference::{self, PlainBags};
use hotrow::{Buffer, Element, Pooling, Table, TableViewMut, Widen, Workspace};

use super::{Fault, Job, compare};
use crate::bench::ids::IdPool;

/// Bags of rows, pooled into an output that is reused.
#[derive(Debug)]
pub(in crate::bench) struct Bag<'a, E: Element, O: Element> {
    table: Table<E>,
    pool: &'a IdPool,
    pooling: Pooling,
    out: Buffer<O>,
    workspace: Workspace,
    calls: usize,
}

impl<'a, E: Widen<O>, O: Element> Bag<'a, E, O> {
    /// A job whose calls take `bags` bags at most, out of a pool of bags.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(in crate::bench) fn new(
        table: Table<E>,
        pool: &'a IdPool,
        pooling: Pooling,
        bags: usize,
        workspace: Workspace,
    ) -> hotrow::Result<Self> {
        let out = Buffer::zeros(bags * table.dim())?;
        Ok(Bag { table, pool, pooling, out, workspace, calls: 0 })
    }

    fn pool_rows(&mut self, call: usize) -> hotrow::Result<()> {
        let bags = self.pool.bags(call).expect("a pool of bags");
        let (count, dim) = (bags.count(), self.table.dim());
        let out = TableViewMut::new(&mut self.out, count, dim, dim)?;
        self.workspace.bag_into(&self.table, &bags, self.pooling, out)
    }

    /// Compares the output with what the plain loop makes of batch `call`.
    fn check(&self, call: usize) -> Result<(), Fault> {
        let bags = self.pool.bags(call).expect("a pool of bags");
        let bags = PlainBags::of(&bags, self.table.rows())?;
        let expected: Vec<O> = reference::bag(self.table.view(), &bags, self.pooling);
        compare("the output", self.table.dim(), &self.out[..expected.len()], &expected)
    }
}

impl<E: Widen<O>, O: Element> Job<E> for Bag<'_, E, O> {
    fn verify(&mut self) -> Result<(), Fault> {
        for call in 0..self.pool.batches() {
            // A value that the call leaves out must not pass for right because the last call wrote it.
            self.out.fill(O::from_f32(f32::NAN));
            self.pool_rows(call)?;
            self.check(call)?;
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.pool_rows(self.calls)
    }

    fn tables(&self) -> Vec<&Table<E>> {
        vec![&self.table]
    }

    fn into_table(self) -> Option<Table<E>> {
        Some(self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::read_ids;

    #[test]
    fn an_output_with_a_wrong_bit_is_found() {
        let list = read_ids(b"0 3 1\n1\n2 2\n", None, None).expect("a good file");
        let pool = IdPool::listed(&list, true);
        let table = Table::<f32>::from_fn(4, 2, |row, column| (2 * row + column) as f32 + 0.1).expect("a little memory");
        let mut job = Bag::<f32, f32>::new(table, &pool, Pooling::Mean, 1, Workspace::new()).expect("a little memory");
        job.verify().expect("the engine is right");
        job.pool_rows(2).expect("rows of the table");
        job.check(2).expect("the engine is right");
        job.out[1] = f32::from_bits(job.out[1].to_bits() + 1);
        let fault = job.check(2).expect_err("one bit is wrong").in_workload("w");
        assert!(fault.to_string().starts_with(r#"workload "w": the output is wrong in row 0, column 1: 5.1"#), "{fault}");
        assert!(job.check(0).is_err(), "that of another batch");
    }
}

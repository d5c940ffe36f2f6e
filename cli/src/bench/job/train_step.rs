//! A step of training: forward, then backward fused with the optimizer.

use hotrow::reference::PlainBags;
use hotrow::{Batch, Buffer, Element, Gradient, Optimizer, Pooling, Rule, Table, TableViewMut, Widen, Workspace};

use super::expected::{Expected, GRADIENT, optimizer, state_bytes};
use super::{Fault, Job, compare, gradient};
use crate::bench::ids::IdPool;

/// Bags, or ids in none, looked up and learned from. The gradient is always the same, so the table drifts.
#[derive(Debug)]
pub(in crate::bench) struct TrainStep<'a, E: Element, O: Element> {
    table: Table<E>,
    optimizer: Optimizer,
    pool: &'a IdPool,
    pooling: Pooling,
    out: Buffer<O>,
    argmax: Vec<u32>,
    gradient: Buffer<O>,
    workspace: Workspace,
    /// What forward and backward share.
    batch: Batch,
    calls: usize,
}

impl<'a, E: Widen<O>, O: Element> TrainStep<'a, E, O> {
    /// A job whose calls have `outputs` rows of output at most. `pooling` says how the pool's bags are pooled, if it has any.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(in crate::bench) fn new(
        table: Table<E>,
        rule: Rule,
        pool: &'a IdPool,
        pooling: Option<Pooling>,
        outputs: usize,
        workspace: Workspace,
    ) -> hotrow::Result<Self> {
        let values = outputs * table.dim();
        let pooling = pooling.unwrap_or_default();
        Ok(TrainStep {
            optimizer: optimizer(rule, table.rows(), table.dim())?,
            table,
            pool,
            pooling,
            out: Buffer::zeros(values)?,
            argmax: vec![0; if pooling == Pooling::Max { values } else { 0 }],
            gradient: gradient(values, GRADIENT)?,
            workspace,
            batch: Batch::default(),
            calls: 0,
        })
    }

    fn step(&mut self, call: usize) -> hotrow::Result<()> {
        let TrainStep { table, optimizer, workspace, batch, .. } = self;
        let (rows, dim) = (table.rows(), table.dim());
        let Some(bags) = self.pool.bags(call) else {
            let ids = self.pool.batch(call);
            let values = ids.len() * dim;
            workspace.batch_of_ids_into(ids, rows, batch)?;
            workspace.gather_batch_into(&*table, batch, &mut self.out[..values])?;
            let gradient = Gradient::of_batch::<O>(batch, self.pooling, &self.gradient[..values]);
            return workspace.step(optimizer, table, gradient);
        };
        let values = bags.count() * dim;
        let gradient = &self.gradient[..values];
        let out = TableViewMut::new(&mut self.out, bags.count(), dim, dim)?;
        if self.pooling == Pooling::Max {
            let argmax = &mut self.argmax[..values];
            workspace.bag_max_into(&*table, &bags, out, argmax)?;
            workspace.step(optimizer, table, Gradient::of_max::<O>(&bags, argmax, gradient))
        } else {
            workspace.batch_into(&bags, rows, batch)?;
            workspace.bag_batch_into(&*table, batch, self.pooling, out)?;
            workspace.step(optimizer, table, Gradient::of_batch::<O>(batch, self.pooling, gradient))
        }
    }
}

impl<E: Widen<O>, O: Element> TrainStep<'_, E, O> {
    /// A copy of the table and of the optimizer before its first step.
    fn expected(&self) -> hotrow::Result<Expected<E>> {
        Expected::new("the table".to_owned(), &self.table, self.optimizer.rule())
    }

    /// Lets the plain loops learn from batch `call`; returns their output.
    fn learn(&self, expected: &mut Expected<E>, call: usize) -> hotrow::Result<Vec<O>> {
        let values = self.pool.size(call).1 * self.table.dim();
        let grad = &self.gradient[..values];
        match self.pool.bags(call) {
            None => expected.learn_ids(self.pool.batch(call), grad),
            Some(bags) => expected.learn_bags(&PlainBags::of(&bags, self.table.rows())?, self.pooling, grad),
        }
    }

    /// Compares the whole table and the whole state.
    fn check(&self, expected: &Expected<E>) -> Result<(), Fault> {
        expected.check_table(&self.table)?;
        expected.check_state(&self.optimizer)
    }
}

impl<E: Widen<O>, O: Element> Job<E> for TrainStep<'_, E, O> {
    /// All batches in turn, by the engine and by the plain loops on copies. Every output is compared; the whole table and the whole state are
    /// after the first and after the last batch.
    fn verify(&mut self) -> Result<(), Fault> {
        let mut expected = self.expected()?;
        let last = self.pool.batches() - 1;
        for call in 0..=last {
            // A value that the call leaves out must not pass for right because the last call wrote it.
            self.out.fill(O::from_f32(f32::NAN));
            self.step(call)?;
            let out = self.learn(&mut expected, call)?;
            compare("the output", self.table.dim(), &self.out[..out.len()], &out)?;
            if call == 0 || call == last {
                self.check(&expected)?;
            }
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.step(self.calls)
    }

    fn tables(&self) -> Vec<&Table<E>> {
        vec![&self.table]
    }

    fn state_bytes(&self) -> usize {
        state_bytes(&self.optimizer)
    }

    fn into_table(self) -> Option<Table<E>> {
        Some(self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::read_ids;

    /// Every rule, pooling and element; the verification is that of `hotrow bench`.
    fn verify<E: Widen<O>, O: Element>() {
        let list = read_ids(b"0 3 1 3\n1\n2 2\n3 0 3\n", None, None).expect("a good file");
        for name in Rule::NAMES {
            let rule: Rule = name.parse().expect("a name of the engine");
            for pooling in [None, Some(Pooling::Sum), Some(Pooling::Mean), Some(Pooling::Max), Some(Pooling::Sqrtn)] {
                let pool = IdPool::listed(&list, pooling.is_some());
                let table = Table::<E>::uniform(4, 21, 5).expect("a little memory");
                let mut job = TrainStep::<E, O>::new(table, rule, &pool, pooling, 1, Workspace::new()).expect("a little memory");
                job.verify().unwrap_or_else(|fault| panic!("{name} {pooling:?}: {fault:?}"));
                for _ in 0..10 {
                    job.call().expect("rows of the table");
                }
            }
        }
    }

    #[test]
    fn steps_of_every_rule_pooling_and_element_are_right() {
        verify::<f32, f32>();
        verify::<hotrow::f16, f32>();
        verify::<hotrow::f16, hotrow::f16>();
        verify::<hotrow::bf16, f32>();
        verify::<hotrow::bf16, hotrow::bf16>();
    }

    /// The next float: one wrong bit.
    fn nudge(x: &mut f32) {
        *x = f32::from_bits(x.to_bits() + 1);
    }

    #[test]
    fn a_wrong_bit_in_the_table_or_in_the_state_is_found() {
        let list = read_ids(b"0 3 1 3\n1\n2 2\n", None, None).expect("a good file");
        let pool = IdPool::listed(&list, true);
        let new = || {
            let table = Table::<f32>::uniform(4, 3, 5).expect("a little memory");
            let rule = "adam".parse().expect("a name of the engine");
            TrainStep::<f32, f32>::new(table, rule, &pool, Some(Pooling::Mean), 1, Workspace::new()).expect("a little memory")
        };
        let mut job = new();
        let mut expected = job.expected().expect("a little memory");
        for call in 0..3 {
            job.step(call).expect("rows of the table");
            job.learn(&mut expected, call).expect("rows of the table");
        }
        job.check(&expected).expect("the engine is right");

        nudge(&mut job.table.row_mut(2).expect("a row")[1]);
        let fault = job.check(&expected).expect_err("one bit is wrong").in_workload("w").to_string();
        assert!(fault.starts_with(r#"workload "w": the table is wrong in row 2, column 1: "#), "{fault}");
        assert!(job.verify().is_err(), "an optimizer that is not at its first step");

        let mut job = new();
        (0..3).for_each(|call| job.step(call).expect("rows of the table"));
        let (name, state) = job.optimizer.state().last().expect("two states");
        let mut values = state.to_vec();
        nudge(&mut values[3 * 3 + 2]);
        job.optimizer.set_state(name, &values).expect("as many values");
        let fault = job.check(&expected).expect_err("one bit is wrong").in_workload("w").to_string();
        assert!(fault.starts_with(r#"workload "w": exp_avg_sq of the table is wrong in row 3, column 2: "#), "{fault}");
    }
}

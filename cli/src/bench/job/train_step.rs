//! A step of training: forward, then backward fused with the optimizer.

use hotrow::reference::{self, PlainBags};
use hotrow::{Buffer, Element, Gradient, Optimizer, Pooling, Rule, Table, TableViewMut, Widen, Workspace};

use super::{Fault, Job, compare, compare_tables, gradient};
use crate::bench::ids::IdPool;

/// The largest value of a gradient. Together with the learning rate it makes updates that a 16-bit table does not round away.
const GRADIENT: f32 = 1.0;

/// Small, so that a table which learns all along keeps its scale.
const LEARNING_RATE: f32 = 1e-3;

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
    calls: usize,
}

/// The optimizer of a train step.
///
/// # Errors
///
/// When the memory is not there.
fn optimizer(rule: Rule, rows: usize, dim: usize) -> hotrow::Result<Optimizer> {
    let mut optimizer = Optimizer::new(rule, rows, dim)?;
    optimizer.set_lr(LEARNING_RATE)?;
    Ok(optimizer)
}

/// The bytes of state that belong to one row of a table.
fn state_bytes(optimizer: &Optimizer) -> usize {
    optimizer.state().map(|(_, state)| state.dim() * size_of::<f32>()).sum()
}

/// The same, of an optimizer that is not there yet. What cannot be made needs no memory.
pub(in crate::bench) fn row_state_bytes(rule: Rule, dim: usize) -> usize {
    optimizer(rule, 1, dim).map_or(0, |optimizer| state_bytes(&optimizer))
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
            calls: 0,
        })
    }

    fn step(&mut self, call: usize) -> hotrow::Result<()> {
        let TrainStep { table, optimizer, workspace, .. } = self;
        let dim = table.dim();
        let Some(bags) = self.pool.bags(call) else {
            let ids = self.pool.batch(call);
            let values = ids.len() * dim;
            workspace.gather_into(&*table, ids, &mut self.out[..values])?;
            return workspace.step(optimizer, table, Gradient::of_gather::<O>(ids, &self.gradient[..values]));
        };
        let values = bags.count() * dim;
        let gradient = &self.gradient[..values];
        let out = TableViewMut::new(&mut self.out, bags.count(), dim, dim)?;
        if self.pooling == Pooling::Max {
            let argmax = &mut self.argmax[..values];
            workspace.bag_max_into(&*table, &bags, out, argmax)?;
            workspace.step(optimizer, table, Gradient::of_max::<O>(&bags, argmax, gradient))
        } else {
            workspace.bag_into(&*table, &bags, self.pooling, out)?;
            workspace.step(optimizer, table, Gradient::of_bags::<O>(&bags, self.pooling, gradient))
        }
    }
}

impl<E: Widen<O>, O: Element> Job<E> for TrainStep<'_, E, O> {
    /// All batches in turn, by the engine and by the plain loops on copies. Every output is compared; the whole table and the whole state are
    /// after the first and after the last batch.
    fn verify(&mut self) -> Result<(), Fault> {
        let mut expected = Expected::of(self)?;
        let last = self.pool.batches() - 1;
        for call in 0..=last {
            // A value that the call leaves out must not pass for right because the last call wrote it.
            self.out.fill(O::from_f32(f32::NAN));
            self.step(call)?;
            let out = expected.step(self, call)?;
            compare("the output", self.table.dim(), &self.out[..out.len()], &out)?;
            if call == 0 || call == last {
                expected.check(self)?;
            }
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.step(self.calls)
    }

    fn table(&self) -> &Table<E> {
        &self.table
    }

    fn state_bytes(&self) -> usize {
        state_bytes(&self.optimizer)
    }

    fn into_table(self) -> Table<E> {
        self.table
    }
}

/// What the plain loops make of the same batches.
struct Expected<E> {
    table: Table<E>,
    optimizer: Optimizer,
}

impl<E: Element> Expected<E> {
    /// The job's table, and an optimizer before its first step.
    fn of<O: Element>(job: &TrainStep<'_, E, O>) -> hotrow::Result<Expected<E>> {
        let [rows, dim] = job.table.shape();
        Ok(Expected { table: job.table.try_clone()?, optimizer: optimizer(job.optimizer.rule(), rows, dim)? })
    }

    /// Learns from batch `call`; returns the output of the forward pass before.
    fn step<O: Element>(&mut self, job: &TrainStep<'_, E, O>, call: usize) -> hotrow::Result<Vec<O>>
    where
        E: Widen<O>,
    {
        let (rows, dim) = (self.table.rows(), self.table.dim());
        let (out, gradient) = match job.pool.bags(call) {
            None => {
                let ids = job.pool.batch(call);
                let out: Vec<O> = reference::gather(self.table.view(), ids)?;
                let gradient =
                    reference::gather_gradient(&reference::resolve(ids, rows)?, &job.gradient[..out.len()], dim, None, false);
                (out, gradient)
            }
            Some(bags) => {
                let bags = PlainBags::of(&bags, rows)?;
                let out: Vec<O> = reference::bag(self.table.view(), &bags, job.pooling);
                let grad = &job.gradient[..out.len()];
                let gradient = match job.pooling {
                    Pooling::Max => {
                        let argmax = reference::bag_argmax(self.table.view(), &bags);
                        reference::bag_max_gradient(&bags, &argmax, grad, dim, false)
                    }
                    pooling => reference::bag_gradient(&bags, pooling, grad, dim, false),
                };
                (out, gradient)
            }
        };
        reference::step(&mut self.optimizer, self.table.view_mut(), &gradient)?;
        Ok(out)
    }

    /// Compares the job's whole table and its whole state.
    fn check<O: Element>(&self, job: &TrainStep<'_, E, O>) -> Result<(), Fault> {
        compare_tables("the table", &job.table, &self.table)?;
        for ((name, found), (_, expected)) in job.optimizer.state().zip(self.optimizer.state()) {
            compare_tables(name, found, expected)?;
        }
        Ok(())
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
        let mut expected = Expected::of(&job).expect("a little memory");
        for call in 0..3 {
            job.step(call).expect("rows of the table");
            expected.step(&job, call).expect("rows of the table");
        }
        expected.check(&job).expect("the engine is right");

        nudge(&mut job.table.row_mut(2).expect("a row")[1]);
        let fault = expected.check(&job).expect_err("one bit is wrong").in_workload("w").to_string();
        assert!(fault.starts_with(r#"workload "w": the table is wrong in row 2, column 1: "#), "{fault}");
        assert!(job.verify().is_err(), "an optimizer that is not at its first step");

        let mut job = new();
        (0..3).for_each(|call| job.step(call).expect("rows of the table"));
        let (name, state) = job.optimizer.state().last().expect("two states");
        let mut values = state.to_vec();
        nudge(&mut values[3 * 3 + 2]);
        job.optimizer.set_state(name, &values).expect("as many values");
        let fault = expected.check(&job).expect_err("one bit is wrong").in_workload("w").to_string();
        assert!(fault.starts_with(r#"workload "w": exp_avg_sq is wrong in row 3, column 2: "#), "{fault}");
    }

    #[test]
    fn state_is_counted_by_the_row() {
        let bytes = |name: &str| row_state_bytes(name.parse().expect("a name of the engine"), 64);
        let names = ["sgd", "rowwise_adagrad", "adagrad", "adam", "partial_rowwise_adam"];
        assert_eq!(names.map(bytes), [0, 4, 256, 512, 260]);
    }
}

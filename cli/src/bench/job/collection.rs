//! Bags of several tables in one call, pooled or learned from.

use std::any::Any;
use std::marker::PhantomData;

use hotrow::reference::{self, PlainBags};
use hotrow::{
    AnyTable, Buffer, EmbeddingBagCollection, EmbeddingBagConfig, KeyedJagged, Pooling, Rule, Table, TableViewMut, Widen, Workspace,
};

use super::expected::{Expected, GRADIENT, optimizer, row_state_bytes};
use super::{Fault, Job, compare, gradient};
use crate::bench::ids::{BagParts, IdPool};
use crate::bench::workload::Workload;

/// Seeds the tables' values.
const SEED: u64 = 1;

/// Values up to here, as those of a single table.
const INIT: f32 = 0.05;

/// Tables of equal shape, each with its bags, whose rows of output stand side by side.
#[derive(Debug)]
pub(in crate::bench) struct Collection<'a, E> {
    collection: EmbeddingBagCollection,
    names: Vec<String>,
    pool: &'a IdPool,
    pooling: Pooling,
    rule: Option<Rule>,
    /// `[bags, tables * dim]`.
    out: Buffer<f32>,
    /// Of the output; empty where nothing is learned.
    gradient: Buffer<f32>,
    calls: usize,
    element: PhantomData<E>,
}

impl<'a, E: Widen<f32>> Collection<'a, E> {
    /// A job on new tables, with a step of the rule in each call if there is one. All batches have as many bags.
    ///
    /// # Errors
    ///
    /// When the memory is not there, or the tables are too large together.
    pub(in crate::bench) fn new(
        workload: &Workload,
        pooling: Pooling,
        rule: Option<Rule>,
        pool: &'a IdPool,
        workspace: Workspace,
    ) -> hotrow::Result<Self> {
        let Workload { tables, rows, dim, .. } = *workload;
        let names: Vec<String> = (0..tables).map(|table| format!("table {table}")).collect();
        let config = |name: &String| EmbeddingBagConfig {
            pooling,
            data_type: E::DTYPE,
            init_range: Some((-INIT, INIT)),
            ..EmbeddingBagConfig::new(name, rows, dim, [name])
        };
        let mut collection = EmbeddingBagCollection::new(names.iter().map(config).collect(), SEED)?.with_workspace(workspace);
        if let Some(rule) = rule {
            names.iter().try_for_each(|name| collection.set_optimizer(name, optimizer(rule, rows, dim)?))?;
        }
        let values = pool.size(0).1 * dim;
        let gradient = gradient(if rule.is_some() { values } else { 0 }, GRADIENT)?;
        let out = Buffer::zeros(values)?;
        Ok(Collection { collection, names, pool, pooling, rule, out, gradient, calls: 0, element: PhantomData })
    }

    fn step(&mut self, call: usize) -> hotrow::Result<()> {
        let BagParts { ids, splits, weights } = self.pool.bag_parts(call).expect("a pool of bags");
        let mut input = KeyedJagged::from_offsets::<i64>(&self.names, ids, splits);
        if let Some(weights) = weights {
            input = input.with_weights(weights);
        }
        let width = self.collection.output_dim();
        let out = TableViewMut::new(&mut self.out, input.batch_size()?, width, width)?;
        self.collection.forward_into(&input, out)?;
        if self.rule.is_some() { self.collection.backward(&self.gradient) } else { Ok(()) }
    }

    fn table(&self, name: &str) -> hotrow::Result<&Table<E>> {
        let table: &dyn Any = match self.collection.table(name)? {
            AnyTable::F32(table) => table,
            AnyTable::F16(table) => table,
            AnyTable::BF16(table) => table,
            other => other,
        };
        Ok(table.downcast_ref().expect("the element that the configuration names"))
    }

    /// The bags of each table in batch `call`.
    fn bags(&self, call: usize) -> hotrow::Result<Vec<PlainBags>> {
        let rows = self.table(&self.names[0])?.rows();
        let all = PlainBags::of(&self.pool.bags(call).expect("a pool of bags"), rows)?;
        let bags = all.count() / self.names.len();
        let of_table = |table: usize| {
            let bounds = &all.splits[table * bags..=(table + 1) * bags];
            let ids = bounds[0]..bounds[bags];
            PlainBags {
                rows: all.rows[ids.clone()].to_vec(),
                splits: bounds.iter().map(|bound| bound - bounds[0]).collect(),
                weights: all.weights.as_ref().map(|weights| weights[ids].to_vec()),
                ..all
            }
        };
        Ok((0..self.names.len()).map(of_table).collect())
    }

    /// Copies of all tables before their first step.
    fn expected(&self) -> hotrow::Result<Option<Vec<Expected<E>>>> {
        let Some(rule) = self.rule else { return Ok(None) };
        self.names.iter().map(|name| Expected::new(name.clone(), self.table(name)?, rule)).collect::<Result<_, _>>().map(Some)
    }

    /// What the plain loops make of batch `call`, table after table; where they have tables of their own, they learn from it.
    fn outputs(&self, expected: Option<&mut Vec<Expected<E>>>, call: usize) -> hotrow::Result<Vec<Vec<f32>>> {
        let bags = self.bags(call)?;
        let Some(expected) = expected else {
            let pooled = |(name, bags): (&String, &PlainBags)| Ok(reference::bag(self.table(name)?.view(), bags, self.pooling));
            return self.names.iter().zip(&bags).map(pooled).collect();
        };
        let dim = self.collection.output_dim() / self.names.len();
        let gradients = (0..self.names.len()).map(|table| columns(&self.gradient, self.collection.output_dim(), table * dim, dim));
        let learned = expected.iter_mut().zip(&bags).zip(gradients);
        learned.map(|((table, bags), gradient)| table.learn_bags(bags, self.pooling, &gradient)).collect()
    }

    fn check_output(&self, outputs: &[Vec<f32>]) -> Result<(), Fault> {
        let (width, dim) = (self.collection.output_dim(), self.collection.output_dim() / self.names.len());
        for (table, (name, expected)) in self.names.iter().zip(outputs).enumerate() {
            compare(&format!("the output of {name}"), dim, &columns(&self.out, width, table * dim, dim), expected)?;
        }
        Ok(())
    }

    /// Compares all tables and all states.
    fn check_tables(&mut self, expected: &[Expected<E>]) -> Result<(), Fault> {
        for (name, expected) in self.names.iter().zip(expected) {
            expected.check_table(self.table(name)?)?;
            if let Some(optimizer) = self.collection.optimizer_mut(name)? {
                expected.check_state(optimizer)?;
            }
        }
        Ok(())
    }
}

/// Some columns of a matrix whose rows are `width` values wide.
fn columns(matrix: &[f32], width: usize, first: usize, count: usize) -> Vec<f32> {
    matrix.chunks_exact(width).flat_map(|row| &row[first..first + count]).copied().collect()
}

impl<E: Widen<f32>> Job<E> for Collection<'_, E> {
    /// All batches in turn. Every output is compared; what is learned is after the first and after the last batch.
    fn verify(&mut self) -> Result<(), Fault> {
        let mut expected = self.expected()?;
        let last = self.pool.batches() - 1;
        for call in 0..=last {
            // A value that the call leaves out must not pass for right because the last call wrote it.
            self.out.fill(f32::NAN);
            self.step(call)?;
            let outputs = self.outputs(expected.as_mut(), call)?;
            self.check_output(&outputs)?;
            if let Some(expected) = expected.as_ref().filter(|_| call == 0 || call == last) {
                self.check_tables(expected)?;
            }
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.step(self.calls)
    }

    fn tables(&self) -> Vec<&Table<E>> {
        self.names.iter().filter_map(|name| self.table(name).ok()).collect()
    }

    fn state_bytes(&self) -> usize {
        let dim = self.collection.output_dim() / self.names.len();
        self.rule.map_or(0, |rule| row_state_bytes(rule, dim))
    }

    fn into_table(self) -> Option<Table<E>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use hotrow::{bf16, f16};

    use super::*;
    use crate::bench::read_workloads;

    fn workload(pooling: Pooling, weighted: bool) -> Workload {
        let list = format!(
            r#"{{"schema": 1, "workloads": [{{"name": "w", "op": "bag", "tables": 3, "rows": 9, "dim": 5, "dtype": "f32", "bags": 4,
            "bag_len": [2, 1, 3], "pooling": "{pooling}", "weighted": {weighted}}}]}}"#
        );
        read_workloads(list.as_bytes()).expect("a good list").remove(0)
    }

    /// Every rule and none, every pooling, weights and none; the verification is that of `hotrow bench`.
    fn verify<E: Widen<f32>>() {
        let rules = Rule::NAMES.iter().map(|name| Some(name.parse::<Rule>().expect("a name of the engine")));
        for rule in rules.chain([None]) {
            for (pooling, weighted) in [(Pooling::Sum, false), (Pooling::Mean, true), (Pooling::Sqrtn, false)] {
                let workload = workload(pooling, weighted);
                let pool = IdPool::draw(&workload).expect("enough rows");
                let mut job = Collection::<E>::new(&workload, pooling, rule, &pool, Workspace::new()).expect("a little memory");
                job.verify().unwrap_or_else(|fault| panic!("{rule:?} {pooling}: {fault:?}"));
                job.call().expect("rows of the tables");
                assert_eq!(job.tables().len(), 3);
            }
        }
    }

    #[test]
    fn bags_and_steps_of_several_tables_are_right() {
        verify::<f32>();
        verify::<f16>();
        verify::<bf16>();
    }

    #[test]
    fn a_wrong_bit_in_output_table_or_state_is_found() {
        let workload = workload(Pooling::Sum, true);
        let pool = IdPool::draw(&workload).expect("enough rows");
        let rule = Some("adagrad".parse().expect("a name of the engine"));
        let mut job = Collection::<f32>::new(&workload, Pooling::Sum, rule, &pool, Workspace::new()).expect("a little memory");
        let mut expected = job.expected().expect("a little memory");
        job.step(0).expect("rows of the tables");
        let outputs = job.outputs(expected.as_mut(), 0).expect("rows of the tables");
        let expected = expected.expect("tables that learn");
        job.check_output(&outputs).expect("the engine is right");
        job.check_tables(&expected).expect("the engine is right");

        let nudged = |x: f32| f32::from_bits(x.to_bits() + 1);
        // The second example, the third table's second column.
        job.out[15 + 11] = nudged(job.out[15 + 11]);
        let message = |fault: Fault| fault.in_workload("w").to_string();
        let output = message(job.check_output(&outputs).expect_err("one bit is wrong"));
        assert!(output.starts_with(r#"workload "w": the output of table 2 is wrong in row 1, column 1: "#), "{output}");

        let right = job.table("table 1").expect("a table").try_clone().expect("a little memory");
        let mut table = right.try_clone().expect("a little memory");
        let cell = &mut table.row_mut(8).expect("a row")[4];
        *cell = nudged(*cell);
        job.collection.set_table("table 1", table).expect("the same shape");
        let wrong = message(job.check_tables(&expected).expect_err("one bit is wrong"));
        assert!(wrong.starts_with(r#"workload "w": table 1 is wrong in row 8, column 4: "#), "{wrong}");

        job.collection.set_table("table 1", right).expect("the same shape");
        let optimizer = job.collection.optimizer_mut("table 0").expect("a table").expect("an optimizer");
        let mut sums = optimizer.state().next().expect("a state").1.to_vec();
        sums[5] = nudged(sums[5]);
        optimizer.set_state("sum", &sums).expect("as many values");
        let wrong = message(job.check_tables(&expected).expect_err("one bit is wrong"));
        assert!(wrong.starts_with(r#"workload "w": sum of table 0 is wrong in row 1, column 0: "#), "{wrong}");
    }
}

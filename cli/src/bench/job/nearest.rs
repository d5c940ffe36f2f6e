//! The rows nearest to a query.

use std::hint::black_box;

use hotrow::{Element, Neighbour, Table, Workspace, reference};

use super::{Fault, Job, wrong};
use crate::bench::ids::IdPool;
use crate::bench::workload::Search;

/// How many calls are verified: the plain loop takes a second for each.
const VERIFIED: usize = 2;

/// Neighbours of rows of the table.
#[derive(Debug)]
pub(in crate::bench) struct Nearest<E: Element> {
    table: Table<E>,
    /// The queries of each call, one behind the other.
    queries: Vec<Vec<f32>>,
    search: Search,
    workspace: Workspace,
    calls: usize,
}

impl<E: Element> Nearest<E> {
    /// A job whose queries are the rows that the ids name.
    pub(in crate::bench) fn new(table: Table<E>, pool: &IdPool, search: Search, workspace: Workspace) -> Self {
        let row = |row: usize| table.row(row).unwrap_or_default().iter().map(|value| value.to_f32());
        let queries = (0..pool.batches()).map(|call| pool.rows(call).into_iter().flat_map(row).collect()).collect();
        Nearest { table, queries, search, workspace, calls: 0 }
    }

    fn nearest(&mut self, call: usize) -> hotrow::Result<Vec<Vec<Neighbour>>> {
        let Search { k, metric } = self.search;
        self.workspace.nearest(&self.table, &self.queries[call % self.queries.len()], k, metric, &[])
    }

    /// Compares the neighbours with those that the plain loop finds for call `call`.
    fn check(&self, call: usize, found: &[Vec<Neighbour>]) -> Result<(), Fault> {
        let Search { k, metric } = self.search;
        for (at, query) in self.queries[call].chunks(self.table.dim()).enumerate() {
            let expected = reference::nearest(self.table.view(), query, k, metric, &[]);
            let found = found.get(at).map_or(&[][..], |found| found);
            for place in 0..expected.len().max(found.len()) {
                let (found, expected) = (found.get(place), expected.get(place));
                let bits = |near: Option<&Neighbour>| near.map(|near| (near.row, near.score.to_bits()));
                if bits(found) != bits(expected) {
                    let score = |near: Option<&Neighbour>| near.map_or(f32::NAN, |near| near.score);
                    return Err(wrong("a neighbour", [at, place], score(found), score(expected)));
                }
            }
        }
        Ok(())
    }
}

impl<E: Element> Job<E> for Nearest<E> {
    fn verify(&mut self) -> Result<(), Fault> {
        for call in 0..VERIFIED.min(self.queries.len()) {
            let found = self.nearest(call)?;
            self.check(call, &found)?;
        }
        Ok(())
    }

    fn call(&mut self) -> hotrow::Result<()> {
        self.calls += 1;
        self.nearest(self.calls).map(|found| {
            black_box(found);
        })
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
    use hotrow::Metric;

    #[test]
    fn a_wrong_neighbour_is_found() {
        let pool = IdPool::listed(&read_ids(b"3\n1\n2\n", None, None).expect("a good file"), false);
        let table = Table::<f32>::from_fn(4, 2, |row, column| (2 * row + column) as f32 + 0.1).expect("a little memory");
        let mut job = Nearest::new(table, &pool, Search { k: 2, metric: Metric::Cosine }, Workspace::new());
        job.verify().expect("the engine is right");
        let mut found = job.nearest(0).expect("a good query");
        job.check(0, &found).expect("the engine is right");
        found[0].swap(0, 1);
        let fault = job.check(0, &found).expect_err("the places are wrong").in_workload("w");
        assert!(fault.to_string().starts_with(r#"workload "w": a neighbour is wrong in row 0, column 0: 0.9"#), "{fault}");
        found[0].clear();
        assert!(job.check(0, &found).is_err());
    }
}

//! The batches of ids that a workload cycles through.

use hotrow::{Bags, Ids};

use super::dist::{Sampler, TooFewRows};
use super::idlist::IdList;
use super::workload::{IdDtype, Lookups, Workload};

/// The same ids in every run, so that runs can be compared.
const SEED: u64 = 0x0068_6f74_726f_7721;

/// Different batches, so that the caches hold what a user's would, not this batch's rows. The few rows of small calls do stay in the
/// caches: what is timed there is the call, since a row from memory costs what the memory takes, whoever asks.
pub(super) const BATCHES: usize = 8;

/// Batches made beforehand, in the type in which they are passed.
#[derive(Debug)]
pub(super) struct IdPool {
    values: Values,
    /// Batch `b` has the ids from `starts[b]` to `starts[b + 1]`. There is a batch, and there is an id.
    starts: Vec<usize>,
    /// For each batch, where its bags start and where the last one ends.
    splits: Option<Vec<Vec<i64>>>,
    /// One number an id.
    weights: Option<Vec<f32>>,
}

/// The parts of a batch of bags.
#[derive(Clone, Copy, Debug)]
pub(super) struct BagParts<'a> {
    /// All ids.
    pub(super) ids: Ids<'a>,
    /// Where each bag starts, and where the last one ends.
    pub(super) splits: &'a [i64],
    /// One number an id, if ids have any.
    pub(super) weights: Option<&'a [f32]>,
}

#[derive(Debug)]
enum Values {
    I64(Vec<i64>),
    I32(Vec<i32>),
}

impl IdPool {
    /// Draws the batches for a workload: of several tables, the ids of one behind those of the other.
    ///
    /// # Errors
    ///
    /// [`TooFewRows`] where the distribution needs more.
    pub(super) fn draw(workload: &Workload) -> Result<IdPool, TooFewRows> {
        let rows = u32::try_from(workload.rows).expect("the reader refuses larger tables");
        let (total, outputs) = workload.lookups_of_call();
        let sampler = |table: usize| Sampler::new(workload.dist, rows, SEED + table as u64);
        let mut samplers: Vec<Sampler> = (0..workload.tables).map(sampler).collect();
        let mut values = match workload.id_dtype {
            IdDtype::I64 => Values::I64(Vec::with_capacity(BATCHES * total)),
            IdDtype::I32 => Values::I32(Vec::with_capacity(BATCHES * total)),
        };
        for _ in 0..BATCHES {
            for (table, sampler) in samplers.iter_mut().enumerate() {
                let batch = sampler.batch(workload.lookups.on_table(table).0)?;
                match &mut values {
                    Values::I64(values) => values.extend(batch.into_iter().map(i64::from)),
                    // The reader refuses tables that 32-bit ids cannot address.
                    Values::I32(values) => values.extend(batch.into_iter().map(|row| row as i32)),
                }
            }
        }
        let starts = (0..=BATCHES).map(|batch| batch * total).collect();
        let splits = matches!(workload.lookups, Lookups::Bags { .. }).then(|| {
            let mut splits = Vec::with_capacity(outputs + 1);
            splits.push(0);
            let mut end = 0;
            for table in 0..workload.tables {
                let (ids, bags) = workload.lookups.on_table(table);
                for _ in 0..bags {
                    end += (ids / bags) as i64;
                    splits.push(end);
                }
            }
            vec![splits; BATCHES]
        });
        let weights = workload.weighted.then(|| (0..BATCHES * total).map(weight_at).collect());
        Ok(IdPool { values, starts, splits, weights })
    }

    /// The batches of a file.
    pub(super) fn listed(list: &IdList, in_bags: bool) -> IdPool {
        let batches = list.batches(in_bags);
        let values = Values::I64(list.ids.iter().map(|&id| i64::from(id)).collect());
        let bounds = list.splits.as_ref().filter(|_| in_bags);
        let place = |at: usize| bounds.map_or(at, |bounds| bounds[at]);
        let starts = std::iter::once(0).chain(batches.iter().map(|batch| place(batch.end))).collect();
        let splits = bounds.map(|bounds| {
            let of_batch = |batch: &std::ops::Range<usize>| {
                let bounds = &bounds[batch.start..=batch.end];
                bounds.iter().map(|bound| (bound - bounds[0]) as i64).collect()
            };
            batches.iter().map(of_batch).collect()
        });
        IdPool { values, starts, splits, weights: None }
    }

    /// How many batches there are.
    pub(super) fn batches(&self) -> usize {
        self.starts.len() - 1
    }

    /// The ids and the rows of output of batch `call`.
    pub(super) fn size(&self, call: usize) -> (usize, usize) {
        let ids = self.batch(call).len();
        (ids, self.bags(call).map_or(ids, |bags| bags.count()))
    }

    /// The ids of all batches together.
    pub(super) fn total(&self) -> usize {
        self.starts[self.batches()]
    }

    /// Batch `call`, counted round and round.
    pub(super) fn batch(&self, call: usize) -> Ids<'_> {
        let batch = call % self.batches();
        self.slice(self.starts[batch], self.starts[batch + 1])
    }

    /// The same in bags, where there are any.
    pub(super) fn bags(&self, call: usize) -> Option<Bags<'_>> {
        let BagParts { ids, splits, weights } = self.bag_parts(call)?;
        let bags = Bags::from_splits::<i64>(ids, splits);
        Some(weights.map_or(bags, |weights| bags.with_weights(weights)))
    }

    /// The parts of those bags.
    pub(super) fn bag_parts(&self, call: usize) -> Option<BagParts<'_>> {
        let batch = call % self.batches();
        let splits = &self.splits.as_ref()?[batch];
        let weights = self.weights.as_ref().map(|weights| &weights[self.starts[batch]..self.starts[batch + 1]]);
        Some(BagParts { ids: self.batch(call), splits, weights })
    }

    /// Batch `call` as row numbers.
    pub(super) fn rows(&self, call: usize) -> Vec<usize> {
        let batch = call % self.batches();
        let ids = self.starts[batch]..self.starts[batch + 1];
        match &self.values {
            Values::I64(values) => values[ids].iter().map(|&id| id as usize).collect(),
            Values::I32(values) => values[ids].iter().map(|&id| id as usize).collect(),
        }
    }

    /// Window `call`, counted round and round, where all ids of the pool are cut into windows of `len`.
    pub(super) fn window(&self, call: usize, len: usize) -> Ids<'_> {
        let len = len.clamp(1, self.total());
        let start = call % (self.total() / len) * len;
        self.slice(start, start + len)
    }

    fn slice(&self, start: usize, end: usize) -> Ids<'_> {
        match &self.values {
            Values::I64(values) => Ids::from(&values[start..end]),
            Values::I32(values) => Ids::from(&values[start..end]),
        }
    }
}

/// Weight number `i`: evenly spread from 0.5 to 1.5, with no pattern that a bag's length could meet.
fn weight_at(i: usize) -> f32 {
    0.5 + super::job::spread(i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{read_ids, read_workloads};

    fn workload(fields: &str) -> Workload {
        let list =
            format!(r#"{{"schema": 1, "workloads": [{{"name": "w", "rows": 1000000, "dim": 4, "dtype": "f32", {fields}}}]}}"#);
        read_workloads(list.as_bytes()).expect("a good list").remove(0)
    }

    #[test]
    fn batches_differ_and_come_round() {
        for (id_dtype, ids) in [("i64", 1), ("i32", 256), ("i64", 100_000)] {
            let workload = workload(&format!(r#""op": "gather", "ids": {ids}, "id_dtype": "{id_dtype}""#));
            let pool = IdPool::draw(&workload).expect("enough rows");
            assert!(pool.batches() >= 8);
            assert_eq!((pool.size(0), pool.total()), ((ids, ids), 8 * ids));
            assert_eq!(pool.batch(0).dtype().to_string(), workload.id_dtype.name().replace('i', "int"));
            assert_ne!(pool.rows(0), pool.rows(1));
            assert_eq!(pool.rows(3), pool.rows(3 + pool.batches()));
            assert_eq!(pool.window(5, 4).len(), 4.min(8 * ids));
            assert_eq!(pool.window(5, usize::MAX).len(), pool.batches() * ids);
            assert!(pool.bags(0).is_none());
        }
    }

    #[test]
    fn tables_stand_one_behind_the_other_and_each_has_bags_of_equal_length() {
        let workload = workload(r#""op": "bag", "tables": 2, "bags": 3, "bag_len": [2, 5], "weighted": true"#);
        let pool = IdPool::draw(&workload).expect("enough rows");
        let bags = pool.bags(9).expect("bags");
        assert_eq!(bags.bounds(), Ok(vec![0, 2, 4, 6, 11, 16, 21]));
        assert_eq!((pool.size(1), pool.total()), ((21, 6), 8 * 21));
        let weights = bags.weights().expect("weights");
        assert_eq!(weights.len(), 21);
        assert!(weights.iter().all(|weight| (0.5..1.5).contains(weight)), "{weights:?}");
        assert_ne!(pool.bags(8).expect("bags").weights(), Some(weights), "each batch has its own");
        assert_ne!(pool.rows(0)[..6], pool.rows(0)[6..12], "each table has its own");
    }

    #[test]
    fn files_become_batches_of_uneven_bags() {
        let lines: String = (0..20).map(|user| format!("{user}{}\n", " 7".repeat(user % 3))).collect();
        let list = read_ids(lines.as_bytes(), None, None).expect("a good file");
        let pool = IdPool::listed(&list, true);
        assert_eq!((pool.batches(), pool.total()), (8, list.ids.len()));
        // Users 0 and 1, then 2 to 4, and so on.
        assert_eq!(pool.bags(0).expect("bags").bounds(), Ok(vec![0, 0, 1]));
        assert_eq!(pool.bags(9).expect("bags").bounds(), Ok(vec![0, 2, 2, 3]));
        assert_eq!(pool.rows(1), [7, 7, 7]);
        let plain = IdPool::listed(&list, false);
        assert!(plain.bags(0).is_none() && plain.batches() >= 8);
        assert_eq!((0..plain.batches()).map(|call| plain.size(call).0).sum::<usize>(), list.ids.len());
    }
}

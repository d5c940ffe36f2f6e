//! The batches of ids that a workload cycles through.

use hotrow::Ids;

use super::dist::{Sampler, TooFewRows};
use super::workload::{IdDtype, Workload};

/// The same ids in every run, so that runs can be compared.
const SEED: u64 = 0x0068_6f74_726f_7721;

/// Different batches, so that the caches hold what a user's would, not this batch's rows. The few rows of small calls do stay in the
/// caches: what is timed there is the call, since a row from memory costs what the memory takes, whoever asks.
pub(super) const BATCHES: usize = 8;

/// Batches of equal size, drawn beforehand, in the type in which they are passed.
#[derive(Debug)]
pub(super) struct IdPool {
    values: Values,
    batch: usize,
    batches: usize,
}

#[derive(Debug)]
enum Values {
    I64(Vec<i64>),
    I32(Vec<i32>),
}

impl IdPool {
    /// Draws the batches for a workload whose calls take `ids` ids.
    ///
    /// # Errors
    ///
    /// [`TooFewRows`] where the distribution needs more.
    pub(super) fn draw(workload: &Workload, ids: usize) -> Result<IdPool, TooFewRows> {
        let rows = u32::try_from(workload.rows).expect("the reader refuses larger tables");
        let mut sampler = Sampler::new(workload.dist, rows, SEED);
        let batches = BATCHES;
        let mut values = match workload.id_dtype {
            IdDtype::I64 => Values::I64(Vec::with_capacity(batches * ids)),
            IdDtype::I32 => Values::I32(Vec::with_capacity(batches * ids)),
        };
        for _ in 0..batches {
            let batch = sampler.batch(ids)?;
            match &mut values {
                Values::I64(values) => values.extend(batch.into_iter().map(i64::from)),
                // The reader refuses tables that 32-bit ids cannot address.
                Values::I32(values) => values.extend(batch.into_iter().map(|row| row as i32)),
            }
        }
        Ok(IdPool { values, batch: ids, batches })
    }

    /// How many batches there are.
    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// Batch `call`, counted round and round.
    pub(super) fn batch(&self, call: usize) -> Ids<'_> {
        self.window(call % self.batches, self.batch)
    }

    /// The same as row numbers.
    pub(super) fn rows(&self, call: usize) -> Vec<usize> {
        let start = call % self.batches * self.batch;
        match &self.values {
            Values::I64(values) => values[start..][..self.batch].iter().map(|&id| id as usize).collect(),
            Values::I32(values) => values[start..][..self.batch].iter().map(|&id| id as usize).collect(),
        }
    }

    /// Window `call`, counted round and round, where all ids of the pool are cut into windows of `len`.
    pub(super) fn window(&self, call: usize, len: usize) -> Ids<'_> {
        let len = len.min(self.batch * self.batches);
        let start = call % (self.batch * self.batches / len) * len;
        match &self.values {
            Values::I64(values) => Ids::from(&values[start..][..len]),
            Values::I32(values) => Ids::from(&values[start..][..len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::read_workloads;

    #[test]
    fn batches_differ_and_come_round() {
        for (id_dtype, ids) in [("i64", 1), ("i32", 256), ("i64", 100_000)] {
            let list = format!(
                r#"{{"schema": 1, "workloads": [{{"name": "w", "op": "gather", "rows": 1000000, "dim": 4,
                "dtype": "f32", "ids": {ids}, "id_dtype": "{id_dtype}"}}]}}"#
            );
            let workload = &read_workloads(list.as_bytes()).expect("a good list")[0];
            let pool = IdPool::draw(workload, ids).expect("enough rows");
            assert!(pool.batches() >= 8);
            assert_eq!(pool.batch(0).len(), ids);
            assert_eq!(pool.batch(0).dtype().to_string(), workload.id_dtype.name().replace('i', "int"));
            assert_ne!(pool.rows(0), pool.rows(1));
            assert_eq!(pool.rows(3), pool.rows(3 + pool.batches()));
            assert_eq!(pool.window(5, 4).len(), 4);
            assert_eq!(pool.window(5, usize::MAX).len(), pool.batches() * ids);
        }
    }
}

//! What one call looks up, and how many bytes that moves.

use super::ids::IdPool;
use super::workload::{Op, Workload};

/// The lookups of one call on all tables; where batches differ, their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// The ids.
    pub(super) ids: usize,
    /// The rows of the output: one a bag, or one an id.
    pub(super) outputs: usize,
    /// The bytes of optimizer state that belong to one row of a table.
    pub(super) state_bytes: usize,
}

impl Load {
    /// The mean of all batches.
    pub(super) fn of(pool: &IdPool, state_bytes: usize) -> Load {
        let batches = pool.batches();
        let outputs: usize = (0..batches).map(|call| pool.size(call).1).sum();
        Load { ids: pool.total().div_ceil(batches), outputs: outputs.div_ceil(batches), state_bytes }
    }

    /// The bytes of a call. A search reads the whole table, once for all queries. The others: each row read and each row written, once per id; of an output or its gradient, once per row of it.
    pub(super) fn bytes(&self, workload: &Workload) -> u64 {
        let row = workload.dim * workload.dtype.size();
        let out = workload.dim * workload.out_dtype.size();
        let (per_id, per_output) = match workload.op {
            Op::Nearest => return (workload.rows * row) as u64,
            // The row is read, the output is written.
            Op::Gather | Op::Bag => (row, out),
            // The gradient and the row are read, the row is written.
            Op::ScatterAdd => (2 * row, out),
            // Forward, the row is read and the output is written. Backward, the gradient, the row and its state are read, the row and
            // its state are written.
            Op::TrainStep => (3 * row + 2 * self.state_bytes, 2 * out),
        };
        (self.ids * per_id + self.outputs * per_output) as u64
    }
}

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
    /// The mean of all batches: one pool a table.
    pub(super) fn of(pools: &[IdPool], state_bytes: usize) -> Load {
        let (mut ids, mut outputs) = (0, 0);
        for pool in pools {
            let sizes = (0..pool.batches()).map(|call| pool.size(call));
            let total = sizes.fold((0, 0), |total, size| (total.0 + size.0, total.1 + size.1));
            ids += total.0.div_ceil(pool.batches());
            outputs += total.1.div_ceil(pool.batches());
        }
        Load { ids, outputs, state_bytes }
    }

    /// The bytes of a call: each row read and each row written, once per id; of an output or its gradient, once per row of it.
    pub(super) fn bytes(&self, workload: &Workload) -> u64 {
        let row = workload.dim * workload.dtype.size();
        let out = workload.dim * workload.out_dtype.size();
        let (per_id, per_output) = match workload.op {
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

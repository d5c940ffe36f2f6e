//! The inner loops, one thread each, written once over tier and element. Safe code: rows come as checked slices, and a bounds
//! check costs a nanosecond where a row from memory costs forty.

mod ceiling;
mod gather;
mod scatter;

pub(crate) use ceiling::{ReadRows, StreamCopy};
pub(crate) use gather::Gather;
pub(crate) use scatter::{AddInOrder, AddTile, pack};

/// How many rows ahead to ask memory for a row. Eight rows of 256 bytes hide the latency of memory on the machines measured, and
/// more evicts what has not been used yet; shorter rows need more of them to keep as many lines under way.
#[inline(always)]
fn prefetch_distance(row_bytes: usize) -> usize {
    (2048 / row_bytes.max(1)).clamp(8, 32)
}

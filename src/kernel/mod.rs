//! The inner loops, one thread each, written once over tier and element. Safe code: rows come as checked slices, and a bounds
//! check costs a nanosecond where a row from memory costs forty.

mod bag;
mod ceiling;
mod dot;
mod gather;
mod nearest;
mod scatter;
mod step;
mod sum;

pub(crate) use bag::{Pool, total};
pub(crate) use ceiling::{ReadInOrder, ReadRows, StreamCopy};
pub(crate) use dot::{RowDots, dot_of, sum_of_squares};
pub(crate) use gather::Gather;
pub(crate) use nearest::{Best, Queries, Score, of_key};
pub(crate) use scatter::{AddInOrder, AddTile, pack, unpack};
pub(crate) use step::StepRows;
pub(crate) use sum::{Sources, sum};

/// How many rows ahead to ask memory for a row: some 8 KiB, and 8 to 32 rows. A core keeps far fewer lines than that under way, so what
/// counts is to be early enough for the slowest of them. Measured against 2 KiB: scatter-add 12 % faster, gathers about equal.
#[inline(always)]
pub(crate) fn prefetch_distance(row_bytes: usize) -> usize {
    (8192 / row_bytes.max(1)).clamp(8, 32)
}

/// How far ahead to ask for what is read in order, in bytes. The processor's own prefetchers stop at the end of a page of 4 KiB, and a
/// loop that computes has too few loads under way to make up for it. 2 to 16 KiB are equal; without, neighbours take 1.2 times as long.
const AHEAD_IN_ORDER: usize = 4096;

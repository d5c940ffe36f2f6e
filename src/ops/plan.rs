//! Updates in row order: the plan of a scatter.
//!
//! ```text
//! ids         [ 9, 1, 4, 9, 0, 5 ]                      positions 0..6
//! partition   [ (1,1) (0,4) | (4,2) (5,5) | (9,0) (9,3) ]   by the high bits of the row: buckets, each in input order
//! tiles       [ rows 0..8        ] [ rows 8..12       ]     about equal numbers of updates
//! ```
//!
//! Each worker owns whole tiles, so nobody else writes to its rows, and the updates of a row keep their input order: the result is
//! that of the plain loop, without atomics. Threads count their own stretch of the ids, the counts become cursors, and every
//! thread then writes its words to where no other writes.

use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::index::{MISSING, RowIds, grow};
use crate::kernel::pack;
use crate::par::{self, Tiles};

/// Buckets at most: the cursors of a thread stay in its first-level cache.
const MAX_BUCKETS: usize = 2048;
/// Threads that partition, at most: their counters are bounded by `MAX_BUCKETS * 64 * 4` bytes, 512 KiB.
const MAX_STRETCHES: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The updates by bucket, as [`pack`] makes them.
    words: Vec<u64>,
    /// A line of cursors for each thread.
    cursors: Vec<u32>,
    /// Where each bucket starts, and the end of the last.
    starts: Vec<u32>,
    tiles: Tiles,
}

/// What a plan is made for.
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    /// The columns that fill a cache line: what a hot row may be cut into.
    pub(crate) unit: usize,
    /// Whether the updates of each row must stand together.
    pub(crate) grouped: bool,
    pub(crate) workers: usize,
}

impl Plan {
    /// The updates, and the tiles that they belong to.
    pub(crate) fn parts(&self) -> (&[u64], &Tiles) {
        (&self.words, &self.tiles)
    }

    pub(crate) fn make(&mut self, ids: RowIds<'_>, shape: &Shape) -> Result<()> {
        let ids = ids.as_slice();
        let buckets = (ids.len() / 256).clamp(1, MAX_BUCKETS).next_power_of_two();
        let shift = shift_for(shape.rows, buckets);
        let stretches = shape.workers.min(MAX_STRETCHES);
        // One more bucket takes the ids that name no row; it comes last and is left out.
        let lines = buckets + 1;
        let bucket_of = |row: u32| if row == MISSING { buckets } else { (row >> shift) as usize };
        grow(&mut self.words, ids.len())?;
        grow(&mut self.cursors, stretches * lines)?;
        grow(&mut self.starts, lines)?;
        let cursors = &mut self.cursors[..stretches * lines];
        let stretch = ids.len().div_ceil(stretches).max(1);
        let of_stretch = |line: usize| {
            let from = (line * stretch).min(ids.len());
            (from, &ids[from..(from + stretch).min(ids.len())])
        };

        par::chunks_mut(shape.workers, cursors, lines, &|first, counts| {
            counts.fill(0);
            for &row in of_stretch(first / lines).1 {
                counts[bucket_of(row)] += 1;
            }
        });
        let mut end = 0;
        for bucket in 0..lines {
            self.starts[bucket] = end;
            for cursor in cursors.iter_mut().skip(bucket).step_by(lines) {
                let count = *cursor;
                *cursor = end;
                end += count;
            }
        }
        let words = par::cells(&mut self.words[..ids.len()]);
        par::chunks_mut(shape.workers, cursors, lines, &|first, cursors| {
            let (from, ids) = of_stretch(first / lines);
            for (at, &row) in ids.iter().enumerate() {
                let cursor = &mut cursors[bucket_of(row)];
                words[*cursor as usize].store(pack(row, (from + at) as u32), Ordering::Relaxed);
                *cursor += 1;
            }
        });
        let starts = &self.starts[..lines];
        if shape.grouped {
            // The words of a bucket all differ, so an unstable sort keeps the input order within a row.
            par::ranges(shape.workers, &mut self.words, starts, &|_, bucket| bucket.sort_unstable());
        }
        // Eight tiles a worker: small enough to even out, large enough to forget what handing one out costs.
        let target = (ids.len() / (8 * shape.workers)).max(1024);
        self.tiles.cut(starts, shift, shape.rows, shape.dim, shape.unit, target);
        Ok(())
    }
}

/// How far to shift a row below `rows` so that it becomes a bucket below `buckets`, a power of two.
fn shift_for(rows: usize, buckets: usize) -> u32 {
    let row_bits = usize::BITS - rows.saturating_sub(1).leading_zeros();
    row_bits.saturating_sub(buckets.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_bucket() {
        for rows in [1, 2, 3, 255, 256, 257, 1_000_000, u32::MAX as usize] {
            for buckets in [1, 2, 256, 2048] {
                let shift = shift_for(rows, buckets);
                assert!((rows - 1) >> shift < buckets, "{rows} rows, {buckets} buckets");
            }
        }
    }
}

//! Updates by owner: the plan of a scatter.
//!
//! ```text
//! ids       [ 9, 1, 4, 9, 0, 5 ]                                    positions 0..6
//! counts    rows 0..4: 2, rows 4..8: 2, rows 8..12: 2               buckets: the high bits of the row
//! tiles     [ rows 0..8               ] [ rows 8..12    ]           about equal numbers of updates
//! words     [ (1,1) (4,2) (0,4) (5,5) | (9,0) (9,3)     ]           by tile, each in input order
//! ```
//!
//! Each worker owns whole tiles, so nobody else writes to its rows, and the updates of a row keep their input order: the result is
//! that of the plain loop, without atomics. Threads count their own stretch of the ids by bucket; the counts decide the tiles and become
//! cursors; every thread then writes its words to where no other writes.
//!
//! There are about as few tiles as workers, because a tile in input order reads its updates nearly in sequence, which the processor
//! fetches ahead by itself. Where the updates of each row must stand together (16-bit tables), words go by bucket instead, and each
//! bucket is sorted.

use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::index::{MISSING, grow};
use crate::kernel::pack;
use crate::par::{self, Tiles};

/// Ids a bucket, about. Tiles are cut between buckets, so finer ones cut more evenly; and a bucket to be sorted should be so small
/// that sorting it is a matter of moving a few neighbours.
const BUCKET_IDS: usize = 64;
/// Counters at most, of all threads together: 512 KiB.
const MAX_COUNTERS: usize = 128 * 1024;
/// Threads that partition, at most.
const MAX_STRETCHES: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The updates, as [`pack`] makes them: by slot, a slot being a bucket or a block of buckets.
    words: Vec<u64>,
    /// A line for each thread: the count of each bucket, then in its first places the cursor of each slot.
    counts: Vec<u32>,
    /// Where the words of each bucket start, if they were in the order of buckets; and the end of the last.
    starts: Vec<u32>,
    /// The slot of each bucket.
    slots: Vec<u32>,
    tiles: Tiles,
    buckets: usize,
    shift: u32,
}

/// What the second half of a word is.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Where the id stands.
    Position,
    /// A number that was given for each id; they do not decrease.
    Listed(&'a [u32]),
}

/// The order of the updates.
pub(crate) enum Order {
    /// Those of each row together, rows ascending.
    Grouped,
    /// In input order within a tile, for a table of so many columns.
    Tiles {
        dim: usize,
        /// The columns that fill a cache line: what a hot row may be cut into.
        unit: usize,
    },
}

impl Plan {
    /// The updates, and the tiles that they belong to.
    pub(crate) fn parts(&self) -> (&[u64], &Tiles) {
        (&self.words, &self.tiles)
    }

    /// The updates. Only those that the [buckets](Plan::starts) cover mean anything.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Where the updates of each bucket start and where those of the last one end; bucket `b` holds the rows `b << shift ..`.
    pub(crate) fn starts(&self) -> (&[u32], u32) {
        (&self.starts[..self.buckets + 1], self.shift)
    }

    /// Cuts the updates of a grouped plan into tiles of `[rows, dim]`.
    pub(crate) fn cut(&mut self, rows: usize, dim: usize, unit: usize, workers: usize) {
        let starts = &self.starts[..self.buckets + 1];
        // A grouped tile costs a little more to hand out and gains nothing from being long, so there are more of them to even out.
        let target = (starts[self.buckets] as usize).div_ceil(8 * workers).max(1024);
        self.tiles.cut(starts, self.shift, rows, dim, unit, target);
    }

    /// Partitions `ids`, which name rows below `rows` or none.
    pub(crate) fn make(&mut self, ids: &[u32], source: Source<'_>, rows: usize, order: Order, workers: usize) -> Result<()> {
        let stretches = workers.min(MAX_STRETCHES);
        let buckets = (ids.len() / BUCKET_IDS).clamp(1, MAX_COUNTERS / stretches / 2).next_power_of_two();
        let shift = shift_for(rows, buckets);
        (self.buckets, self.shift) = (buckets, shift);
        // One more bucket takes the ids that name no row; it comes last and is left out.
        let lines = buckets + 1;
        let bucket_of = |row: u32| if row == MISSING { buckets } else { (row >> shift) as usize };
        let stretch = ids.len().div_ceil(stretches).max(1);
        let of_stretch = |line: usize| {
            let from = (line * stretch).min(ids.len());
            (from, &ids[from..(from + stretch).min(ids.len())])
        };
        grow(&mut self.words, ids.len())?;
        grow(&mut self.counts, stretches * lines)?;
        grow(&mut self.starts, lines)?;
        grow(&mut self.slots, lines)?;
        let counts = &mut self.counts[..stretches * lines];
        let (starts, slots) = (&mut self.starts[..lines], &mut self.slots[..lines]);

        par::chunks_mut(workers, counts, lines, &|first, counts| {
            counts.fill(0);
            for &row in of_stretch(first / lines).1 {
                counts[bucket_of(row)] += 1;
            }
        });
        let mut end = 0;
        for (bucket, start) in starts.iter_mut().enumerate() {
            *start = end;
            end += counts.iter().skip(bucket).step_by(lines).sum::<u32>();
        }
        let grouped = match order {
            Order::Grouped => true,
            Order::Tiles { dim, unit } => {
                self.tiles.cut(starts, shift, rows, dim, unit, ids.len().div_ceil(workers).max(1024));
                false
            }
        };
        let slot_count = assign_slots(slots, &self.tiles, starts, grouped);
        turn_into_cursors(counts, lines, slots, slot_count);

        let words = par::cells(&mut self.words[..ids.len()]);
        par::chunks_mut(workers, counts, lines, &|first, cursors| {
            let (from, ids) = of_stretch(first / lines);
            for (at, &row) in (from..).zip(ids) {
                let cursor = &mut cursors[slots[bucket_of(row)] as usize];
                let second = match source {
                    Source::Position => at as u32,
                    Source::Listed(numbers) => numbers[at],
                };
                words[*cursor as usize].store(pack(row, second), Ordering::Relaxed);
                *cursor += 1;
            }
        });
        if grouped {
            // Words that are equal are the same update, so an unstable sort keeps the input order within a row.
            par::ranges(workers, &mut self.words, starts, &|bucket| bucket.sort_unstable());
        }
        Ok(())
    }
}

/// Gives each bucket its slot: its own, or that of its tile's rows. The last one, for ids without a row, has its own in any case.
/// Returns how many slots there are.
fn assign_slots(slots: &mut [u32], tiles: &Tiles, starts: &[u32], grouped: bool) -> usize {
    let buckets = slots.len() - 1;
    if grouped {
        (0..).zip(slots.iter_mut()).for_each(|(bucket, slot)| *slot = bucket);
        return slots.len();
    }
    let mut slot = 0;
    let mut blocks = tiles.as_slice().chunk_by(|a, b| a.updates == b.updates).peekable();
    for bucket in 0..buckets {
        while blocks.next_if(|block| block[0].updates.end <= starts[bucket] as usize).is_some() {
            slot += 1;
        }
        slots[bucket] = slot;
    }
    slots[buckets] = slot + 1;
    slot as usize + 2
}

/// From counts by bucket to places by slot, line by line: a slot's words of the first line come first.
fn turn_into_cursors(counts: &mut [u32], lines: usize, slots: &[u32], slot_count: usize) {
    for line in counts.chunks_exact_mut(lines) {
        // Slots do not decrease and never overtake buckets, so the sums can take the counts' own places.
        for bucket in 0..lines {
            let slot = slots[bucket] as usize;
            let count = line[bucket];
            line[bucket] = 0;
            line[slot] += count;
        }
    }
    let mut end = 0;
    for slot in 0..slot_count.min(lines) {
        for cursor in counts.iter_mut().skip(slot).step_by(lines) {
            let count = *cursor;
            *cursor = end;
            end += count;
        }
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

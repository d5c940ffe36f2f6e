//! Sums of gradients by row: the words of a grouped plan, cut among threads.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::index::grow;
use crate::kernel::{Sources, sum, unpack};
use crate::ops::plan::Plan;
use crate::par::{self, Tile, TileMut, Tiles};
use crate::simd::{CACHE_LINE, Tier};

/// The rows of one table, among the rows of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) base: usize,
    pub(super) rows: usize,
    /// The columns of its gradient.
    pub(super) dim: usize,
}

/// The updates of a plan, cut for threads: `tiles[t.grid]` is a table's span, its rows are the table's own.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Of a size that a worker takes at a time.
    pub(super) even: Tiles,
    /// Those in which a few rows have so many updates that several workers have to sum them, each some columns.
    pub(super) heavy: Tiles,
}

impl Shares {
    pub(super) fn cut(&mut self, plan: &Plan, spans: &[Span], workers: usize) {
        self.even.clear();
        self.heavy.clear();
        let (starts, shift) = plan.starts();
        let words = plan.words();
        let target = (starts[starts.len() - 1] as usize).div_ceil(8 * workers).max(1024);
        let mut table = 0;
        for block in par::blocks(starts, target) {
            let heavy = workers > 1 && block.updates.len() > 2 * target;
            let rows = block.buckets.start << shift..block.buckets.end << shift;
            // Tables lie one above the other, so the updates of each are one stretch of the block's.
            let mut from = block.updates.start;
            while table < spans.len() && spans[table].base < rows.end {
                let span = spans[table];
                let end = from
                    + words[from..block.updates.end].partition_point(|&word| (unpack(word).0 as usize) < span.base + span.rows);
                let own = rows.start.max(span.base) - span.base..rows.end.min(span.base + span.rows) - span.base;
                if end > from {
                    let tile = Tile { grid: table, rows: own, columns: 0..span.dim, updates: from..end };
                    if heavy { self.heavy.push(tile) } else { self.even.push(tile) }
                }
                from = end;
                if span.base + span.rows > rows.end {
                    break;
                }
                table += 1;
            }
        }
    }
}

/// How many different rows these words name.
pub(super) fn count_rows(words: &[u64]) -> usize {
    words.chunk_by(|&a, &b| unpack(a).0 == unpack(b).0).count()
}

/// Adds the tiles of a list of sums: one row for each row that a tile of `shares` names, starting with row `first`; heavy ones are
/// cut by columns. Returns the number of the row after the last.
pub(super) fn cut_sums(sums: &mut Tiles, (grid, tile): (usize, &Tile), dim: usize, rows: Range<usize>, parts: usize) {
    // Somebody has to write the row numbers, columns or not.
    let dim = dim.max(1);
    let unit = CACHE_LINE / size_of::<f32>();
    // Never wider than a chunk has room for on the stack.
    let parts = parts.max(dim.div_ceil(ON_STACK)).clamp(1, dim.div_ceil(unit));
    let width = dim.div_ceil(parts).next_multiple_of(unit);
    let mut column = 0;
    while column < dim {
        let columns = column..(column + width).min(dim);
        column = columns.end;
        sums.push(Tile { grid, rows: rows.clone(), columns, updates: tile.updates.clone() });
    }
}

/// Writes the sums of a tile from [`cut_sums`], and which rows they are of: those of the words, less `base`.
pub(super) fn sum_tile(
    tier: Tier,
    sources: &Sources<'_>,
    words: &[u64],
    (tile, dim, base): (&Tile, usize, u32),
    (mut values, mut numbers): (TileMut<'_, f32>, TileMut<'_, u32>),
) {
    let columns = tile.columns.start.min(dim)..tile.columns.end.min(dim);
    let mut words = &words[tile.updates.clone()];
    let mut row = tile.rows.start as u32;
    let mut chunk = Chunk::new(columns.len(), None);
    while !words.is_empty() {
        let (rows, sums, used) = chunk.sum(tier, sources, words, columns.clone());
        for (at, &number) in rows.iter().enumerate() {
            if let Some(to) = values.row(row) {
                to.copy_from_slice(&sums[at * columns.len()..(at + 1) * columns.len()]);
            }
            if let Some([to]) = numbers.row(row) {
                *to = number - base;
            }
            row += 1;
        }
        words = &words[used..];
    }
}

/// Rows summed at a time. Few, so that what was asked of memory for them is still there; enough to forget the call.
pub(super) const ROWS: usize = 8;
/// Sums that fit on the stack.
const ON_STACK: usize = 2048;

/// Memory for rows that are wider than the stack allows: two for each worker, the sums and the weights of one row, had before the step that
/// uses them begins, since a step that has begun cannot fail.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<Vec<Vec<f32>>>);

impl Rooms {
    /// Makes room for rows of `width` values on so many workers at a time.
    pub(super) fn reserve(&mut self, workers: usize, width: usize) -> Result<()> {
        if width <= ON_STACK {
            return Ok(());
        }
        let rooms = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        rooms.resize_with(rooms.len().max(2 * workers), Vec::new);
        rooms.iter_mut().try_for_each(|room| grow(room, width))
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<f32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for a row at least.
pub(super) struct Room<'r> {
    stack: [f32; ON_STACK],
    /// For rows that are wider: a row, and where it goes back to.
    wide: Option<(&'r Rooms, Vec<f32>)>,
}

impl<'r> Room<'r> {
    /// Room for `width` values, which comes from `rooms` if they do not fit the stack.
    pub(super) fn new(width: usize, rooms: Option<&'r Rooms>) -> Room<'r> {
        let wide = rooms.filter(|_| width > ON_STACK).map(|rooms| (rooms, rooms.free().pop().unwrap_or_default()));
        Room { stack: [0.0; ON_STACK], wide }
    }

    pub(super) fn values(&mut self) -> &mut [f32] {
        match &mut self.wide {
            Some((_, values)) => values,
            None => &mut self.stack,
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some((rooms, values)) = self.wide.take() {
            rooms.free().push(values);
        }
    }
}

/// The sums of a few rows.
pub(super) struct Chunk<'r> {
    rows: [u32; ROWS],
    room: Room<'r>,
    width: usize,
}

impl<'r> Chunk<'r> {
    /// Room for rows of `width` values, as [`Room::new`].
    pub(super) fn new(width: usize, rooms: Option<&'r Rooms>) -> Chunk<'r> {
        Chunk { rows: [0; ROWS], room: Room::new(width, rooms), width }
    }

    /// Copies the sums of as many of `rows` rows as there is room for, which lie `stride` apart.
    pub(super) fn copy(&mut self, from: &[f32], stride: usize, rows: usize) -> &mut [f32] {
        let (count, width) = (self.capacity().min(rows), self.width);
        let out = self.room.values();
        for row in 0..count {
            out[row * width..(row + 1) * width].copy_from_slice(&from[row * stride..row * stride + width]);
        }
        &mut out[..count * width]
    }

    /// How many rows fit.
    fn capacity(&self) -> usize {
        (ON_STACK / self.width.max(1)).clamp(1, ROWS)
    }

    /// Sums the gradients of the first rows of `words`: which rows, their sums, and how many words they were.
    pub(super) fn sum(
        &mut self,
        tier: Tier,
        sources: &Sources<'_>,
        words: &[u64],
        columns: Range<usize>,
    ) -> (&mut [u32], &mut [f32], usize) {
        let capacity = self.capacity();
        let (rows, values) = (&mut self.rows, self.room.values());
        let (count, used) = sum(tier, sources, words, columns, &mut rows[..capacity], values);
        (&mut rows[..count], &mut values[..count * self.width], used)
    }
}

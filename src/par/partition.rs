//! Who gets what: pure arithmetic, no threads.

use std::ops::Range;

/// A rectangle of a grid of rows and columns, and the range of the id or update list that falls into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Which grid, where there are several.
    pub(crate) grid: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) updates: Range<usize>,
}

/// Rectangles of grids that do not overlap: proved when each is added.
#[derive(Debug, Default)]
pub(crate) struct Tiles {
    tiles: Vec<Tile>,
}

impl Tiles {
    pub(crate) fn clear(&mut self) {
        self.tiles.clear();
    }

    pub(crate) fn as_slice(&self) -> &[Tile] {
        &self.tiles
    }

    /// Adds a tile that lies below the last one, or right of it in the same rows, or in a later grid.
    pub(crate) fn push(&mut self, tile: Tile) {
        if let Some(last) = self.tiles.last() {
            let later = tile.grid > last.grid;
            let here = tile.grid == last.grid;
            let below = tile.rows.start >= last.rows.end;
            let beside = tile.rows == last.rows && tile.columns.start >= last.columns.end;
            assert!(later || here && (below || beside), "tile {tile:?} overlaps {last:?}");
        }
        self.tiles.push(tile);
    }

    /// Cuts a table of `[_, dim]` into tiles of about `target` updates. `starts[b]..starts[b + 1]` are the updates of bucket `b`,
    /// which holds the rows `b << shift ..` up to `rows`. Whole buckets are put together. A block that is still much too heavy, because
    /// one bucket is, is cut by columns, in multiples of `unit`: every column keeps its order of updates.
    pub(crate) fn cut(&mut self, starts: &[u32], shift: u32, rows: usize, dim: usize, unit: usize, target: usize) {
        self.clear();
        let buckets = starts.len() - 1;
        let row_of = |bucket: usize| (bucket << shift).min(rows);
        let mut first = 0;
        while first < buckets {
            let from = starts[first] as usize;
            let rest = starts[buckets] as usize - from;
            let ideal = rest / ((rest + target / 2) / target).max(1);
            let mut end = first + 1;
            // A bucket joins when most of it is on this side of the ideal cut.
            while end < buckets && (starts[end] as usize + starts[end + 1] as usize) / 2 - from <= ideal {
                end += 1;
            }
            let updates = from..starts[end] as usize;
            let block = row_of(first)..row_of(end);
            let parts = ((updates.len() + target / 2) / target).min(dim.div_ceil(unit)).max(1);
            let width = dim.div_ceil(parts).next_multiple_of(unit);
            let mut column = 0;
            while column < dim && !updates.is_empty() {
                let columns = column..(column + width).min(dim);
                column = columns.end;
                self.push(Tile { grid: 0, rows: block.clone(), columns, updates: updates.clone() });
            }
            first = end;
        }
    }

    /// Adds tiles for the bags of one grid: bag `b` holds the ids `bounds[b]..bounds[b + 1]` and becomes row `b` of `[_, dim]`. A tile
    /// has about `target` ids, in whole bags, and not many more bags than that. A bag so long that it would hold up one of several
    /// workers is cut by columns, in multiples of `unit`.
    pub(crate) fn cut_bags(&mut self, grid: usize, bounds: &[u32], dim: usize, unit: usize, target: usize, workers: usize) {
        let bags = bounds.len() - 1;
        let ids = (bounds[bags] - bounds[0]) as usize;
        let long = if workers == 1 { usize::MAX } else { ids.div_ceil(2 * workers).max(target) };
        let mut first = 0;
        while first < bags {
            let from = bounds[first] as usize;
            let most = bags.min(first.saturating_add(target));
            let end = bounds[first..=most].partition_point(|&bound| bound as usize - from <= target) + first - 1;
            let end = end.max(first + 1);
            let updates = from..bounds[end] as usize;
            let parts = if end == first + 1 { updates.len().div_ceil(long).min(dim.div_ceil(unit)).max(1) } else { 1 };
            let width = dim.div_ceil(parts).next_multiple_of(unit);
            let mut column = 0;
            while column < dim {
                let columns = column..(column + width).min(dim);
                column = columns.end;
                self.push(Tile { grid, rows: first..end, columns, updates: updates.clone() });
            }
            first = end;
        }
    }
}

/// Neighbouring buckets, and the updates in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) buckets: Range<usize>,
    pub(crate) updates: Range<usize>,
}

/// Blocks of about `target` updates, in whole buckets, where bucket `b` has the updates `starts[b]..starts[b + 1]`. Only a block of
/// one bucket can be much larger. Blocks without updates are left out.
pub(crate) fn blocks(starts: &[u32], target: usize) -> impl Iterator<Item = Block> {
    let buckets = starts.len() - 1;
    let mut first = 0;
    std::iter::from_fn(move || {
        while first < buckets {
            let from = starts[first] as usize;
            let fits = starts[first..].partition_point(|&start| start as usize - from <= target) - 1;
            let end = (first + fits.max(1)).min(buckets);
            let block = Block { buckets: first..end, updates: from..starts[end] as usize };
            first = end;
            if !block.updates.is_empty() {
                return Some(block);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(counts: &[u32], shift: u32, rows: usize, dim: usize, target: usize) -> Vec<Tile> {
        let mut starts = vec![0];
        for count in counts {
            starts.push(starts.last().unwrap() + count);
        }
        let mut tiles = Tiles::default();
        tiles.cut(&starts, shift, rows, dim, 16, target);
        tiles.tiles
    }

    #[test]
    fn light_buckets_are_put_together() {
        let tiles = cut(&[3, 4, 2, 9, 1], 2, 18, 8, 10);
        let updates: Vec<_> = tiles.iter().map(|tile| (tile.rows.clone(), tile.updates.clone())).collect();
        assert_eq!(updates, [(0..12, 0..9), (12..18, 9..19)]);
    }

    #[test]
    fn even_buckets_make_even_tiles() {
        for workers in [1, 2, 3, 7] {
            let tiles = cut(&[10; 1000], 0, 1000, 8, 10_000_usize.div_ceil(workers));
            assert_eq!(tiles.len(), workers);
            assert!(tiles.iter().all(|tile| tile.updates.len().abs_diff(10_000 / workers) <= 20), "{tiles:?}");
        }
    }

    #[test]
    fn a_hot_bucket_is_cut_by_columns() {
        let tiles = cut(&[1, 100, 1], 4, 48, 64, 25);
        let hot: Vec<_> = tiles.iter().filter(|tile| tile.rows == (16..32)).collect();
        assert_eq!(hot.iter().map(|tile| tile.columns.clone()).collect::<Vec<_>>(), [0..16, 16..32, 32..48, 48..64]);
        assert!(hot.iter().all(|tile| tile.updates == (1..101)));
    }

    #[test]
    fn bags_are_cut_between_bags_and_long_ones_by_columns() {
        let mut tiles = Tiles::default();
        tiles.cut_bags(0, &[5, 7, 7, 7, 9, 109, 110, 110], 64, 16, 4, 2);
        let cut: Vec<_> = tiles.as_slice().iter().map(|t| (t.rows.clone(), t.columns.clone(), t.updates.clone())).collect();
        assert_eq!(
            cut,
            [
                (0..4, 0..64, 5..9),
                (4..5, 0..16, 9..109),
                (4..5, 16..32, 9..109),
                (4..5, 32..48, 9..109),
                (4..5, 48..64, 9..109),
                (5..7, 0..64, 109..110)
            ]
        );
        for (workers, target) in [(1, usize::MAX), (3, 1), (8, 1000)] {
            for bounds in [vec![0], vec![0, 0, 0], vec![3, 4, 900, 900]] {
                let mut tiles = Tiles::default();
                tiles.cut_bags(0, &bounds, 33, 16, target, workers);
                let cells: usize = tiles.as_slice().iter().map(|tile| tile.rows.len() * tile.columns.len()).sum();
                assert_eq!(cells, (bounds.len() - 1) * 33);
            }
        }
    }

    #[test]
    fn blocks_hold_whole_buckets() {
        let cut = |starts: &[u32], target| blocks(starts, target).map(|b| (b.buckets, b.updates)).collect::<Vec<_>>();
        assert_eq!(cut(&[0, 3, 3, 5, 50, 51, 51], 5), [(0..3, 0..5), (3..4, 5..50), (4..6, 50..51)]);
        assert_eq!(cut(&[0, 0], 5), []);
        assert_eq!(cut(&[0, 7], 5), [(0..1, 0..7)]);
    }

    #[test]
    fn every_update_and_column_is_covered_once() {
        for dim in [1, 15, 16, 17, 33, 130] {
            for target in [1, 2, 5, 1000] {
                let counts = [0, 7, 0, 0, 30, 1, 1, 12, 0];
                let mut covered = vec![0; 51 * dim];
                for tile in cut(&counts, 3, 70, dim, target) {
                    for update in tile.updates {
                        for column in tile.columns.clone() {
                            covered[update * dim + column] += 1;
                        }
                    }
                }
                assert!(covered.iter().all(|&times| times == 1), "dim {dim}, target {target}");
            }
        }
    }
}

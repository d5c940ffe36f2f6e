//! Cuts a file's ids into batches, in their order.

use std::ops::Range;

use super::IdList;

/// Batches at least, where there is enough for so many.
const BATCHES: usize = 8;

/// The most bags of a batch, and the most ids where they are in no bags: those of the standard workloads.
const MOST_BAGS: usize = 4096;
const MOST_IDS: usize = 262_144;

impl IdList {
    /// Batches of bags, by the bags' numbers; of ids, by the ids' places, where the list is plain or bags are not asked for. All of
    /// the list is in them, and their sizes differ by one at most.
    pub(in crate::bench) fn batches(&self, in_bags: bool) -> Vec<Range<usize>> {
        match &self.splits {
            Some(_) if in_bags => cut(self.bags(), MOST_BAGS),
            _ => cut(self.ids.len(), MOST_IDS),
        }
    }
}

fn cut(count: usize, most: usize) -> Vec<Range<usize>> {
    let batches = count.div_ceil(most).max(BATCHES).min(count);
    let start = |batch: usize| (count as u128 * batch as u128 / batches as u128) as usize;
    (0..batches).map(|batch| start(batch)..start(batch + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn batches_are_about_equal_and_hold_everything() {
        for (count, batches) in
            [(1, 1), (7, 7), (8, 8), (9, 8), (15, 8), (16, 8), (17, 8), (6040, 8), (52_643, 13), (3_000_000, 733)]
        {
            let cut = cut(count, 4096);
            assert_eq!(cut.len(), batches, "{count}");
            assert!(cut.iter().flat_map(Clone::clone).eq(0..count), "{count}");
            let sizes = || cut.iter().map(ExactSizeIterator::len);
            assert!(sizes().max() <= sizes().min().map(|least| least + 1), "{count}");
        }
    }
}

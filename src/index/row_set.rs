//! Which rows of a table something was done to.

use std::fmt;
use std::ops::Range;

use super::grow;
use crate::error::{Error, Result};

/// A set of rows of one table, as one bit for each row.
///
/// An optimizer that [tracks rows](crate::Optimizer::track_rows) marks those that it changes, and a checkpoint stores only them. Whatever else
/// changes a table (a norm limit applied by a layer, rows that are written by hand) must be marked by who does it.
///
/// ```
/// use hotrow::{RowSet, Workspace};
///
/// let mut set = RowSet::new(1000)?;
/// set.mark(7)?;
/// set.mark_batch(&Workspace::new().batch_of_ids(&[500, 2, 500], 1000)?)?;
/// assert_eq!(set.iter().collect::<Vec<_>>(), [2, 7, 500]);
/// assert_eq!((set.count(), set.contains(8)), (3, false));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(PartialEq, Eq)]
pub struct RowSet {
    /// Bit `r % 64` of word `r / 64`; the bits past the last row are zero.
    words: Vec<u64>,
    rows: usize,
}

impl RowSet {
    /// No rows of a table that has so many.
    ///
    /// # Errors
    /// [`Error::TooManyRows`], [`Error::OutOfMemory`].
    pub fn new(rows: usize) -> Result<RowSet> {
        let mut set = RowSet { words: Vec::new(), rows: 0 };
        set.resize(rows)?;
        Ok(set)
    }

    /// Every row of a table that has so many.
    ///
    /// # Errors
    /// As [`new`](RowSet::new).
    pub fn all(rows: usize) -> Result<RowSet> {
        let mut set = RowSet::new(rows)?;
        set.fill(0..rows);
        Ok(set)
    }

    /// How many rows the table has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows are in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Whether a row is in the set.
    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Puts a row into the set.
    ///
    /// # Errors
    /// [`Error::NoSuchRow`] when the table has no such row; nothing changes then.
    pub fn mark(&mut self, row: u32) -> Result<()> {
        self.mark_rows(&[row])
    }

    /// Puts rows into the set, in whatever order they come.
    ///
    /// # Errors
    /// [`Error::NoSuchRow`] with the position of the first that is no row; nothing changes then.
    pub fn mark_rows(&mut self, rows: &[u32]) -> Result<()> {
        if let Some(position) = rows.iter().position(|&row| row as usize >= self.rows) {
            return Err(Error::NoSuchRow { position, row: rows[position], rows: self.rows });
        }
        rows.iter().for_each(|&row| self.set(row as usize));
        Ok(())
    }

    /// Puts the rows of another set of the same table into this one.
    ///
    /// # Errors
    /// [`Error::RowSetShape`] when the other is of a table with more or fewer rows; nothing changes then.
    pub fn union(&mut self, other: &RowSet) -> Result<()> {
        if self.rows != other.rows {
            return Err(Error::RowSetShape { set: other.rows, table: self.rows });
        }
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
        Ok(())
    }

    /// Takes all rows out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The rows of the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.within(0..self.rows)
    }

    /// The rows of the set that are in a range, ascending.
    pub(crate) fn within(&self, range: Range<usize>) -> impl Iterator<Item = u32> {
        self.masked(range).flat_map(|(at, word)| Bits(word).map(move |bit| at as u32 * 64 + bit))
    }

    /// How many rows of the set are in a range.
    pub(crate) fn count_within(&self, range: Range<usize>) -> usize {
        self.masked(range).map(|(_, word)| word.count_ones() as usize).sum()
    }

    /// The words that a range touches, without the bits outside of it.
    fn masked(&self, range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
        let (from, end) = (range.start, range.end.min(self.rows).max(range.start));
        let words = if from == end { 0..0 } else { from / 64..end.div_ceil(64) };
        words.map(move |at| {
            let low = if at * 64 < from { !0 << (from % 64) } else { !0 };
            let high = if end - at * 64 < 64 { !(!0 << (end % 64)) } else { !0 };
            (at, self.words[at] & low & high)
        })
    }

    /// Puts in a row that the table has.
    pub(crate) fn set(&mut self, row: usize) {
        debug_assert!(row < self.rows);
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Makes it a set of a table that has grown; the new rows are not in it.
    pub(crate) fn resize(&mut self, rows: usize) -> Result<()> {
        if rows > u32::MAX as usize {
            return Err(Error::TooManyRows { rows });
        }
        grow(&mut self.words, rows.div_ceil(64))?;
        self.rows = rows;
        Ok(())
    }

    pub(crate) fn fill(&mut self, rows: Range<usize>) {
        rows.for_each(|row| self.set(row));
    }
}

/// The places of the ones in a word, ascending.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let bit = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (bit < 64).then_some(bit)
    }
}

impl fmt::Debug for RowSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowSet({} of {} rows)", self.count(), self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_see_their_rows_alone() {
        let rows = [0, 1, 63, 64, 65, 127, 128, 130, 199];
        let mut set = RowSet::new(200).unwrap();
        set.mark_rows(&rows).unwrap();
        for from in 0..=200 {
            for end in from..=200 {
                let inside: Vec<u32> = rows.into_iter().filter(|&row| (from..end).contains(&(row as usize))).collect();
                assert_eq!(set.within(from..end).collect::<Vec<_>>(), inside, "{from}..{end}");
                assert_eq!(set.count_within(from..end), inside.len());
            }
        }
    }

    #[test]
    fn sets_are_of_one_table() {
        let mut set = RowSet::new(65).unwrap();
        assert!(set.is_empty() && set.iter().next().is_none());
        assert_eq!(set.mark_rows(&[3, 65]), Err(Error::NoSuchRow { position: 1, row: 65, rows: 65 }));
        assert!(set.is_empty());
        assert_eq!(set.union(&RowSet::new(64).unwrap()), Err(Error::RowSetShape { set: 64, table: 65 }));
        let mut other = RowSet::new(65).unwrap();
        other.mark(64).unwrap();
        set.union(&other).unwrap();
        assert_eq!(set, other);
        set.clear();
        assert!(set.is_empty() && !set.contains(64) && !set.contains(1000));
        assert_eq!(RowSet::all(65).unwrap().count(), 65);
        assert!(matches!(RowSet::new(1 << 33), Err(Error::TooManyRows { .. })));
        assert_eq!(RowSet::new(0).unwrap().count(), 0);
    }
}

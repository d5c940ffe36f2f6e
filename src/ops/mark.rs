//! Puts the rows that ids name into a set.

use crate::error::Result;
use crate::index::{Ids, MISSING, RowSet};
use crate::kernel::unpack;
use crate::ops::{Batch, Workspace};
use crate::par::Parallelism;

impl RowSet {
    /// Puts in the rows that ids name, after their policy. Ids that name none are passed over.
    ///
    /// ```
    /// use hotrow::RowSet;
    ///
    /// let mut set = RowSet::new(10)?;
    /// set.mark_ids(&[3i64, 9, 3])?;
    /// assert_eq!(set.iter().collect::<Vec<_>>(), [3, 9]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`gather`](crate::gather()); nothing changes then.
    pub fn mark_ids<'i>(&mut self, ids: impl Into<Ids<'i>>) -> Result<()> {
        let mut batch = Batch::default();
        batch.add_ids(&ids.into(), self.rows(), 0, Workspace::new().tier(), Parallelism::Auto)?;
        batch.rows().iter().filter(|&&row| row != MISSING).for_each(|&row| self.set(row as usize));
        Ok(())
    }

    /// Puts in the rows that a batch names: those that a step with it changes.
    ///
    /// # Errors
    /// [`Error::BatchMismatch`](crate::Error::BatchMismatch) when the batch is for a table with more or fewer rows; nothing changes then.
    pub fn mark_batch(&mut self, batch: &Batch) -> Result<()> {
        batch.single(self.rows())?;
        self.mark_words(batch.updates(), 0);
        Ok(())
    }

    /// Puts in the rows of the updates of a table whose rows are raised by `base`.
    pub(super) fn mark_words(&mut self, words: &[u64], base: usize) {
        let row = |word: &u64| unpack(*word).0 as usize;
        let start = words.partition_point(|word| row(word) < base);
        let end = words.partition_point(|word| row(word) < base + self.rows());
        words[start..end].iter().for_each(|word| self.set(row(word) - base));
    }
}

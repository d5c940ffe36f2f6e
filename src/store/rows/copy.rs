//! All rows, as they are.

use crate::store::block::{Block, ReadRows, WriteRows};
use crate::store::error::FileResult;

/// Writes all rows of a reader to a writer; words only if the writer takes them. After each block `progress` is told how many rows there are
/// so far, and which part of the source is read, if that is known. Returns the number of rows.
///
/// The writer is still to be [finished](WriteRows::finish).
///
/// # Errors
/// [`FileError`](crate::store::FileError) of either.
pub fn copy_rows(
    from: &mut dyn ReadRows,
    to: &mut dyn WriteRows,
    with_words: bool,
    mut progress: impl FnMut(u64, Option<f64>),
) -> FileResult<u64> {
    let mut block = Block::new(from.info().dtype);
    let mut rows = 0;
    loop {
        let count = from.read(&mut block)? as u64;
        if count == 0 {
            return Ok(rows);
        }
        if !with_words {
            block.words.clear();
        }
        to.write(&block)?;
        rows += count;
        progress(rows, from.progress());
    }
}

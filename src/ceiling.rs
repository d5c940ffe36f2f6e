//! What the machine can do at best, for measuring against: a speed means little without its limit.
//!
//! The three figures are taken on the memory, threads and level of the operation that they judge. `hotrow bench` does so.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::Ids;
use crate::kernel::{ReadInOrder, ReadRows, StreamCopy};
use crate::ops::Workspace;
use crate::par;
use crate::simd::Out;
use crate::table::{AnyView, FILL_BYTES, TableView, for_view};

/// Copies `src` into `dst` in order, with streaming stores: the most bytes a second that memory takes in and gives out.
///
/// ```
/// use hotrow::{Workspace, ceiling};
///
/// let mut copy = [0.0f32; 5];
/// ceiling::stream_copy(&[1.0, 2.0, 3.0, 4.0, 5.0], &mut copy, &mut Workspace::new())?;
/// assert_eq!(copy, [1.0, 2.0, 3.0, 4.0, 5.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// [`Error::ShapeMismatch`] when the lengths differ.
pub fn stream_copy<E: Element>(src: &[E], dst: &mut [E], workspace: &mut Workspace) -> Result<()> {
    if src.len() != dst.len() {
        return Err(Error::ShapeMismatch { what: "destination", expected: vec![src.len()], needed: src.len(), actual: dst.len() });
    }
    let tier = workspace.tier();
    let workers = workspace.parallelism().workers_for(2 * size_of_val(src));
    par::chunks(workers, Out::over(dst), FILL_BYTES / size_of::<E>(), &|first, out| {
        tier.run(StreamCopy { from: &src[first..first + out.remaining()], out });
    });
    Ok(())
}

/// Reads the rows that `ids` name and writes nothing: the most bytes a second that random rows of this size can be read at. Returns
/// a checksum, so that the reading cannot be left out; whole pairs of vectors count in it, a shorter rest of a row does not.
///
/// ```
/// use hotrow::{Table, Workspace, ceiling};
///
/// let table = Table::<f32>::uniform(1000, 64, 1)?;
/// ceiling::read_rows(&table, &[5, 900, 5], &mut Workspace::new())?;
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`](crate::gather()).
pub fn read_rows<'t, 'i, E: Element>(
    table: impl Into<TableView<'t, E>>,
    ids: impl Into<Ids<'i>>,
    workspace: &mut Workspace,
) -> Result<u32> {
    let (table, ids) = (table.into().erase(), ids.into());
    for_view!(table, table => rows_of(table, &ids, workspace))
}

fn rows_of<E: Element>(table: TableView<'_, E>, ids: &Ids<'_>, workspace: &mut Workspace) -> Result<u32> {
    let (tier, parallelism) = (workspace.tier(), workspace.parallelism());
    let rows = workspace.check(ids, table.rows())?.as_slice();
    let row_bytes = table.dim() * size_of::<E>();
    let block = (256 * 1024 / row_bytes.max(1)).max(1);
    let sum = AtomicU32::new(0);
    par::run(parallelism.workers_for(rows.len().saturating_mul(row_bytes)), rows.len().div_ceil(block), &|index| {
        let rows = &rows[index * block..];
        let part = tier.run(ReadRows { table, rows, count: rows.len().min(block) });
        sum.fetch_xor(part.to_bits(), Ordering::Relaxed);
    });
    Ok(sum.into_inner())
}

/// Reads all rows in order, with what is between them, and writes nothing: the most bytes a second that memory gives out. Returns a
/// checksum, so that the reading cannot be left out.
///
/// ```
/// use hotrow::{Table, Workspace, ceiling};
///
/// let table = Table::<f32>::uniform(1000, 64, 1)?;
/// ceiling::read_in_order(&table, &mut Workspace::new());
/// # Ok::<(), hotrow::Error>(())
/// ```
pub fn read_in_order<'t, E: Element>(table: impl Into<TableView<'t, E>>, workspace: &mut Workspace) -> u32 {
    let values = table.into().row_onward(0).unwrap_or_default();
    let (tier, parallelism) = (workspace.tier(), workspace.parallelism());
    let block = 512 * 1024 / size_of::<E>();
    let sum = AtomicU32::new(0);
    par::run(parallelism.workers_for(size_of_val(values)), values.len().div_ceil(block), &|index| {
        let part = tier.run(ReadInOrder { values: &values[index * block..((index + 1) * block).min(values.len())] });
        sum.fetch_xor(part.to_bits(), Ordering::Relaxed);
    });
    sum.into_inner()
}

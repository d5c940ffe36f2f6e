//! Tables that are in memory, written at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::header::quoted;
use super::layout::{NewTensor, lay_out};
use crate::element::Element;
use crate::par::{self, Parallelism, Scratch};
use crate::store::atomic::Target;
use crate::store::bytes::to_bytes;
use crate::store::error::{FileError, FileResult};
use crate::store::stored::Stored;
use crate::store::transfer::{Pieces, Progress};
use crate::table::{AnyView, TableView, for_view};

/// About how many bytes a task packs, checksums and writes.
const PIECE_BYTES: usize = 512 << 10;

/// Writes tables into a new file, in parallel, with a checksum for each. The file appears whole or not at all: see [`Target`]. `progress`
/// counts the bytes of values.
///
/// ```
/// use hotrow::store::{self, OpenOptions, write_tables};
/// use hotrow::{Table, bf16};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("towers.safetensors");
/// let (users, items) = (Table::<f32>::uniform(10, 4, 7)?, Table::<bf16>::uniform(20, 4, 7)?);
/// write_tables(&path, &[("users", (&users).into()), ("items", (&items).into())], &|_| ())?;
/// let opened = store::open(&path, &OpenOptions { table: Some("items".into()), ..Default::default() })?;
/// assert_eq!(opened.shape(), [20, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FileError`]: the file cannot be written; two tables have one name, or a name that the format has a use for.
pub fn write_tables(path: &Path, tables: &[(&str, AnyView<'_>)], progress: Progress<'_>) -> FileResult<()> {
    let unsupported = |problem: String| FileError::unsupported(path.display().to_string(), problem);
    let mut names = BTreeSet::new();
    for (name, _) in tables {
        if *name == "__metadata__" || name.starts_with("__padding__.") {
            return Err(unsupported(format!("no table can be called {}: the format has a use for that name", quoted(name))));
        }
        if !names.insert(*name) {
            return Err(unsupported(format!("two tables are called {}", quoted(name))));
        }
    }
    let mut tensors: Vec<NewTensor> = tables.iter().map(|(name, table)| tensor(name, *table)).collect();
    let draft = lay_out(&tensors, &BTreeMap::new(), 0).map_err(unsupported)?;
    let target = Target::create(path)?;
    for ((_, table), (tensor, place)) in tables.iter().zip(tensors.iter_mut().zip(&draft.tensors)) {
        let crc32 = for_view!(*table, table => write(&target, place.offset, table, progress))?;
        tensor.crc32 = Some(crc32);
    }
    // Checksums have as many digits whatever they are, so the tables are where the draft has them.
    let layout = lay_out(&tensors, &BTreeMap::new(), draft.head.len()).map_err(unsupported)?;
    debug_assert_eq!((layout.head.len(), layout.bytes), (draft.head.len(), draft.bytes));
    target.write_at(0, &layout.head)?;
    target.commit()
}

fn tensor(name: &str, table: AnyView<'_>) -> NewTensor {
    NewTensor { name: name.to_owned(), dtype: Stored::from(table.dtype()), shape: table.shape().to_vec(), crc32: Some(0) }
}

/// Writes the rows one after the other; returns the checksum of their bytes.
fn write<E: Element>(target: &Target, offset: u64, table: TableView<'_, E>, progress: Progress<'_>) -> FileResult<u32> {
    let (rows, row_bytes) = (table.rows(), table.dim() * size_of::<E>());
    let block = (PIECE_BYTES / row_bytes.max(1)).max(1);
    let workers = Parallelism::Auto.workers_for(rows.saturating_mul(row_bytes));
    let failed = |error| FileError::engine(target.path().display().to_string(), error);
    // Rows with something between them are packed first.
    let room = if table.as_slice().is_some() { 0 } else { block * table.dim() };
    let rooms = Scratch::<E>::new(workers, room).map_err(failed)?;
    let (pieces, failure) = (Pieces::default(), std::sync::OnceLock::new());
    par::run(workers, if row_bytes == 0 { 0 } else { rows.div_ceil(block) }, &|task| {
        if failure.get().is_some() {
            return;
        }
        let rows = task * block..rows.min((task + 1) * block);
        let from = (rows.start * row_bytes) as u64;
        let put = |values: &[E]| {
            let bytes = to_bytes(E::erase(values));
            pieces.add(from, &bytes);
            if let Err(error) = target.write_at(offset + from, &bytes) {
                let _ = failure.set(error);
            }
            progress(bytes.len() as u64);
        };
        match table.dense(rows.clone()) {
            Some(values) => put(values),
            None => rooms.with(|room| {
                let room = &mut room[..rows.len() * table.dim()];
                for (to, row) in room.chunks_exact_mut(table.dim()).zip(rows.clone()) {
                    to.copy_from_slice(table.row(row).unwrap_or_default());
                }
                put(room);
            }),
        }
    });
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(pieces.crc32()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{OpenOptions, open, verify};
    use crate::{Table, bf16, f16};

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let wide = Table::<f32>::uniform(5000, 127, 1).unwrap();
        let half = Table::<f16>::uniform(3, 5, 2).unwrap();
        let none = Table::<bf16>::zeros(0, 4).unwrap();
        let flat = Table::<bf16>::zeros(4, 0).unwrap();
        // Two columns of each row: something lies between the rows.
        let values: Vec<f32> = (0..30_000).map(|k| k as f32).collect();
        let gaps = TableView::new(&values, 6000, 2, 5).unwrap();
        let tables = [
            ("wide", AnyView::from(&wide)),
            ("half", AnyView::from(&half)),
            ("none", AnyView::from(&none)),
            ("flat", AnyView::from(&flat)),
            ("gaps", AnyView::from(gaps)),
        ];
        let seen = std::sync::atomic::AtomicU64::new(0);
        write_tables(&path, &tables, &|bytes| {
            seen.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!(seen.into_inner(), 5000 * 127 * 4 + 3 * 5 * 2 + 6000 * 2 * 4);
        for (name, table) in tables {
            let opened = open(&path, &OpenOptions { table: Some(name.into()), ..Default::default() }).unwrap();
            assert_eq!((opened.dtype(), opened.shape()), (table.dtype(), table.shape()));
            for row in 0..table.shape()[0] {
                assert_eq!(opened.table().row_f32(row), table.row_f32(row), "{name} {row}");
            }
        }
        assert!(verify(&path, &|_| ()).is_ok());
    }

    #[test]
    fn names_that_cannot_be_are_refused_and_leave_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        std::fs::write(&path, "as it was").unwrap();
        let table = Table::<f32>::zeros(1, 1).unwrap();
        let refused = |names: &[&str]| {
            let tables: Vec<_> = names.iter().map(|&name| (name, AnyView::from(&table))).collect();
            write_tables(&path, &tables, &|_| ()).unwrap_err().to_string()
        };
        assert!(refused(&["a", "a"]).ends_with("two tables are called `a`"));
        assert!(refused(&["__metadata__"]).ends_with("no table can be called `__metadata__`: the format has a use for that name"));
        assert!(refused(&["__padding__.0"]).contains("`__padding__.0`"));
        assert_eq!(std::fs::read(&path).unwrap(), b"as it was");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

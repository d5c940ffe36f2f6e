//! Hands disjoint parts of one piece of memory to several threads. Which part belongs to whom is decided by safe, pure code
//! whose result is a proof: [`Tiles`], bounds that do not decrease, equal pieces.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

use super::{Tile, Tiles, run};
use crate::element::Element;
use crate::simd::Out;
use crate::table::TableViewMut;

/// Calls `task(first index, piece)` for every piece of `chunk` values of `out`. Each task must fill its piece: when this returns,
/// all of `out` has been written.
pub(crate) fn chunks<T: Copy + Send>(
    workers: usize,
    out: Out<'_, T>,
    chunk: usize,
    task: &(impl Fn(usize, &mut Out<'_, T>) + Sync),
) {
    let chunk = chunk.max(1);
    let shared = Shared(out);
    run(workers, shared.get().remaining().div_ceil(chunk), &|index| {
        // SAFETY: `run` calls with each index once, so no piece is handed out twice; the whole is not written to.
        let mut piece = unsafe { shared.get().piece(index, chunk) };
        task(index * chunk, &mut piece);
        assert_eq!(piece.remaining(), 0, "a task left a part of its output unwritten");
    });
}

/// [`chunks`] of values that live.
pub(crate) fn chunks_mut<T: Send>(workers: usize, values: &mut [T], chunk: usize, task: &(impl Fn(usize, &mut [T]) + Sync)) {
    let (chunk, len) = (chunk.max(1), values.len());
    let start = Pointer(values.as_mut_ptr());
    run(workers, len.div_ceil(chunk), &|index| {
        let first = index * chunk;
        // SAFETY: `first < len`, and pieces of different indices do not overlap; `run` calls with each index once and returns
        // before the borrow of `values` ends.
        task(first, unsafe { std::slice::from_raw_parts_mut(start.get().add(first), chunk.min(len - first)) });
    });
}

/// Calls `task(part)` for the parts of `values` that `bounds` cuts it into: part `i` is `bounds[i]..bounds[i + 1]`. Parts are expected
/// to be small: a worker takes many at a time.
pub(crate) fn ranges<T: Send>(workers: usize, values: &mut [T], bounds: &[u32], task: &(impl Fn(&mut [T]) + Sync)) {
    const AT_A_TIME: usize = 128;
    let parts = bounds.len().saturating_sub(1);
    assert!(bounds.is_sorted(), "bounds must not decrease");
    assert!(bounds.last().is_none_or(|&end| end as usize <= values.len()), "bounds must end inside the values");
    let start = Pointer(values.as_mut_ptr());
    run(workers, parts.div_ceil(AT_A_TIME), &|index| {
        for part in index * AT_A_TIME..((index + 1) * AT_A_TIME).min(parts) {
            let (from, end) = (bounds[part] as usize, bounds[part + 1] as usize);
            // SAFETY: the bounds do not decrease and end inside `values`, so parts are in bounds and do not overlap; `run`
            // calls with each index once and returns before the borrow of `values` ends.
            task(unsafe { std::slice::from_raw_parts_mut(start.get().add(from), end - from) });
        }
    });
}

/// Calls `task(tile, its part of the table)` for every tile.
pub(crate) fn tiles<E: Element>(
    workers: usize,
    table: TableViewMut<'_, E>,
    tiles: &Tiles,
    task: &(impl Fn(&Tile, TileMut<'_, E>) + Sync),
) {
    let (rows, dim, stride) = (table.rows(), table.dim(), table.stride());
    let values = table.into_values();
    let start = Pointer(values.as_mut_ptr());
    run(workers, tiles.as_slice().len(), &|index| {
        let tile = &tiles.as_slice()[index];
        assert!(tile.rows.end <= rows && tile.columns.end <= dim, "tile {tile:?} is outside of [{rows}, {dim}]");
        // The view's own invariant: row `r < rows` lies at `r * stride .. r * stride + dim`, inside its values.
        task(tile, TileMut { start: start.get(), stride, tile: tile.clone(), borrow: PhantomData });
    });
}

/// One tile of a table, exclusively.
pub(crate) struct TileMut<'a, E> {
    start: *mut E,
    stride: usize,
    tile: Tile,
    borrow: PhantomData<&'a mut [E]>,
}

impl<E> TileMut<'_, E> {
    pub(crate) fn columns(&self) -> Range<usize> {
        self.tile.columns.clone()
    }

    /// The tile's columns of a row; `None` when the row is not the tile's.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: u32) -> Option<&mut [E]> {
        let row = row as usize;
        if row < self.tile.rows.start || row >= self.tile.rows.end {
            return None;
        }
        let columns = &self.tile.columns;
        // SAFETY: the row is below the table's row count and the columns below its dim (asserted by `tiles`), so the slice
        // is inside the table; `Tiles` proves that no other tile has these cells, and `run` hands out each tile once.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.start.add(row * self.stride + columns.start), columns.end - columns.start)
        })
    }

    /// [`row`](TileMut::row), to look at only.
    #[inline(always)]
    pub(crate) fn peek(&self, row: u32) -> Option<&[E]> {
        let row = row as usize;
        if row < self.tile.rows.start || row >= self.tile.rows.end {
            return None;
        }
        let columns = &self.tile.columns;
        // SAFETY: as in `row`; `self` is borrowed, so no exclusive slice of the tile lives.
        Some(unsafe { std::slice::from_raw_parts(self.start.add(row * self.stride + columns.start), columns.end - columns.start) })
    }
}

/// A pointer that may cross threads: what is behind it is kept apart by the functions of this file.
struct Pointer<T>(*mut T);

// SAFETY: the pointer comes from an exclusive borrow of `T: Send` values, and every thread touches parts of its own.
unsafe impl<T: Send> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

/// An output that several threads cut pieces from.
struct Shared<T>(T);

// SAFETY: nothing can be done with a shared `Out` but ask its length and cut pieces, which are kept apart in this file.
unsafe impl<T: Send> Sync for Shared<Out<'_, T>> {}

impl<T> Shared<T> {
    fn get(&self) -> &T {
        &self.0
    }
}

/// The same values as cells that several threads may write. A relaxed store is an ordinary one to the processor.
pub(crate) fn cells(values: &mut [u64]) -> &[AtomicU64] {
    const { assert!(align_of::<AtomicU64>() == align_of::<u64>() && size_of::<AtomicU64>() == size_of::<u64>()) };
    // SAFETY: size and alignment agree, every bit pattern is valid for both, and the borrow stays exclusive, so that all
    // access to the values goes through the atomics while the result lives.
    unsafe { &*(std::ptr::from_mut(values) as *const [AtomicU64]) }
}

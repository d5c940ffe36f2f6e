//! Hands disjoint parts of one piece of memory to several threads. Which part belongs to whom is decided by safe, pure code
//! whose result is a proof: [`Tiles`], bounds that do not decrease, equal pieces.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

use half::{bf16, f16};

use super::{Tile, Tiles, run};
use crate::element::Element;
use crate::simd::Out;
use crate::table::{AnyViewMut, TableViewMut};

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

/// Calls `task(tile, its part)` for every tile; tile `t` is a part of `grids[t.grid]`.
pub(crate) fn tiles<'g, G: Cut>(workers: usize, grids: &'g mut [G], tiles: &Tiles, task: &(impl Fn(&Tile, G::Part<'g>) + Sync)) {
    let grids: &'g [G] = grids;
    run(workers, tiles.as_slice().len(), &|index| {
        let tile = &tiles.as_slice()[index];
        let grid = &grids[tile.grid];
        assert!(grid.holds(tile), "tile {tile:?} is outside of its grid");
        // SAFETY: the grids are borrowed exclusively while this runs; `Tiles` proves that tiles of one grid do not overlap; `run` hands
        // out each tile once; and the tile is inside the grid.
        task(tile, unsafe { grid.part(tile) });
    });
}

/// Memory of rows and columns that can be handed out by tiles.
pub(crate) trait Cut: Sync {
    /// Exclusive access to one tile.
    type Part<'p>
    where
        Self: 'p;

    /// Whether the tile's rows are there. Columns that are not are left out of the part.
    fn holds(&self, tile: &Tile) -> bool;

    /// # Safety
    /// The grid [holds](Cut::holds) the tile, and while the part lives nothing else touches the tile.
    unsafe fn part(&self, tile: &Tile) -> Self::Part<'_>;
}

/// Exclusive access to rows `[rows, dim]` in memory, to be cut into tiles.
#[derive(Debug)]
pub(crate) struct Grid<'a, E> {
    start: *mut E,
    rows: usize,
    dim: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [E]>,
}

// SAFETY: a `Grid` is an exclusive borrow, like `&mut [E]`.
unsafe impl<E: Send> Send for Grid<'_, E> {}
// SAFETY: nothing can be done with a shared `Grid` but cut tiles, which this file keeps apart.
unsafe impl<E: Send> Sync for Grid<'_, E> {}

impl<'a, E: Element> From<TableViewMut<'a, E>> for Grid<'a, E> {
    fn from(table: TableViewMut<'a, E>) -> Grid<'a, E> {
        let (rows, dim, stride) = (table.rows(), table.dim(), table.stride());
        // The view's own invariant: row `r < rows` lies at `r * stride .. r * stride + dim`, inside its values.
        Grid { start: table.into_values().as_mut_ptr(), rows, dim, stride, borrow: PhantomData }
    }
}

impl<'a, E> Grid<'a, E> {
    /// Dense rows in a slice, as many as there are whole ones.
    pub(crate) fn dense(values: &'a mut [E], dim: usize) -> Grid<'a, E> {
        let rows = values.len().checked_div(dim).unwrap_or(0);
        Grid { start: values.as_mut_ptr(), rows, dim, stride: dim, borrow: PhantomData }
    }

    /// So many rows of no columns.
    pub(crate) fn none(rows: usize) -> Grid<'a, E> {
        Grid { start: std::ptr::NonNull::dangling().as_ptr(), rows, dim: 0, stride: 0, borrow: PhantomData }
    }

    /// Cuts the grid by columns, into grids of these many columns one beside the other.
    pub(crate) fn columns(self, dims: impl Iterator<Item = usize>) -> Vec<Grid<'a, E>> {
        let mut from = 0;
        let mut grids = Vec::new();
        for dim in dims {
            assert!(dim <= self.dim - from, "{dim} columns from {from} on are not in a grid of {}", self.dim);
            // SAFETY: `from <= dim <= stride`, so this stays inside the first row, or in one place when there is none.
            let start = if self.rows == 0 { self.start } else { unsafe { self.start.add(from) } };
            grids.push(Grid { start, dim, ..self });
            from += dim;
        }
        grids
    }
}

impl<E: Send> Cut for Grid<'_, E> {
    type Part<'p>
        = TileMut<'p, E>
    where
        Self: 'p;

    fn holds(&self, tile: &Tile) -> bool {
        tile.rows.end <= self.rows
    }

    unsafe fn part(&self, tile: &Tile) -> TileMut<'_, E> {
        let columns = tile.columns.start.min(self.dim)..tile.columns.end.min(self.dim);
        TileMut { start: self.start, stride: self.stride, rows: tile.rows.clone(), columns, borrow: PhantomData }
    }
}

/// A [`Grid`] of any element.
#[derive(Debug)]
pub(crate) enum AnyGrid<'a> {
    F32(Grid<'a, f32>),
    F16(Grid<'a, f16>),
    BF16(Grid<'a, bf16>),
}

/// A [`TileMut`] of any element.
#[derive(Debug)]
pub(crate) enum AnyTile<'a> {
    F32(TileMut<'a, f32>),
    F16(TileMut<'a, f16>),
    BF16(TileMut<'a, bf16>),
}

impl<'a> From<AnyViewMut<'a>> for AnyGrid<'a> {
    fn from(table: AnyViewMut<'a>) -> AnyGrid<'a> {
        match table {
            AnyViewMut::F32(table) => AnyGrid::F32(table.into()),
            AnyViewMut::F16(table) => AnyGrid::F16(table.into()),
            AnyViewMut::BF16(table) => AnyGrid::BF16(table.into()),
        }
    }
}

impl Cut for AnyGrid<'_> {
    type Part<'p>
        = AnyTile<'p>
    where
        Self: 'p;

    fn holds(&self, tile: &Tile) -> bool {
        match self {
            AnyGrid::F32(grid) => grid.holds(tile),
            AnyGrid::F16(grid) => grid.holds(tile),
            AnyGrid::BF16(grid) => grid.holds(tile),
        }
    }

    unsafe fn part(&self, tile: &Tile) -> AnyTile<'_> {
        // SAFETY: what the caller promises for the grid holds for the one inside.
        unsafe {
            match self {
                AnyGrid::F32(grid) => AnyTile::F32(grid.part(tile)),
                AnyGrid::F16(grid) => AnyTile::F16(grid.part(tile)),
                AnyGrid::BF16(grid) => AnyTile::BF16(grid.part(tile)),
            }
        }
    }
}

impl<A: Cut, B: Cut> Cut for (A, B) {
    type Part<'p>
        = (A::Part<'p>, B::Part<'p>)
    where
        Self: 'p;

    fn holds(&self, tile: &Tile) -> bool {
        self.0.holds(tile) && self.1.holds(tile)
    }

    unsafe fn part(&self, tile: &Tile) -> Self::Part<'_> {
        // SAFETY: what the caller promises for the pair holds for both.
        unsafe { (self.0.part(tile), self.1.part(tile)) }
    }
}

impl<A: Cut, const N: usize> Cut for [A; N] {
    type Part<'p>
        = [A::Part<'p>; N]
    where
        Self: 'p;

    fn holds(&self, tile: &Tile) -> bool {
        self.iter().all(|grid| grid.holds(tile))
    }

    unsafe fn part(&self, tile: &Tile) -> Self::Part<'_> {
        // SAFETY: what the caller promises for the array holds for each.
        std::array::from_fn(|at| unsafe { self[at].part(tile) })
    }
}

/// One tile of a grid, exclusively.
#[derive(Debug)]
pub(crate) struct TileMut<'a, E> {
    start: *mut E,
    stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    borrow: PhantomData<&'a mut [E]>,
}

impl<E> TileMut<'_, E> {
    pub(crate) fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The tile's columns of a row; `None` when the row is not the tile's.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: u32) -> Option<&mut [E]> {
        let row = row as usize;
        if row < self.rows.start || row >= self.rows.end {
            return None;
        }
        let columns = &self.columns;
        // SAFETY: the row is below the grid's row count (asserted by `tiles`) and the columns below its dim (by `part`), so the slice
        // is inside the grid; no other tile has these cells, and each tile is handed out once.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.start.add(row * self.stride + columns.start), columns.end - columns.start)
        })
    }

    /// All of the tile's rows in one slice; `None` where there is something between them.
    pub(crate) fn dense(&mut self) -> Option<&mut [E]> {
        let columns = &self.columns;
        if columns.len() != self.stride {
            return None;
        }
        // SAFETY: as in `row`, for each row of the tile; and as rows are as long as they are apart, nothing else lies between them.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.start.add(self.rows.start * self.stride), self.rows.len() * self.stride)
        })
    }

    /// [`row`](TileMut::row), to look at only.
    #[inline(always)]
    pub(crate) fn peek(&self, row: u32) -> Option<&[E]> {
        let row = row as usize;
        if row < self.rows.start || row >= self.rows.end {
            return None;
        }
        let columns = &self.columns;
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

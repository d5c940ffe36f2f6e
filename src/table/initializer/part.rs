//! Draws a part of a table where it lies.

use super::Initializer;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::simd::Out;
use crate::table::{AnyViewMut, FILL_BYTES, TableViewMut};

impl Initializer {
    /// Writes the part of a table of shape `whole` that starts at row and column `first`, as [`Table::init`](crate::Table::init) would have it in the whole
    /// table. Beside the part one row of the table is held for each thread; [`Initializer::Orthogonal`] needs the whole matrix all the same.
    ///
    /// ```
    /// use hotrow::{AnyTable, DType, EmbeddingBagCollection, EmbeddingBagConfig, Initializer, Table};
    ///
    /// let whole = Table::<f32>::init(10, 8, Initializer::NORMAL, 7)?;
    /// let mut collection = EmbeddingBagCollection::new(vec![EmbeddingBagConfig::new("shard", 4, 3, ["a"])], 0)?;
    /// Initializer::NORMAL.draw_part([10, 8], 7, [6, 5], collection.table_mut("shard")?)?;
    /// assert_eq!(collection.table("shard")?.row_f32(1).as_deref(), whole.row(7).map(|row| &row[5..]));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the part reaches beyond the table, and those of [`Table::init`](crate::Table::init). Nothing is written then.
    pub fn draw_part(self, whole: [usize; 2], seed: u64, first: [usize; 2], out: AnyViewMut<'_>) -> Result<()> {
        match out {
            AnyViewMut::F32(out) => draw(self, whole, seed, first, out),
            AnyViewMut::F16(out) => draw(self, whole, seed, first, out),
            AnyViewMut::BF16(out) => draw(self, whole, seed, first, out),
        }
    }
}

fn draw<E: Element>(
    initializer: Initializer,
    [rows, dim]: [usize; 2],
    seed: u64,
    [row, column]: [usize; 2],
    out: TableViewMut<'_, E>,
) -> Result<()> {
    let (own_rows, own_dim, stride) = (out.rows(), out.dim(), out.stride());
    let ends = |first: usize, own: usize, all: usize| first.checked_add(own).is_some_and(|end| end <= all);
    if !ends(row, own_rows, rows) || !ends(column, own_dim, dim) {
        let (expected, needed) = (vec![rows, dim], row.saturating_add(own_rows));
        return Err(Error::ShapeMismatch { what: "part of a table", expected, needed, actual: rows });
    }
    let draw = initializer.prepare(rows, dim, seed)?;
    if own_rows == 0 || own_dim == 0 {
        return Ok(());
    }
    let block = (FILL_BYTES / (stride * size_of::<E>())).max(1) * stride;
    let workers = Parallelism::Auto.workers_for(own_rows * stride * size_of::<E>());
    let values = &mut out.into_values()[..(own_rows - 1) * stride + own_dim];
    par::chunks_mut(workers, values, block, &|start, piece| {
        // A row's values come one after the other out of one stream, so those before the part have to be drawn, too.
        let mut before = vec![E::default(); if column == 0 { 0 } else { column + own_dim }];
        for (at, cells) in piece.chunks_mut(stride).enumerate() {
            let row = row + start / stride + at;
            let cells = &mut cells[..own_dim];
            if column == 0 {
                draw.row(row, own_dim, &mut Out::over(cells));
            } else {
                draw.row(row, column + own_dim, &mut Out::over(&mut before));
                cells.copy_from_slice(&before[column..]);
            }
        }
    });
    Ok(())
}

//! Rows of a table, one after the other, into an output.
//!
//! ```text
//! rows   [ 7, 2, 7, MISSING ]
//! table  0: ....            out  7: aaaa
//!        2: bbbb       →         2: bbbb
//!        7: aaaa                 7: aaaa
//!                                -: ffff   (the fill value)
//! ```

use super::prefetch_distance;
use crate::Element;
use crate::element::Widen;
use crate::simd::{Kernel, Out, Simd};
use crate::table::TableView;

pub(crate) struct Gather<'a, 'o, E, O> {
    pub(crate) table: TableView<'a, E>,
    /// What the row numbers are raised by.
    pub(crate) base: u32,
    /// The rows of this block, and those after it: they are fetched ahead.
    pub(crate) rows: &'a [u32],
    /// How many of `rows` belong to this block.
    pub(crate) count: usize,
    /// What a missing row is made of.
    pub(crate) fill: O,
    /// Whether to write past the caches.
    pub(crate) stream: bool,
    pub(crate) out: &'a mut Out<'o, O>,
}

impl<E: Widen<O>, O: Element> Kernel for Gather<'_, '_, E, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.stream {
            self.rows::<S, true>(simd);
            simd.fence();
        } else {
            self.rows::<S, false>(simd);
        }
    }
}

impl<E: Widen<O>, O: Element> Gather<'_, '_, E, O> {
    #[inline(always)]
    fn rows<S: Simd, const STREAM: bool>(self, simd: S) {
        let Gather { table, base, rows, count, fill, out, .. } = self;
        let ahead = prefetch_distance(table.dim() * size_of::<E>());
        for (at, &row) in rows[..count].iter().enumerate() {
            if let Some(&next) = rows.get(at + ahead)
                && let Some(next) = table.row(next.wrapping_sub(base) as usize)
            {
                simd.prefetch(next);
            }
            match table.row(row.wrapping_sub(base) as usize) {
                Some(row) if STREAM => E::stream_row(simd, row, out),
                Some(row) => E::write_row(simd, row, out),
                None => out.push_fill(fill, table.dim()),
            }
        }
    }
}

//! The alternative that an embedding lookup avoids: the product of a one-hot matrix with the table, done well.
//!
//! It is a real matrix product over every zero, blocked, vectorized and on as many threads as the lookup may use: the crate
//! `matrixmultiply`, through `ndarray`, on one block of lines a thread. It runs on 256-bit vectors: a product on 512-bit ones was
//! measured 1.7 times faster (`faer`, 141 GFLOP/s instead of 82 on two threads), and took minutes to compile.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use hotrow::{Buffer, Result};

/// A one-hot matrix `[ids, rows]`, and the place for its product with a table `[rows, dim]`.
#[derive(Debug)]
pub(super) struct OneHotProduct {
    one_hot: Buffer<f32>,
    product: Buffer<f32>,
    /// The row that each line of the matrix selects now.
    ids: Vec<usize>,
    rows: usize,
    dim: usize,
    threads: usize,
}

impl OneHotProduct {
    /// A matrix whose lines all select row 0.
    ///
    /// # Errors
    ///
    /// When the memory is not there.
    pub(super) fn new(ids: usize, rows: usize, dim: usize, threads: usize) -> Result<OneHotProduct> {
        let mut one_hot = Buffer::zeros(ids * rows)?;
        one_hot.iter_mut().step_by(rows).for_each(|first| *first = 1.0);
        Ok(OneHotProduct { one_hot, product: Buffer::zeros(ids * dim)?, ids: vec![0; ids], rows, dim, threads })
    }

    /// Makes the lines select other rows.
    pub(super) fn select(&mut self, ids: &[usize]) {
        assert_eq!(ids.len(), self.ids.len(), "one id a line");
        for (line, (old, &new)) in self.one_hot.chunks_exact_mut(self.rows).zip(self.ids.iter_mut().zip(ids)) {
            line[*old] = 0.0;
            line[new] = 1.0;
            *old = new;
        }
    }

    /// Multiplies by the table, whose rows follow each other without gaps.
    pub(super) fn multiply(&mut self, table: &[f32]) {
        let (rows, dim) = (self.rows, self.dim);
        let lines = self.ids.len().div_ceil(self.threads).max(1);
        let table = ArrayView2::from_shape((rows, dim), table).expect("a table of this shape");
        let multiply = |(product, one_hot): (&mut [f32], &[f32])| {
            let lines = one_hot.len() / rows;
            let one_hot = ArrayView2::from_shape((lines, rows), one_hot).expect("whole lines");
            let mut product = ArrayViewMut2::from_shape((lines, dim), product).expect("whole lines");
            general_mat_mul(1.0, &one_hot, &table, 0.0, &mut product);
        };
        if self.threads == 1 {
            multiply((&mut self.product, &self.one_hot));
        } else {
            self.product.par_chunks_mut(lines * dim).zip(self.one_hot.par_chunks(lines * rows)).for_each(multiply);
        }
    }

    /// The last product, `[ids, dim]`.
    pub(super) fn product(&self) -> &[f32] {
        &self.product
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_selects_rows() {
        let (rows, dim) = (37, 5);
        let table: Vec<f32> = (0..rows * dim).map(|i| i as f32 - 90.0).collect();
        for threads in [1, 2] {
            let mut dense = OneHotProduct::new(4, rows, dim, threads).expect("a little memory");
            for ids in [[3, 36, 3, 0], [0, 0, 7, 12]] {
                dense.select(&ids);
                dense.multiply(&table);
                let expected: Vec<f32> = ids.iter().flat_map(|id| table[id * dim..][..dim].to_vec()).collect();
                assert_eq!(dense.product(), expected);
            }
        }
    }
}

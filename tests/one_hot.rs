//! A lookup equals the product of a one-hot matrix with the table, and its gradient the transpose's: on values that add exactly, to
//! the bit.

mod common;

use common::{DIMS, Random, assert_same, label, workspaces};
use hotrow::{Ids, Table, reference};
use proptest::prelude::*;

/// Multiples of 1/8 up to 16 in magnitude: sums of a few hundred are exact in f32.
fn exact(random: &mut Random, n: usize) -> Vec<f32> {
    (0..n).map(|_| (random.below(257) as f32 - 128.0) / 8.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn gather_is_the_one_hot_product(seed: u64, rows in 1usize..50, dim in proptest::sample::select(&DIMS[..]), n in 0usize..60) {
        let mut random = Random(seed);
        let values = exact(&mut random, rows * dim);
        let ids: Vec<u16> = (0..n).map(|_| random.below(rows) as u16).collect();
        let one_hot = reference::one_hot(Ids::from(&ids), rows).unwrap();
        prop_assert_eq!(one_hot.iter().filter(|&&x| x == 1.0).count(), n);
        let want = reference::matmul(&one_hot, &values, n, rows, dim);
        let table = Table::from_slice(&values, rows, dim).unwrap();
        for mut workspace in workspaces() {
            let got = workspace.gather(&table, &ids).unwrap();
            // The product turns -0 into 0; these values have no -0.
            assert_same(got.as_slice(), &want, &label(&workspace));
        }
    }

    #[test]
    fn scatter_add_is_the_transposed_product(seed: u64, rows in 1usize..50, dim in proptest::sample::select(&DIMS[..]), n in 0usize..60) {
        let mut random = Random(seed);
        let values = exact(&mut random, rows * dim);
        let source = exact(&mut random, n * dim);
        let ids: Vec<u8> = (0..n).map(|_| random.below(rows) as u8).collect();
        let one_hot = reference::one_hot(Ids::from(&ids), rows).unwrap();
        let transposed = reference::transpose(&one_hot, n, rows);
        let product = reference::matmul(&transposed, &source, rows, n, dim);
        let want: Vec<f32> = values.iter().zip(&product).map(|(x, y)| x + 0.5 * y).collect();
        for mut workspace in workspaces() {
            let mut table = Table::from_slice(&values, rows, dim).unwrap();
            workspace.scatter_add(&mut table, &ids, &source, 0.5).unwrap();
            assert_same(&table.to_vec(), &want, &label(&workspace));
            let dense = workspace.scatter_add_dense(&ids, &source, rows, dim).unwrap();
            assert_same(&dense.to_vec(), &product, &label(&workspace));
        }
    }
}

//! The sum of a row's squares.

use crate::element::lanes;
use crate::simd::{Kernel, Simd};

/// How many partial sums a sum over a row has, whatever the tier: value `k` goes to partial sum `k % 16`, and those are folded in halves.
const PARTS: usize = 16;

/// The sum of the squares of a row's values.
#[inline(always)]
pub(crate) fn sum_of_squares<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut parts = [0.0; PARTS];
    // One vector of partial sums on the widest tier, two on the others.
    let (mut first, mut second) = (simd.splat(0.0), simd.splat(0.0));
    let mut blocks = row.chunks_exact(PARTS);
    for block in &mut blocks {
        first = add_squares(simd, first, &block[..S::LANES]);
        if S::LANES < PARTS {
            second = add_squares(simd, second, &block[S::LANES..]);
        }
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        // Lanes past the end add +0, which changes no sum of squares.
        let (low, high) = rest.split_at(rest.len().min(S::LANES));
        let x = lanes::load_part(simd, low);
        first = simd.add(first, simd.mul(x, x));
        let x = lanes::load_part(simd, high);
        second = simd.add(second, simd.mul(x, x));
    }
    simd.store_f32(first, &mut parts);
    if S::LANES < PARTS {
        simd.store_f32(second, &mut parts[S::LANES..]);
    }
    let mut width = PARTS / 2;
    while width > 0 {
        for k in 0..width {
            parts[k] += parts[k + width];
        }
        width /= 2;
    }
    parts[0]
}

#[inline(always)]
fn add_squares<S: Simd>(simd: S, sum: S::V, values: &[f32]) -> S::V {
    let x = simd.load_f32(values);
    simd.add(sum, simd.mul(x, x))
}

/// The sum of the squares of these values.
pub(crate) struct SquareSum<'a> {
    pub(crate) values: &'a [f32],
}

impl Kernel for SquareSum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        sum_of_squares(simd, self.values)
    }
}

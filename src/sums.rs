//! The one shape of every sum over a row: value `k` goes to partial sum `k % 16`, and the partial sums are added by halves. It does
//! not depend on the width of a vector.

/// How many partial sums.
pub(crate) const LANES: usize = 16;

/// The partial sums together: each of the first half and its counterpart, until one is left.
#[inline(always)]
pub(crate) fn total(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The dot product of two rows of the same length. Called inside a kernel it uses the tier's vectors.
#[inline(always)]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (blocks, others) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (tail, other_tail) = (blocks.remainder(), others.remainder());
    for (a, b) in blocks.zip(others) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(tail.iter().zip(other_tail)) {
        *lane += a * b;
    }
    total(lanes)
}

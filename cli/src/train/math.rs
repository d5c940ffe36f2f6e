//! Arithmetic in a fixed order: the same bits from every compiler, machine and number of threads.

/// Partial sums of a dot product. Sixteen independent ones let the compiler use whole vector registers without changing the
/// order of the additions, which is written down below.
const LANES: usize = 16;

/// Adds the lanes in the shape of a balanced tree.
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The dot product of two vectors of one length: element `k` is added to lane `k % 16`, and the lanes are then added in the
/// shape of a tree.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    fold(lanes)
}

/// `dot(u, i - j)`, in the same order.
pub(super) fn margin(u: &[f32], i: &[f32], j: &[f32]) -> f32 {
    debug_assert!(u.len() == i.len() && u.len() == j.len());
    let mut lanes = [0.0; LANES];
    let (u, u_rest) = u.as_chunks::<LANES>();
    let (i, i_rest) = i.as_chunks::<LANES>();
    let (j, j_rest) = j.as_chunks::<LANES>();
    for ((u, i), j) in u.iter().zip(i).zip(j) {
        for lane in 0..LANES {
            lanes[lane] += u[lane] * (i[lane] - j[lane]);
        }
    }
    let rest = u_rest.iter().zip(i_rest).zip(j_rest);
    for (lane, ((u, i), j)) in lanes.iter_mut().zip(rest) {
        *lane += u * (i - j);
    }
    fold(lanes)
}

/// The BPR loss `-ln(sigmoid(x))` and how hard it pulls, `sigmoid(-x)`, for the margin `x` of the positive item.
///
/// `libm` is used because the `exp` and `ln` of the standard library may differ between platforms in the last bit.
pub(crate) fn loss_and_pull(x: f32) -> (f32, f32) {
    // With e in 0..=1 nothing overflows, whatever the sign of x.
    let e = libm::expf(-x.abs());
    let small = libm::log1pf(e);
    if x >= 0.0 { (small, e / (1.0 + e)) } else { (small - x, 1.0 / (1.0 + e)) }
}

/// Scores of all items for a few users: `scores[k * items + i]` is the dot product of user `k` and item `i`.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn score_block(users: &[&[f32]], items: &[f32], dim: usize, scores: &mut [f32]) {
    let count = items.len() / dim;
    assert_eq!(scores.len(), users.len() * count);
    for (at, item) in items.chunks_exact(dim).enumerate() {
        for (k, user) in users.iter().enumerate() {
            scores[k * count + at] = dot(user, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(dim: usize, salt: u32) -> Vec<f32> {
        (0..dim as u32).map(|k| ((k * 2_654_435 + salt * 97) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// The order in which the documentation says that the products are added.
    fn spelled_out(products: &[f32]) -> f32 {
        let mut lanes = [0.0f32; 16];
        for (k, product) in products.iter().enumerate() {
            lanes[k % 16] += product;
        }
        let pairs = |values: &[f32]| -> Vec<f32> {
            let half = values.len() / 2;
            (0..half).map(|k| values[k] + values[k + half]).collect()
        };
        pairs(&pairs(&pairs(&pairs(&lanes))))[0]
    }

    #[test]
    fn dots_add_in_the_order_that_is_documented() {
        for dim in [1, 2, 15, 16, 17, 31, 32, 64, 100] {
            let (u, i, j) = (vector(dim, 1), vector(dim, 2), vector(dim, 3));
            let products: Vec<_> = u.iter().zip(&i).map(|(u, i)| u * i).collect();
            assert_eq!(dot(&u, &i).to_bits(), spelled_out(&products).to_bits());
            let products: Vec<_> = (0..dim).map(|k| u[k] * (i[k] - j[k])).collect();
            assert_eq!(margin(&u, &i, &j).to_bits(), spelled_out(&products).to_bits());
            let exact: f64 = products.iter().map(|&p| f64::from(p)).sum();
            assert!((f64::from(margin(&u, &i, &j)) - exact).abs() < 1e-4);
        }
    }

    #[test]
    fn the_loss_and_its_slope_are_right_and_never_overflow() {
        for x in [-300.0f32, -20.0, -1.5, -0.0, 0.0, 0.3, 4.0, 80.0, 300.0] {
            let (loss, pull) = loss_and_pull(x);
            let wide = f64::from(x);
            let exact = if wide > 0.0 { (-wide).exp().ln_1p() } else { wide.exp().ln_1p() - wide };
            assert!((f64::from(loss) - exact).abs() <= 1e-6 * exact + 1e-38, "{x}: {loss} {exact}");
            let slope = 1.0 / (1.0 + wide.exp());
            assert!((f64::from(pull) - slope).abs() <= 1e-6 * slope + 1e-38, "{x}: {pull} {slope}");
        }
        let (loss, pull) = loss_and_pull(f32::NAN);
        assert!(loss.is_nan() && pull.is_nan());
    }

    #[test]
    fn blocks_of_scores_hold_every_dot() {
        let items = vector(5 * 3, 9);
        let (a, b) = (vector(3, 1), vector(3, 2));
        let mut scores = vec![0.0; 10];
        score_block(&[&a, &b], &items, 3, &mut scores);
        for i in 0..5 {
            assert_eq!(scores[i], dot(&a, &items[3 * i..][..3]));
            assert_eq!(scores[5 + i], dot(&b, &items[3 * i..][..3]));
        }
    }
}

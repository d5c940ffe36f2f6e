//! Follow the regularized leader.

use super::checks;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::simd::Simd;

/// FTRL-proximal, as TensorFlow 2's `ResourceSparseApplyFtrl` has it with `lr_power = -0.5` and no shrinkage.
///
/// ```text
/// n' = n + g * g
/// z += g - (sqrt(n') - sqrt(n)) / lr * w
/// w = 0                                                 where |z| <= l1
/// w = (sign(z) * l1 - z) / (sqrt(n') / lr + 2 * l2)     elsewhere
/// ```
///
/// So with L1 most weights are exactly zero. A NaN in `z` makes the weight NaN.
///
/// The states are `accum` (n) and `linear` (z), both `[rows, dim]`. A learning rate of zero is an error: the rule divides by it.
/// So is decoupled weight decay: the weights come from the state alone.
///
/// ```
/// use hotrow::{Ftrl, Optimizer};
///
/// let optimizer = Optimizer::new(Ftrl { lr: 0.1, l1: 0.01, ..Ftrl::default() }, 1000, 16)?;
/// assert_eq!(optimizer.state().map(|(name, _)| name).collect::<Vec<_>>(), ["accum", "linear"]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ftrl {
    /// The learning rate: finite, above zero.
    pub lr: f32,
    /// The weight of the L1 penalty: finite, not negative.
    pub l1: f32,
    /// The weight of the L2 penalty: finite, not negative.
    pub l2: f32,
    /// What the sums of squares start at: finite, not negative.
    pub initial_accumulator: f32,
}

impl Default for Ftrl {
    /// Keras: a learning rate of 0.001, no penalties, sums that start at 0.1.
    fn default() -> Ftrl {
        Ftrl { lr: 0.001, l1: 0.0, l2: 0.0, initial_accumulator: 0.1 }
    }
}

impl Ftrl {
    pub(super) fn validate(&self) -> Result<()> {
        checks::positive("lr", self.lr)?;
        checks::not_negative("l1", self.l1)?;
        checks::not_negative("l2", self.l2)?;
        checks::not_negative("initial_accumulator", self.initial_accumulator)
    }

    pub(super) fn states(&self) -> States {
        let accum = State { name: "accum", initial: self.initial_accumulator };
        let linear = State { name: "linear", initial: 0.0 };
        States { per_value: [Some(accum), Some(linear)], per_row: None, names: "accum, linear" }
    }

    pub(super) fn prepare<W: WithRule>(&self, _step: u64, with: W) -> W::Output {
        with.run(Row { lr: self.lr, l1: self.l1, twice_l2: 2.0 * self.l2 })
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    lr: f32,
    l1: f32,
    twice_l2: f32,
}

impl RowRule for Row {
    const PER_VALUE: usize = 2;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let [n, z] = *state;
        let (lr, l1) = (simd.splat(self.lr), simd.splat(self.l1));
        let more = simd.add(n, simd.mul(g, g));
        let root = simd.sqrt(more);
        let sigma = simd.div(simd.sub(root, simd.sqrt(n)), lr);
        let z = simd.sub(simd.add(z, g), simd.mul(sigma, w));
        *state = [more, z];
        let toward = simd.select_gt(z, simd.splat(0.0), l1, simd.splat(-self.l1));
        let rate = simd.add(simd.div(root, lr), simd.splat(self.twice_l2));
        let solution = simd.div(simd.sub(toward, z), rate);
        // Where it is not greater, `z - z` is zero, or NaN if `z` is.
        simd.select_gt(simd.abs(z), l1, solution, simd.sub(z, z))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let [n, z] = *state;
        let more = n + g * g;
        let root = more.sqrt();
        let sigma = (root - n.sqrt()) / self.lr;
        let z = z + g - sigma * w;
        *state = [more, z];
        let toward = if z > 0.0 { self.l1 } else { -self.l1 };
        if z.abs() > self.l1 {
            (toward - z) / (root / self.lr + self.twice_l2)
        } else if z.is_nan() {
            z
        } else {
            0.0
        }
    }
}

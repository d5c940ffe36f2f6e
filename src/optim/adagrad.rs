//! Adagrad: each value has a learning rate of its own, which its squared gradients bring down.

use super::checks;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::simd::Simd;

/// Adagrad, as PyTorch's `Adagrad`, FBGEMM's `EXACT_ADAGRAD` and Keras have it: `s += g * g; w -= lr * g / (sqrt(s) + eps)`.
///
/// The state is `sum`, `[rows, dim]`.
///
/// ```
/// use hotrow::{Adagrad, Optimizer};
///
/// let keras = Adagrad { lr: 0.001, eps: 1e-7, initial_accumulator: 0.1 };
/// let optimizer = Optimizer::new(keras, 10, 4)?;
/// assert_eq!(optimizer.state().next().unwrap().1.to_vec(), [0.1; 40]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// Added to the root: finite, not negative.
    pub eps: f32,
    /// What the sums start at: finite, not negative.
    pub initial_accumulator: f32,
}

impl Default for Adagrad {
    /// PyTorch: a learning rate of 0.01, eps 1e-10, sums that start at zero.
    fn default() -> Adagrad {
        Adagrad { lr: 0.01, eps: 1e-10, initial_accumulator: 0.0 }
    }
}

impl Adagrad {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::not_negative("eps", self.eps)?;
        checks::not_negative("initial_accumulator", self.initial_accumulator)
    }

    pub(super) fn states(&self) -> States {
        let sum = State { name: "sum", initial: self.initial_accumulator };
        States { per_value: [Some(sum), None], per_row: None, names: "sum" }
    }

    pub(super) fn prepare<W: WithRule>(&self, _step: u64, with: W) -> W::Output {
        with.run(Row { lr: self.lr, eps: self.eps })
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    lr: f32,
    eps: f32,
}

impl RowRule for Row {
    const PER_VALUE: usize = 1;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let sum = simd.add(state[0], simd.mul(g, g));
        state[0] = sum;
        let root = simd.add(simd.sqrt(sum), simd.splat(self.eps));
        simd.sub(w, simd.div(simd.mul(simd.splat(self.lr), g), root))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let sum = state[0] + g * g;
        state[0] = sum;
        w - self.lr * g / (sum.sqrt() + self.eps)
    }
}

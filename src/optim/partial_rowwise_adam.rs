//! Adam with one second moment for each row.

use super::checks;
use super::powers::bias_correction;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::kernel::sum_of_squares;
use crate::reference;
use crate::simd::Simd;

/// Partial row-wise Adam, as FBGEMM's `PARTIAL_ROWWISE_ADAM` has it: a first moment for each value, a second one for each row.
///
/// In step `t`: `v += (1 - beta2) * (mean(g * g) - v)` over the row, `m += (1 - beta1) * (g - m)`, and
/// `w -= lr / (1 - beta1^t) / (sqrt(v) / sqrt(1 - beta2^t) + eps) * m`. Rows that the batch does not name keep everything.
///
/// The states are `exp_avg` (m), `[rows, dim]`, and `exp_avg_sq` (v), `[rows, 1]`.
///
/// ```
/// use hotrow::{Optimizer, PartialRowWiseAdam};
///
/// let optimizer = Optimizer::new(PartialRowWiseAdam::default(), 1000, 16)?;
/// let states: Vec<_> = optimizer.state().map(|(name, table)| (name, table.shape())).collect();
/// assert_eq!(states, [("exp_avg", [1000, 16]), ("exp_avg_sq", [1000, 1])]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartialRowWiseAdam {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// How much of the first moment stays: at least 0 and less than 1.
    pub beta1: f32,
    /// How much of the second moment stays: at least 0 and less than 1.
    pub beta2: f32,
    /// Added to the root: finite, not negative.
    pub eps: f32,
}

impl Default for PartialRowWiseAdam {
    /// FBGEMM: a learning rate of 0.01, betas 0.9 and 0.999, eps 1e-8.
    fn default() -> PartialRowWiseAdam {
        PartialRowWiseAdam { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl PartialRowWiseAdam {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::decay_rate("beta1", self.beta1)?;
        checks::decay_rate("beta2", self.beta2)?;
        checks::not_negative("eps", self.eps)
    }

    pub(super) fn states(&self) -> States {
        let first = State { name: "exp_avg", initial: 0.0 };
        let second = State { name: "exp_avg_sq", initial: 0.0 };
        States { per_value: [Some(first), None], per_row: Some(second), names: "exp_avg, exp_avg_sq" }
    }

    pub(super) fn prepare<W: WithRule>(&self, step: u64, with: W) -> W::Output {
        let (first, second) = (bias_correction(self.beta1, step), bias_correction(self.beta2, step));
        with.run(Row {
            size: (f64::from(self.lr) / first) as f32,
            root: second.sqrt() as f32,
            rate1: 1.0 - self.beta1,
            rate2: 1.0 - self.beta2,
            eps: self.eps,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    size: f32,
    root: f32,
    rate1: f32,
    rate2: f32,
    eps: f32,
}

impl Row {
    #[inline(always)]
    fn factor(self, sum_of_squares: f32, dim: usize, state: &mut f32) -> f32 {
        let v = *state + self.rate2 * (sum_of_squares / dim as f32 - *state);
        *state = v;
        self.size / (v.sqrt() / self.root + self.eps)
    }
}

impl RowRule for Row {
    const PER_VALUE: usize = 1;
    const PER_ROW: bool = true;

    #[inline(always)]
    fn row<S: Simd>(self, simd: S, grad: &[f32], state: &mut f32) -> f32 {
        self.factor(sum_of_squares(simd, grad), grad.len(), state)
    }

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let m = simd.add(state[0], simd.mul(simd.splat(self.rate1), simd.sub(g, state[0])));
        state[0] = m;
        simd.sub(w, simd.mul(factor, m))
    }

    fn reference_row(self, grad: &[f32], state: &mut f32) -> f32 {
        self.factor(reference::dot(grad, grad), grad.len(), state)
    }

    fn reference_update(self, factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let m = state[0] + self.rate1 * (g - state[0]);
        state[0] = m;
        w - factor * m
    }
}

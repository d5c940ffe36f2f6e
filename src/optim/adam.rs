//! Adam.

use super::checks;
use super::powers::bias_correction;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::simd::Simd;

/// Adam, as PyTorch's `SparseAdam` has it, which is lazy: rows that the batch does not name keep their weights and moments.
///
/// In step `t`: `m += (1 - beta1) * (g - m); v += (1 - beta2) * (g * g - v); w -= c * (m / (sqrt(v) + eps))`, where
/// `c = lr * sqrt(1 - beta2^t) / (1 - beta1^t)` and `t` counts the optimizer's steps, not the row's.
///
/// The states are `exp_avg` (m) and `exp_avg_sq` (v), both `[rows, dim]`.
///
/// ```
/// use hotrow::{Adam, Optimizer};
///
/// let optimizer = Optimizer::new(Adam { lr: 0.01, ..Adam::default() }, 1000, 16)?;
/// let names: Vec<&str> = optimizer.state().map(|(name, _)| name).collect();
/// assert_eq!(names, ["exp_avg", "exp_avg_sq"]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// How much of the first moment stays: at least 0 and less than 1. As in PyTorch an f64: `1 - beta1` is rounded to f32, not `beta1`.
    pub beta1: f64,
    /// How much of the second moment stays: at least 0 and less than 1.
    pub beta2: f64,
    /// Added to the root: finite, not negative.
    pub eps: f32,
}

impl Default for Adam {
    /// PyTorch: a learning rate of 0.001, betas 0.9 and 0.999, eps 1e-8.
    fn default() -> Adam {
        Adam { lr: 0.001, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

/// The states of Adam and AdamW.
pub(super) fn moments() -> States {
    let first = State { name: "exp_avg", initial: 0.0 };
    let second = State { name: "exp_avg_sq", initial: 0.0 };
    States { per_value: [Some(first), Some(second)], per_row: None, names: "exp_avg, exp_avg_sq" }
}

impl Adam {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::decay_rate("beta1", self.beta1)?;
        checks::decay_rate("beta2", self.beta2)?;
        checks::not_negative("eps", self.eps)
    }

    pub(super) fn states(&self) -> States {
        moments()
    }

    pub(super) fn prepare<W: WithRule>(&self, step: u64, with: W) -> W::Output {
        let (first, second) = (bias_correction(self.beta1, step), bias_correction(self.beta2, step));
        let size = (f64::from(self.lr) * second.sqrt() / first) as f32;
        with.run(Row { size, rate1: (1.0 - self.beta1) as f32, rate2: (1.0 - self.beta2) as f32, eps: self.eps })
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    size: f32,
    rate1: f32,
    rate2: f32,
    eps: f32,
}

impl RowRule for Row {
    const PER_VALUE: usize = 2;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let [m, v] = *state;
        let m = simd.add(m, simd.mul(simd.splat(self.rate1), simd.sub(g, m)));
        let v = simd.add(v, simd.mul(simd.splat(self.rate2), simd.sub(simd.mul(g, g), v)));
        *state = [m, v];
        let root = simd.add(simd.sqrt(v), simd.splat(self.eps));
        simd.sub(w, simd.mul(simd.splat(self.size), simd.div(m, root)))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let [m, v] = *state;
        let m = m + self.rate1 * (g - m);
        let v = v + self.rate2 * (g * g - v);
        *state = [m, v];
        w - self.size * (m / (v.sqrt() + self.eps))
    }
}

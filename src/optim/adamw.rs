//! Adam with decoupled weight decay.

use super::adam::moments;
use super::checks;
use super::powers::bias_correction;
use super::rule::{RowRule, States, WithRule};
use crate::error::Result;
use crate::simd::Simd;

/// AdamW, as PyTorch's `AdamW` has it, on the rows that the batch names: the others keep their weights and moments, and do not
/// decay.
///
/// In step `t`: `w *= 1 - lr * weight_decay`, then `m += (1 - beta1) * (g - m); v += (1 - beta2) * (g * g - v);
/// w -= lr / (1 - beta1^t) * (m / (sqrt(v) / sqrt(1 - beta2^t) + eps))`.
///
/// The states are `exp_avg` (m) and `exp_avg_sq` (v), both `[rows, dim]`. The decay is this optimizer's own:
/// [`with_weight_decay`](crate::Optimizer::with_weight_decay) is refused beside it.
///
/// ```
/// use hotrow::{AdamW, Optimizer, WeightDecay};
///
/// let optimizer = Optimizer::new(AdamW { weight_decay: 0.1, ..AdamW::default() }, 1000, 16)?;
/// assert!(optimizer.with_weight_decay(WeightDecay::L2(0.1)).is_err());
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// How much of the first moment stays: at least 0 and less than 1. As in PyTorch an f64: `1 - beta1` is rounded to f32, not `beta1`.
    pub beta1: f64,
    /// How much of the second moment stays: at least 0 and less than 1.
    pub beta2: f64,
    /// Added to the root: finite, not negative.
    pub eps: f32,
    /// How fast weights decay: finite, not negative.
    pub weight_decay: f32,
}

impl Default for AdamW {
    /// PyTorch: a learning rate of 0.001, betas 0.9 and 0.999, eps 1e-8, a weight decay of 0.01.
    fn default() -> AdamW {
        AdamW { lr: 0.001, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamW {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::decay_rate("beta1", self.beta1)?;
        checks::decay_rate("beta2", self.beta2)?;
        checks::not_negative("eps", self.eps)?;
        checks::not_negative("weight_decay", self.weight_decay)
    }

    pub(super) fn states(&self) -> States {
        moments()
    }

    pub(super) fn prepare<W: WithRule>(&self, step: u64, with: W) -> W::Output {
        let (first, second) = (bias_correction(self.beta1, step), bias_correction(self.beta2, step));
        with.run(Row {
            size: (f64::from(self.lr) / first) as f32,
            root: second.sqrt() as f32,
            rate1: (1.0 - self.beta1) as f32,
            rate2: (1.0 - self.beta2) as f32,
            eps: self.eps,
        })
    }
}

/// The weights that it gets have decayed: that is the same for every optimizer, and done by whoever calls.
#[derive(Clone, Copy, Debug)]
struct Row {
    size: f32,
    root: f32,
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
        let root = simd.add(simd.div(simd.sqrt(v), simd.splat(self.root)), simd.splat(self.eps));
        simd.sub(w, simd.mul(simd.splat(self.size), simd.div(m, root)))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let [m, v] = *state;
        let m = m + self.rate1 * (g - m);
        let v = v + self.rate2 * (g * g - v);
        *state = [m, v];
        w - self.size * (m / (v.sqrt() / self.root + self.eps))
    }
}

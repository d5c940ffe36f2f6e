//! RMSProp.

use super::checks;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::simd::Simd;

/// RMSProp, as TensorFlow 2's `ResourceSparseApplyRMSProp` and Keras have it, not centered.
///
/// ```text
/// ms = rho * ms + (1 - rho) * (g * g)
/// mom = momentum * mom + lr * g / sqrt(ms + eps)
/// w -= mom
/// ```
///
/// Note where eps stands: PyTorch adds it to the root. Rows that the batch does not name keep everything.
///
/// The states are `ms` and `mom`, both `[rows, dim]`, the latter also without momentum, as TensorFlow has it.
///
/// ```
/// use hotrow::{Optimizer, RmsProp};
///
/// let optimizer = Optimizer::new(RmsProp { rho: 0.95, ..RmsProp::default() }, 1000, 16)?;
/// assert_eq!(optimizer.state().map(|(name, _)| name).collect::<Vec<_>>(), ["ms", "mom"]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// How much of the mean square stays: at least 0 and less than 1.
    pub rho: f32,
    /// How much of the last steps stays: at least 0 and less than 1.
    pub momentum: f32,
    /// Added to the mean square: finite, not negative.
    pub eps: f32,
}

impl Default for RmsProp {
    /// Keras: a learning rate of 0.001, rho 0.9, no momentum, eps 1e-7.
    fn default() -> RmsProp {
        RmsProp { lr: 0.001, rho: 0.9, momentum: 0.0, eps: 1e-7 }
    }
}

impl RmsProp {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::decay_rate("rho", self.rho)?;
        checks::decay_rate("momentum", self.momentum)?;
        checks::not_negative("eps", self.eps)
    }

    pub(super) fn states(&self) -> States {
        let square = State { name: "ms", initial: 0.0 };
        let momentum = State { name: "mom", initial: 0.0 };
        States { per_value: [Some(square), Some(momentum)], per_row: None, names: "ms, mom" }
    }

    pub(super) fn prepare<W: WithRule>(&self, _step: u64, with: W) -> W::Output {
        with.run(Row { lr: self.lr, rho: self.rho, rate: 1.0 - self.rho, momentum: self.momentum, eps: self.eps })
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    lr: f32,
    rho: f32,
    rate: f32,
    momentum: f32,
    eps: f32,
}

impl RowRule for Row {
    const PER_VALUE: usize = 2;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let [ms, mom] = *state;
        let ms = simd.add(simd.mul(simd.splat(self.rho), ms), simd.mul(simd.splat(self.rate), simd.mul(g, g)));
        let root = simd.sqrt(simd.add(ms, simd.splat(self.eps)));
        let step = simd.div(simd.mul(simd.splat(self.lr), g), root);
        let mom = simd.add(simd.mul(simd.splat(self.momentum), mom), step);
        *state = [ms, mom];
        simd.sub(w, mom)
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let [ms, mom] = *state;
        let ms = self.rho * ms + self.rate * (g * g);
        let mom = self.momentum * mom + self.lr * g / (ms + self.eps).sqrt();
        *state = [ms, mom];
        w - mom
    }
}

//! Stochastic gradient descent.

use super::checks;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::simd::Simd;

/// Gradient descent, as TensorFlow 2 and PyTorch have it: `w -= lr * g`, or with momentum `a = momentum * a + g; w -= lr * a`, or
/// Nesterov's `w -= lr * (g + momentum * a)`.
///
/// A momentum of zero keeps no state. Else the state is `momentum`, `[rows, dim]`, which starts at zero; only rows that the batch
/// names move, as in TensorFlow 2's `ResourceSparseApplyMomentum`, and unlike a dense optimizer, which would let every row coast
/// on.
///
/// ```
/// use hotrow::{Optimizer, Sgd};
///
/// let optimizer = Optimizer::new(Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() }, 1000, 16)?;
/// assert_eq!(optimizer.state().map(|(name, table)| (name, table.shape())).collect::<Vec<_>>(), [("momentum", [1000, 16])]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// How much of the last steps stays: at least 0 and less than 1.
    pub momentum: f32,
    /// Whether to look ahead by the momentum.
    pub nesterov: bool,
}

impl Default for Sgd {
    /// Keras: a learning rate of 0.01, no momentum.
    fn default() -> Sgd {
        Sgd { lr: 0.01, momentum: 0.0, nesterov: false }
    }
}

impl Sgd {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::decay_rate("momentum", self.momentum)
    }

    pub(super) fn states(&self) -> States {
        if self.momentum == 0.0 {
            return States::none();
        }
        let momentum = State { name: "momentum", initial: 0.0 };
        States { per_value: [Some(momentum), None], per_row: None, names: "momentum" }
    }

    pub(super) fn prepare<W: WithRule>(&self, _step: u64, with: W) -> W::Output {
        let (lr, momentum) = (self.lr, self.momentum);
        match (momentum == 0.0, self.nesterov) {
            (true, _) => with.run(Plain { lr }),
            (false, false) => with.run(Momentum { lr, momentum }),
            (false, true) => with.run(Nesterov { lr, momentum }),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Plain {
    lr: f32,
}

impl RowRule for Plain {
    const PER_VALUE: usize = 0;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, _state: &mut [S::V; 2]) -> S::V {
        simd.sub(w, simd.mul(simd.splat(self.lr), g))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, _state: &mut [f32; 2]) -> f32 {
        w - self.lr * g
    }
}

#[derive(Clone, Copy, Debug)]
struct Momentum {
    lr: f32,
    momentum: f32,
}

impl RowRule for Momentum {
    const PER_VALUE: usize = 1;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let a = simd.add(simd.mul(state[0], simd.splat(self.momentum)), g);
        state[0] = a;
        simd.sub(w, simd.mul(simd.splat(self.lr), a))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let a = state[0] * self.momentum + g;
        state[0] = a;
        w - self.lr * a
    }
}

#[derive(Clone, Copy, Debug)]
struct Nesterov {
    lr: f32,
    momentum: f32,
}

impl RowRule for Nesterov {
    const PER_VALUE: usize = 1;

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, _factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V {
        let momentum = simd.splat(self.momentum);
        let a = simd.add(simd.mul(state[0], momentum), g);
        state[0] = a;
        simd.sub(w, simd.mul(simd.splat(self.lr), simd.add(g, simd.mul(momentum, a))))
    }

    fn reference_update(self, _factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32 {
        let a = state[0] * self.momentum + g;
        state[0] = a;
        w - self.lr * (g + self.momentum * a)
    }
}

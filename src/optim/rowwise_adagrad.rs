//! Adagrad with one sum for each row.

use super::checks;
use super::rule::{RowRule, State, States, WithRule};
use crate::error::Result;
use crate::kernel::sum_of_squares;
use crate::reference;
use crate::simd::Simd;

/// Row-wise Adagrad, as FBGEMM's `EXACT_ROWWISE_ADAGRAD` has it: `s += mean(g * g)` over the row; `w -= lr / (sqrt(s) + eps) * g`.
///
/// The state is `sum`, `[rows, 1]`: for tables of 64 columns, 64 times less than Adagrad's. This is what recommenders are trained
/// with.
///
/// ```
/// use hotrow::{Optimizer, RowWiseAdagrad};
///
/// let optimizer = Optimizer::new(RowWiseAdagrad { lr: 0.05, ..RowWiseAdagrad::default() }, 1000, 64)?;
/// assert_eq!(optimizer.state().next().unwrap().1.shape(), [1000, 1]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowWiseAdagrad {
    /// The learning rate: finite, not negative.
    pub lr: f32,
    /// Added to the root: finite, not negative.
    pub eps: f32,
    /// What the sums start at: finite, not negative.
    pub initial_accumulator: f32,
}

impl Default for RowWiseAdagrad {
    /// FBGEMM: a learning rate of 0.01, eps 1e-8, sums that start at zero.
    fn default() -> RowWiseAdagrad {
        RowWiseAdagrad { lr: 0.01, eps: 1e-8, initial_accumulator: 0.0 }
    }
}

impl RowWiseAdagrad {
    pub(super) fn validate(&self) -> Result<()> {
        checks::not_negative("lr", self.lr)?;
        checks::not_negative("eps", self.eps)?;
        checks::not_negative("initial_accumulator", self.initial_accumulator)
    }

    pub(super) fn states(&self) -> States {
        let sum = State { name: "sum", initial: self.initial_accumulator };
        States { per_value: [None, None], per_row: Some(sum), names: "sum" }
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

impl Row {
    #[inline(always)]
    fn factor(self, sum_of_squares: f32, dim: usize, state: &mut f32) -> f32 {
        let sum = *state + sum_of_squares / dim as f32;
        *state = sum;
        self.lr / (sum.sqrt() + self.eps)
    }
}

impl RowRule for Row {
    const PER_VALUE: usize = 0;
    const PER_ROW: bool = true;

    #[inline(always)]
    fn row<S: Simd>(self, simd: S, grad: &[f32], state: &mut f32) -> f32 {
        self.factor(sum_of_squares(simd, grad), grad.len(), state)
    }

    #[inline(always)]
    fn update<S: Simd>(self, simd: S, factor: S::V, w: S::V, g: S::V, _state: &mut [S::V; 2]) -> S::V {
        simd.sub(w, simd.mul(factor, g))
    }

    fn reference_row(self, grad: &[f32], state: &mut f32) -> f32 {
        self.factor(reference::dot(grad, grad), grad.len(), state)
    }

    fn reference_update(self, factor: f32, w: f32, g: f32, _state: &mut [f32; 2]) -> f32 {
        w - factor * g
    }
}

//! How new weights are rounded, and the settled numbers of one step's options.

use super::columns::Wider;
use super::philox::{RUN, philox, philox_run};

/// How the new weights of an f16 or bf16 table are rounded. An f32 table's are stored as they are.
///
/// Rounding to nearest loses every update that is smaller than half of a weight's last place, and late in training most are.
/// Stochastic rounding goes up with a probability equal to the fraction lost, so that the expected weight is exact, and small
/// updates add up. The random numbers come from Philox4x32-10 with the seed as key and the row, the column and the step as
/// counter: the result does not depend on threads.
///
/// ```
/// use hotrow::{Optimizer, Rounding, Sgd};
///
/// let optimizer = Optimizer::new(Sgd::default(), 1000, 16)?.with_rounding(Rounding::Stochastic { seed: 7 });
/// assert_eq!(optimizer.rounding(), Rounding::Stochastic { seed: 7 });
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rounding {
    /// To nearest, ties to even.
    #[default]
    Nearest,
    /// Up or down at random, in proportion to what is lost.
    Stochastic {
        /// The same seed gives the same weights. Tables that are trained together should have seeds of their own.
        seed: u64,
    },
}

/// The random numbers of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    key: [u32; 2],
    step: [u32; 2],
}

impl Noise {
    pub(crate) fn new(seed: u64, step: u64) -> Noise {
        Noise { key: [seed as u32, (seed >> 32) as u32], step: [step as u32, (step >> 32) as u32] }
    }

    /// The random word of one weight.
    pub(crate) fn word(self, row: u32, column: usize) -> u32 {
        philox([row, (column / 4) as u32, self.step[0], self.step[1]], self.key)[column % 4]
    }

    /// The random words of the weights from `column`, which is a multiple of four.
    #[inline(always)]
    pub(crate) fn run(self, row: u32, column: usize) -> [u32; RUN] {
        philox_run([row, (column / 4) as u32, self.step[0], self.step[1]], self.key)
    }
}

/// What one step does to each row beside the rule itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepOptions {
    /// Brings each value of the summed gradient into `-clip..=clip`.
    pub(crate) clip: Option<f32>,
    /// Adds so many weights to the gradient.
    pub(crate) l2: Option<f32>,
    /// What is kept of the weights before the update: 1 where nothing decays, which changes no bits.
    pub(crate) keep: f32,
    /// Scales rows of a greater norm down to it, after the update and before rounding.
    pub(crate) max_norm: Option<f32>,
    /// Rounds at random.
    pub(crate) noise: Option<Noise>,
    /// What the gradient is of, where the table is only some of its columns. Only for rules with a state of each row, and without `l2` and `max_norm`.
    pub(crate) wider: Option<Wider>,
}

//! What decides the result of training.

use serde::{Deserialize, Serialize};

use super::optimizer::Method;
use crate::model::Precision;

/// What decides the result of training. Threads and instruction sets are not among it: they change the speed alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Numbers in an embedding.
    pub dim: usize,
    /// Passes over the training data.
    pub epochs: usize,
    /// How steps are made of gradients. Models of the time before there was a choice were trained with plain gradient descent.
    #[serde(default = "before_there_was_a_choice")]
    pub optimizer: Method,
    /// Step size of the first epoch; it falls by the same amount each epoch, towards 0 (with FTRL it stays).
    pub lr: f32,
    /// Strength of the pull of embeddings to zero.
    pub l2: f32,
    /// Samples in a step.
    pub batch: usize,
    /// Type of the numbers in the tables.
    pub dtype: Precision,
    /// Seed of all random numbers.
    pub seed: u64,
}

fn before_there_was_a_choice() -> Method {
    Method::Sgd
}

impl Settings {
    /// The step size of an epoch, from 0, as far as the optimizer lets it change. With a constant one the embeddings would never settle, and the last few steps would
    /// decide much of the result.
    pub(crate) fn rate(&self, epoch: usize) -> f32 {
        if !self.optimizer.slows_down() {
            return self.lr;
        }
        let left = (self.epochs - epoch) as f64 / self.epochs as f64;
        (f64::from(self.lr) * left) as f32
    }
}

//! Factorization machines over sparse features, with the logistic loss.
//!
//! The score of an example with features `i` and values `x_i` is
//! `w0 + sum of w_i x_i + 1/2 sum over f of ((sum of v_if x_i)^2 - sum of v_if^2 x_i^2)`:
//! a weight for each feature, and for each pair of features the dot product of their vectors. Both sums over features are bags of
//! the engine, and so is the last, over a table of the squared lengths of the vectors.

mod batch;
mod learn;
mod model;
mod quality;
mod run;

pub use model::Machine;
pub use quality::{Quality, measure};
pub use run::{Epoch, Trained, train};

#[cfg(test)]
mod tests {
    use crate::model::Precision;
    use crate::train::{Method, Settings};

    /// Plain gradient descent with steps of the size of the gradient.
    pub(super) fn settings(dim: usize) -> Settings {
        Settings { dim, batch: 3, optimizer: Method::Sgd, lr: 1.0, l2: 0.0, epochs: 1, dtype: Precision::F32, seed: 1 }
    }

    /// The formula, pair by pair.
    pub(super) fn score(bias: f64, weights: &[f64], vectors: &[f64], (features, values): (&[u32], &[f32])) -> f64 {
        let dim = vectors.len() / weights.len();
        let vector = |feature: u32| &vectors[feature as usize * dim..][..dim];
        let mut score = bias;
        for (at, (&i, &x)) in features.iter().zip(values).enumerate() {
            score += weights[i as usize] * f64::from(x);
            for (&j, &y) in features.iter().zip(values).take(at) {
                let product: f64 = vector(i).iter().zip(vector(j)).map(|(a, b)| a * b).sum();
                score += product * f64::from(x) * f64::from(y);
            }
        }
        score
    }
}

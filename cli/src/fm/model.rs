//! What a factorization machine knows, and how it scores.

use hotrow::{Initializer, Table, Workspace};

use super::batch::Batch;
use crate::data::Examples;
use crate::model::Weight;
use crate::train::{Settings, TrainError, dot};

/// Standard deviation of the initial vectors.
const SPREAD: f32 = 0.01;
/// Examples that are scored in one go.
const BLOCK: usize = 4096;

/// A factorization machine.
#[derive(Debug)]
pub struct Machine<E: Weight> {
    /// The score of an example without features, `[1, 1]`.
    pub bias: Table<f32>,
    /// A weight for each feature, `[features, 1]`.
    pub weights: Table<E>,
    /// A vector for each feature, `[features, dim]`.
    pub vectors: Table<E>,
    /// The squared length of each vector, `[features, 1]`.
    lengths: Table<f32>,
}

impl<E: Weight> Machine<E> {
    /// One that has learnt nothing: weights of zero, and small random vectors.
    pub(super) fn new(features: usize, settings: &Settings) -> hotrow::Result<Self> {
        let normal = Initializer::Normal { mean: 0.0, std: SPREAD };
        let mut machine = Machine {
            bias: Table::zeros(1, 1)?,
            weights: Table::zeros(features, 1)?,
            vectors: Table::init(features, settings.dim, normal, settings.seed)?,
            lengths: Table::zeros(features, 1)?,
        };
        machine.measure(0..features as u32);
        Ok(machine)
    }

    /// Brings the lengths of these vectors up to date.
    pub(super) fn measure(&mut self, features: impl IntoIterator<Item = u32>) {
        let mut wide = Vec::with_capacity(self.vectors.dim());
        for feature in features {
            let vector = self.vectors.row(feature as usize).unwrap_or_default();
            wide.clear();
            wide.extend(vector.iter().map(|value| value.to_f32()));
            if let Some([length]) = self.lengths.row_mut(feature as usize) {
                *length = dot(&wide, &wide);
            }
        }
    }

    /// Whether no number is infinite or none.
    pub(super) fn is_finite(&self) -> bool {
        let finite = |table: &Table<E>| table.iter().flatten().all(|value| value.to_f32().is_finite());
        finite(&self.weights) && finite(&self.vectors) && self.bias.iter().flatten().all(|value| value.is_finite())
    }

    /// The score of each of these examples, whose features must be rows of the tables.
    ///
    /// # Errors
    /// The engine's, for a feature that is no row.
    pub fn scores(&self, examples: &Examples, workspace: &mut Workspace) -> Result<Vec<f32>, TrainError> {
        let (mut batch, mut scoring) = (Batch::default(), Scoring::default());
        let mut all = Vec::with_capacity(examples.len());
        for start in (0..examples.len()).step_by(BLOCK) {
            batch.fill(examples, start..examples.len().min(start + BLOCK));
            scoring.score(self, &batch, workspace)?;
            all.extend_from_slice(&scoring.scores);
        }
        Ok(all)
    }
}

/// The scores of a batch, and what the way to them gave.
#[derive(Debug, Default)]
pub(super) struct Scoring {
    /// The sum of the vectors of each example, `[examples, dim]`.
    pub sums: Vec<f32>,
    /// The score of each example.
    pub scores: Vec<f32>,
    /// The sum of the squared lengths of each example's vectors.
    squares: Vec<f32>,
}

impl Scoring {
    pub(super) fn score<E: Weight>(
        &mut self,
        machine: &Machine<E>,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Result<(), TrainError> {
        let (count, dim) = (batch.len(), machine.vectors.dim());
        let memory = |_| TrainError::Memory { rows: count, dim };
        let numbers = count.checked_mul(dim).ok_or(TrainError::Memory { rows: count, dim })?;
        self.sums.try_reserve(numbers.saturating_sub(self.sums.len())).map_err(memory)?;
        self.sums.resize(numbers, 0.0);
        self.scores.resize(count, 0.0);
        self.squares.resize(count, 0.0);
        batch.pool(&machine.vectors, &mut self.sums, workspace)?;
        batch.pool(&machine.weights, &mut self.scores, workspace)?;
        batch.pool_squares(&machine.lengths, &mut self.squares, workspace)?;
        let bias = machine.bias.row(0).map_or(0.0, |row| row[0]);
        for ((score, sum), squares) in self.scores.iter_mut().zip(self.sums.chunks_exact(dim)).zip(&self.squares) {
            *score = bias + *score + 0.5 * (dot(sum, sum) - squares);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_libfm;
    use crate::fm::tests::{score, settings};

    #[test]
    fn scores_are_those_of_the_formula() {
        let mut machine = Machine::<f32>::new(4, &settings(5)).unwrap();
        machine.bias = Table::from_slice(&[0.25], 1, 1).unwrap();
        machine.weights = Table::from_slice(&[0.5, -1.0, 0.0, 2.0], 4, 1).unwrap();
        machine.vectors = Table::from_fn(4, 5, |row, column| ((row * 7 + column * 3) % 5) as f32 / 4.0 - 0.5).unwrap();
        machine.measure(0..4);
        for text in ["1 0:1 3:1\n1\n-1 1:1\n1 0:1 1:1 2:1 3:1", "1 0:0.5 2:-2\n-1\n1 3:1e-3 1:1 2:0"] {
            let examples = read_libfm(text.as_bytes()).unwrap();
            let scores = machine.scores(&examples, &mut Workspace::new()).unwrap();
            let vectors: Vec<f64> = machine.vectors.iter().flatten().map(|&value| f64::from(value)).collect();
            for (example, &found) in scores.iter().enumerate() {
                let exact = score(0.25, &[0.5, -1.0, 0.0, 2.0], &vectors, examples.of(example));
                assert!((f64::from(found) - exact).abs() < 1e-6, "{text} {example}: {found} {exact}");
            }
        }
    }
}

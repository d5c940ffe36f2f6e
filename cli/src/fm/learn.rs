//! One step down the slope of the logistic loss.

use hotrow::{Gradient, Optimizer, SparseGrad, WeightDecay, Workspace};

use super::batch::Batch;
use super::model::{Machine, Scoring};
use super::quality::loss;
use super::run::Epoch;
use crate::model::{BIAS, VECTOR_TABLE, WEIGHT_TABLE, Weight};
use crate::train::{Keeper, Part, Position, Settings, TrainError};

/// A machine that learns.
pub(super) struct Learner<E: Weight> {
    pub machine: Machine<E>,
    bias_steps: Optimizer,
    weight_steps: Optimizer,
    vector_steps: Optimizer,
    scoring: Scoring,
    /// The slope of the mean loss by the score of each example.
    slopes: Vec<f32>,
    /// The values of a gradient in the making.
    numbers: Vec<f32>,
    workspace: Workspace,
}

impl<E: Weight> Learner<E> {
    pub(super) fn new(features: usize, settings: &Settings, workspace: Workspace) -> Result<Self, TrainError> {
        let machine = Machine::new(features, settings)?;
        let Settings { optimizer: method, lr, l2, .. } = *settings;
        let decay = if method.leaves_penalty() { WeightDecay::L2(l2) } else { WeightDecay::None };
        Ok(Learner {
            bias_steps: method.optimizer(lr, 0.0, &machine.bias)?,
            weight_steps: method.optimizer(lr, l2, &machine.weights)?.with_weight_decay(decay)?,
            vector_steps: method.optimizer(lr, l2, &machine.vectors)?.with_weight_decay(decay)?,
            machine,
            scoring: Scoring::default(),
            slopes: Vec::new(),
            numbers: Vec::new(),
            workspace,
        })
    }

    /// Goes on with what is kept, if anything is; returns where.
    pub(super) fn restore(&mut self, keeper: &mut Keeper<'_>) -> Result<Position<Epoch>, TrainError> {
        let Some((position, mut resumed)) = keeper.start()? else { return Ok(Position::default()) };
        resumed.take(BIAS, &mut self.machine.bias, &mut self.bias_steps)?;
        resumed.take(WEIGHT_TABLE, &mut self.machine.weights, &mut self.weight_steps)?;
        resumed.take(VECTOR_TABLE, &mut self.machine.vectors, &mut self.vector_steps)?;
        // The lengths follow from the vectors.
        self.machine.measure(0..self.machine.vectors.rows() as u32);
        Ok(position)
    }

    /// What is to be kept.
    pub(super) fn parts(&self) -> [Part<'_>; 3] {
        let Machine { bias, weights, vectors, .. } = &self.machine;
        [
            Part { name: BIAS, table: bias.into(), optimizer: &self.bias_steps },
            Part { name: WEIGHT_TABLE, table: weights.into(), optimizer: &self.weight_steps },
            Part { name: VECTOR_TABLE, table: vectors.into(), optimizer: &self.vector_steps },
        ]
    }

    /// Sets the size of the steps.
    pub(super) fn set_rate(&mut self, rate: f32) -> hotrow::Result<()> {
        self.bias_steps.set_lr(rate)?;
        self.weight_steps.set_lr(rate)?;
        self.vector_steps.set_lr(rate)
    }

    /// Learns a batch in one step, and returns the sum of its losses before the step.
    pub(super) fn learn(&mut self, batch: &Batch) -> Result<f64, TrainError> {
        self.scoring.score(&self.machine, batch, &mut self.workspace)?;
        let count = batch.len() as f32;
        let mut sum = 0.0;
        self.slopes.clear();
        self.slopes.extend(self.scoring.scores.iter().zip(&batch.labels).map(|(&score, &label)| {
            let (loss, slope) = loss(score, label);
            sum += f64::from(loss);
            slope / count
        }));
        if batch.entries() > 0 {
            let [features, dim] = self.machine.vectors.shape();
            let weights = self.workspace.sparse_grad(batch.gradient(&self.slopes), features, 1)?;
            let squares = match batch.gradient_of_squares(&self.slopes) {
                Some(gradient) => &self.workspace.sparse_grad(gradient, features, 1)?,
                None => &weights,
            };
            for (sum, slope) in self.scoring.sums.chunks_exact_mut(dim).zip(&self.slopes) {
                sum.iter_mut().for_each(|value| *value *= slope);
            }
            let sums = self.workspace.sparse_grad(batch.gradient(&self.scoring.sums), features, dim)?;
            let vectors = self.vector_gradient(&sums, squares)?;
            self.workspace.step(&mut self.weight_steps, &mut self.machine.weights, Gradient::of_sparse(&weights))?;
            self.workspace.step(&mut self.vector_steps, &mut self.machine.vectors, Gradient::of_sparse(&vectors))?;
            self.machine.measure(vectors.rows().iter().copied());
        }
        let all = [self.slopes.iter().sum::<f32>()];
        self.workspace.step(&mut self.bias_steps, &mut self.machine.bias, Gradient::of_gather(&[0], &all))?;
        Ok(sum)
    }

    /// The gradient of the mean loss by the vectors. The score of an example with the slope `g` has the slope `x_i (S - x_i v_i)` by
    /// the vector `v_i`, where `S` is the sum of its weighted vectors. So over the batch, `sums` is the gradient of a bag whose output
    /// has the gradient `g S`, and what is left is `v_i` times `squares`, the gradient of a bag of numbers weighted with `x_i^2`.
    fn vector_gradient(&mut self, sums: &SparseGrad, squares: &SparseGrad) -> hotrow::Result<SparseGrad> {
        let [features, dim] = self.machine.vectors.shape();
        self.numbers.clear();
        self.numbers.extend_from_slice(sums.values());
        for ((values, &row), factor) in self.numbers.chunks_exact_mut(dim).zip(sums.rows()).zip(squares.values()) {
            let vector = self.machine.vectors.row(row as usize).unwrap_or_default();
            for (value, number) in values.iter_mut().zip(vector) {
                *value -= factor * number.to_f32();
            }
        }
        SparseGrad::from_parts(sums.rows().to_vec(), &self.numbers, features, dim)
    }
}

#[cfg(test)]
mod tests {
    use hotrow::Table;

    use super::*;
    use crate::data::{Examples, read_libfm};
    use crate::fm::tests::{score, settings};

    /// The mean loss of all examples, of the bias, the weights and the vectors one after the other.
    fn objective(numbers: &[f64], features: usize, examples: &Examples) -> f64 {
        let (weights, vectors) = numbers[1..].split_at(features);
        let losses = examples.labels().iter().enumerate().map(|(example, &label)| {
            let score = score(numbers[0], weights, vectors, examples.of(example));
            (if label { -score } else { score }).exp().ln_1p()
        });
        losses.sum::<f64>() / examples.len() as f64
    }

    fn numbers(machine: &Machine<f32>) -> Vec<f64> {
        let tables = [&machine.bias, &machine.weights, &machine.vectors];
        tables.into_iter().flat_map(|table| table.iter().flatten()).map(|&value| f64::from(value)).collect()
    }

    /// A step of plain gradient descent with the step size 1 moves each number by its gradient.
    #[test]
    fn steps_go_down_the_slope_of_the_loss() {
        for text in ["1 0:1 3:1\n0\n0 1:1 3:1 2:1\n1 0:1 1:1", "1 0:0.5 3:-2\n0 0:3\n1 1:1 3:0.25 2:-1\n0 3:1 0:2"] {
            for planned in [false, true] {
                let examples = read_libfm(text.as_bytes()).unwrap();
                let mut learner = Learner::<f32>::new(5, &settings(3), Workspace::new()).unwrap();
                learner.machine.weights = Table::from_slice(&[0.5, -1.0, 0.0, 2.0, 0.0], 5, 1).unwrap();
                learner.machine.vectors =
                    Table::from_fn(5, 3, |row, column| ((row * 7 + column * 3) % 5) as f32 / 4.0 - 0.4).unwrap();
                learner.machine.measure(0..5);
                let before = numbers(&learner.machine);
                let mut batch = Batch::default();
                batch.fill(&examples, 0..4);
                if planned {
                    batch.plan(5, &mut Workspace::new()).unwrap();
                }
                let sum = learner.learn(&batch).unwrap();
                assert!((sum / 4.0 - objective(&before, 5, &examples)).abs() < 1e-6);
                let after = numbers(&learner.machine);
                for k in 0..before.len() {
                    let at = |h: f64| {
                        let mut moved = before.clone();
                        moved[k] += h;
                        objective(&moved, 5, &examples)
                    };
                    let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!((before[k] - after[k] - slope).abs() < 1e-6, "{text} {planned} {k}: {slope}");
                }
                // The lengths have followed: the scores are those of a machine made anew.
                let scores = learner.machine.scores(&examples, &mut Workspace::new()).unwrap();
                learner.machine.measure(0..5);
                assert_eq!(scores, learner.machine.scores(&examples, &mut Workspace::new()).unwrap());
            }
        }
    }
}

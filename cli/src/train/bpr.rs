//! One step down the slope of the BPR loss, over the engine's public operations.

use hotrow::{Gradient, Initializer, Optimizer, Table, Workspace};

use super::keep::{Keeper, Part, Position};
use super::math::{loss_and_pull, margin};
use super::run::TrainError;
use super::sampler::Samples;
use super::settings::Settings;
use crate::data::Dataset;
use crate::model::{ITEM_TABLE, USER_TABLE, Weight};

/// Standard deviation of the initial embeddings.
const SPREAD: f32 = 0.1;

/// Matrix factorization: the score of an item for a user is the dot product of their embeddings.
pub(super) struct Bpr<E: Weight> {
    pub users: Table<E>,
    pub items: Table<E>,
    user_steps: Optimizer,
    item_steps: Optimizer,
    workspace: Workspace,
    batch: usize,
    l2: f32,
    /// Ids of a batch's items: all positives, then all negatives.
    item_ids: Vec<u32>,
    /// Embeddings of a batch's users, and in their place their gradients.
    user_rows: Vec<f32>,
    /// The same for the items.
    item_rows: Vec<f32>,
}

impl<E: Weight> Bpr<E> {
    pub(super) fn new(data: &Dataset, settings: &Settings, samples: usize, workspace: Workspace) -> Result<Self, TrainError> {
        let normal = || Initializer::Normal { mean: 0.0, std: SPREAD };
        // Two seeds from one, so that users and items do not start out as copies of each other.
        let seed = settings.seed.wrapping_mul(2);
        let rows = settings.batch.min(samples);
        let reserve = |rows_each| reserve(rows_each, rows, settings.dim);
        let users = Table::init(data.users.len(), settings.dim, normal(), seed)?;
        let items = Table::init(data.items.len(), settings.dim, normal(), seed.wrapping_add(1))?;
        let optimizer = |table| settings.optimizer.optimizer(settings.lr, settings.l2, table);
        Ok(Bpr {
            user_steps: optimizer(&users)?,
            item_steps: optimizer(&items)?,
            users,
            items,
            workspace,
            batch: settings.batch,
            l2: if settings.optimizer.leaves_penalty() { settings.l2 } else { 0.0 },
            item_ids: Vec::new(),
            user_rows: reserve(1)?,
            item_rows: reserve(2)?,
        })
    }

    /// Goes on with what is kept, if anything is; returns where.
    pub(super) fn restore(&mut self, keeper: &mut Keeper<'_>) -> Result<Position<f64>, TrainError> {
        let Some((position, mut resumed)) = keeper.start()? else { return Ok(Position::default()) };
        resumed.take(USER_TABLE, &mut self.users, &mut self.user_steps)?;
        resumed.take(ITEM_TABLE, &mut self.items, &mut self.item_steps)?;
        Ok(position)
    }

    /// What is to be kept.
    pub(super) fn parts(&self) -> [Part<'_>; 2] {
        [
            Part { name: USER_TABLE, table: (&self.users).into(), optimizer: &self.user_steps },
            Part { name: ITEM_TABLE, table: (&self.items).into(), optimizer: &self.item_steps },
        ]
    }

    /// Learns samples batch by batch with a step size, and returns the sum of their losses, each taken before its batch was learnt.
    pub(super) fn learn(&mut self, samples: &Samples, rate: f32) -> Result<f64, TrainError> {
        self.user_steps.set_lr(rate)?;
        self.item_steps.set_lr(rate)?;
        let mut loss = 0.0;
        let batches =
            samples.users.chunks(self.batch).zip(samples.positives.chunks(self.batch)).zip(samples.negatives.chunks(self.batch));
        for ((users, positives), negatives) in batches {
            loss += self.step(users, positives, negatives)?;
        }
        Ok(loss)
    }

    /// One batch: every gradient is taken at the embeddings before the step, and the gradients of samples that share a row
    /// add up.
    fn step(&mut self, users: &[u32], positives: &[u32], negatives: &[u32]) -> Result<f64, TrainError> {
        let dim = self.users.dim();
        let half = users.len() * dim;
        self.item_ids.clear();
        self.item_ids.extend_from_slice(positives);
        self.item_ids.extend_from_slice(negatives);
        self.user_rows.resize(half, 0.0);
        self.item_rows.resize(2 * half, 0.0);
        self.workspace.gather_into(&self.users, users, &mut self.user_rows)?;
        self.workspace.gather_into(&self.items, &self.item_ids, &mut self.item_rows)?;

        let (positive, negative) = self.item_rows.split_at_mut(half);
        let rows = self.user_rows.chunks_exact_mut(dim).zip(positive.chunks_exact_mut(dim)).zip(negative.chunks_exact_mut(dim));
        let mut loss = 0.0;
        for ((u, i), j) in rows {
            loss += f64::from(slope(u, i, j, self.l2));
        }

        self.workspace.step(&mut self.user_steps, &mut self.users, Gradient::of_gather(users, &self.user_rows))?;
        self.workspace.step(&mut self.item_steps, &mut self.items, Gradient::of_gather(&self.item_ids, &self.item_rows))?;
        Ok(loss)
    }
}

/// Room for the rows of a step, or an error: a step may be as large as all data, and running out of memory must not end the
/// program.
fn reserve(rows_each: usize, rows: usize, dim: usize) -> Result<Vec<f32>, TrainError> {
    let mut room = Vec::new();
    rows.checked_mul(rows_each)
        .and_then(|all| all.checked_mul(dim))
        .and_then(|numbers| room.try_reserve_exact(numbers).ok())
        .ok_or(TrainError::Memory { rows, dim })?;
    Ok(room)
}

/// Replaces the embeddings of a user, a positive and a negative item by the gradient of
/// `-ln(sigmoid(u·i - u·j)) + l2/2 (|u|² + |i|² + |j|²)` by each, and returns the first term.
fn slope(u: &mut [f32], i: &mut [f32], j: &mut [f32], l2: f32) -> f32 {
    let (loss, pull) = loss_and_pull(margin(u, i, j));
    for ((u, i), j) in u.iter_mut().zip(i).zip(j) {
        let (user, positive, negative) = (*u, *i, *j);
        *u = l2 * user - pull * (positive - negative);
        *i = l2 * positive - pull * user;
        *j = l2 * negative + pull * user;
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_interactions;
    use crate::model::Precision;
    use crate::train::Method;

    fn settings() -> Settings {
        Settings { dim: 3, batch: 2, optimizer: Method::Sgd, lr: 0.5, l2: 0.1, epochs: 1, dtype: Precision::F32, seed: 1 }
    }

    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        let at = [[0.3, -0.7, 0.2], [0.5, 0.1, -0.4], [-0.2, 0.6, 0.9f64]];
        let l2 = 0.25;
        let objective = |p: &[[f64; 3]; 3]| {
            let x: f64 = (0..3).map(|k| p[0][k] * (p[1][k] - p[2][k])).sum();
            let squares: f64 = p.iter().flatten().map(|v| v * v).sum();
            (-x).exp().ln_1p() + l2 / 2.0 * squares
        };
        let [mut u, mut i, mut j] = at.map(|row| row.map(|v| v as f32));
        let x: f64 = (0..3).map(|k| at[0][k] * (at[1][k] - at[2][k])).sum();
        let loss = slope(&mut u, &mut i, &mut j, l2 as f32);
        assert!((f64::from(loss) - (-x).exp().ln_1p()).abs() < 1e-6);
        for (row, gradient) in [u, i, j].iter().enumerate() {
            for k in 0..3 {
                let h = 1e-5;
                let (mut above, mut below) = (at, at);
                above[row][k] += h;
                below[row][k] -= h;
                let exact = (objective(&above) - objective(&below)) / (2.0 * h);
                assert!((f64::from(gradient[k]) - exact).abs() < 1e-5, "{row} {k}");
            }
        }
    }

    #[test]
    fn steps_beyond_memory_are_refused() {
        assert_eq!(reserve(2, 3, 4).unwrap().capacity(), 24);
        for rows in [1 << 62, 1 << 40] {
            let refused = TrainError::Memory { rows, dim: 1 << 20 };
            assert_eq!(reserve(2, rows, 1 << 20), Err(refused));
        }
    }

    #[test]
    fn a_step_adds_up_the_gradients_of_shared_rows() {
        let read = read_interactions(b"u a\nu b\nv c\nv a", None).unwrap();
        let data = Dataset::split(read);
        let mut bpr = Bpr::<f32>::new(&data, &settings(), 2, Workspace::new()).unwrap();
        let (users, items) = (bpr.users.to_vec(), bpr.items.to_vec());
        // User 0 twice; item 1 once as positive and once as negative; user 1 and nothing else is left alone.
        bpr.step(&[0, 0], &[1, 2], &[0, 1]).unwrap();
        let row = |table: &[f32], at: usize| table[3 * at..][..3].to_vec();
        let (mut want_users, mut want_items) = (users.clone(), items.clone());
        for (positive, negative) in [(1, 0), (2, 1)] {
            let (mut u, mut i, mut j) = (row(&users, 0), row(&items, positive), row(&items, negative));
            slope(&mut u, &mut i, &mut j, 0.1);
            for k in 0..3 {
                want_users[k] -= 0.5 * u[k];
                want_items[3 * positive + k] -= 0.5 * i[k];
                want_items[3 * negative + k] -= 0.5 * j[k];
            }
        }
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(&bpr.users.to_vec(), &want_users));
        assert!(close(&bpr.items.to_vec(), &want_items));
        assert_eq!(row(&bpr.users.to_vec(), 1), row(&users, 1));
    }
}

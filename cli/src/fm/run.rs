//! The whole training, from examples to a machine.

use std::time::{Duration, Instant};

use hotrow::Workspace;
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::learn::Learner;
use super::model::Machine;
use super::quality::{Quality, measure};
use crate::data::Examples;
use crate::model::Weight;
use crate::random::{Purpose, Source};
use crate::train::{Compute, Keeper, Settings, TrainError};

/// How an epoch went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: usize,
    /// The mean loss of its examples, each taken before it was learnt.
    pub loss: f64,
    /// How well the examples set aside are told apart afterwards; `None` when there are none.
    pub quality: Option<Quality>,
}

/// What training gives.
#[derive(Debug)]
pub struct Trained<E: Weight> {
    /// The machine.
    pub machine: Machine<E>,
    /// How each epoch went.
    pub epochs: Vec<Epoch>,
    /// Examples learnt since the training began or was gone on with.
    pub learnt: usize,
    /// The time that this took, without the measuring.
    pub elapsed: Duration,
}

/// Trains a machine on examples whose features are numbered from 0 to `features`, and calls `report` after each epoch.
///
/// # Errors
/// [`TrainError`].
pub fn train<E: Weight>(
    examples: &Examples,
    valid: &Examples,
    features: usize,
    settings: &Settings,
    compute: &Compute,
    keeper: &mut Keeper<'_>,
    report: impl Fn(&Epoch) + Send,
) -> Result<Trained<E>, TrainError> {
    let size = settings.batch.min(examples.len());
    let workspace = || compute.workspace(size.saturating_mul(settings.dim));
    let mut learner = Learner::<E>::new(features, settings, workspace()?)?;
    let mut feed = Feed::new(examples, features, size, settings.seed, workspace()?)?;
    compute.install(move || {
        let mut at = learner.restore(keeper)?;
        // Each epoch goes on shuffling what the one before it has left.
        (0..at.epoch).for_each(|epoch| feed.shuffle(epoch));
        let (pieces, mut learnt, mut elapsed) = (feed.pieces(), 0, Duration::ZERO);
        let (mut now, mut next) = (Batch::default(), Batch::default());
        while at.epoch < settings.epochs {
            let (epoch, start) = (at.epoch, Instant::now());
            let diverged = || TrainError::MachineDiverged { epoch: epoch + 1, lr: settings.lr };
            learner.set_rate(settings.rate(epoch))?;
            feed.shuffle(epoch);
            feed.draw(at.piece, &mut now)?;
            while at.piece < pieces {
                if keeper.stopped() {
                    let stopped = keeper.stop(epoch * pieces + at.piece, &at, &learner.parts(), settings.epochs);
                    return Err(if at.sum.is_finite() { stopped } else { diverged() });
                }
                // The next batch is laid out while this one is learnt.
                let (loss, drawn) = rayon::join(|| learner.learn(&now), || feed.draw(at.piece + 1, &mut next));
                at.sum += loss?;
                at.piece += 1;
                learnt += now.len();
                drawn?;
                std::mem::swap(&mut now, &mut next);
            }
            elapsed += start.elapsed();
            let last = epoch + 1 == settings.epochs;
            // A loss tells of the machine before the last steps, so after the last epoch it is looked at as well.
            if !at.sum.is_finite() || (last && !learner.machine.is_finite()) {
                return Err(diverged());
            }
            let quality = if valid.is_empty() {
                None
            } else {
                Some(measure(&learner.machine.scores(valid, &mut feed.workspace)?, valid.labels()))
            };
            let done = Epoch { number: epoch + 1, loss: at.sum / examples.len() as f64, quality };
            report(&done);
            at.history.push(done);
            (at.epoch, at.piece, at.sum) = (epoch + 1, 0, 0.0);
            keeper.after_epoch(at.epoch * pieces, &at, &learner.parts())?;
        }
        Ok(Trained { machine: learner.machine, epochs: at.history, learnt, elapsed })
    })
}

/// Lays out batches, each example once an epoch, in an order that is random and new each epoch.
struct Feed<'a> {
    examples: &'a Examples,
    features: usize,
    size: usize,
    seed: u64,
    /// A permutation of the examples that each epoch continues to shuffle.
    order: Vec<u32>,
    workspace: Workspace,
}

impl<'a> Feed<'a> {
    fn new(examples: &'a Examples, features: usize, size: usize, seed: u64, workspace: Workspace) -> Result<Self, TrainError> {
        let count = u32::try_from(examples.len()).map_err(|_| TrainError::TooMany { interactions: examples.len() })?;
        Ok(Feed { examples, features, size, seed, order: (0..count).collect(), workspace })
    }

    /// Fisher and Yates, with numbers of their own for each epoch.
    fn shuffle(&mut self, epoch: usize) {
        let mut source = Source::new(self.seed, Purpose::Order, epoch as u64);
        for at in 0..self.order.len() {
            let left = (self.order.len() - at) as u32;
            self.order.swap(at, at + source.below(left) as usize);
        }
    }

    fn pieces(&self) -> usize {
        self.order.len().div_ceil(self.size)
    }

    /// Lays out a batch; nothing for one past the last.
    fn draw(&mut self, piece: usize, batch: &mut Batch) -> hotrow::Result<()> {
        let Some(order) = self.order.chunks(self.size).nth(piece) else { return Ok(()) };
        batch.fill(self.examples, order.iter().map(|&example| example as usize));
        batch.plan(self.features, &mut self.workspace)
    }
}

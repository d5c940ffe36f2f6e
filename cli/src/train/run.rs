//! The whole training, from a dataset to tables.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use hotrow::{Level, Parallelism, Table, Workspace};
use rayon::{ThreadPool, ThreadPoolBuilder};
use thiserror::Error;

use super::bpr::Bpr;
use super::sampler::{Sampler, Samples};
use super::settings::Settings;
use crate::data::Dataset;
use crate::model::Weight;

/// Numbers in a step, from which on its gathers and scatter-adds are shared among the threads. A smaller step ends before the
/// others have woken up, and one of them is busy drawing samples.
const SHARED: usize = 1 << 18;

/// Why training stopped without a result.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// There is no user for whom one item can be told from another.
    #[error(
        "there is nothing to learn: {users} users and {items} items leave no user with an item in training and another \
         that is not; at least one user and two items are needed"
    )]
    NothingToLearn {
        /// Users in the data.
        users: usize,
        /// Items in the data.
        items: usize,
    },
    /// More interactions than 32 bits can number.
    #[error("{interactions} training interactions are more than the limit of {max}", max = u32::MAX)]
    TooMany {
        /// How many there are.
        interactions: usize,
    },
    /// The embeddings grew beyond all bounds.
    #[error(
        "the embeddings are no longer finite after epoch {epoch}: use a smaller --lr (it was {lr}) or a larger --l2 (it was {l2})"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The step size in use.
        lr: f32,
        /// The regularization in use.
        l2: f32,
    },
    /// The numbers of a factorization machine grew beyond all bounds.
    #[error(
        "the numbers of the model are no longer finite after epoch {epoch}: use a smaller --lr (it was {lr}), or smaller values in \
         the file"
    )]
    MachineDiverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The step size in use.
        lr: f32,
    },
    /// No memory for the rows of a step.
    #[error("no memory for steps of {rows} samples with embeddings of {dim} numbers: use a smaller --batch or --dim")]
    Memory {
        /// Samples in a step.
        rows: usize,
        /// Numbers in an embedding.
        dim: usize,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for; 0 for one on each core.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] hotrow::Error),
}

/// Where the work is done.
#[derive(Debug)]
pub struct Compute {
    pool: ThreadPool,
    level: Level,
}

impl Compute {
    /// So many threads, one on each core for 0, and the engine's operations at a SIMD level.
    ///
    /// # Errors
    /// [`TrainError::Threads`] when the system starts no threads, and the engine's error for a level this machine lacks.
    pub fn new(threads: usize, level: Level) -> Result<Self, TrainError> {
        Workspace::new().with_level(level)?;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| TrainError::Threads { threads, reason: error.to_string() })?;
        Ok(Compute { pool, level })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs something on these threads.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// A workspace for steps over so many numbers.
    pub(crate) fn workspace(&self, step: usize) -> Result<Workspace, TrainError> {
        let parallelism = match NonZeroUsize::new(self.threads()) {
            Some(threads) if step >= SHARED => Parallelism::Threads(threads),
            _ => Parallelism::Serial,
        };
        Ok(Workspace::new().with_parallelism(parallelism).with_level(self.level)?)
    }
}

/// How far training has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Samples learnt in all epochs so far.
    pub samples: usize,
    /// Samples to learn in all epochs.
    pub total: usize,
    /// Mean loss of the last whole epoch, if there was one.
    pub loss: Option<f64>,
    /// Time since the first sample.
    pub elapsed: Duration,
}

/// What training gives.
#[derive(Debug)]
pub struct Trained<E: Weight> {
    /// An embedding for each user.
    pub users: Table<E>,
    /// An embedding for each item.
    pub items: Table<E>,
    /// The mean loss of each epoch.
    pub losses: Vec<f64>,
    /// Samples in an epoch.
    pub samples: usize,
    /// Time of all epochs together, without reading, evaluation and saving.
    pub elapsed: Duration,
}

/// Trains embeddings, and calls `report` now and then.
///
/// # Errors
/// [`TrainError`].
pub fn train<E: Weight>(
    data: &Dataset,
    settings: &Settings,
    compute: &Compute,
    report: impl Fn(Progress) + Send,
) -> Result<Trained<E>, TrainError> {
    let workspace = compute.workspace(settings.batch.saturating_mul(settings.dim))?;
    compute.install(move || {
        let mut sampler = Sampler::new(data, settings.seed, settings.batch)?;
        let (samples, pieces) = (sampler.len(), sampler.pieces());
        let mut bpr = Bpr::<E>::new(data, settings, samples, workspace)?;
        let mut losses = Vec::with_capacity(settings.epochs);
        let mut learnt = 0;
        let start = Instant::now();
        let mut now = Samples::default();
        let mut next = Samples::default();
        sampler.draw(0, 0, &mut now);
        for epoch in 0..settings.epochs {
            let rate = settings.rate(epoch);
            let mut sum = 0.0;
            for piece in 0..pieces {
                // The next piece is drawn while this one is learnt. Neither depends on when the other is done.
                let (result, ()) = rayon::join(
                    || bpr.learn(&now, rate),
                    || {
                        if piece + 1 < pieces {
                            sampler.draw(epoch, piece + 1, &mut next);
                        } else if epoch + 1 < settings.epochs {
                            sampler.draw(epoch + 1, 0, &mut next);
                        }
                    },
                );
                sum += result?;
                learnt += now.users.len();
                std::mem::swap(&mut now, &mut next);
                report(Progress {
                    epoch: epoch + 1,
                    samples: learnt,
                    total: samples * settings.epochs,
                    loss: losses.last().copied(),
                    elapsed: start.elapsed(),
                });
            }
            losses.push(sum / samples as f64);
            let last = epoch + 1 == settings.epochs;
            // A loss tells of the embeddings before the last steps, so after the last epoch they are looked at as well.
            if !sum.is_finite() || (last && !(finite(&bpr.users) && finite(&bpr.items))) {
                return Err(TrainError::Diverged { epoch: epoch + 1, lr: settings.lr, l2: settings.l2 });
            }
        }
        Ok(Trained { users: bpr.users, items: bpr.items, losses, samples, elapsed: start.elapsed() })
    })
}

fn finite<E: Weight>(table: &Table<E>) -> bool {
    table.iter().flatten().all(|value| value.to_f32().is_finite())
}

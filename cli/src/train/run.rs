//! The whole training, from a dataset to tables.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use hotrow::{Level, Parallelism, Table, Workspace};
use rayon::{ThreadPool, ThreadPoolBuilder};
use thiserror::Error;

use super::bpr::Bpr;
use super::keep::Keeper;
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
    /// Somebody asked to stop.
    #[error("stopped in epoch {epoch} of {epochs}; {}", whereabouts(folder))]
    Stopped {
        /// The epoch, from 1.
        epoch: usize,
        /// How many there are.
        epochs: usize,
        /// Where the checkpoint is that was saved, if one was.
        folder: Option<String>,
    },
    /// A checkpoint could not be saved or gone on with.
    #[error(transparent)]
    File(#[from] hotrow::store::FileError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] hotrow::Error),
}

fn whereabouts(folder: &Option<String>) -> String {
    match folder {
        Some(folder) => format!("a checkpoint is in {folder}: the same command with --resume goes on"),
        None => "nothing is saved, as there is no --checkpoint DIR".to_owned(),
    }
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
    /// Samples learnt since the training began or was gone on with.
    pub learnt: usize,
    /// Samples to learn in all epochs.
    pub total: usize,
    /// Mean loss of the last whole epoch, if there was one.
    pub loss: Option<f64>,
    /// Time since the training began or was gone on with.
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
    /// Samples learnt since the training began or was gone on with.
    pub learnt: usize,
    /// The time that this took, without reading, evaluation and checkpoints.
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
    keeper: &mut Keeper<'_>,
    report: impl Fn(Progress) + Send,
) -> Result<Trained<E>, TrainError> {
    let workspace = compute.workspace(settings.batch.saturating_mul(settings.dim))?;
    compute.install(move || {
        let mut sampler = Sampler::new(data, settings.seed, settings.batch)?;
        let (samples, pieces) = (sampler.len(), sampler.pieces());
        let mut bpr = Bpr::<E>::new(data, settings, samples, workspace)?;
        let mut at = bpr.restore(keeper)?;
        let before = at.epoch * samples + sampler.skip(at.epoch, at.piece);
        let (mut learnt, mut elapsed) = (0, Duration::ZERO);
        let mut now = Samples::default();
        let mut next = Samples::default();
        if at.epoch < settings.epochs {
            sampler.draw(at.epoch, at.piece, &mut now);
        }
        while at.epoch < settings.epochs {
            let (epoch, start) = (at.epoch, Instant::now());
            let diverged = || TrainError::Diverged { epoch: epoch + 1, lr: settings.lr, l2: settings.l2 };
            let rate = settings.rate(epoch);
            while at.piece < pieces {
                if keeper.stopped() {
                    let stopped = keeper.stop(epoch * pieces + at.piece, &at, &bpr.parts(), settings.epochs);
                    return Err(if at.sum.is_finite() { stopped } else { diverged() });
                }
                // The next piece is drawn while this one is learnt. Neither depends on when the other is done.
                let (result, ()) = rayon::join(
                    || bpr.learn(&now, rate),
                    || {
                        if at.piece + 1 < pieces {
                            sampler.draw(epoch, at.piece + 1, &mut next);
                        } else if epoch + 1 < settings.epochs {
                            sampler.draw(epoch + 1, 0, &mut next);
                        }
                    },
                );
                at.sum += result?;
                at.piece += 1;
                learnt += now.users.len();
                std::mem::swap(&mut now, &mut next);
                report(Progress {
                    epoch: epoch + 1,
                    samples: before + learnt,
                    learnt,
                    total: samples * settings.epochs,
                    loss: at.history.last().copied(),
                    elapsed: elapsed + start.elapsed(),
                });
            }
            elapsed += start.elapsed();
            at.history.push(at.sum / samples as f64);
            let last = epoch + 1 == settings.epochs;
            // A loss tells of the embeddings before the last steps, so after the last epoch they are looked at as well.
            if !at.sum.is_finite() || (last && !(finite(&bpr.users) && finite(&bpr.items))) {
                return Err(diverged());
            }
            (at.epoch, at.piece, at.sum) = (epoch + 1, 0, 0.0);
            keeper.after_epoch(at.epoch * pieces, &at, &bpr.parts())?;
        }
        Ok(Trained { users: bpr.users, items: bpr.items, losses: at.history, samples, learnt, elapsed })
    })
}

fn finite<E: Weight>(table: &Table<E>) -> bool {
    table.iter().flatten().all(|value| value.to_f32().is_finite())
}

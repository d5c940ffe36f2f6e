//! Training matrix factorization with the BPR loss, and measuring what was learnt.

mod bpr;
mod evaluate;
mod math;
mod run;
mod sampler;

pub use evaluate::{Scores, evaluate, evaluate_tables};
pub use math::{dot, score_block};
pub use run::{Compute, Progress, Settings, TrainError, Trained, train};

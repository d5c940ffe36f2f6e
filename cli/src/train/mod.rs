//! Training matrix factorization with the BPR loss, and measuring what was learnt.

mod bpr;
mod evaluate;
mod keep;
mod math;
mod optimizer;
mod run;
mod sampler;
mod settings;

pub use evaluate::{Scores, evaluate, evaluate_tables};
pub(crate) use keep::{CHECKSUM, Part, Position};
pub use keep::{Identity, Keeper, Labels};
pub(crate) use math::loss_and_pull;
pub use math::{dot, score_block};
pub use optimizer::Method;
pub use run::{Compute, Progress, TrainError, Trained, train};
pub use settings::Settings;

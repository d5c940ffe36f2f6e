//! Optimizers: what a step does to the rows that a batch names. One file each, with its configuration, its rule and its reference.

mod adagrad;
mod adam;
mod adamw;
mod checks;
mod columns;
mod finite;
mod ftrl;
mod optimizer;
mod partial_rowwise_adam;
mod philox;
mod powers;
mod record;
mod rmsprop;
mod rounding;
mod rowwise_adagrad;
mod rule;
mod sgd;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamw::AdamW;
pub(crate) use columns::Wider;
pub(crate) use finite::refuse_non_finite;
pub use ftrl::Ftrl;
pub(crate) use optimizer::Parts;
pub use optimizer::{Optimizer, WeightDecay};
pub use partial_rowwise_adam::PartialRowWiseAdam;
pub(crate) use philox::RUN;
pub use record::OptimizerRecord;
pub use rmsprop::RmsProp;
pub use rounding::Rounding;
pub(crate) use rounding::{Noise, StepOptions};
pub use rowwise_adagrad::RowWiseAdagrad;
pub use rule::Rule;
pub(crate) use rule::{RowRule, WithRule};
pub use sgd::Sgd;

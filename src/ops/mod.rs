//! The operations: validate everything, plan, run. Nothing is written before everything is known to be right.

mod gather;
mod plan;
mod rows;
mod scatter;
mod workspace;

pub use gather::{gather, gather_f32, gather_into};
pub use rows::Rows;
pub use scatter::{scatter_add, scatter_add_dense};
pub use workspace::Workspace;

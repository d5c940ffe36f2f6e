//! The operations: validate everything, plan, run. Nothing is written before everything is known to be right.

mod bag;
mod batch;
mod gather;
mod gradient;
mod many;
mod mark;
mod nearest;
mod plan;
mod rows;
mod scatter;
mod sparse_grad;
mod step;
mod sums;
mod weight_grad;
mod workspace;

pub use bag::{bag, bag_into};
pub use batch::Batch;
pub(crate) use batch::Part;
pub use gather::{gather, gather_f32, gather_into};
pub use gradient::Gradient;
pub(crate) use many::Lookup;
pub use nearest::{Metric, Neighbour, nearest};
pub use rows::Rows;
pub use scatter::{scatter_add, scatter_add_dense};
pub use sparse_grad::{SparseGrad, sparse_grad};
pub use workspace::Workspace;

//! From what a user calls ids to row numbers that are proved to exist.

mod cast;
mod check;
mod ids;
mod policy;
mod value;

pub use cast::Id;
pub(crate) use check::{MISSING, RowIds, check, grow};
pub use ids::Ids;
pub(crate) use ids::product;
pub use policy::{Cast, IdPolicy, Negative, OutOfRange};
pub use value::{IdType, IdValue};

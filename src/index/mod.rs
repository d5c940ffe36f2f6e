//! From what a user calls ids to row numbers that are proved to exist.

mod bags;
mod cast;
mod check;
mod ids;
mod policy;
mod row_set;
mod value;

pub use bags::{Bags, Offset, Pooling, Ragged};
pub use cast::Id;
pub(crate) use check::{MISSING, RowIds, check, check_into, grow};
pub use ids::Ids;
pub(crate) use ids::product;
pub use policy::{Cast, IdPolicy, Negative, OutOfRange};
pub use row_set::RowSet;
pub use value::{IdType, IdValue};

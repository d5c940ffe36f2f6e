//! Rows from file to file: copied, chosen, joined, cut into shards. One block is held at a time.

mod copy;
mod merge;
mod select;
mod shard;

pub use copy::copy_rows;
pub use merge::{MergedRows, Repeated};
pub use select::{SelectedRows, Wanted};
pub use shard::{Cut, Shards, shard_name};

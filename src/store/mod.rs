//! Files: checkpoints, embedding files of many formats, memory-mapped tables.

mod block;
mod error;
mod storage;

pub use block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values, WriteRows};
pub use error::{FileError, FileResult, Place};
pub use storage::{Disk, NewFile, Storage};

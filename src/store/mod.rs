//! Files: checkpoints, embedding files of many formats, memory-mapped tables.

pub(crate) mod atomic;
mod block;
mod error;
mod storage;

pub use atomic::Target;
pub use block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values, WriteRows};
pub use error::{FileError, FileResult, Place};
pub use storage::{Disk, NewFile, Storage};

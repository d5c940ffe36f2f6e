//! Files: checkpoints, embedding files of many formats, memory-mapped tables.

pub(crate) mod atomic;
mod block;
mod bytes;
mod checkpoint;
mod collect;
mod error;
mod format;
mod inspect;
mod map;
mod open;
mod rows;
mod safetensors;
mod source;
mod stats;
mod storage;
mod stored;
mod transfer;
mod verify;

pub use self::safetensors::{DEFAULT_TABLE, HEADER_CAP, Header, SafetensorsReader, SafetensorsWriter, TensorInfo, write_tables};
pub use atomic::Target;
pub use block::{BLOCK_BYTES, Block, ReadRows, RowsInfo, Values, WriteRows};
pub use checkpoint::{
    Checkpoint, CheckpointInfo, CheckpointProgress, CheckpointReader, Checkpoints, Part, PartName, PartRecord, PartTable, Restored,
    Saved, Snapshot, TableInfo,
};
pub use error::{FileError, FileResult, Place};
pub use format::{Format, NewRows, RowOptions, create_rows, open_rows, read_rows, write_rows};
pub use inspect::{FileInfo, PartInfo, Role, inspect};
pub use map::{Advice, Mapped};
pub use open::{Open, OpenOptions, OpenTable, open, open_with};
pub use rows::{Cut, MergedRows, Repeated, SelectedRows, Shards, Wanted, copy_rows, shard_name};
pub use stats::{Bin, FoundRows, TableStats, table_stats};
pub use storage::{Disk, NewFile, Storage};
pub use stored::Stored;
pub use transfer::Progress;
pub use verify::{Checked, VerifiedPart, verify};

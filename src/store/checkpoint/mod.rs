//! Checkpoints: the state of a training in a folder, whole or not at all.
//!
//! A folder holds safetensors files, which Python's package of that name reads without us, and a manifest for each step:
//!
//! ```text
//! step-100.json                           what belongs to step 100, with lengths and checksums
//! step-100.0.1-of-2.safetensors           users, users.optimizer.sum, users.ids, items.from-row-0
//! step-100.0.2-of-2.safetensors           items.from-row-40000, …
//! step-120.json                           a delta: the rows that changed since step 100
//! step-120.0.1-of-1.safetensors           users [changed, dim], users.rows [changed], …
//! ```
//!
//! Shards are written first, each under a temporary name, brought onto the disk and renamed; the manifest comes last. A crash at any
//! moment leaves the checkpoints that were there, or those and the new one.
//!
//! Shards may be written by several programs ([`Part`]), and the manifest by one of them; and any rows and columns of tables may be read without
//! the rest ([`CheckpointReader`]).

mod assemble;
mod content;
mod folder;
mod info;
mod manifest;
mod names;
mod part;
mod progress;
mod read;
mod reader;
mod restored;
mod shard_file;
mod snapshot;
mod sweep;
mod write;

pub use folder::{Checkpoints, Saved};
pub use info::{CheckpointInfo, TableInfo};
pub use part::{Part, PartName, PartRecord, PartTable};
pub use progress::CheckpointProgress;
pub use reader::CheckpointReader;
pub use restored::{Checkpoint, Restored};
pub use snapshot::Snapshot;

//! How far saving or loading has come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a checkpoint is written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointProgress {
    /// So many bytes of tensors.
    pub bytes: u64,
    /// Of so many.
    pub total: u64,
}

/// Who wants to know. It is called from several threads.
#[derive(Clone, Default)]
pub(super) struct Listener(pub(super) Option<Arc<dyn Fn(CheckpointProgress) + Send + Sync>>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener" } else { "nobody" })
    }
}

/// Counts bytes.
#[derive(Debug)]
pub(super) struct Meter {
    listener: Listener,
    bytes: AtomicU64,
    total: u64,
}

impl Meter {
    pub(super) fn new(listener: &Listener, total: u64) -> Meter {
        Meter { listener: listener.clone(), bytes: AtomicU64::new(0), total }
    }

    pub(super) fn add(&self, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(listener) = &self.listener.0 {
            listener(CheckpointProgress { bytes, total: self.total });
        }
    }
}

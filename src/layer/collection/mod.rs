//! Many tables, one call.

mod config;
mod jagged;
mod pooled;
mod sequence;
mod tables;

pub use config::{EmbeddingBagConfig, EmbeddingConfig};
pub use jagged::KeyedJagged;
pub use pooled::{EmbeddingBagCollection, KeyedRows};
pub use sequence::{EmbeddingCollection, JaggedRows};

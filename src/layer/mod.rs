//! Layers over tables.

mod embedding;
mod shared;

pub use embedding::{Embedding, EmbeddingBuilder};
pub use shared::SharedTable;

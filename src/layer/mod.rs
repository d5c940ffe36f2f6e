//! Layers over tables, and their options.

mod collection;
mod config;
mod constraint;
mod embedding;
mod embedding_bag;
mod orthogonality;
mod regularizer;
mod renorm;
mod row;
mod shared;

pub use collection::{
    EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig, JaggedRows, KeyedJagged, KeyedRows,
};
pub use constraint::Constraint;
pub use embedding::{Embedding, EmbeddingBuilder};
pub use embedding_bag::EmbeddingBag;
pub use regularizer::Regularizer;
pub use renorm::renorm;
pub use shared::SharedTable;

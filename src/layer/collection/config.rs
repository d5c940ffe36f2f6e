//! What a collection is made of, under TorchRec's names.

use crate::element::DType;
use crate::index::Pooling;
use crate::table::Initializer;

/// A table of an [`EmbeddingBagCollection`](crate::EmbeddingBagCollection): TorchRec's `EmbeddingBagConfig`.
///
/// ```
/// use hotrow::{DType, EmbeddingBagConfig, Pooling};
///
/// let config = EmbeddingBagConfig { data_type: DType::BF16, pooling: Pooling::Mean, ..EmbeddingBagConfig::new("t1", 1000, 64, ["user", "friend"]) };
/// assert_eq!(config.feature_names, ["user", "friend"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingBagConfig {
    /// The table's name, unique in its collection.
    pub name: String,
    /// Rows of the table.
    pub num_embeddings: usize,
    /// Values in a row.
    pub embedding_dim: usize,
    /// The keys that look up this table.
    pub feature_names: Vec<String>,
    /// How the rows of a list become one.
    pub pooling: Pooling,
    /// The table's element.
    pub data_type: DType,
    /// The bounds between which the table is drawn uniformly; without them, the root of `1 / num_embeddings` on both sides, as TorchRec does.
    pub init_range: Option<(f32, f32)>,
}

impl EmbeddingBagConfig {
    /// A table of f32 with sum pooling.
    pub fn new(
        name: impl Into<String>,
        num_embeddings: usize,
        embedding_dim: usize,
        feature_names: impl IntoIterator<Item = impl Into<String>>,
    ) -> EmbeddingBagConfig {
        EmbeddingBagConfig {
            name: name.into(),
            num_embeddings,
            embedding_dim,
            feature_names: feature_names.into_iter().map(Into::into).collect(),
            pooling: Pooling::Sum,
            data_type: DType::F32,
            init_range: None,
        }
    }

    /// What the table is drawn from.
    pub fn initializer(&self) -> Initializer {
        let limit = (1.0 / (self.num_embeddings.max(1) as f64)).sqrt() as f32;
        let (low, high) = self.init_range.unwrap_or((-limit, limit));
        Initializer::Uniform { low, high }
    }
}

/// A table of an [`EmbeddingCollection`](crate::EmbeddingCollection): TorchRec's `EmbeddingConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingConfig {
    /// The table's name, unique in its collection.
    pub name: String,
    /// Rows of the table.
    pub num_embeddings: usize,
    /// Values in a row.
    pub embedding_dim: usize,
    /// The keys that look up this table.
    pub feature_names: Vec<String>,
    /// The table's element.
    pub data_type: DType,
    /// The bounds between which the table is drawn uniformly; without them, the root of `1 / num_embeddings` on both sides, as TorchRec does.
    pub init_range: Option<(f32, f32)>,
}

impl EmbeddingConfig {
    /// A table of f32.
    pub fn new(
        name: impl Into<String>,
        num_embeddings: usize,
        embedding_dim: usize,
        feature_names: impl IntoIterator<Item = impl Into<String>>,
    ) -> EmbeddingConfig {
        let feature_names = feature_names.into_iter().map(Into::into).collect();
        EmbeddingConfig { name: name.into(), num_embeddings, embedding_dim, feature_names, data_type: DType::F32, init_range: None }
    }

    pub(super) fn pooled(self) -> EmbeddingBagConfig {
        let EmbeddingConfig { name, num_embeddings, embedding_dim, feature_names, data_type, init_range } = self;
        EmbeddingBagConfig { name, num_embeddings, embedding_dim, feature_names, pooling: Pooling::Sum, data_type, init_range }
    }
}

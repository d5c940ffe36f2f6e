//! What a collection's table is made of.

use hotrow::{AnyTable, DType, EmbeddingBagConfig, EmbeddingConfig, Initializer};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Failure, Result};
use crate::options;

/// A table of a collection.
pub(crate) struct TableConfig {
    engine: EmbeddingBagConfig,
    /// Where it is not drawn uniformly.
    initializer: Option<Initializer>,
}

impl TableConfig {
    /// From an `EmbeddingBagConfig` or `EmbeddingConfig` of the package, any object with these attributes, or a dictionary.
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> Result<TableConfig> {
        let get = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            let found = match given.cast::<PyDict>() {
                Ok(dict) => dict.get_item(name)?,
                Err(_) => given.getattr_opt(name)?,
            };
            Ok(found.filter(|value| !value.is_none()))
        };
        let need = |name: &str| get(name)?.ok_or_else(|| Failure::Value(format!("a table's configuration lacks {name:?}")));
        let features = need("feature_names")?;
        if features.is_instance_of::<pyo3::types::PyString>() {
            return Err(Failure::Type("feature_names must be a list of names, and is one name".into()));
        }
        let features: Vec<String> = features.try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?;
        let (rows, dim) = (need("num_embeddings")?.extract()?, need("embedding_dim")?.extract()?);
        let mut engine = EmbeddingBagConfig::new(need("name")?.extract::<String>()?, rows, dim, features);
        if dim == 0 {
            return Err(Failure::Value(format!("the rows of table {:?} must have at least one value", engine.name)));
        }
        if let Some(pooling) = get("pooling")? {
            engine.pooling = options::pooling(&pooling.extract::<String>()?)?;
        }
        if let Some(dtype) = get("dtype")? {
            engine.data_type = options::kind(&dtype.extract::<String>()?)?.dtype();
        }
        let mut initializer = None;
        if let Some(given) = get("initializer")? {
            match given.extract::<String>() {
                Ok(name) => initializer = Some(name.parse()?),
                Err(_) => engine.init_range = Some(given.extract()?),
            }
        }
        Ok(TableConfig { engine, initializer })
    }

    pub(crate) fn name(&self) -> &str {
        &self.engine.name
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.engine.num_embeddings, self.engine.embedding_dim]
    }

    pub(crate) fn features(&self) -> &[String] {
        &self.engine.feature_names
    }

    pub(crate) fn dtype(&self) -> DType {
        self.engine.data_type
    }

    /// What the table is drawn from at first.
    pub(crate) fn initializer(&self) -> Initializer {
        self.initializer.unwrap_or_else(|| self.engine.initializer())
    }

    pub(crate) fn pooled(&self) -> EmbeddingBagConfig {
        self.engine.clone()
    }

    pub(crate) fn unpooled(&self) -> EmbeddingConfig {
        let EmbeddingBagConfig { name, num_embeddings, embedding_dim, feature_names, data_type, init_range, .. } = self.pooled();
        EmbeddingConfig { name, num_embeddings, embedding_dim, feature_names, data_type, init_range }
    }

    /// The table as its initializer has it; `None` if the engine's own is it.
    pub(crate) fn drawn(&self, seed: u64) -> Result<Option<AnyTable>> {
        let [rows, dim] = self.shape();
        let draw = |initializer| AnyTable::init(self.engine.data_type, rows, dim, initializer, seed);
        Ok(self.initializer.map(draw).transpose()?)
    }
}

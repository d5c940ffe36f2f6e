//! Many tables whose rows are not pooled.

use std::ops::Range;

use super::config::EmbeddingConfig;
use super::jagged::KeyedJagged;
use super::tables::{Tables, table_methods};
use crate::error::{Error, Result};
use crate::ops::{Lookup, Workspace};
use crate::optim::{Optimizer, Rule};
use crate::table::{AnyTable, AnyViewMut, Buffer};

/// Many tables whose rows are looked up one for each id, and trained, in one call each: TorchRec's `EmbeddingCollection`.
///
/// ```
/// use hotrow::{EmbeddingCollection, EmbeddingConfig, KeyedJagged, Sgd};
///
/// let mut collection =
///     EmbeddingCollection::new(vec![EmbeddingConfig::new("words", 1000, 4, ["query", "title"])], 42)?.with_optimizer(Sgd::default())?;
/// let input = KeyedJagged::from_lengths(&["query", "title"], &[5i64, 6, 7, 6, 9], &[1i64, 1, 2, 1]);
/// let output = collection.forward(&input)?;
/// assert_eq!(output.rows("query").unwrap().len(), 2 * 4); // [ids, dim]
/// assert_eq!(output.rows("title").unwrap().len(), 3 * 4);
/// collection.backward(&vec![0.01; output.values().len()])?;
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddingCollection {
    tables: Tables,
    /// Where the output of each feature started in the last forward.
    lookups: Vec<Lookup>,
}

table_methods!(EmbeddingCollection);

impl EmbeddingCollection {
    /// Tables drawn as their configurations say, from a seed.
    ///
    /// # Errors
    /// As [`EmbeddingBagCollection::new`](crate::EmbeddingBagCollection::new).
    pub fn new(configs: Vec<EmbeddingConfig>, seed: u64) -> Result<EmbeddingCollection> {
        let tables = Tables::new(configs.into_iter().map(EmbeddingConfig::pooled).collect(), seed)?;
        Ok(EmbeddingCollection { lookups: tables.lookups.clone(), tables })
    }

    /// Looks up every id of every feature, in f32. Weights mean nothing here and are refused.
    ///
    /// # Errors
    /// As [`EmbeddingBagCollection::forward`](crate::EmbeddingBagCollection::forward); [`Error::UnpooledWeights`].
    pub fn forward(&mut self, input: &KeyedJagged<'_>) -> Result<JaggedRows> {
        if input.lists().weights().is_some() {
            return Err(Error::UnpooledWeights);
        }
        self.tables.take(input, false)?;
        let mut start = 0usize;
        let mut parts = Vec::new();
        for (feature, lookup) in self.tables.batch.features().iter().zip(&mut self.lookups) {
            lookup.start = start;
            let shape = || vec![feature.ids.len(), lookup.dim];
            let end = feature.ids.len().checked_mul(lookup.dim).and_then(|values| values.checked_add(start));
            let end = end.ok_or_else(|| Error::SizeOverflow { shape: shape(), element_bytes: 4 })?;
            parts.push(start..end);
            start = end;
        }
        let mut values = Buffer::zeros(start)?;
        let Tables { workspace, batch, tables, features, .. } = &mut self.tables;
        workspace.gather_many(batch, &self.lookups, tables, &mut values);
        Ok(JaggedRows { values, parts: features.iter().map(|(_, name)| name.clone()).zip(parts).collect() })
    }

    /// Steps every table by the gradient of the last forward's output, laid out as its [`values`](JaggedRows::values), with rows of
    /// [the gradient's dims](EmbeddingCollection::gradient_dims).
    ///
    /// # Errors
    /// As [`EmbeddingBagCollection::backward`](crate::EmbeddingBagCollection::backward).
    pub fn backward(&mut self, gradient: &[f32]) -> Result<()> {
        self.tables.last_forward()?;
        let features = self.tables.batch.features();
        let (lookups, needed) = self.tables.gradient_lookups(|at| features[at].ids.len());
        if gradient.len() != needed {
            return Err(Error::ShapeMismatch { what: "gradient", expected: vec![needed], needed, actual: gradient.len() });
        }
        self.tables.step(&lookups, gradient, 0)
    }
}

/// The output of an [`EmbeddingCollection`]: the rows of each feature's ids.
#[derive(Debug)]
pub struct JaggedRows {
    values: Buffer<f32>,
    parts: Vec<(String, Range<usize>)>,
}

impl JaggedRows {
    /// The rows of all features, `[ids, dim]` of one behind `[ids, dim]` of the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows of all features, to be kept.
    pub fn into_values(self) -> Buffer<f32> {
        self.values
    }

    /// The features, in the order of their rows: by key, or `key@table` where several tables look one up.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.iter().map(|(name, _)| name.as_str())
    }

    /// The rows of a feature, `[ids, dim]`; `None` if there is no such feature.
    pub fn rows(&self, key: &str) -> Option<&[f32]> {
        let (_, part) = self.parts.iter().find(|(name, _)| name == key)?;
        Some(&self.values[part.clone()])
    }
}

//! Many tables of bags.

use super::config::EmbeddingBagConfig;
use super::jagged::KeyedJagged;
use super::tables::{Tables, table_methods};
use crate::error::{Error, Result};
use crate::ops::{Rows, Workspace};
use crate::optim::{Optimizer, Rule};
use crate::table::{AnyTable, AnyViewMut, Buffer, TableViewMut};

/// Many tables that are looked up, and trained, in one call each: TorchRec's `EmbeddingBagCollection`, with the optimizers fused into the backward.
///
/// Features may share a table; dims and elements may differ from table to table. A forward is one parallel region over all tables, and a backward is
/// one partition of all ids and one region of updates. The results are those of the tables called one by one, to the bit.
///
/// ```
/// use hotrow::{EmbeddingBagCollection, EmbeddingBagConfig, KeyedJagged, RowWiseAdagrad};
///
/// let mut collection = EmbeddingBagCollection::new(
///     vec![EmbeddingBagConfig::new("users", 100, 8, ["user"]), EmbeddingBagConfig::new("items", 1000, 4, ["seen", "liked"])],
///     42,
/// )?
/// .with_optimizer(RowWiseAdagrad { lr: 0.1, ..RowWiseAdagrad::default() })?;
///
/// // Two examples. The lists stand key by key: user [7], [8]; seen [1, 2], []; liked [2], [3, 4].
/// let input = KeyedJagged::from_lengths(&["user", "seen", "liked"], &[7i64, 8, 1, 2, 2, 3, 4], &[1i64, 1, 2, 0, 1, 2]);
/// let output = collection.forward(&input)?;
/// assert_eq!(output.values().shape(), [2, 8 + 4 + 4]);
/// assert_eq!(output.columns("liked"), Some(12..16));
///
/// let gradient = vec![0.01; 2 * 16]; // of the output, from whatever comes after
/// collection.backward(&gradient)?; // every touched row of every table has moved
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddingBagCollection {
    tables: Tables,
    /// The sum of the features' dims.
    width: usize,
}

table_methods!(EmbeddingBagCollection);

impl EmbeddingBagCollection {
    /// Tables drawn as their configurations say, from a seed.
    ///
    /// # Errors
    /// [`Error::InvalidCollection`] when names repeat, a table looks up nothing, or pools by the maximum; [`Error::TooManyRows`] when all tables together
    /// have more than 2^32 - 1 rows; those of [`Table::init`](crate::Table::init).
    pub fn new(configs: Vec<EmbeddingBagConfig>, seed: u64) -> Result<EmbeddingBagCollection> {
        let tables = Tables::new(configs, seed)?;
        let width = tables.lookups.iter().map(|lookup| lookup.dim).sum();
        Ok(EmbeddingBagCollection { tables, width })
    }

    /// The configurations of the tables.
    pub fn configs(&self) -> &[EmbeddingBagConfig] {
        &self.tables.configs
    }

    /// The values of an example's output: the sum of the features' dims.
    pub fn output_dim(&self) -> usize {
        self.width
    }

    /// Looks up every feature: `[batch, sum of dims]` in f32, features in the order of the tables and of their feature names.
    ///
    /// # Errors
    /// [`Error::KeyedLists`], [`Error::MissingKey`], [`Error::WeightCount`], those of the lengths or offsets as [`Bags::bounds`](crate::Bags::bounds),
    /// those of the ids as [`gather`](crate::gather()) (the position is that among all values); [`Error::OutOfMemory`].
    pub fn forward(&mut self, input: &KeyedJagged<'_>) -> Result<KeyedRows> {
        let examples = self.tables.take(input, true)?;
        let shape = || vec![examples, self.width];
        let values = examples.checked_mul(self.width).ok_or_else(|| Error::SizeOverflow { shape: shape(), element_bytes: 4 })?;
        let mut values = Buffer::zeros(values)?;
        let Tables { workspace, batch, lookups, tables, .. } = &mut self.tables;
        workspace.pool_many(batch, lookups, tables, TableViewMut::new(&mut values, examples, self.width, self.width)?);
        let names = self.tables.features.iter().map(|(_, name)| name.clone()).collect();
        let dims = self.tables.lookups.iter().map(|lookup| lookup.dim).collect();
        Ok(KeyedRows { values: Rows::new(values, vec![examples], self.width), names, dims })
    }

    /// [`forward`](EmbeddingBagCollection::forward) into memory that is there already.
    ///
    /// # Errors
    /// As [`forward`](EmbeddingBagCollection::forward), and [`Error::OutputShape`].
    pub fn forward_into<'o>(&mut self, input: &KeyedJagged<'_>, out: impl Into<TableViewMut<'o, f32>>) -> Result<()> {
        let out = out.into();
        let (expected, actual) = ([input.batch_size()?, self.width], [out.rows(), out.dim()]);
        if expected != actual {
            return Err(Error::OutputShape { expected, actual });
        }
        self.tables.take(input, true)?;
        let Tables { workspace, batch, lookups, tables, .. } = &mut self.tables;
        workspace.pool_many(batch, lookups, tables, out);
        Ok(())
    }

    /// Steps every table by the gradient `[batch, sum of dims]` of the last forward's output. The dims are
    /// [those of the gradient](EmbeddingBagCollection::gradient_dims).
    ///
    /// # Errors
    /// [`Error::NoBackward`] before any forward, or when a table has no optimizer; [`Error::ShapeMismatch`];
    /// [`Error::NonFiniteGradient`] where an optimizer checks. No table is changed then.
    pub fn backward(&mut self, gradient: &[f32]) -> Result<()> {
        let examples = self.tables.last_forward()?;
        let (lookups, width) = self.tables.gradient_lookups(|_| 1);
        let (expected, needed) = (vec![examples, width], examples.saturating_mul(width));
        if gradient.len() != needed {
            return Err(Error::ShapeMismatch { what: "gradient", expected, needed, actual: gradient.len() });
        }
        self.tables.step(&lookups, gradient, width)
    }
}

/// The output of an [`EmbeddingBagCollection`]: TorchRec's `KeyedTensor`.
#[derive(Debug)]
pub struct KeyedRows {
    values: Rows<f32>,
    names: Vec<String>,
    dims: Vec<usize>,
}

impl KeyedRows {
    /// All features side by side, `[batch, sum of dims]`.
    pub fn values(&self) -> &Rows<f32> {
        &self.values
    }

    /// The features, in the order of their columns: by key, or `key@table` where several tables look one up.
    pub fn keys(&self) -> &[String] {
        &self.names
    }

    /// The columns of a feature; `None` if there is no such feature.
    pub fn columns(&self, key: &str) -> Option<std::ops::Range<usize>> {
        let at = self.names.iter().position(|name| name == key)?;
        let start = self.dims[..at].iter().sum();
        Some(start..start + self.dims[at])
    }
}

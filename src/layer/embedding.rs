//! The Keras layer.

use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::{IdPolicy, Ids};
use crate::layer::SharedTable;
use crate::ops::Rows;
use crate::table::{Initializer, Table};

/// Keras's `Embedding` layer: ids in, rows out.
///
/// Names and meaning follow `keras.layers.Embedding`. The layer's own policy for ids is strict unless another is chosen:
/// [`IdPolicy::KERAS_CALL`] casts and wraps as Keras 2's `call` does.
///
/// ```
/// use hotrow::{Embedding, Table};
///
/// let weights = Table::from_slice(
///     &[0.0f32, 0.1, 0.2, 0.3, 1.0, 1.1, 1.2, 1.3, 2.0, 2.1, 2.2, 2.3],
///     3,
///     4,
/// )?;
/// let layer = Embedding::builder(3, 4).weights(weights).build()?;
/// let sentence = layer.call(&[0, 2, 1, 2])?;
/// assert_eq!(sentence.shape(), [4, 4]);
/// assert_eq!(sentence.row(1), sentence.row(3));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct Embedding<E: Element = f32> {
    table: SharedTable<E>,
    input_dim: usize,
    output_dim: usize,
    policy: IdPolicy,
    mask_zero: bool,
}

impl<E: Element> Embedding<E> {
    /// A layer with Keras's defaults: weights from `"uniform"`, no mask.
    ///
    /// # Errors
    /// As [`Table::zeros`].
    pub fn new(input_dim: usize, output_dim: usize) -> Result<Embedding<E>> {
        Embedding::builder(input_dim, output_dim).build()
    }

    /// A layer for `input_dim` ids and rows of `output_dim` values, to be configured.
    pub fn builder(input_dim: usize, output_dim: usize) -> EmbeddingBuilder<E> {
        EmbeddingBuilder {
            input_dim,
            output_dim,
            initializer: Initializer::UNIFORM,
            seed: 0,
            policy: IdPolicy::STRICT,
            mask_zero: false,
            weights: None,
        }
    }

    /// A layer over a table that others use too: each sees the updates of all.
    ///
    /// ```
    /// use hotrow::Embedding;
    ///
    /// let first = Embedding::<f32>::new(10, 4)?;
    /// let second = Embedding::with_table(first.table().clone());
    /// first.table().scatter_add(&[3], &[1.0f32; 4], 1.0)?;
    /// assert_eq!(first.call(&[3])?.as_slice(), second.call(&[3])?.as_slice());
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    pub fn with_table(table: SharedTable<E>) -> Embedding<E> {
        let [input_dim, output_dim] = table.shape();
        Embedding { table, input_dim, output_dim, policy: IdPolicy::STRICT, mask_zero: false }
    }

    /// The rows of `inputs`: shape `inputs.shape + [output_dim]`. Ids that come with a policy of their own keep it.
    ///
    /// # Errors
    /// As [`gather`](crate::gather()).
    pub fn call<'i>(&self, inputs: impl Into<Ids<'i>>) -> Result<Rows<E>> {
        self.table.gather(self.with_policy(inputs.into()))
    }

    /// Which inputs are not padding, in row-major order: `id != 0`, on the ids as given, before any cast (0.5 is not padding, though
    /// it is row 0). `None` unless the layer was built with `mask_zero`.
    pub fn compute_mask<'i>(&self, inputs: impl Into<Ids<'i>>) -> Option<Vec<bool>> {
        let inputs = inputs.into();
        self.mask_zero.then(|| inputs.nonzero())
    }

    /// The shape of [`call`](Embedding::call)'s result.
    pub fn compute_output_shape(&self, input_shape: &[usize]) -> Vec<usize> {
        [input_shape, &[self.output_dim]].concat()
    }

    /// The gradient step of plain SGD: `table[id] -= learning_rate * gradient[k]`, duplicates summed.
    ///
    /// # Errors
    /// As [`scatter_add`](crate::scatter_add()).
    pub fn apply_gradient<'i, S: Element>(&self, inputs: impl Into<Ids<'i>>, gradient: &[S], learning_rate: f32) -> Result<()> {
        self.table.scatter_add(self.with_policy(inputs.into()), gradient, -learning_rate)
    }

    /// A copy of the weights, as Keras's `get_weights` gives it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn weights(&self) -> Result<Table<E>> {
        self.table.snapshot()
    }

    /// Replaces the weights, for every layer that shares them.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the shape is not `[input_dim, output_dim]`; nothing is changed then.
    pub fn set_weights(&self, weights: Table<E>) -> Result<()> {
        self.table.set(weights)
    }

    /// The table itself.
    pub fn table(&self) -> &SharedTable<E> {
        &self.table
    }

    /// How many ids there are.
    pub fn input_dim(&self) -> usize {
        self.input_dim
    }

    /// How many values a row has.
    pub fn output_dim(&self) -> usize {
        self.output_dim
    }

    /// Ids without a choice of their own are read by the layer's.
    fn with_policy<'i>(&self, ids: Ids<'i>) -> Ids<'i> {
        if ids.policy() == IdPolicy::STRICT { ids.with_policy(self.policy) } else { ids }
    }
}

/// Configures an [`Embedding`].
///
/// ```
/// use hotrow::{Embedding, IdPolicy, Initializer};
///
/// let layer = Embedding::<f32>::builder(1000, 64)
///     .initializer(Initializer::NORMAL)
///     .seed(7)
///     .mask_zero(true)
///     .policy(IdPolicy::KERAS_CALL)
///     .build()?;
/// assert_eq!(layer.compute_mask(&[5, 0, 9]), Some(vec![true, false, true]));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddingBuilder<E: Element = f32> {
    input_dim: usize,
    output_dim: usize,
    initializer: Initializer,
    seed: u64,
    policy: IdPolicy,
    mask_zero: bool,
    weights: Option<Table<E>>,
}

impl<E: Element> EmbeddingBuilder<E> {
    /// How the table is filled; Keras's `embeddings_initializer`. The default is `"uniform"`.
    #[must_use]
    pub fn initializer(self, initializer: Initializer) -> Self {
        EmbeddingBuilder { initializer, ..self }
    }

    /// The seed of the initializer; 0 unless chosen.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        EmbeddingBuilder { seed, ..self }
    }

    /// How ids are read.
    #[must_use]
    pub fn policy(self, policy: IdPolicy) -> Self {
        EmbeddingBuilder { policy, ..self }
    }

    /// Whether id 0 is padding, which [`compute_mask`](Embedding::compute_mask) marks.
    #[must_use]
    pub fn mask_zero(self, mask_zero: bool) -> Self {
        EmbeddingBuilder { mask_zero, ..self }
    }

    /// The weights to begin with, instead of an initializer's.
    #[must_use]
    pub fn weights(self, weights: Table<E>) -> Self {
        EmbeddingBuilder { weights: Some(weights), ..self }
    }

    /// Makes the layer.
    ///
    /// # Errors
    /// As [`Table::zeros`]; [`Error::ShapeMismatch`] when weights were given that are not `[input_dim, output_dim]`;
    /// [`Error::InvalidInitializer`].
    pub fn build(self) -> Result<Embedding<E>> {
        let (input_dim, output_dim) = (self.input_dim, self.output_dim);
        let table = match self.weights {
            Some(weights) if weights.shape() != [input_dim, output_dim] => {
                return Err(Error::ShapeMismatch {
                    what: "weights",
                    expected: vec![input_dim, output_dim],
                    needed: input_dim.saturating_mul(output_dim),
                    actual: weights.rows() * weights.dim(),
                });
            }
            Some(weights) => weights,
            None => Table::init(input_dim, output_dim, self.initializer, self.seed)?,
        };
        let table = SharedTable::new(table);
        Ok(Embedding { table, input_dim, output_dim, policy: self.policy, mask_zero: self.mask_zero })
    }
}

//! The Keras layer.

use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::{IdPolicy, Ids};
use crate::ops::{Rows, Workspace};
use crate::table::{Initializer, Table};

use super::config::{self, Config};
use super::constraint::Constraint;
use super::regularizer::Regularizer;
use super::renorm::Renorm;
use super::row;
use super::shared::SharedTable;

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
    /// Its `input_dim` is what the layer was built with; a table can grow.
    config: Config,
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
        EmbeddingBuilder { config: Config::new(input_dim, output_dim), weights: None }
    }

    /// A layer from Keras's JSON, with new weights. [`EmbeddingBuilder::from_config`] can be given more.
    ///
    /// ```
    /// use hotrow::Embedding;
    ///
    /// let json = r#"{"input_dim": 100, "output_dim": 8, "embeddings_initializer": "he_uniform"}"#;
    /// let layer = Embedding::<f32>::from_config(json)?;
    /// assert_eq!(layer.table().shape(), [100, 8]);
    /// let again = Embedding::<f32>::from_config(&layer.get_config())?;
    /// assert_eq!(again.weights()?.to_vec(), layer.weights()?.to_vec());
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`EmbeddingBuilder::from_config`] and [`EmbeddingBuilder::build`].
    pub fn from_config(json: &str) -> Result<Embedding<E>> {
        EmbeddingBuilder::from_config(json)?.build()
    }

    /// The layer's configuration as JSON with the keys of Keras 3.15's `Embedding.get_config()`, which Keras reads too. The seed
    /// stands in the initializer's configuration. `input_length` (of Keras 2), and `max_norm` and `norm_type` (PyTorch's, which
    /// Keras does not know), are there only if they were chosen. Weights and the policy for ids are not part of it.
    pub fn get_config(&self) -> String {
        config::write(&Config { input_dim: self.input_dim(), ..self.config.clone() }, E::DTYPE)
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
        Embedding { table, config: Config::new(input_dim, output_dim) }
    }

    /// The rows of `inputs`: shape `inputs.shape + [output_dim]`. Ids that come with a policy of their own keep it. With
    /// `max_norm`, the rows that are read are first shortened in the table, as [`renorm`](crate::renorm()) does.
    ///
    /// # Errors
    /// As [`gather`](crate::gather()); [`Error::InputLength`] when the layer has an `input_length` and the last dimension of the
    /// inputs is another. Nothing has changed then.
    pub fn call<'i>(&self, inputs: impl Into<Ids<'i>>) -> Result<Rows<E>> {
        let inputs = inputs.into();
        if let Some(expected) = self.config.input_length
            && inputs.shape().last() != Some(&expected)
        {
            return Err(Error::InputLength { expected, shape: inputs.shape().to_vec() });
        }
        let inputs = self.with_policy(inputs);
        let Some(max_norm) = self.config.max_norm else { return self.table.gather(inputs) };
        let renorm = Renorm::new(max_norm, self.config.norm_type)?;
        self.table.update(|table| {
            // Memory for the result comes first: once rows have been shortened nothing may fail.
            let mut workspace = Workspace::new();
            let mut rows = workspace.gather(&*table, inputs)?;
            if renorm.apply(table.view_mut(), &inputs)? {
                workspace.gather_into(&*table, inputs, rows.as_mut_slice())?;
            }
            Ok(rows)
        })
    }

    /// Which inputs are not padding, in row-major order: `id != 0`, on the ids as given, before any cast (0.5 is not padding,
    /// though it is row 0). `None` unless the layer was built with `mask_zero`.
    pub fn compute_mask<'i>(&self, inputs: impl Into<Ids<'i>>) -> Option<Vec<bool>> {
        let inputs = inputs.into();
        self.config.mask_zero.then(|| inputs.nonzero())
    }

    /// The shape of [`call`](Embedding::call)'s result.
    pub fn compute_output_shape(&self, input_shape: &[usize]) -> Vec<usize> {
        [input_shape, &[self.config.output_dim]].concat()
    }

    /// The gradient step of plain SGD: `table[id] -= learning_rate * gradient[k]`, duplicates summed.
    ///
    /// With a regularizer, its gradient at the weights before the step is part of it: for all rows, as in Keras, and in memory of
    /// its own. A constraint is then applied to all rows, as in Keras. A table too large for that is better updated through
    /// [`table`](Embedding::table), and constrained by [`Constraint::apply_rows`].
    ///
    /// # Errors
    /// [`Error::NotTrainable`]; as [`scatter_add`](crate::scatter_add()). Nothing has changed then.
    pub fn apply_gradient<'i, S: Element>(&self, inputs: impl Into<Ids<'i>>, gradient: &[S], learning_rate: f32) -> Result<()> {
        if !self.config.trainable {
            return Err(Error::NotTrainable { name: self.config.name.clone() });
        }
        let inputs = self.with_policy(inputs.into());
        let (regularizer, constraint) = (self.config.regularizer, self.config.constraint);
        self.table.update(|table| {
            let penalty = regularizer.map(|regularizer| regularizer.gradient(&*table)).transpose()?;
            Workspace::new().scatter_add(&mut *table, inputs, gradient, -learning_rate)?;
            if let Some(penalty) = penalty {
                row::add_scaled(table.view_mut(), &penalty, -learning_rate);
            }
            constraint.map_or(Ok(()), |constraint| constraint.apply(table))
        })
    }

    /// What the regularizer adds to a model's loss; 0 without one. Keras has it in `losses`.
    ///
    /// ```
    /// use hotrow::{Embedding, Initializer, Regularizer};
    ///
    /// let layer = Embedding::<f32>::builder(3, 2)
    ///     .embeddings_initializer(Initializer::Ones)
    ///     .embeddings_regularizer(Regularizer::L1 { l1: 0.5 })
    ///     .build()?;
    /// assert_eq!(layer.regularization_loss()?, 3.0);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn regularization_loss(&self) -> Result<f64> {
        self.config.regularizer.map_or(Ok(0.0), |regularizer| self.table.with(|table| regularizer.loss(table)))
    }

    /// Makes room for `input_dim` ids: [`Table::grow`] with the layer's initializer and seed, for every layer that shares the
    /// table.
    ///
    /// ```
    /// use hotrow::Embedding;
    ///
    /// let layer = Embedding::<f32>::new(10, 4)?;
    /// assert!(layer.call(&[11]).is_err());
    /// layer.grow(12)?;
    /// assert_eq!(layer.input_dim(), 12);
    /// assert_eq!(layer.call(&[11])?.shape(), [1, 4]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::grow`]. The table is unchanged then.
    pub fn grow(&self, input_dim: usize) -> Result<()> {
        self.table.grow(input_dim, self.config.initializer, self.config.seed)
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
    /// [`Error::ShapeMismatch`] when the shape is not `[input_dim, output_dim]`; nothing is changed then. `trainable` has no say
    /// here, as in Keras.
    pub fn set_weights(&self, weights: Table<E>) -> Result<()> {
        self.table.set(weights)
    }

    /// The table itself.
    pub fn table(&self) -> &SharedTable<E> {
        &self.table
    }

    /// How many ids there are: the rows of the table, as it is now.
    pub fn input_dim(&self) -> usize {
        self.table.shape()[0]
    }

    /// How many values a row has.
    pub fn output_dim(&self) -> usize {
        self.config.output_dim
    }

    /// The layer's name; `"embedding"` unless chosen.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether [`apply_gradient`](Embedding::apply_gradient) changes the table.
    pub fn trainable(&self) -> bool {
        self.config.trainable
    }

    /// Ids without a choice of their own are read by the layer's.
    fn with_policy<'i>(&self, ids: Ids<'i>) -> Ids<'i> {
        if ids.policy() == IdPolicy::STRICT { ids.with_policy(self.config.policy) } else { ids }
    }
}

/// Configures an [`Embedding`].
///
/// ```
/// use hotrow::{Embedding, IdPolicy, Initializer};
///
/// let layer = Embedding::<f32>::builder(1000, 64)
///     .embeddings_initializer(Initializer::NORMAL)
///     .seed(7)
///     .mask_zero(true)
///     .policy(IdPolicy::KERAS_CALL)
///     .build()?;
/// assert_eq!(layer.compute_mask(&[5, 0, 9]), Some(vec![true, false, true]));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddingBuilder<E: Element = f32> {
    config: Config,
    weights: Option<Table<E>>,
}

impl<E: Element> EmbeddingBuilder<E> {
    /// Everything but weights and policy from JSON, as `Embedding.get_config()` of Keras 3.15 and of Keras 2 writes it, and as
    /// [`Embedding::get_config`] does. Initializers, regularizers and constraints may be objects or bare names. Keys that are
    /// missing have Keras's defaults, sizes excepted; a seed that is missing or null is 0 (Keras draws one).
    ///
    /// ```
    /// use hotrow::{EmbeddingBuilder, IdPolicy};
    ///
    /// let keras2 = r#"{
    ///     "name": "words", "trainable": true, "dtype": "float32", "batch_input_shape": [null, 5],
    ///     "input_dim": 1000, "output_dim": 64,
    ///     "embeddings_initializer": {"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05, "seed": 7}},
    ///     "embeddings_regularizer": null, "activity_regularizer": null, "embeddings_constraint": null,
    ///     "mask_zero": false, "input_length": 5
    /// }"#;
    /// let layer = EmbeddingBuilder::<f32>::from_config(keras2)?.policy(IdPolicy::TF_KERAS2).build()?;
    /// assert_eq!(layer.call(&[[1, 2, 3, 4, 5]])?.shape(), [1, 5, 64]);
    /// assert!(layer.call(&[[1, 2, 3, 4]]).is_err());
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownConfigKey`]; [`Error::InvalidConfig`] for what is no JSON, of the wrong type, of another element than `E`,
    /// or not supported: a constraint along axis 0 (Keras's default, also for a bare name), an orthogonal regularizer of columns,
    /// an activity regularizer, quantization, LoRA; [`Error::UnknownName`].
    pub fn from_config(json: &str) -> Result<EmbeddingBuilder<E>> {
        Ok(EmbeddingBuilder { config: config::read(json, E::DTYPE)?, weights: None })
    }

    /// The layer's name; `"embedding"` unless chosen.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|config| config.name = name.into())
    }

    /// Whether [`apply_gradient`](Embedding::apply_gradient) may change the table; it may unless chosen otherwise.
    #[must_use]
    pub fn trainable(self, trainable: bool) -> Self {
        self.with(|config| config.trainable = trainable)
    }

    /// How the table is filled. The default is `"uniform"`.
    #[must_use]
    pub fn embeddings_initializer(self, initializer: Initializer) -> Self {
        self.with(|config| config.initializer = initializer)
    }

    /// The seed of the initializer; 0 unless chosen.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.with(|config| config.seed = seed)
    }

    /// A penalty on the table's values, whose gradient is part of each step.
    #[must_use]
    pub fn embeddings_regularizer(self, regularizer: Regularizer) -> Self {
        self.with(|config| config.regularizer = Some(regularizer))
    }

    /// What all rows are brought back to after each step.
    #[must_use]
    pub fn embeddings_constraint(self, constraint: Constraint) -> Self {
        self.with(|config| config.constraint = Some(constraint))
    }

    /// The length of every sequence, as in Keras 2: the last dimension of the ids of a call must be it.
    #[must_use]
    pub fn input_length(self, length: usize) -> Self {
        self.with(|config| config.input_length = Some(length))
    }

    /// PyTorch's `max_norm`: rows that a call reads are first shortened to it, in the table.
    #[must_use]
    pub fn max_norm(self, max_norm: f32) -> Self {
        self.with(|config| config.max_norm = Some(max_norm))
    }

    /// PyTorch's `norm_type`: the order of the norm that `max_norm` limits; 2 unless chosen.
    #[must_use]
    pub fn norm_type(self, norm_type: f32) -> Self {
        self.with(|config| config.norm_type = norm_type)
    }

    /// How ids are read.
    #[must_use]
    pub fn policy(self, policy: IdPolicy) -> Self {
        self.with(|config| config.policy = policy)
    }

    /// Whether id 0 is padding, which [`compute_mask`](Embedding::compute_mask) marks.
    #[must_use]
    pub fn mask_zero(self, mask_zero: bool) -> Self {
        self.with(|config| config.mask_zero = mask_zero)
    }

    /// The weights to begin with, instead of an initializer's.
    #[must_use]
    pub fn weights(self, weights: Table<E>) -> Self {
        EmbeddingBuilder { weights: Some(weights), ..self }
    }

    /// Makes the layer.
    ///
    /// # Errors
    /// As [`Table::init`]; [`Error::ShapeMismatch`] when weights were given that are not `[input_dim, output_dim]`;
    /// [`Error::InvalidOption`] and [`Error::InvalidInitializer`] for options that make no sense.
    pub fn build(self) -> Result<Embedding<E>> {
        let config = self.config;
        let (rows, dim) = (config.input_dim, config.output_dim);
        if !config.initializer.is_sound() {
            return Err(Error::InvalidInitializer { initializer: format!("{:?}", config.initializer) });
        }
        Renorm::new(config.max_norm.unwrap_or(0.0), config.norm_type)?;
        config.regularizer.map_or(Ok(()), |regularizer| regularizer.check())?;
        config.constraint.map_or(Ok(()), |constraint| constraint.check())?;
        let table = match self.weights {
            Some(weights) if weights.shape() != [rows, dim] => {
                return Err(Error::ShapeMismatch {
                    what: "weights",
                    expected: vec![rows, dim],
                    needed: rows.saturating_mul(dim),
                    actual: weights.rows() * weights.dim(),
                });
            }
            Some(weights) => weights,
            None => Table::init(rows, dim, config.initializer, config.seed)?,
        };
        Ok(Embedding { table: SharedTable::new(table), config })
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }
}

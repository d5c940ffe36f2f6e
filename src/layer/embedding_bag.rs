//! The PyTorch layer of bags.

use crate::element::{Element, Widen};
use crate::error::Result;
use crate::index::{Bags, IdPolicy, Pooling};
use crate::layer::SharedTable;
use crate::ops::{Gradient, Rows};
use crate::optim::Optimizer;
use crate::table::{Initializer, Table};

/// PyTorch's `EmbeddingBag` layer: bags of ids in, one row for each out.
///
/// ```
/// use hotrow::{Bags, EmbeddingBag, Optimizer, Pooling, Sgd};
///
/// let layer = EmbeddingBag::<f32>::new(1000, 16)?.with_pooling(Pooling::Sum).with_padding_idx(0);
/// let bags = Bags::from_matrix(&[[5, 9, 0], [7, 0, 0]])?; // 0 is padding
/// let rows = layer.call(&bags)?;
/// assert_eq!(rows.shape(), [2, 16]);
///
/// let mut optimizer = Optimizer::new(Sgd { lr: 0.1, ..Sgd::default() }, 1000, 16)?;
/// layer.step(&mut optimizer, &bags, &vec![0.01f32; 2 * 16])?;
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddingBag<E: Element = f32> {
    table: SharedTable<E>,
    pooling: Pooling,
    padding_idx: Option<i64>,
    policy: IdPolicy,
}

impl<E: Widen<f32>> EmbeddingBag<E> {
    /// A layer with PyTorch's defaults: rows drawn from a normal distribution of mean 0 and standard deviation 1, and pooled by their mean.
    ///
    /// # Errors
    /// As [`Table::init`].
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Result<EmbeddingBag<E>> {
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        Ok(EmbeddingBag::with_table(SharedTable::new(Table::init(num_embeddings, embedding_dim, normal, 0)?)))
    }

    /// A layer over a table that others use too.
    pub fn with_table(table: SharedTable<E>) -> EmbeddingBag<E> {
        EmbeddingBag { table, pooling: Pooling::Mean, padding_idx: None, policy: IdPolicy::STRICT }
    }

    /// The same with another pooling: PyTorch's `mode`.
    #[must_use]
    pub fn with_pooling(self, pooling: Pooling) -> EmbeddingBag<E> {
        EmbeddingBag { pooling, ..self }
    }

    /// The same with a row that is padding: bags that name none of their own leave it out. A negative number counts from the end.
    #[must_use]
    pub fn with_padding_idx(self, row: i64) -> EmbeddingBag<E> {
        EmbeddingBag { padding_idx: Some(row), ..self }
    }

    /// The same with another reading of ids, for those without a policy of their own.
    #[must_use]
    pub fn with_policy(self, policy: IdPolicy) -> EmbeddingBag<E> {
        EmbeddingBag { policy, ..self }
    }

    /// One row for each bag: `[bags, embedding_dim]`.
    ///
    /// # Errors
    /// As [`bag`](crate::bag()).
    pub fn call(&self, bags: &Bags<'_>) -> Result<Rows<f32>> {
        self.table.bag(&self.read(bags), self.pooling)
    }

    /// One step of an optimizer by the gradient `[bags, embedding_dim]` of [`call`](EmbeddingBag::call)'s result.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; max pooling needs its argmax, so it is refused here: see [`Gradient::of_max`].
    pub fn step<S: Element>(&self, optimizer: &mut Optimizer, bags: &Bags<'_>, gradient: &[S]) -> Result<()> {
        self.table.step(optimizer, Gradient::of_bags(&self.read(bags), self.pooling, gradient))
    }

    /// The table itself.
    pub fn table(&self) -> &SharedTable<E> {
        &self.table
    }

    /// Bags as this layer reads them.
    fn read<'b>(&self, bags: &Bags<'b>) -> Bags<'b> {
        let bags = match self.padding_idx {
            Some(row) if bags.padding_idx().is_none() => bags.with_padding_idx(row),
            _ => *bags,
        };
        if bags.ids().policy() == IdPolicy::STRICT { bags.with_policy(self.policy) } else { bags }
    }
}

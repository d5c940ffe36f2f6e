#![doc = include_str!("../README.md")]

pub mod ceiling;
mod element;
mod error;
pub mod exchange;
mod index;
mod kernel;
mod layer;
mod ops;
mod optim;
mod par;
pub mod reference;
mod simd;
pub mod store;
mod sums;
mod table;
pub mod text;

pub use element::{DType, Element, Widen};
pub use error::{Error, Result};
pub use half::{bf16, f16};
pub use index::{Bags, Cast, Id, IdPolicy, IdType, IdValue, Ids, Negative, Offset, OutOfRange, Pooling, Ragged, RowSet};
pub use layer::{
    Constraint, Embedding, EmbeddingBag, EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingBuilder, EmbeddingCollection,
    EmbeddingConfig, JaggedRows, KeyedJagged, KeyedRows, Regularizer, SharedTable, renorm,
};
pub use ops::{
    Batch, Gradient, Metric, Neighbour, Rows, SparseGrad, Workspace, bag, bag_into, gather, gather_f32, gather_into, nearest,
    scatter_add, scatter_add_dense, sparse_grad,
};
pub use optim::{
    Adagrad, Adam, AdamW, Ftrl, Optimizer, OptimizerRecord, PartialRowWiseAdam, RmsProp, Rounding, RowWiseAdagrad, Rule, Sgd,
    WeightDecay,
};
pub use par::Parallelism;
pub use simd::Level;
pub use table::{AnyTable, AnyView, AnyViewMut, Buffer, Fan, Initializer, MemoryReport, Spread, Table, TableView, TableViewMut};

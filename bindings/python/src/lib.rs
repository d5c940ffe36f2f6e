//! The native half of the Python package `hotrow`: arrays in, the engine's answers out. No arithmetic is done here.
//!
//! Memory that Python owns is reached in [`arrays`] and [`memory`] alone, which hold all of the package's unsafe code.

mod arrays;
mod bag;
mod bags;
mod checkpoint;
mod collection;
mod error;
mod exchange;
mod exchange_bags;
mod exchange_ids;
mod files;
mod gather;
mod gradient;
mod ids;
mod jagged;
mod memory;
mod optimizer;
mod optimizer_state;
mod options;
mod pool;
mod rules;
mod scatter;
mod sequence;
mod similar;
mod source;
mod sparse;
mod table;
mod table_config;
mod table_methods;
mod tables;

use pyo3::prelude::*;

/// hotrow's native module. Use the package `hotrow`.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::bag::bag_weight_grad;
    #[pymodule_export]
    use crate::bag::embedding_bag;
    #[pymodule_export]
    use crate::bag::embedding_bag_max;
    #[pymodule_export]
    use crate::checkpoint::{CheckpointPart, CheckpointReader, Checkpoints};
    #[pymodule_export]
    use crate::collection::EmbeddingBagCollection;
    #[pymodule_export]
    use crate::exchange::{Routes, draw_part, refusal, refused};
    #[pymodule_export]
    use crate::exchange_bags::{ReceivedBags, RoutedBags};
    #[pymodule_export]
    use crate::exchange_ids::{ReceivedIds, RoutedIds};
    #[pymodule_export]
    use crate::files::load;
    #[pymodule_export]
    use crate::files::load_all;
    #[pymodule_export]
    use crate::files::mmap;
    #[pymodule_export]
    use crate::files::save;
    #[pymodule_export]
    use crate::files::tables;
    #[pymodule_export]
    use crate::gather::gather;
    #[pymodule_export]
    use crate::memory::{memory_cache, set_memory_cache};
    #[pymodule_export]
    use crate::optimizer::Optimizer;
    #[pymodule_export]
    use crate::pool::{after_fork, get_num_threads, level, set_num_threads};
    #[pymodule_export]
    use crate::scatter::gather_dense_grad;
    #[pymodule_export]
    use crate::scatter::scatter_add;
    #[pymodule_export]
    use crate::sequence::EmbeddingCollection;
    #[pymodule_export]
    use crate::similar::similar;
    #[pymodule_export]
    use crate::sparse::{SparseGrad, sparse_grad};
    #[pymodule_export]
    use crate::table::Table;
}

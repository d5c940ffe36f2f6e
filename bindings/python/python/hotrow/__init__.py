"""Embedding tables for CPUs: right to the bit, at the speed of memory."""

import os

from hotrow import _native
from hotrow._native import (
    EmbeddingBagCollection,
    EmbeddingCollection,
    Optimizer,
    SparseGrad,
    Table,
    bag_weight_grad,
    embedding_bag,
    embedding_bag_max,
    gather,
    gather_dense_grad,
    get_num_threads,
    level,
    load,
    load_all,
    memory_cache,
    mmap,
    save,
    scatter_add,
    set_memory_cache,
    set_num_threads,
    similar,
    sparse_grad,
    tables,
)
from hotrow.config import EmbeddingBagConfig, EmbeddingConfig

__all__ = [
    "EmbeddingBagCollection",
    "EmbeddingBagConfig",
    "EmbeddingCollection",
    "EmbeddingConfig",
    "Optimizer",
    "SparseGrad",
    "Table",
    "bag_weight_grad",
    "embedding_bag",
    "embedding_bag_max",
    "gather",
    "gather_dense_grad",
    "get_num_threads",
    "level",
    "load",
    "load_all",
    "memory_cache",
    "mmap",
    "save",
    "scatter_add",
    "set_memory_cache",
    "set_num_threads",
    "similar",
    "sparse_grad",
    "tables",
]

# Threads do not survive a fork; the child makes new ones.
os.register_at_fork(after_in_child=_native.after_fork)

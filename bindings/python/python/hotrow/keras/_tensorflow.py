"""The TensorFlow backend: eager tensors are read where they lie; a `tf.function` calls Python for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import hotrow
from hotrow.keras._backend import no_sparse_ids, no_training
from hotrow.typing import Policy


def lookup(table: Any, ids: Any, policy: Policy, trainable: bool) -> Any:
    """Rows of `table`; of ragged ids, ragged rows."""
    if isinstance(ids, tf.SparseTensor):
        raise no_sparse_ids()
    if isinstance(ids, tf.RaggedTensor):
        return ids.with_flat_values(lookup(table, ids.flat_values, policy, trainable))

    def rows(table: Any, ids: Any) -> Any:
        if "CPU" not in (table.device or "CPU"):
            raise ValueError(f"hotrow.keras.Embedding reads tables in a CPU's memory, and this is on {table.device}")
        # np.asarray of an eager tensor shares its memory, and .numpy() would copy the table.
        return tf.convert_to_tensor(hotrow.gather(np.asarray(table), np.asarray(ids), policy=policy))

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def differentiable(table: Any, ids: Any) -> Any:
        if tf.executing_eagerly():
            found = rows(table, ids)
        else:
            # Unlike tf.numpy_function, this one hands over the table without a copy.
            found = tf.py_function(rows, [table, ids], Tout=table.dtype)
            found.set_shape(ids.shape.concatenate(table.shape[1:]))

        def gradient(*_grad: Any) -> Any:
            raise no_training()

        return found, gradient

    table = tf.convert_to_tensor(table)
    # A tape watches a variable that Keras has frozen as well, and would ask for its gradient only to drop it.
    return differentiable(table if trainable else tf.stop_gradient(table), ids)

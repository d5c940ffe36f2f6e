"""Graphs: the layer inside of what a backend traces, compiles or exports."""

from typing import Any

import hotrow.keras
import numpy as np
import pytest
from common import pair, table, to_numpy

IDS = np.array([[0, 3, 2], [1, -1, 4]], "int32")


def want(layer: Any) -> np.ndarray:
    return to_numpy(layer.embeddings)[IDS]


@pytest.mark.backends("tensorflow")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tf_function(dtype: str) -> None:
    import tensorflow as tf  # noqa: PLC0415

    layer, _ = pair(5, 4, dtype=dtype)
    for signature in (
        tf.TensorSpec((2, 3), tf.int32),
        tf.TensorSpec((None, 3), tf.int32),
        tf.TensorSpec(None, tf.int32),
    ):
        function = tf.function(layer.call, input_signature=[signature])
        np.testing.assert_array_equal(to_numpy(function(IDS)), want(layer))
    layer.embeddings.assign(table(5, 4, seed=9))
    np.testing.assert_array_equal(to_numpy(function(IDS)), want(layer))


@pytest.mark.backends("tensorflow")
def test_strict_in_a_tf_function() -> None:
    import tensorflow as tf  # noqa: PLC0415

    layer = hotrow.keras.Embedding(5, 4, strict=True)
    layer.build()
    with pytest.raises(tf.errors.OpError, match="out of range"):
        tf.function(layer.call)(tf.constant([5]))


@pytest.mark.backends("tensorflow")
def test_ragged_ids() -> None:
    import tensorflow as tf  # noqa: PLC0415

    layer, keras_own = pair(5, 4)
    ids = tf.ragged.constant([[0, 3, 2], [], [-1]], dtype=tf.int32)
    np.testing.assert_array_equal(layer.call(ids).flat_values, keras_own.call(ids).flat_values)
    assert layer.call(ids).shape == keras_own.call(ids).shape


@pytest.mark.backends("tensorflow")
def test_no_gradient_of_a_tape() -> None:
    import tensorflow as tf  # noqa: PLC0415

    layer, _ = pair(5, 4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(IDS))
    with pytest.raises(NotImplementedError, match="trains on the torch backend"):
        tape.gradient(loss, layer.trainable_weights)


@pytest.mark.backends("jax")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_jax_jit_and_vmap(dtype: str) -> None:
    import jax  # noqa: PLC0415

    layer, _ = pair(5, 4, dtype=dtype)
    np.testing.assert_array_equal(to_numpy(jax.jit(layer.call)(IDS)), want(layer))
    np.testing.assert_array_equal(to_numpy(jax.vmap(layer.call)(IDS)), want(layer))

    def stateless(weights: Any, ids: Any) -> Any:
        return layer.stateless_call(weights, [], ids)[0]

    weights = [variable.value for variable in layer.trainable_variables]
    np.testing.assert_array_equal(to_numpy(jax.jit(stateless)(weights, IDS)), want(layer))
    with pytest.raises(NotImplementedError, match="trains on the torch backend"):
        jax.grad(lambda weights: stateless(weights, IDS).sum())(weights)


@pytest.mark.backends("jax")
def test_a_large_table_in_a_jit() -> None:
    """What the callback reads is copied by another thread of JAX: neither must wait for the other."""
    import jax  # noqa: PLC0415

    layer, _ = pair(100_000, 16)
    np.testing.assert_array_equal(to_numpy(jax.jit(layer.call)(IDS)), want(layer))


@pytest.mark.backends("jax")
def test_strict_in_a_jit() -> None:
    import jax  # noqa: PLC0415

    layer = hotrow.keras.Embedding(5, 4, strict=True)
    layer.build()
    with pytest.raises(jax.errors.JaxRuntimeError, match="out of range"):
        jax.block_until_ready(jax.jit(layer.call)(np.array([5])))


@pytest.mark.backends("torch")
def test_torch_compile() -> None:
    import torch  # noqa: PLC0415

    layer, _ = pair(5, 4)
    function = torch.compile(lambda ids: layer(ids) * 2, backend="eager")
    np.testing.assert_array_equal(to_numpy(function(torch.from_numpy(IDS))), want(layer) * 2)


@pytest.mark.backends("torch")
def test_torch_export() -> None:
    import torch  # noqa: PLC0415

    layer, _ = pair(5, 4)
    exported = torch.export.export(layer, (torch.from_numpy(IDS),)).module()
    np.testing.assert_array_equal(to_numpy(exported(torch.from_numpy(IDS))), want(layer))


@pytest.mark.backends("torch")
def test_no_memory_is_copied() -> None:
    """The table is the tensor: what is written into it by hand is looked up."""
    layer, _ = pair(5, 4)
    layer.embeddings.value.data[3] = 7
    np.testing.assert_array_equal(to_numpy(layer(np.array([3]))), [[7] * 4])

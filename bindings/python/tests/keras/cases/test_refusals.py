"""What cannot work says so, and early."""

from typing import Any

import keras
import numpy as np
import pytest
from hotrow.keras import Embedding

BACKEND = keras.config.backend()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"dtype": "float64"}, ValueError, "float64"),
        ({"dtype": "int8_from_float32"}, NotImplementedError, "quantized"),
        ({"fused": "sgdd"}, ValueError, "sgdd"),
        ({"fused": "sgd", "fused_options": {"momentun": 1}}, TypeError, "momentun"),
        ({"fused": "sgd", "fused_options": {"lr": -1}}, ValueError, "lr"),
        ({"fused_options": {"lr": 1}}, ValueError, "fused names none"),
        ({"fused": "sgd", "embeddings_regularizer": "l2"}, ValueError, "weight_decay"),
        ({"fused": "sgd", "lora_rank": 2}, ValueError, "LoRA"),
        ({"fused": "sgd", "dtype": "mixed_float16"}, ValueError, "mixed_float16"),
    ],
)
def test_at_construction(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Embedding(4, 2, **options)


def test_quantize() -> None:
    layer = Embedding(4, 2)
    layer.build()
    with pytest.raises(NotImplementedError, match="quantized"):
        layer.quantize("int8")


def test_lora_later() -> None:
    layer = Embedding(4, 2, fused="sgd")
    layer.build()
    with pytest.raises(ValueError, match="LoRA"):
        layer.enable_lora(2)


def test_sparse_inputs() -> None:
    with pytest.raises(NotImplementedError, match="dense"):
        Embedding(4, 2)(keras.KerasTensor((None, 3), dtype="int32", sparse=True))
    ids = np.array([[0, 1], [2, 0]])
    if BACKEND == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        given = tf.sparse.from_dense(ids)
    elif BACKEND == "jax":
        from jax.experimental import sparse  # noqa: PLC0415

        given = sparse.BCOO.fromdense(ids)
    elif BACKEND == "torch":
        import torch  # noqa: PLC0415

        given = torch.from_numpy(ids).to_sparse()
    else:
        return
    with pytest.raises(NotImplementedError, match="dense"):
        Embedding(4, 2)(given)


@pytest.mark.backends("jax", "tensorflow")
@pytest.mark.parametrize("options", [{}, {"fused": "adagrad"}])
@pytest.mark.parametrize("jit_compile", [True, False])
def test_training_where_there_is_none(options: dict[str, Any], jit_compile: bool) -> None:
    if BACKEND == "tensorflow" and jit_compile:
        pytest.skip("XLA refuses to call Python before there is a gradient to ask for")
    model = keras.Sequential([Embedding(4, 2, **options), keras.layers.Flatten()])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    with pytest.raises(NotImplementedError, match="trains on the torch backend"):
        model.fit(np.zeros((4, 3), "int32"), np.zeros((4, 6)), verbose=0)


@pytest.mark.backends("jax", "tensorflow", "torch")
def test_the_rest_of_a_model_trains_over_a_frozen_table() -> None:
    layer = Embedding(4, 2, trainable=False)
    model = keras.Sequential([layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ids = np.random.default_rng(0).integers(0, 4, (32, 3))
    model.build((None, 3))
    before, dense = layer.get_weights()[0], model.layers[-1].get_weights()[0]
    model.fit(ids, np.ones((32, 1)), verbose=0)
    np.testing.assert_array_equal(layer.get_weights()[0], before)
    assert np.any(model.layers[-1].get_weights()[0] != dense)

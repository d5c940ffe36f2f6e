"""The layer beside Keras's: outputs, masks, shapes, configurations."""

from typing import Any

import hotrow.keras
import keras
import numpy as np
import pytest
from common import RNG, pair, table, to_numpy


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 5), (0,), (2, 0)])
@pytest.mark.parametrize("dim", [1, 7, 16, 33])
def test_rows(shape: tuple[int, ...], dim: int) -> None:
    ours, keras_own = pair(50, dim)
    ids = RNG(1).integers(0, 50, shape)
    want = to_numpy(keras_own(ids))
    found = ours(ids)
    assert tuple(found.shape) == want.shape == (*shape, dim)
    np.testing.assert_array_equal(to_numpy(found), want)
    assert ours.compute_output_shape(shape) == keras_own.compute_output_shape(shape)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_dtypes(dtype: str) -> None:
    ours, keras_own = pair(20, 5, dtype=dtype)
    ids = RNG(2).integers(0, 20, (4, 3))
    found, want = ours(ids), keras_own(ids)
    assert (
        keras.backend.standardize_dtype(found.dtype)
        == keras.backend.standardize_dtype(want.dtype)
        == ours.compute_dtype
    )
    np.testing.assert_array_equal(to_numpy(found), to_numpy(want))


@pytest.mark.parametrize("initializer", ["uniform", "zeros", "glorot_normal", "orthogonal"])
def test_initializers(initializer: str) -> None:
    def layer(of: Any) -> Any:
        seeded = keras.initializers.get(initializer)
        if hasattr(seeded, "seed"):
            seeded = type(seeded)(seed=5)
        found = of(12, 6, embeddings_initializer=seeded)
        found.build()
        return found

    ours, keras_own = layer(hotrow.keras.Embedding), layer(keras.layers.Embedding)
    np.testing.assert_array_equal(to_numpy(ours.embeddings), to_numpy(keras_own.embeddings))


def test_masks() -> None:
    ids = np.array([[0, 3, 0], [1, 0, 2]])
    ours, keras_own = pair(5, 4, mask_zero=True)
    np.testing.assert_array_equal(to_numpy(ours.compute_mask(ids)), to_numpy(keras_own.compute_mask(ids)))
    assert ours.supports_masking
    assert pair(5, 4)[0].compute_mask(ids) is None


def test_a_mask_reaches_the_next_layer() -> None:
    ids = np.array([[1, 3, 0], [1, 0, 0]])
    answers = []
    for layer in pair(5, 4, mask_zero=True):
        inputs = keras.Input((3,), dtype="int64")
        pooled = keras.layers.GlobalAveragePooling1D()(layer(inputs))
        answers.append(to_numpy(keras.Model(inputs, pooled).predict(ids, verbose=0)))
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-6)


def test_symbolic() -> None:
    ours, keras_own = pair(9, 3)
    inputs = keras.Input((4,), dtype="int32")
    assert ours(inputs).shape == keras_own(inputs).shape == (None, 4, 3)
    assert ours(inputs).dtype == keras_own(inputs).dtype


@pytest.mark.backends(
    "torch", "jax", "tensorflow"
)  # NumPy's shapes are found by a call with whatever ids were in memory
def test_a_layer_inside_of_a_layer_is_symbolic_too() -> None:
    class Outer(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = pair(9, 3)[0]

        def call(self, inputs: Any) -> Any:
            return keras.ops.sum(self.inner(inputs), axis=1)

    inputs = keras.Input((4,), dtype="int32")
    model = keras.Model(inputs, Outer()(inputs))
    assert model.output_shape == (None, 3)
    assert model.predict(np.zeros((2, 4), "int32"), verbose=0).shape == (2, 3)


def test_configuration() -> None:
    options = {
        "embeddings_initializer": "ones",
        "embeddings_regularizer": keras.regularizers.L2(0.1),
        "embeddings_constraint": keras.constraints.MaxNorm(2.0),
        "mask_zero": True,
        "name": "words",
        "trainable": False,
        "dtype": "bfloat16",
    }
    ours, keras_own = hotrow.keras.Embedding(7, 3, **options), keras.layers.Embedding(7, 3, **options)
    config = ours.get_config()
    assert {name: config[name] for name in keras_own.get_config()} == keras_own.get_config()
    assert hotrow.keras.Embedding.from_config(config).get_config() == config
    assert hotrow.keras.Embedding.from_config(keras_own.get_config()).get_config() == config
    serialized = keras.saving.serialize_keras_object(ours)
    assert serialized["registered_name"] == "hotrow>Embedding"
    assert keras.saving.deserialize_keras_object(serialized).get_config() == config


def test_configuration_of_what_hotrow_adds() -> None:
    layer = hotrow.keras.Embedding(7, 3, strict=True, fused="adam", fused_options={"lr": 0.25})
    again = hotrow.keras.Embedding.from_config(layer.get_config())
    assert again.strict
    assert (again.fused, again.fused_options) == ("adam", {"lr": 0.25})
    assert again.optimizer.lr == 0.25


def test_regularizer_and_constraint_are_keras_s() -> None:
    ours, keras_own = pair(6, 3, embeddings_regularizer="l2", embeddings_constraint="unit_norm")
    for layer in (ours, keras_own):
        layer(np.array([1, 2]))
    np.testing.assert_allclose(to_numpy(ours.losses[0]), to_numpy(keras_own.losses[0]), rtol=1e-6)
    assert ours.weights[0].constraint is ours.embeddings_constraint


@pytest.mark.parametrize("fused", [None, "rowwise_adagrad"])
def test_weights(fused: str | None) -> None:
    values = table(6, 3)
    layer = hotrow.keras.Embedding(6, 3, fused=fused)
    layer.build()
    layer.set_weights([values])
    assert len(layer.get_weights()) == 1
    np.testing.assert_array_equal(layer.get_weights()[0], values)
    with pytest.raises(ValueError, match=r"\(6, 3\)"):
        layer.set_weights([values[:5]])
    assert layer.weights[0] is layer._embeddings


def test_lora() -> None:
    ids = RNG(3).integers(0, 10, (4, 2))
    ours, keras_own = pair(10, 6)
    low = table(2, 6, seed=4)
    for layer in (ours, keras_own):
        layer.enable_lora(2, lora_alpha=3)
        layer.lora_embeddings_a.assign(table(10, 2, seed=5))
        layer.lora_embeddings_b.assign(low)
        assert not layer._embeddings.trainable
    np.testing.assert_allclose(to_numpy(ours(ids)), to_numpy(keras_own(ids)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(ours.embeddings), to_numpy(keras_own.embeddings), rtol=1e-5, atol=1e-6)

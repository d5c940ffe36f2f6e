"""Saved and loaded: whole models, weights alone, to and from Keras's own layer, and an optimizer's state with them."""

import copy
import pickle
from pathlib import Path
from typing import Any

import hotrow.keras
import keras
import numpy as np
import pytest
from common import RNG, table, to_numpy

IDS = RNG(7).integers(0, 12, (40, 3))
TARGETS = RNG(8).standard_normal((40, 12)).astype("float32")


def model_of(of: Any, dtype: str = "float32", **options: Any) -> Any:
    model = keras.Sequential(
        [of(12, 4, name="table", dtype=dtype, weights=table(12, 4), **options), keras.layers.Flatten()]
    )
    model.build((None, 3))
    return model


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_models(tmp_path: Path, dtype: str) -> None:
    model = model_of(hotrow.keras.Embedding, dtype, mask_zero=True, strict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is hotrow.keras.Embedding
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    np.testing.assert_array_equal(loaded.predict(IDS, verbose=0), model.predict(IDS, verbose=0))


@pytest.mark.parametrize("fused", [None, "adam"])
def test_weights_to_and_from_keras(tmp_path: Path, fused: str | None) -> None:
    path = tmp_path / "model.weights.h5"
    ours, keras_own = model_of(hotrow.keras.Embedding, fused=fused), model_of(keras.layers.Embedding)
    keras_own.layers[0].set_weights([table(12, 4, seed=3)])
    keras_own.save_weights(path)
    ours.load_weights(path)
    np.testing.assert_array_equal(ours.layers[0].get_weights()[0], table(12, 4, seed=3))

    ours.layers[0].set_weights([table(12, 4, seed=4)])
    ours.save_weights(path)
    keras_own.load_weights(path)
    np.testing.assert_array_equal(keras_own.layers[0].get_weights()[0], table(12, 4, seed=4))


def test_lora_is_merged_as_in_keras(tmp_path: Path) -> None:
    model = model_of(hotrow.keras.Embedding)
    layer = model.layers[0]
    layer.enable_lora(2)
    layer.lora_embeddings_b.assign(table(2, 4, seed=5))
    want = to_numpy(layer.embeddings)
    model.save_weights(tmp_path / "model.weights.h5")
    merged = model_of(keras.layers.Embedding)
    merged.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(merged.layers[0].get_weights()[0], want)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_models_are_copied_and_pickled(again: Any) -> None:
    model = model_of(hotrow.keras.Embedding)
    other = again(model)
    np.testing.assert_array_equal(other.predict(IDS, verbose=0), model.predict(IDS, verbose=0))
    other.layers[0].set_weights([np.zeros((12, 4), "float32")])
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], table(12, 4))


@pytest.mark.backends("torch")
@pytest.mark.parametrize("rule", ["sgd", "rowwise_adagrad", "adam", "ftrl"])
@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5", "pickle"])
def test_training_goes_on_bit_for_bit(tmp_path: Path, rule: str, name: str) -> None:
    def fit(model: Any) -> Any:
        model.compile("sgd", "mse")
        model.fit(IDS, TARGETS, batch_size=8, shuffle=False, verbose=0)
        return model.layers[0]

    options = {"lr": 0.1, **({"momentum": 0.9} if rule == "sgd" else {})}
    model = model_of(hotrow.keras.Embedding, fused=rule, fused_options=options)
    fit(model).optimizer.lr = 0.05
    if name == "pickle":
        other = pickle.loads(pickle.dumps(model))
    elif name == "model.keras":
        model.save(tmp_path / name)
        other = keras.saving.load_model(tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
        other = model_of(hotrow.keras.Embedding, fused=rule, fused_options=options)
        other.load_weights(tmp_path / name)
    ours, theirs = fit(model), fit(other)
    np.testing.assert_array_equal(ours.get_weights()[0], theirs.get_weights()[0])
    assert ours.optimizer.steps == theirs.optimizer.steps == 10
    assert theirs.optimizer.lr == np.float32(0.05)
    for state, values in ours.optimizer.state().items():
        np.testing.assert_array_equal(values, theirs.optimizer.state()[state])


def test_a_trained_state_is_kept_where_there_is_no_training(tmp_path: Path) -> None:
    """A fused model opens under every backend, and is saved again with its state."""
    model = model_of(hotrow.keras.Embedding, fused="adagrad")
    layer = model.layers[0]
    layer.optimizer.step(np.zeros((12, 4), "float32"), np.array([3]), np.ones((1, 4), "float32"))
    for turn in range(2):
        model.save(tmp_path / f"{turn}.keras")
        model = keras.saving.load_model(tmp_path / f"{turn}.keras")
    assert model.layers[0].optimizer.steps == 1
    for state, values in layer.optimizer.state().items():
        np.testing.assert_array_equal(values, model.layers[0].optimizer.state()[state])

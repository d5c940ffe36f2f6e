"""Training on the torch backend: the weights after `fit` are those of Keras's layer."""

from typing import Any

import hotrow.keras
import keras
import numpy as np
import pytest
from common import RNG, pair, table

pytestmark = pytest.mark.backends("torch")

ROWS, DIM = 30, 6
IDS = RNG(1).integers(0, ROWS, (96, 4))
TARGETS = RNG(2).standard_normal((96, 3)).astype("float32")


def fitted(
    layer: Any, optimizer: Any, loss: str = "mse", epochs: int = 3, **compile_options: Any
) -> tuple[Any, np.ndarray]:
    """The losses, and the table after `fit`."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential([layer, keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile(optimizer, loss, **compile_options)
    history = model.fit(IDS, TARGETS, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return history.history["loss"], layer.get_weights()[0]


def agree(layers: tuple[Any, Any], optimizers: Any, **options: Any) -> None:
    """Both give the same losses and weights."""
    (our_loss, ours), (their_loss, theirs) = (
        fitted(layer, optimizer(), **options) for layer, optimizer in zip(layers, optimizers, strict=True)
    )
    np.testing.assert_allclose(our_loss, their_loss, rtol=1e-5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "rmsprop", "adamw", "ftrl"])
def test_dense(optimizer: str) -> None:
    agree(pair(ROWS, DIM), [lambda: keras.optimizers.get(optimizer)] * 2)


@pytest.mark.parametrize(
    "options",
    [
        {"embeddings_regularizer": "l2"},
        {"embeddings_constraint": "unit_norm"},
        {"mask_zero": False, "activity_regularizer": "l1"},
    ],
)
def test_dense_with(options: dict[str, Any]) -> None:
    agree(pair(ROWS, DIM, **options), [lambda: keras.optimizers.SGD(0.1)] * 2)


def test_lora() -> None:
    layers = pair(ROWS, DIM)
    for layer in layers:
        layer.enable_lora(2)
        layer.lora_embeddings_a.assign(table(ROWS, 2, seed=6))
    agree(layers, [lambda: keras.optimizers.SGD(0.1)] * 2)
    for ours, theirs in zip(*(layer.get_weights() for layer in layers), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert np.any(layers[0].get_weights()[1] != 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16", "mixed_float16"])
def test_dense_in_other_types(dtype: str) -> None:
    ours, theirs = pair(ROWS, DIM, dtype=dtype)
    (_, found), (_, want) = fitted(ours, "sgd"), fitted(theirs, "sgd")
    # The sums of equal ids are rounded at the end here, at each addition there.
    np.testing.assert_allclose(found.astype("float32"), want.astype("float32"), rtol=0.02, atol=0.02)
    assert np.any(found != table(ROWS, DIM).astype(found.dtype))


def test_negative_ids_train_the_rows_they_mean() -> None:
    ours, theirs = pair(ROWS, DIM)
    found = []
    for layer in (ours, theirs):
        model = keras.Sequential([layer, keras.layers.Flatten()])
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.fit(np.array([[-1, 2], [-1, 0]]), np.zeros((2, 2 * DIM)), verbose=0)
        found.append(layer.get_weights()[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert np.any(found[0][-1] != table(ROWS, DIM)[-1])


@pytest.mark.parametrize(
    ("rule", "options", "like"),
    [
        ("sgd", {"lr": 0.2}, lambda: keras.optimizers.SGD(0.2)),
        (
            "adagrad",
            {"lr": 0.2, "eps": 1e-7, "initial_accumulator": 0.1},
            lambda: keras.optimizers.Adagrad(0.2, initial_accumulator_value=0.1, epsilon=1e-7),
        ),
    ],
)
def test_fused_is_what_keras_computes(rule: str, options: dict[str, Any], like: Any) -> None:
    """Of the rules that leave untouched rows alone. The rest of the model has Keras's optimizer in both."""
    ours = hotrow.keras.Embedding(ROWS, DIM, weights=table(ROWS, DIM), fused=rule, fused_options=options)
    agree((ours, pair(ROWS, DIM)[1]), [like, like])


@pytest.mark.parametrize(
    "rule", ["sgd", "adagrad", "rowwise_adagrad", "adam", "adamw", "partial_rowwise_adam", "rmsprop", "ftrl"]
)
def test_every_rule_learns(rule: str) -> None:
    layer = hotrow.keras.Embedding(ROWS, DIM, fused=rule, fused_options={"lr": 2.0 if rule == "sgd" else 0.05})
    losses, _ = fitted(layer, keras.optimizers.SGD(0.01), epochs=12)
    assert losses[-1] < 0.9 * losses[0]
    assert layer.optimizer is not None
    assert layer.optimizer.steps == 12 * 6


def test_fused_in_bfloat16_with_stochastic_rounding_is_reproducible() -> None:
    found = []
    for _ in range(2):
        options = {"lr": 0.05, "stochastic_rounding": 3}
        layer = hotrow.keras.Embedding(
            ROWS, DIM, dtype="bfloat16", weights=table(ROWS, DIM), fused="rowwise_adagrad", fused_options=options
        )
        found.append(fitted(layer, "sgd")[1])
    np.testing.assert_array_equal(found[0].view("uint16"), found[1].view("uint16"))
    assert np.any(found[0] != table(ROWS, DIM).astype(found[0].dtype))


def test_a_layer_called_twice_makes_one_step() -> None:
    """As Keras, which has one gradient a backward: for Adagrad two steps would not be the same."""
    found = []
    options = {"lr": 0.3, "eps": 1e-7, "initial_accumulator": 0.1}
    like = keras.optimizers.Adagrad(0.3, initial_accumulator_value=0.1, epsilon=1e-7)
    for layer in (
        hotrow.keras.Embedding(ROWS, DIM, weights=table(ROWS, DIM), fused="adagrad", fused_options=options),
        pair(ROWS, DIM)[1],
    ):
        first, second = keras.Input((2,), dtype="int64"), keras.Input((3,), dtype="int32")
        pooled = [keras.ops.sum(layer(inputs), axis=1) for inputs in (first, second)]
        model = keras.Model([first, second], keras.layers.Dot(1)(pooled))
        model.compile(like if layer.get_config().get("fused") is None else "sgd", "mse")
        model.fit([IDS[:, :2], IDS[:, 1:].astype("int32")], np.ones((96, 1)), batch_size=32, shuffle=False, verbose=0)
        found.append(layer.get_weights()[0])
        if isinstance(layer, hotrow.keras.Embedding):
            assert layer.optimizer is not None
            assert layer.optimizer.steps == 3
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_fused_leaves_keras_s_optimizer_nothing_to_do() -> None:
    layer = hotrow.keras.Embedding(ROWS, DIM, weights=table(ROWS, DIM), fused="adagrad", fused_options={"lr": 0.0})
    model = keras.Sequential([layer, keras.layers.Flatten()])
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), "mse")
    model.fit(IDS, np.ones((96, 4 * DIM)), verbose=0)
    np.testing.assert_array_equal(layer.get_weights()[0], table(ROWS, DIM))
    assert max(int(np.prod(variable.shape)) for variable in model.optimizer.variables) == 1


def test_fused_with_a_constraint() -> None:
    layer = hotrow.keras.Embedding(ROWS, DIM, fused="sgd", fused_options={"lr": 0.1}, embeddings_constraint="unit_norm")
    _, weights = fitted(layer, "sgd")
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), np.ones(DIM), rtol=1e-5)


@pytest.mark.parametrize("how", ["at construction", "later", "the model"])
def test_fused_and_frozen(how: str) -> None:
    layer = hotrow.keras.Embedding(ROWS, DIM, weights=table(ROWS, DIM), fused="sgd", trainable=how != "at construction")
    model = keras.Sequential([layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.build((None, 4))
    if how == "later":
        layer.trainable = False
    if how == "the model":
        model.trainable = False
        model.layers[-1].trainable = True
    model.compile("sgd", "mse")
    model.fit(IDS, np.ones((96, 1)), verbose=0)
    np.testing.assert_array_equal(layer.get_weights()[0], table(ROWS, DIM))
    assert layer.optimizer is not None
    assert layer.optimizer.steps == 0


def test_a_backward_that_fails_leaves_nothing_behind() -> None:
    import torch  # noqa: PLC0415

    layer = hotrow.keras.Embedding(4, 2, weights=np.zeros((4, 2), "float32"), fused="sgd", fused_options={"lr": 1.0})
    ids = torch.tensor([1])

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: Any, anchor: Any) -> Any:
            return anchor.clone()

        @staticmethod
        def backward(_ctx: Any, _grad: Any) -> Any:
            raise RuntimeError("on purpose")

    leaf = torch.zeros((), requires_grad=True)
    rows = layer(ids)
    with pytest.raises(RuntimeError, match="on purpose"):
        (Fails.apply(leaf) + rows.sum()).backward()
    np.testing.assert_array_equal(layer.get_weights()[0], np.zeros((4, 2)))
    layer(ids).sum().backward()
    np.testing.assert_array_equal(layer.get_weights()[0][1], [-1, -1])


def test_pytorch_knows_that_the_table_has_changed() -> None:
    layer = hotrow.keras.Embedding(4, 2, fused="sgd")
    rows = layer(np.array([1]))
    value = layer.embeddings.value
    scale = keras.ops.ones((4, 2))
    scale.requires_grad_(True)
    product = (scale * value).sum()
    rows.sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()

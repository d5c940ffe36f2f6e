"""The notebook: ten symbols of four features each, looked up by two models that share a layer."""

import keras
import numpy as np
import pytest
from hotrow.keras import Embedding
from keras.layers import Flatten, Input
from keras.models import Model, Sequential

WEIGHTS = np.arange(40, dtype="float32").reshape(10, 4)


def test_one_layer_in_two_models() -> None:
    embedding = Embedding(10, 4)
    inputs = Input(shape=(1,))
    rows = Model(inputs, embedding(inputs))
    flat = Model(inputs, Flatten()(embedding(inputs)))
    embedding.set_weights([WEIGHTS])

    assert rows.output_shape == (None, 1, 4)
    assert flat.output_shape == (None, 4)
    batch = np.array([[0], [3]])
    np.testing.assert_array_equal(rows.predict(batch, verbose=0), WEIGHTS[batch])
    np.testing.assert_array_equal(flat.predict(batch, verbose=0), [[0, 1, 2, 3], [12, 13, 14, 15]])

    assert rows.layers[1] is flat.layers[1]
    flat.layers[1].set_weights([WEIGHTS * 2])
    np.testing.assert_array_equal(rows.predict(batch, verbose=0), WEIGHTS[batch] * 2)


def test_a_sequence_of_layers() -> None:
    model = Sequential([Embedding(10, 4, weights=WEIGHTS), Flatten()])
    np.testing.assert_array_equal(model.predict(np.array([[0], [3]]), verbose=0), WEIGHTS[[0, 3]])


def test_lists_are_keras_s_to_take() -> None:
    """Keras 2 took `predict([[0], [3]])` for a batch; Keras 3 takes lists for several inputs, whatever the layer is."""
    for layer in (Embedding(10, 4, weights=WEIGHTS), keras.layers.Embedding(10, 4, weights=WEIGHTS)):
        inputs = Input(shape=(1,))
        model = Model(inputs, Flatten()(layer(inputs)))
        try:
            found = model.predict([[0], [3]], verbose=0)
        except ValueError as error:
            assert "Unrecognized data type" in str(error)  # noqa: PT017
            continue
        np.testing.assert_array_equal(found, WEIGHTS[[0, 3]])


@pytest.mark.backends("torch")
def test_what_one_model_learns_the_other_knows() -> None:
    embedding = Embedding(10, 4, weights=WEIGHTS)
    inputs = Input(shape=(1,))
    rows = Model(inputs, embedding(inputs))
    flat = Model(inputs, Flatten()(embedding(inputs)))
    flat.compile("sgd", "mse")
    flat.fit(np.array([[3]]), np.zeros((1, 4)), verbose=0)
    after = rows.predict(np.array([[0], [3]]), verbose=0)
    np.testing.assert_array_equal(after[0, 0], WEIGHTS[0])
    assert np.all(after[1, 0] < WEIGHTS[3])

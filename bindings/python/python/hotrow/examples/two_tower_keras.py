"""A two-tower recommender in Keras, with its own embedding layer or hotrow's.

Run it under the torch backend, where hotrow trains:

    KERAS_BACKEND=torch python -m hotrow.examples.two_tower_keras --embedding hotrow
    KERAS_BACKEND=torch python -m hotrow.examples.two_tower_keras --embedding keras
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hotrow.examples.options import Options, parse

# Keras reads it when it is imported.
os.environ.setdefault("KERAS_BACKEND", "torch")

import keras

import hotrow.keras


def tower(options: Options, rows: int) -> Any:
    """From an id to a vector: an embedding here; more layers may follow it. The class is all that differs."""
    common = {
        "embeddings_initializer": keras.initializers.RandomNormal(stddev=0.1, seed=options.seed + rows),
        "activity_regularizer": keras.regularizers.L2(options.l2),
    }
    if options.embedding == "keras":
        layer = keras.layers.Embedding(rows, options.dim, **common)
    elif options.fused is None:
        layer = hotrow.keras.Embedding(rows, options.dim, **common)
    else:
        layer = hotrow.keras.Embedding(
            rows, options.dim, **common, fused=options.fused, fused_options={"lr": options.lr}
        )
    return keras.Sequential([layer])


def vectors(side: Any, rows: int) -> NDArray[np.float32]:
    """All vectors of a tower."""
    return np.asarray(side.predict(np.arange(rows), batch_size=4096, verbose=0))


def main(arguments: Sequence[str] | None = None) -> float:
    """Trains, prints an epoch a line, and returns the last hit rate."""
    options = parse("keras", arguments)
    data = options.data
    keras.utils.set_random_seed(options.seed)
    users, items = tower(options, data.users), tower(options, data.items)
    user, item, other = (keras.Input((), dtype="int32") for _ in range(3))
    margin = keras.ops.sum(users(user) * (items(item) - items(other)), axis=1)
    model = keras.Model([user, item, other], margin)
    # That the user's own item scores higher: the logistic loss of the margin.
    # With this epsilon, which Keras adds below the root, its Adagrad is hotrow's and PyTorch's.
    optimizer = keras.optimizers.Adagrad(options.lr, initial_accumulator_value=0.0, epsilon=1e-20)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))

    rng = np.random.default_rng(options.seed)
    rate = 0.0
    for epoch in range(1, options.epochs + 1):
        triples = data.triples(rng)
        begin = time.perf_counter()
        fitted = model.fit(list(triples), np.ones(len(triples[0])), batch_size=options.batch, shuffle=False, verbose=0)
        seconds = time.perf_counter() - begin
        rate = data.hit_rate(vectors(users, data.users), vectors(items, data.items))
        print(f"epoch {epoch}: loss {fitted.history['loss'][0]:.4f}, HR@10 {rate:.4f}, {seconds:.2f} s")
    return rate


if __name__ == "__main__":
    main()

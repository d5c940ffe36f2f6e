"""What differs from one Keras backend to another: how a table is read without a copy, and how gradients reach it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import keras

from hotrow.typing import Policy

#: The backends that there is a module for.
NAMES = ("torch", "jax", "tensorflow", "numpy")


class Lookup(Protocol):
    """Rows of a table by ids, as a tensor of the backend."""

    def __call__(self, table: Any, ids: Any, policy: Policy, trainable: bool, /) -> Any:
        """`table` and `ids` are tensors of the backend; a table that is not trainable needs no gradient."""


@cache
def lookup() -> Lookup:
    """The running backend's lookup."""
    found: Lookup = import_module(f"hotrow.keras._{name()}").lookup
    return found


def name() -> str:
    """The running backend's name."""
    backend: str = keras.config.backend()
    if backend not in NAMES:
        raise ValueError(f"hotrow.keras runs on the backends {', '.join(NAMES)}, and this is {backend}")
    return backend


def trains() -> bool:
    """Whether gradients reach the table."""
    return name() == "torch"


def policy(strict: bool) -> Policy:
    """How ids are read: by hotrow's strict rules, or as Keras reads them on this backend."""
    return "strict" if strict else cast(Policy, f"keras3_{name()}")


def no_training() -> NotImplementedError:
    """What a backend without gradients raises when one is asked for."""
    return NotImplementedError(
        f"hotrow.keras.Embedding trains on the torch backend, and this is {name()}: here it is for inference. "
        "Set trainable=False to train the rest of the model, or train with KERAS_BACKEND=torch; "
        "saved models open under every backend."
    )


def no_sparse_ids() -> NotImplementedError:
    """What is raised for ids in a sparse tensor."""
    return NotImplementedError(
        "hotrow.keras.Embedding takes dense ids: make the sparse tensor dense, or use keras.layers.Embedding"
    )

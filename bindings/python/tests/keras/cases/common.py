"""What the cases share: pairs of layers that must agree."""

from typing import Any

import hotrow.keras
import keras
import numpy as np

RNG = np.random.default_rng


def to_numpy(value: Any) -> np.ndarray:
    """Any tensor as an array that NumPy can compare."""
    found = np.asarray(keras.ops.convert_to_numpy(value))
    return found.astype("float32") if found.dtype.name == "bfloat16" else found


def table(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    """Random weights."""
    return RNG(seed).standard_normal((rows, dim)).astype("float32")


def pair(rows: int, dim: int, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """Ours and Keras's, with the same weights."""
    values = table(rows, dim, seed)
    return hotrow.keras.Embedding(rows, dim, weights=values, **options), keras.layers.Embedding(
        rows, dim, weights=values, **options
    )


def outcome(layer: Any, ids: Any) -> Any:
    """The rows that were read of a table whose rows hold their number, -1 for one of NaN; or that it failed."""
    try:
        rows = to_numpy(layer(ids))[..., 0]
    except Exception:
        return "error"
    return np.where(np.isnan(rows), -1, rows).astype(int).reshape(-1).tolist()

"""Types of arguments, for annotations."""

from os import PathLike
from typing import Any, Literal, TypeAlias

from numpy.typing import ArrayLike, NDArray

from hotrow._native import Table

__all__ = ["Element", "Ids", "Mode", "Path", "Policy", "TableLike"]

TableLike: TypeAlias = Table | NDArray[Any]
"""A table, or an array as `Table` takes it."""

Ids: TypeAlias = ArrayLike
"""An array of integers, floats or bools, a number, or nested sequences."""

Path: TypeAlias = str | PathLike[str]
"""Where a file is."""

Element: TypeAlias = Literal["float32", "float16", "bfloat16"]
"""What a table's numbers are."""

Mode: TypeAlias = Literal["sum", "mean", "max", "sqrtn"]
"""How bags are pooled."""

Policy: TypeAlias = Literal[
    "strict",
    "keras_call",
    "tf_keras2",
    "keras3_tensorflow",
    "keras3_numpy",
    "keras3_jax",
    "keras3_torch",
    "torch",
    "jax_clip",
    "tf_safe",
    "zero_fill",
]
"""How ids are read."""

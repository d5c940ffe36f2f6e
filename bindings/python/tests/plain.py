"""Every operation written plainly in NumPy and Python: what the package is compared with, bit by bit."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

F32 = np.float32
BF16 = np.dtype(ml_dtypes.bfloat16)
ELEMENTS = {"float32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": BF16}

# How an id becomes an integer, what a negative one means, and what one that names no row means.
POLICIES: dict[str, tuple[str, str, Any]] = {
    "strict": ("checked", "refused", "error"),
    "keras_call": ("int32", "refused", "error"),
    "tf_keras2": ("keep", "refused", "error"),
    "keras3_tensorflow": ("keep", "from_end", "error"),
    "keras3_numpy": ("keep", "from_end", "error"),
    "keras3_jax": ("int32", "from_end", math.nan),
    "keras3_torch": ("int32", "from_end", "error"),
    "torch": ("none", "refused", "error"),
    "jax_clip": ("int32", "from_end", "clamp"),
    "tf_safe": ("keep", "skipped", "error"),
    "zero_fill": ("checked", "refused", 0.0),
}


def bits(array: NDArray[Any]) -> bytes:
    """What an array holds, bit by bit."""
    return np.ascontiguousarray(array).tobytes()


def same(a: NDArray[Any], b: NDArray[Any]) -> None:
    """Asserts that two arrays are equal in type, shape and every bit."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert bits(a) == bits(b), (a, b)


def draw(rng: np.random.Generator, rows: int, dim: int, dtype: str = "float32") -> NDArray[Any]:
    """A table of random numbers."""
    return rng.standard_normal((rows, dim)).astype(ELEMENTS[dtype])


def cast(value: Any, dtype: np.dtype[Any], how: str) -> int:
    """An id as an integer."""
    if how == "none" and dtype not in (np.int32, np.int64):
        raise TypeError
    if dtype.kind == "f":
        number = float(value)
        if how in ("checked", "none"):
            if not math.isfinite(number) or not -(2**63) <= math.trunc(number) < 2**63:
                raise ValueError
            return math.trunc(number)
        if not math.isfinite(number) or not -(2**31) <= math.trunc(number) < 2**31:
            return -(2**31)
        return math.trunc(number)
    number = int(value)
    if how in ("checked", "none") or (how == "keep" and dtype == np.int64):
        if not -(2**63) <= number < 2**63 and how == "checked":
            raise ValueError
        return number
    return (number + 2**31) % 2**32 - 2**31


def resolve(ids: NDArray[Any], rows: int, policy: str = "strict") -> list[int | None]:
    """The row that each id names; None where it names none and the policy lets that pass."""
    how, negative, out_of_range = POLICIES[policy]
    dtype = ids.dtype.newbyteorder("=") if ids.dtype.kind != "b" else np.dtype(np.uint8)
    if how == "none" and dtype not in (np.int32, np.int64):
        raise TypeError
    named: list[int | None] = []
    for value in ids.ravel():
        row = cast(value, dtype, how)
        if row < 0 and negative == "skipped":
            named.append(None)
            continue
        if row < 0 and negative == "from_end":
            row += rows
        if 0 <= row < rows:
            named.append(row)
        elif out_of_range == "error" or (out_of_range == "clamp" and rows == 0):
            raise IndexError
        elif out_of_range == "clamp":
            named.append(0 if row < 0 else rows - 1)
        else:
            named.append(None)
    return named


def fill_of(policy: str) -> float:
    """What a row that is not there is made of."""
    out_of_range = POLICIES[policy][2]
    return out_of_range if isinstance(out_of_range, float) else 0.0


def gather(table: NDArray[Any], ids: NDArray[Any], policy: str = "strict") -> NDArray[Any]:
    """The rows that the ids name."""
    out = np.full((ids.size, table.shape[1]), fill_of(policy), table.dtype)
    for k, row in enumerate(resolve(ids, len(table), policy)):
        if row is not None:
            out[k] = table[row]
    return out.reshape((*ids.shape, table.shape[1]))


def splits_of(lengths: list[int]) -> list[int]:
    """Where bags start, and where the last one ends."""
    return [0, *np.cumsum(lengths, dtype=np.int64).tolist()]


def bag(
    table: NDArray[Any],
    rows: list[int | None],
    splits: list[int],
    mode: str = "sum",
    weights: NDArray[Any] | None = None,
    padding_idx: int | None = None,
    default_row: int | None = None,
    fill: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """Pooled rows and, for "max", the rows that they came from."""
    count, dim = len(splits) - 1, table.shape[1]
    wide = table.astype(F32)
    out = np.zeros((count, dim), F32)
    argmax = np.full((count, dim), 2**32 - 1, np.uint32)
    for b in range(count):
        members = [
            (rows[at], F32(1) if weights is None else weights.ravel()[at])
            for at in range(splits[b], splits[b + 1])
            if (rows[at] is not None or fill is not None) and (rows[at] is None or rows[at] != padding_idx)
        ]
        if not members and default_row is not None:
            members = [(default_row, F32(1))]
        total = F32(0)
        for k, (row, weight) in enumerate(members):
            values = np.full(dim, fill, F32) if row is None else wide[row]
            if mode == "max":
                wins = np.ones(dim, bool) if k == 0 else values > out[b]
                out[b][wins] = values[wins]
                argmax[b][wins] = 2**32 - 1 if row is None else row
            else:
                out[b] += weight * values
            total += weight * weight if mode == "sqrtn" else weight
        if mode in ("mean", "sqrtn"):
            divisor = np.sqrt(total) if mode == "sqrtn" else total
            out[b] = out[b] / divisor if divisor != 0 else 0
    return out, argmax


def scatter_add(table: NDArray[Any], rows: list[int | None], source: NDArray[Any], alpha: float = 1.0) -> NDArray[Any]:
    """A copy of the table with rows added in order: in float32, each row rounded once."""
    sums = table.astype(F32)
    flat = source.reshape((len(rows), table.shape[1])).astype(F32)
    for k, row in enumerate(rows):
        if row is not None:
            sums[row] += F32(alpha) * flat[k]
    out = table.copy()
    for row in {row for row in rows if row is not None}:
        out[row] = sums[row].astype(table.dtype)
    return out


def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.float32:
    """The one shape of a sum over a row: 16 partial sums, folded in halves."""
    partial = np.zeros(16, F32)
    for k in range(len(a)):
        partial[k % 16] += a[k] * b[k]
    for half in (8, 4, 2, 1):
        partial[:half] += partial[half : 2 * half]
    return partial[0]

"""Ids of any type, shape and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
DTYPES = [*INTEGERS, *FLOATS, "bool"]
LAYOUTS = ["plain", "stepped", "reversed", "swapped", "fortran", "misaligned", "read_only"]


def laid_out(ids: NDArray[Any], layout: str) -> NDArray[Any]:
    """The same ids, lying differently in memory."""
    match layout:
        case "stepped" if ids.ndim > 0:
            wide = np.zeros((*ids.shape[:-1], ids.shape[-1] * 3), ids.dtype)
            wide[..., ::3] = ids
            return wide[..., ::3]
        case "reversed" if ids.ndim > 0:
            return np.ascontiguousarray(ids[::-1])[::-1]
        case "swapped":
            return ids.astype(ids.dtype.newbyteorder("S"))
        case "fortran":
            return np.asfortranarray(ids)
        case "misaligned":
            room = np.zeros(ids.nbytes + 1, np.uint8)
            moved = room[1:].view(ids.dtype).reshape(ids.shape)
            moved[...] = ids
            return moved
        case "read_only":
            ids = ids.copy()
            ids.flags.writeable = False
            return ids
    return ids


@st.composite
def id_arrays(
    draw: st.DrawFn,
    rows: int,
    *,
    dims: st.SearchStrategy[int] | None = None,
    wild: bool = True,
    dtypes: list[str] = DTYPES,
) -> NDArray[Any]:
    """Ids for a table of so many rows; wild ones are now and then out of range."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    ndim = draw(st.integers(0, 3) if dims is None else dims)
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=ndim, max_size=ndim)))
    size = int(np.prod(shape, dtype=np.int64))
    inside: st.SearchStrategy[Any] = st.integers(0, max(rows - 1, 0))
    if dtype.kind == "b":
        one = st.booleans() if rows > 1 else st.just(False)
    elif dtype.kind == "f":
        one = inside.map(float)
        if draw(st.booleans()):
            one = st.tuples(inside, st.sampled_from([0.0, 0.25, 0.5])).map(sum)
        if wild and draw(st.booleans()):
            one = one | st.floats(width=8 * dtype.itemsize)
    else:
        info = np.iinfo(dtype)
        one = st.integers(0, min(max(rows - 1, 0), int(info.max)))
        if wild and draw(st.booleans()):
            one = (
                one
                | st.integers(max(-2 * rows, int(info.min)), min(2 * rows, int(info.max)))
                | st.integers(info.min, info.max)
            )
    ids = np.array(draw(st.lists(one, min_size=size, max_size=size)), dtype).reshape(shape)
    return laid_out(ids, draw(st.sampled_from(LAYOUTS)))

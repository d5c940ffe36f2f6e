"""Gather against plain NumPy."""

from __future__ import annotations

from typing import Any

import hotrow
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain import BF16, ELEMENTS, POLICIES, draw, gather, same
from strategies import id_arrays


@given(
    ids=id_arrays(23),
    dtype=st.sampled_from(list(ELEMENTS)),
    dim=st.sampled_from([0, 1, 7, 8, 15, 16, 17, 31, 33, 64]),
    policy=st.sampled_from(list(POLICIES)),
)
def test_any_ids_by_every_policy(ids: NDArray[Any], dtype: str, dim: int, policy: str) -> None:
    table = draw(np.random.default_rng(1), 23, dim, dtype)
    before = ids.copy()
    try:
        expected = gather(table, ids, policy)
    except (IndexError, TypeError, ValueError) as error:
        with pytest.raises(type(error)):
            hotrow.gather(table, ids, policy=policy)
        return
    found = hotrow.gather(table, ids, policy=policy)
    same(found, expected)
    same(hotrow.Table(table).gather(ids, policy=policy), expected)
    same(hotrow.gather(table, ids, policy=policy, dtype="float32"), expected.astype(np.float32))
    assert before.tobytes() == ids.tobytes()
    assert found.flags.c_contiguous
    assert found.flags.writeable


@given(ids=id_arrays(9, wild=False), gap=st.integers(0, 9), dtype=st.sampled_from(list(ELEMENTS)))
def test_rows_that_lie_apart(ids: NDArray[Any], gap: int, dtype: str) -> None:
    wide = draw(np.random.default_rng(2), 9, 5 + gap, dtype)
    same(hotrow.gather(wide[:, gap:], ids), gather(wide[:, gap:].copy(), ids))
    near = ids if ids.dtype.kind == "b" else ids % 5
    same(hotrow.gather(wide[::2], near), gather(wide[::2].copy(), near))


@given(ids=id_arrays(12, wild=False), dtype=st.sampled_from(list(ELEMENTS)))
def test_out_is_written_and_returned(ids: NDArray[Any], dtype: str) -> None:
    table = draw(np.random.default_rng(3), 12, 6, dtype)
    out = np.full((*ids.shape, 6), 7, ELEMENTS[dtype])
    assert hotrow.gather(table, ids, out=out) is out
    same(out, gather(table, ids))


@pytest.mark.parametrize("rows", [10, 5000])
@pytest.mark.parametrize("dtype", list(ELEMENTS))
@pytest.mark.parametrize("count", [1, 256, 3000, 60_000])
def test_every_size(rng: np.random.Generator, rows: int, dtype: str, count: int) -> None:
    table = draw(rng, rows, 33, dtype)
    ids = rng.integers(0, rows, count)
    same(hotrow.gather(table, ids), table[ids])
    same(hotrow.gather(table, ids, dtype="float32"), table[ids].astype(np.float32))


def test_numbers_and_sequences(rng: np.random.Generator) -> None:
    table = draw(rng, 6, 4)
    same(hotrow.gather(table, 3), table[3])
    same(hotrow.gather(table, np.int8(2)), table[2])
    same(hotrow.gather(table, True), table[1])
    same(hotrow.gather(table, [[1, 2], [3, 4]]), table[[[1, 2], [3, 4]]])
    same(hotrow.gather(table, ((0.0, 5.0),)), table[[[0, 5]]])
    same(hotrow.gather(table, []), table[:0])
    same(hotrow.gather(table, range(6)), table)


def test_any_byte_that_is_not_zero_is_true(rng: np.random.Generator) -> None:
    table = draw(rng, 2, 3)
    odd = np.array([0, 1, 255, 128], np.uint8).view(bool)
    same(hotrow.gather(table, odd != 0), table[[0, 1, 1, 1]])
    # NumPy calls such bytes true; what matters is that no row beyond the table is read.
    same(hotrow.gather(table, odd.astype(bool)), table[[0, 1, 1, 1]])


def test_bits_of_bfloat16(rng: np.random.Generator) -> None:
    table = draw(rng, 20, 9, "bfloat16")
    ids = rng.integers(0, 20, (3, 4))
    as_bits = hotrow.Table(table.view(np.uint16), dtype="bfloat16")
    assert as_bits.dtype == "bfloat16"
    found = as_bits.gather(ids)
    assert found.dtype == np.uint16
    same(found.view(BF16), table[ids])
    same(as_bits.gather(ids, dtype="float32"), table[ids].astype(np.float32))
    out = np.empty((3, 4, 9), ml_dtypes.bfloat16)
    same(as_bits.gather(ids, out=out), table[ids])
    with pytest.raises(TypeError, match="must be of float32, float16 or bfloat16, and is of uint16"):
        hotrow.gather(table.view(np.uint16), ids)


def test_empty_tables() -> None:
    none = np.zeros((0, 4), np.float32)
    assert hotrow.gather(none, np.zeros((2, 0), int)).shape == (2, 0, 4)
    with pytest.raises(IndexError):
        hotrow.gather(none, [0])
    assert hotrow.gather(np.zeros((3, 0), np.float32), [2]).shape == (1, 0)
    assert hotrow.gather(none, [1, 2], policy="zero_fill").tolist() == [[0.0] * 4] * 2


def test_bits_survive() -> None:
    # Signalling NaNs, negative zeros and subnormals are rows like any others.
    patterns = np.array([0x7F800001, 0xFFC12345, 0x80000000, 1, 0x7F800000, 0xFF7FFFFF], np.uint32)
    table = np.tile(patterns, (5, 3)).view(np.float32)
    same(hotrow.gather(table, [4, 0]), table[[4, 0]])

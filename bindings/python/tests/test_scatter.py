"""Scatter-add and dense gradients against plain NumPy."""

from __future__ import annotations

from typing import Any

import hotrow
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain import BF16, ELEMENTS, POLICIES, bits, draw, resolve, same, scatter_add
from strategies import id_arrays

ROWS = 11


@given(
    ids=id_arrays(ROWS),
    dtype=st.sampled_from(list(ELEMENTS)),
    of=st.sampled_from([*ELEMENTS, "float64", "int32"]),
    dim=st.sampled_from([0, 1, 7, 16, 33]),
    alpha=st.sampled_from([1.0, -0.5, 0.3]),
    policy=st.sampled_from(list(POLICIES)),
)
def test_any_ids_and_elements(ids: NDArray[Any], dtype: str, of: str, dim: int, alpha: float, policy: str) -> None:
    rng = np.random.default_rng(8)
    table = draw(rng, ROWS, dim, dtype)
    source = (4 * rng.standard_normal((*ids.shape, dim))).astype(
        ELEMENTS.get(of, np.dtype(of) if of not in ELEMENTS else None)
    )
    before = table.copy()
    try:
        rows = resolve(ids, ROWS, policy)
    except (IndexError, TypeError, ValueError) as error:
        with pytest.raises(type(error)):
            hotrow.scatter_add(table, ids, source, alpha=alpha, policy=policy)
        same(table, before)
        return
    expected = scatter_add(table, rows, source.astype(np.float32), alpha)
    assert hotrow.scatter_add(table, ids, source, alpha=alpha, policy=policy) is None
    same(table, expected)


@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_large_with_hot_rows(rng: np.random.Generator, dtype: str) -> None:
    table = draw(rng, 2000, 16, dtype)
    ids = np.minimum(rng.zipf(1.3, 30_000) - 1, 1999)
    source = rng.standard_normal((30_000, 16)).astype(ELEMENTS[dtype])
    expected = scatter_add(table, ids.tolist(), source)
    hotrow.Table(table).scatter_add(ids, source)
    same(table, expected)


def test_a_strided_table_and_source(rng: np.random.Generator) -> None:
    wide = draw(rng, 9, 12)
    before = wide.copy()
    source = draw(rng, 8, 10)[::2, ::2]
    ids = np.array([3, 1, 3, 8])
    expected = scatter_add(wide[:, 4:9], ids.tolist(), source)
    hotrow.scatter_add(wide[:, 4:9], ids, source)
    same(wide[:, 4:9].copy(), expected)
    assert bits(wide[:, :4]) == bits(before[:, :4])
    assert bits(wide[:, 9:]) == bits(before[:, 9:])


def test_bits_of_bfloat16(rng: np.random.Generator) -> None:
    table, source = draw(rng, 6, 4, "bfloat16"), draw(rng, 5, 4, "bfloat16")
    ids = np.array([1, 1, 0, 5, 1])
    expected = scatter_add(table, ids.tolist(), source)
    for given_source in (source.view(np.uint16), np.asfortranarray(source.view(np.uint16)), source):
        copy = table.copy()
        hotrow.Table(copy.view(np.uint16), dtype="bfloat16").scatter_add(ids, given_source)
        same(copy, expected)
    # To a table whose numbers have a type, unsigned integers are integers.
    whole = np.full((1, 4), 3, np.uint16)
    copy = table.copy()
    hotrow.scatter_add(copy, [2], whole)
    same(copy, scatter_add(table, [2], whole.astype(np.float32)))


@given(
    ids=id_arrays(ROWS, wild=False),
    of=st.sampled_from(list(ELEMENTS)),
    dim=st.sampled_from([0, 1, 16, 33]),
    padding=st.none() | st.integers(-ROWS, ROWS - 1),
    by_freq=st.booleans(),
)
def test_dense_gradients(ids: NDArray[Any], of: str, dim: int, padding: int | None, by_freq: bool) -> None:
    rng = np.random.default_rng(9)
    grad = rng.standard_normal((*ids.shape, dim)).astype(ELEMENTS[of])
    rows = resolve(ids, ROWS)
    expected = scatter_add(np.zeros((ROWS, dim), np.float32), rows, grad)
    if by_freq:
        for row in {row for row in rows if row is not None}:
            expected[row] /= np.float32(rows.count(row))
    if padding is not None:
        expected[padding] = 0
    found = hotrow.gather_dense_grad(ids, grad, ROWS, dim, padding_idx=padding, scale_grad_by_freq=by_freq)
    same(found, expected)


def test_a_large_gradient_is_cleared_first(rng: np.random.Generator) -> None:
    for at in (5, 9_000):
        # The second lies where the first lay, unless that memory went elsewhere.
        found = hotrow.gather_dense_grad([at, at], np.ones((2, 64), ml_dtypes.bfloat16), 10_000, 64)
        assert found.shape == (10_000, 64)
        assert found[at].tolist() == [2.0] * 64
        assert np.count_nonzero(found) == 64
        found[:] = 7
        del found


def test_nothing_is_written_when_an_id_is_wrong(rng: np.random.Generator) -> None:
    for dtype in ELEMENTS:
        table = draw(rng, 5, 4, dtype)
        before = table.copy()
        with pytest.raises(IndexError):
            hotrow.scatter_add(table, np.array([0, 1, 5]), np.ones((3, 4), BF16))
        same(table, before)

"""Bags against plain NumPy."""

from __future__ import annotations

from typing import Any

import hotrow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain import ELEMENTS, POLICIES, bag, dot, draw, fill_of, resolve, same, splits_of
from strategies import id_arrays

ROWS = 19
MODES = ["sum", "mean", "max", "sqrtn"]


def fill(policy: str) -> float | None:
    """What an id without a row counts as in a bag; None: it is left out."""
    _, negative, out_of_range = POLICIES[policy]
    return fill_of(policy) if negative != "skipped" and isinstance(out_of_range, float) else None


@given(
    ids=id_arrays(ROWS, dims=st.just(2), dtypes=["int32", "int64"]),
    dtype=st.sampled_from(list(ELEMENTS)),
    dim=st.sampled_from([1, 7, 16, 17, 33]),
    mode=st.sampled_from(MODES),
    policy=st.sampled_from(list(POLICIES)),
    weighted=st.booleans(),
    padding=st.none() | st.integers(-ROWS, ROWS - 1),
    default=st.none() | st.integers(-ROWS, ROWS - 1),
)
def test_matrices(
    ids: NDArray[Any],
    dtype: str,
    dim: int,
    mode: str,
    policy: str,
    weighted: bool,
    padding: int | None,
    default: int | None,
) -> None:
    rng = np.random.default_rng(4)
    table = draw(rng, ROWS, dim, dtype)
    weights = rng.standard_normal(ids.shape).astype(np.float32) if weighted and mode != "max" else None
    options: dict[str, Any] = {"padding_idx": padding, "default_row": default, "policy": policy}
    from_start = [None if row is None else row % ROWS for row in (padding, default)]
    try:
        rows = resolve(ids, ROWS, policy)
    except (IndexError, ValueError) as error:
        with pytest.raises(type(error)):
            hotrow.embedding_bag(table, ids, mode=mode, per_sample_weights=weights, **options)
        return
    splits = splits_of([ids.shape[1]] * ids.shape[0])
    expected, argmax = bag(table, rows, splits, mode, weights, *from_start, fill=fill(policy))
    found = hotrow.embedding_bag(table, ids, mode=mode, per_sample_weights=weights, **options)
    same(found, expected)
    own = hotrow.embedding_bag(table, ids, mode=mode, per_sample_weights=weights, dtype=dtype, **options)
    same(own, expected.astype(table.dtype))
    assert (
        hotrow.embedding_bag(table, ids, mode=mode, per_sample_weights=weights, dtype=dtype, out=own, **options) is own
    )
    wide = np.full((len(ids), dim + 3), 7, np.float32)
    out = wide[:, 2 : 2 + dim]
    assert (
        hotrow.embedding_bag(hotrow.Table(table), ids, mode=mode, per_sample_weights=weights, out=out, **options) is out
    )
    same(out.copy(), expected)
    assert (wide[:, :2] == 7).all()
    assert (wide[:, -1] == 7).all()
    if mode == "max":
        values, winners = hotrow.embedding_bag_max(table, ids, **options)
        same(values, expected)
        same(winners, argmax)


@given(
    lengths=st.lists(st.integers(0, 6), max_size=8),
    mode=st.sampled_from(MODES),
    wide=st.booleans(),
    dtype=st.sampled_from(["int32", "int64"]),
)
def test_four_ways_to_cut_are_one(lengths: list[int], mode: str, wide: bool, dtype: str) -> None:
    rng = np.random.default_rng(5)
    table = hotrow.Table(draw(rng, ROWS, 40 if wide else 3))
    ids = rng.integers(0, ROWS, sum(lengths))
    splits = splits_of(lengths)
    expected, _ = bag(table.array, ids.tolist(), splits, mode)
    same(table.embedding_bag(ids, lengths=np.array(lengths, dtype), mode=mode), expected)
    same(table.embedding_bag(ids, np.array(splits, dtype), include_last_offset=True, mode=mode), expected)
    if lengths:
        same(table.embedding_bag(ids, np.array(splits[:-1], dtype), mode=mode), expected)
        same(table.embedding_bag(ids, splits[:-1], mode=mode), expected)
        strided = np.repeat(np.array(splits[:-1], dtype), 2)[::2]
        same(hotrow.embedding_bag(table, ids, strided, mode=mode), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_large(rng: np.random.Generator, mode: str, dtype: str) -> None:
    table = draw(rng, 3000, 32, dtype)
    ids = rng.integers(0, 3000, (900, 20))
    values = table[ids].astype(np.float32)
    if mode == "max":
        expected = values.max(1)
    else:
        expected = np.zeros((900, 32), np.float32)
        for k in range(20):
            expected += values[:, k]
        expected = expected / {"sum": np.float32(1), "mean": np.float32(20), "sqrtn": np.sqrt(np.float32(20))}[mode]
    same(hotrow.embedding_bag(table, ids, mode=mode), expected)


@given(
    shape=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    dtype=st.sampled_from(list(ELEMENTS)),
    dim=st.sampled_from([1, 15, 16, 33]),
    mode=st.sampled_from(["sum", "mean", "sqrtn"]),
    padding=st.none() | st.integers(0, ROWS - 1),
)
def test_gradients_of_weights(shape: tuple[int, int], dtype: str, dim: int, mode: str, padding: int | None) -> None:
    rng = np.random.default_rng(6)
    table = draw(rng, ROWS, dim, dtype)
    ids = rng.integers(0, ROWS, shape)
    weights = rng.standard_normal(shape).astype(np.float32)
    grad = rng.standard_normal((shape[0], dim)).astype(np.float32)
    expected = np.zeros(shape, np.float32)
    pooled, _ = bag(table, ids.ravel().tolist(), splits_of([shape[1]] * shape[0]), mode, weights, padding)
    for b in range(shape[0]):
        kept = [k for k in range(shape[1]) if ids[b, k] != padding]
        total = np.float32(0)
        for k in kept:
            total += weights[b, k] ** 2 if mode == "sqrtn" else weights[b, k]
        divisor = {"sum": np.float32(1), "mean": total, "sqrtn": np.sqrt(np.abs(total))}[mode]
        whole = dot(grad[b], pooled[b])
        for k in kept:
            own = dot(grad[b], table[ids[b, k]].astype(np.float32))
            if mode == "mean":
                own = (own - whole) / divisor
            elif mode == "sqrtn":
                own = (own - weights[b, k] / divisor * whole) / divisor
            expected[b, k] = own
    found = hotrow.bag_weight_grad(table, ids, grad, mode=mode, per_sample_weights=weights, padding_idx=padding)
    same(found, expected)
    flat = hotrow.bag_weight_grad(
        table,
        ids.ravel(),
        grad.astype(np.float64),
        lengths=[shape[1]] * shape[0],
        mode=mode,
        per_sample_weights=weights.ravel(),
        padding_idx=padding,
    )
    same(flat, expected.ravel())


def test_weights_of_other_numbers(rng: np.random.Generator) -> None:
    table = draw(rng, 8, 5)
    ids = rng.integers(0, 8, (4, 3))
    weights = rng.standard_normal((4, 3)).astype(np.float16)
    expected, _ = bag(table, ids.ravel().tolist(), splits_of([3] * 4), "sum", weights.astype(np.float32))
    for given_weights in (weights, weights.astype(np.float64), weights.astype(np.float32).T.copy().T, weights.tolist()):
        same(hotrow.embedding_bag(table, ids, per_sample_weights=given_weights), expected)


def test_no_bags() -> None:
    table = np.ones((3, 2), np.float32)
    assert hotrow.embedding_bag(table, np.zeros((0, 4), int)).shape == (0, 2)
    assert hotrow.embedding_bag(table, [], lengths=[0, 0]).tolist() == [[0, 0], [0, 0]]
    assert hotrow.embedding_bag(table, [], [0]).tolist() == [[0, 0]]
    assert hotrow.embedding_bag(np.ones((3, 0), np.float32), [[1]]).shape == (1, 0)

"""Sparse gradients."""

from __future__ import annotations

import copy
import gc
import pickle

import hotrow
import numpy as np
import pytest
from plain import ELEMENTS, dot, same
from plain_steps import Gradients, by_row, of_ids

ROWS = 12


def same_gradient(gradient: hotrow.SparseGrad, expected: Gradients, dim: int) -> None:
    same(gradient.rows, np.array(list(expected), np.uint32))
    same(gradient.values, np.array(list(expected.values()), np.float32).reshape(len(expected), dim))


@pytest.mark.parametrize("of", list(ELEMENTS))
@pytest.mark.parametrize("dim", [1, 7, 16, 33])
def test_sums_of_equal_ids(rng: np.random.Generator, of: str, dim: int) -> None:
    ids = rng.integers(0, ROWS, (4, 5))
    grad = (3 * rng.standard_normal((4, 5, dim))).astype(ELEMENTS[of])
    gradient = hotrow.sparse_grad(ids, grad, ROWS)
    expected = of_ids(ids.ravel().tolist(), grad)
    same_gradient(gradient, expected, dim)
    assert gradient.shape == (ROWS, dim)
    assert len(gradient) == len(expected)
    dense = np.zeros((ROWS, dim), np.float32)
    for row, values in expected.items():
        dense[row] = values
    same(gradient.to_dense(), dense)
    norm = np.float32(np.sqrt(sum((np.float64(dot(g, g)) for g in expected.values()), np.float64(0))))
    assert gradient.norm() == norm


@pytest.mark.parametrize("mode", ["sum", "mean", "sqrtn"])
@pytest.mark.parametrize("by_freq", [False, True])
def test_bags(rng: np.random.Generator, mode: str, by_freq: bool) -> None:
    ids = rng.integers(0, ROWS, (6, 4))
    weights = rng.standard_normal((6, 4)).astype(np.float32)
    grad = rng.standard_normal((6, 9)).astype(np.float32)
    gradient = hotrow.sparse_grad(
        ids, grad, ROWS, mode=mode, per_sample_weights=weights, padding_idx=2, scale_grad_by_freq=by_freq
    )
    expected = by_row(ids.ravel().tolist(), range(0, 25, 4), grad, mode, weights.ravel(), 2, by_freq)
    same_gradient(gradient, expected, 9)


def test_clipping(rng: np.random.Generator) -> None:
    gradient = hotrow.sparse_grad([3, 1, 3], rng.standard_normal((3, 5)).astype(np.float32), ROWS)
    values, norm = gradient.values.copy(), gradient.norm()
    assert gradient.clip_by_norm(norm) == norm
    same(gradient.values, values)
    assert gradient.clip_by_norm(0.5) == norm
    same(gradient.values, values * (np.float32(0.5) / np.float32(norm)))
    gradient = hotrow.SparseGrad(gradient.rows, values, gradient.shape)
    gradient.clip_by_value(0.25)
    same(gradient.values, np.clip(values, -np.float32(0.25), np.float32(0.25)))
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="negative"):
            gradient.clip_by_norm(bad)
        with pytest.raises(ValueError, match="negative"):
            gradient.clip_by_value(bad)


def test_parts_are_copied_and_shown_without_one() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    gradient = hotrow.SparseGrad([1, 4], values, (5, 3))
    values[:] = 0
    rows, values = gradient.rows, gradient.values
    assert rows.tolist() == [1, 4]
    assert values.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    for array in (rows, values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9
    gradient.clip_by_value(2.0)
    assert values.max() == 2
    assert repr(gradient) == "hotrow.SparseGrad(2 of 5 rows, dim=3)"
    del gradient
    gc.collect()
    assert values.max() == 2
    assert rows.tolist() == [1, 4]


def test_what_has_no_good_parts() -> None:
    one = np.ones((2, 3), np.float32)
    for rows in ([4, 1], [1, 1], [1, 5]):
        with pytest.raises(ValueError, match="row"):
            hotrow.SparseGrad(rows, one, (5, 3))
    for rows, values, shape in [
        ([1, 2], one, (5, 2)),
        ([1], one, (5, 3)),
        ([1.5, 2], one, (5, 3)),
        ([-1, 2], one, (5, 3)),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            hotrow.SparseGrad(rows, values, shape)
    with pytest.raises(IndexError, match="12"):
        hotrow.sparse_grad([1, 12], one, 12)
    with pytest.raises(ValueError, match="shape"):
        hotrow.sparse_grad([1, 2, 3], one, 12)


def test_copies_and_pickles() -> None:
    gradient = hotrow.sparse_grad([5, 2], np.ones((2, 3), np.float32), ROWS)
    for other in (pickle.loads(pickle.dumps(gradient)), copy.copy(gradient), copy.deepcopy(gradient)):
        same(other.rows, gradient.rows)
        same(other.values, gradient.values)
        assert other.shape == gradient.shape
        other.clip_by_value(0.5)
    assert gradient.values.min() == 1


def test_nothing() -> None:
    gradient = hotrow.sparse_grad(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), ROWS)
    assert (gradient.rows.shape, gradient.values.shape, gradient.norm()) == ((0,), (0, 4), 0.0)
    assert not gradient.to_dense().any()
    assert pickle.loads(pickle.dumps(gradient)).shape == (ROWS, 4)


def test_a_step_of_another_table_is_refused() -> None:
    gradient = hotrow.sparse_grad([1], np.ones((1, 3), np.float32), 5)
    with pytest.raises(ValueError, match="5"):
        hotrow.Optimizer("sgd", 6, 3).step_sparse(np.zeros((6, 3), np.float32), gradient)


def test_large_ones(rng: np.random.Generator) -> None:
    ids = rng.integers(0, 50_000, 40_000)
    grad = rng.standard_normal((40_000, 16)).astype(np.float32)
    gradient = hotrow.sparse_grad(ids, grad, 50_000)
    expected = np.zeros((50_000, 16), np.float32)
    np.add.at(expected, ids, grad)
    np.testing.assert_array_equal(gradient.to_dense(), expected)
    np.testing.assert_array_equal(gradient.rows, np.unique(ids))

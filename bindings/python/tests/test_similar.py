"""Nearest rows against plain NumPy."""

from __future__ import annotations

from typing import Any

import hotrow
import numpy as np
import pytest
from plain import ELEMENTS, dot, draw, same


def nearest(table: Any, query: Any, k: int, metric: str, exclude: Any = ()) -> tuple[list[int], list[Any]]:
    """All rows are scored, and sorted."""
    scores = []
    for row, values in enumerate(table.astype(np.float32)):
        score = dot(query, values)
        if metric == "cosine":
            lengths = np.sqrt(dot(query, query)) * np.sqrt(dot(values, values))
            score = score / lengths if lengths != 0 else np.float32(0)
        if row not in exclude:
            scores.append((-(score + np.float32(0)), row))
    scores.sort()
    return [row for _, row in scores[:k]], [-score for score, _ in scores[:k]]


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_every_row_is_scored(rng: np.random.Generator, metric: str, dtype: str) -> None:
    table = draw(rng, 60, 19, dtype)
    table[7] = 0
    queries = draw(rng, 3, 19)
    rows, scores = hotrow.similar(table, queries, 5, metric=metric)
    for q in range(3):
        expected = nearest(table, queries[q], 5, metric)
        same(rows[q], np.array(expected[0], np.uint32))
        same(scores[q], np.array(expected[1], np.float32))
        one, its = hotrow.Table(table).similar(queries[q].astype(np.float64), 5, metric=metric)
        same(one, rows[q])
        same(its, scores[q])


def test_rows_that_are_not_meant(rng: np.random.Generator) -> None:
    table = draw(rng, 20, 6)
    ids = np.array([3, 9])
    rows, _ = hotrow.similar(table, table[ids], exclude=ids[:, None])
    for q, row in enumerate(ids):
        assert rows[q].tolist() == nearest(table, table[row], 10, "cosine", [row])[0]
    rows, _ = hotrow.similar(table, table[ids], 4, exclude=[3, 9])
    assert not set(rows.ravel().tolist()) & {3, 9}
    same(hotrow.similar(table, table[ids], 4, exclude=())[0], hotrow.similar(table, table[ids], 4)[0])


def test_fewer_rows_than_asked_for(rng: np.random.Generator) -> None:
    table = draw(rng, 4, 3)
    rows, scores = hotrow.similar(table, table[0], 10, exclude=[0, 2])
    assert rows[2:].tolist() == [2**32 - 1] * 2
    assert scores[2:].tolist() == [-np.inf] * 2
    assert sorted(rows[:2].tolist()) == [1, 3]
    assert hotrow.similar(table, table[:0])[0].shape == (0, 4)
    assert hotrow.similar(table, table[0], 0)[0].shape == (0,)
    assert hotrow.similar(table[:0], table[0])[0].shape == (0,)


def test_large(rng: np.random.Generator) -> None:
    table = draw(rng, 30_000, 32)
    rows, scores = hotrow.similar(table, table[5], 1)
    assert rows.tolist() == [5]
    assert abs(scores[0] - 1) < 1e-6

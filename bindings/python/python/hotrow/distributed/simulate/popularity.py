"""How often ids come: by Zipf's law, the id of popularity rank `i` as often as `1 / i ** skew`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# So many ids are counted one by one; of the others those whose ranks differ by less than this share are counted as one.
_EXACT = 1 << 15
_RATIO = 1.005


@lru_cache(maxsize=64)
def _chances(rows: int, skew: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chances of an id, and how many ids have each."""
    ranks = np.arange(1, min(rows, _EXACT) + 1, dtype=np.float64)
    counts = np.ones_like(ranks)
    if rows > _EXACT:
        steps = int(np.ceil(np.log(rows / _EXACT) / np.log(_RATIO)))
        edges = np.unique(np.geomspace(_EXACT, rows, steps + 1).round())
        counts = np.concatenate([counts, np.diff(edges)])
        ranks = np.concatenate([ranks, (edges[:-1] + edges[1:] + 1) / 2])
    weights = ranks**-skew
    return weights / (weights * counts).sum(), counts


@lru_cache(maxsize=1024)
def distinct(draws: float, rows: int, skew: float) -> float:
    """How many different ids to expect among so many.

    >>> distinct(2, 10, 0.0)
    1.9
    """
    if rows == 0:
        return 0.0
    if rows == 1:
        return min(draws, 1.0)
    chances, counts = _chances(rows, skew)
    return float((-np.expm1(draws * np.log1p(-chances)) * counts).sum())


def top(rows: int, skew: float) -> float:
    """The share of the most popular id.

    >>> top(4, 0.0)
    0.25
    """
    return float(_chances(rows, skew)[0][0]) if rows else 0.0

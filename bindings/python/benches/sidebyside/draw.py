"""Ids drawn from the distributions that the workloads name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

# The share of the lookups that go to rows that a batch touches up to so many times: Meta's training traces
# (dlrm_datasets, 2022).
_PRODUCTION = [
    (1, 0.027), (2, 0.023), (4, 0.040), (8, 0.068), (16, 0.105), (32, 0.120), (64, 0.099), (128, 0.070), (256, 0.059),
    (512, 0.054), (1024, 0.040), (2048, 0.072), (4096, 0.064), (8192, 0.047), (16384, 0.021), (32768, 0.017),
    (65536, 0.076),
]  # fmt: skip


def drawer(dist: Any, rows: int, rng: np.random.Generator) -> Callable[[int], Ids]:
    """What draws so many ids of a table with so many rows."""
    if dist == "uniform":
        return lambda count: rng.integers(0, rows, count)
    if dist == "production":
        return lambda count: _production(rng, rows, count)
    if "zipf" in dist:
        shares = np.arange(1, rows + 1, dtype=np.float64) ** -float(dist["zipf"])
        bounds = np.cumsum(shares / shares.sum())
        # Which rows are popular has nothing to do with where they lie.
        places = rng.permutation(rows)
        return lambda count: places[np.minimum(np.searchsorted(bounds, rng.random(count)), rows - 1)]
    if "hot" in dist:
        hot = int(rng.integers(0, rows))
        return lambda count: np.where(rng.random(count) < dist["hot"], hot, rng.integers(0, rows, count))
    raise ValueError(f"no such distribution: {dist!r}")


def _production(rng: np.random.Generator, rows: int, count: int) -> Ids:
    times: list[int] = []
    drawn = 0
    share_so_far = 0.0
    for most, share in _PRODUCTION:
        share_so_far += share
        # The shares are rounded, and add up to a little more than one.
        until = min(round(count * share_so_far), count)
        while drawn < until:
            # No row is touched more often than the batch has room for.
            touched = min(int(rng.integers(most // 2 + 1, most + 1)), count - drawn)
            times.append(touched)
            drawn += touched
    if len(times) > rows:
        raise ValueError(f"{count} ids of production reuse touch {len(times)} rows, and the table has {rows}")
    ids = np.repeat(rng.permutation(rows)[: len(times)], times)
    rng.shuffle(ids)
    return ids

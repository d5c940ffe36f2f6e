"""Tables, batches and right answers of a workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hotrow
import numpy as np
import numpy.typing as npt

from sidebyside.draw import drawer
from sidebyside.workloads import Workload

Array = npt.NDArray[Any]

BATCHES = 8
"""Fresh ids for so many calls: the caches hold what a user's would."""
LR, EPS = 0.05, 1e-8
"""Of every optimizer."""

_NAMES: dict[str, Any] = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Batch:
    """The input of one call: the ids of all tables, table after table."""

    ids: Array
    offsets: Array
    """Where each bag starts, table after table, and where the last one ends; of ids without bags, none."""
    weights: Array | None
    per_table: list[slice]
    """Where each table's ids are."""
    rows_of_bags: list[Array]
    """For each table, where its bags start within its own ids."""


class Data:
    """What all contenders of a workload share.

    The tables lie in memory that begins at a cache line and on huge pages. NumPy, PyTorch, TensorFlow and JAX work on
    this very memory, where a type of theirs allows it; FBGEMM keeps tables of its own.
    """

    def __init__(self, workload: Workload) -> None:
        """Draws everything."""
        self.workload = workload
        rng = np.random.default_rng(20)
        self.owners = [
            hotrow.Table.zeros(workload.rows, workload.dim, _NAMES[workload.dtype]) for _ in range(workload.tables)
        ]
        self.tables: list[Array] = [owner.array for owner in self.owners]
        for table in self.tables:
            _fill(table, rng)
        self._first = [table.copy() for table in self.tables] if workload.mutates else []
        draws = [drawer(workload.dist, workload.rows, rng) for _ in range(workload.tables)]
        self.batches = [self._batch(draws, rng) for _ in range(BATCHES)]
        self.grad = self._grad(rng)
        self._out: hotrow.Table | None = None
        self.touched = [np.unique(self.batches[0].ids[part]) for part in self.batches[0].per_table]

    def _batch(self, draws: list[Any], rng: np.random.Generator) -> Batch:
        workload = self.workload
        parts = [draws[table](workload.ids_of(table)) for table in range(workload.tables)]
        ids = np.concatenate(parts).astype(np.int32 if workload.id_dtype == "i32" else np.int64)
        if workload.padding:
            ids[rng.random(ids.size) < workload.padding] = 0
        ends = np.cumsum([0, *(part.size for part in parts)])
        starts = (
            [np.arange(workload.bags + 1, dtype=ids.dtype) * length for length in workload.bag_len]
            if workload.pooled
            else []
        )
        offsets = [own[:-1] + end for own, end in zip(starts, ends, strict=False)]
        weights = rng.random(ids.size, dtype=np.float32) + np.float32(0.5) if workload.weighted else None
        return Batch(
            ids=ids,
            offsets=np.concatenate([*offsets, ends[-1:]]).astype(ids.dtype)
            if workload.pooled
            else np.zeros(0, ids.dtype),
            weights=weights,
            per_table=[slice(*ends[at : at + 2]) for at in range(workload.tables)],
            rows_of_bags=[own[:-1] for own in starts],
        )

    def _grad(self, rng: np.random.Generator) -> Array:
        """The gradient of a training step's output, or what scatter_add adds: the same in all calls."""
        workload = self.workload
        if not workload.mutates:
            return np.zeros((0, 0), np.float32)
        rows, width = (
            (workload.bags, workload.tables * workload.dim) if workload.pooled else (workload.ids, workload.dim)
        )
        # Far from zero, so that no optimizer divides by next to nothing, and as often down as up.
        size: Array = rng.random((rows, width), dtype=np.float32) * np.float32(0.01) + np.float32(0.005)
        size[rng.random((rows, width)) < 0.5] *= -1
        return size

    @property
    def table(self) -> Array:
        """The first table."""
        return self.tables[0]

    @property
    def out_dtype(self) -> np.dtype[Any]:
        """What a workload without a word on it returns: rows of the table's own type, and sums in float32."""
        if self.workload.op == "gather" and not self.workload.out_dtype:
            return self.table.dtype
        return np.dtype(np.float32)

    @property
    def out(self) -> Array:
        """Where a gather's result goes if it is given a place: one for all contenders."""
        if self._out is None:
            dtype = _NAMES[self.workload.out_dtype or self.workload.dtype]
            self._out = hotrow.Table.zeros(self.workload.ids, self.workload.dim, dtype)
        return self._out.array

    def reset(self) -> None:
        """The tables are as they were at first."""
        for table, first in zip(self.tables, self._first, strict=False):
            table[:] = first

    def changed(self, tables: list[Array] | None = None) -> Array:
        """The rows that the first batch touches, of all tables, one after the other."""
        return np.concatenate([table[ids] for table, ids in zip(tables or self.tables, self.touched, strict=True)])


def _fill(table: Array, rng: np.random.Generator) -> None:
    """Numbers like weights, all above zero: sums of them have a relative error that means something."""
    for start in range(0, len(table), 1 << 16):
        part = table[start : start + (1 << 16)]
        part[:] = (rng.random(part.shape, dtype=np.float32) * np.float32(0.1) + np.float32(0.01)).astype(part.dtype)

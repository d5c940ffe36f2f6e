"""The first step of a workload, computed plainly, and how far a contender's is from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hotrow.distributed import ShardedEmbeddingBagCollection
from sidebyside.check import direction

from acrossranks.batches import ALL, LR, Array, Batches, Share

TOLERANCE = 1e-5


class Expected:
    """What a rank's output and the rows that the first batch touches are to be."""

    def __init__(self, batches: Batches, share: Share, tables: ShardedEmbeddingBagCollection) -> None:
        """From tables that no step has changed yet; every rank has to call it."""
        work = batches.work
        self._batches = batches
        self._first: list[Array] = []
        self.output = np.empty((len(batches.grad_of(share)), work.tables * work.dim), np.float32)
        #: By table: the rows that the batch touches.
        self.rows = [np.unique(ids) for ids in batches.ids[0]]
        for table, ids in enumerate(batches.ids[0]):
            values = tables.gather_table(f"t{table}")
            self._first.append(values[self.rows[table]])
            self.output[:, self._columns(table)] = values[ids[share.of(len(ids))]].sum(axis=1, dtype=np.float64)

    def _columns(self, table: int) -> slice:
        dim = self._batches.work.dim
        return slice(table * dim, (table + 1) * dim)

    def stepped(self, table: int, columns: slice, cuts: Sequence[slice]) -> Array:
        """Some columns of the touched rows after the step, where the rule sees so many columns of a row at once."""
        ids = self._batches.ids[0][table]
        order = np.argsort(ids, axis=None, kind="stable")
        starts = np.searchsorted(ids.reshape(-1)[order], self.rows[table])
        grad = self._batches.grad_of(ALL)[:, self._columns(table)].astype(np.float64)
        sums = np.add.reduceat(grad[order // ids.shape[1]], starts, axis=0)
        rule = self._batches.work.optimizer
        directions = np.concatenate([direction(rule, sums[:, cut]) for cut in cuts], axis=1)
        found: Array = (self._first[table] - LR * directions)[:, columns]
        return found


def require_close(got: Array, wanted: Array, what: str) -> None:
    """Compares, with a tolerance for sums in another order.

    Raises:
        AssertionError: They differ by more.
    """
    if got.shape != wanted.shape:
        raise AssertionError(f"{what}: the shape is {got.shape}, and should be {wanted.shape}")
    error = np.abs(got.astype(np.float64) - wanted)
    worst = float((error / (np.abs(wanted) + np.abs(wanted).max())).max())
    if not worst <= TOLERANCE:
        raise AssertionError(f"{what}: it is off by {worst:.1e}")

"""What a workload looks up in its steps, drawn alike by every rank, and each rank's share of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hotrow
import numpy as np
import numpy.typing as npt
from sidebyside.draw import drawer
from sidebyside.workloads import Workload, load

Array = npt.NDArray[Any]

BATCHES = 4
"""Fresh ids for so many steps."""
LR, EPS = 0.05, 1e-8
"""Of every optimizer."""


@dataclass(frozen=True)
class Batch:
    """Ids of some examples, feature by feature, and the lengths of their bags."""

    values: Array
    lengths: Array


@dataclass(frozen=True)
class Share:
    """Which of all examples a rank has."""

    rank: int
    ranks: int

    def of(self, count: int) -> slice:
        """Of so many."""
        return slice(count * self.rank // self.ranks, count * (self.rank + 1) // self.ranks)


ALL = Share(0, 1)


def workload(name: str, quick: bool) -> Workload:
    """One of the list that `peers.py` has, too."""
    found = next(each for each in load((Path(__file__).parents[1] / "standard.json",)) if each.name == name)
    return found.quick() if quick else found


class Batches:
    """The batches of a workload whose tables have a feature each; its ids come from `dist` if that is given."""

    def __init__(self, work: Workload, dist: Any = None, batches: int = BATCHES) -> None:
        """Draws them; the same every time."""
        self.work = work
        rng = np.random.default_rng(20)
        draws = [drawer(dist or work.dist, work.rows, rng) for _ in range(work.tables)]
        self.ids = [
            [draw(work.ids_of(table)).reshape(work.bags, -1) for table, draw in enumerate(draws)]
            for _ in range(batches)
        ]
        # Far from zero, so that no optimizer divides by next to nothing, and as often down as up.
        shape = (work.bags, work.tables * work.dim)
        self.grad: Array = rng.random(shape, dtype=np.float32) * np.float32(0.01) + np.float32(0.005)
        self.grad[rng.random(shape) < 0.5] *= -1

    @property
    def keys(self) -> list[str]:
        """The features, in the order of the ids."""
        return [f"f{table}" for table in range(self.work.tables)]

    def configs(self) -> list[hotrow.EmbeddingBagConfig]:
        """A table for each feature."""
        return [
            hotrow.EmbeddingBagConfig(
                name=f"t{table}",
                num_embeddings=self.work.rows,
                embedding_dim=self.work.dim,
                feature_names=[f"f{table}"],
            )
            for table in range(self.work.tables)
        ]

    def batch(self, number: int, share: Share) -> Batch:
        """Those of a step; they repeat."""
        ids = [each[share.of(len(each))] for each in self.ids[number % len(self.ids)]]
        lengths = [np.full(each.shape[0], each.shape[1], np.int32) for each in ids]
        return Batch(np.concatenate([each.reshape(-1) for each in ids]), np.concatenate(lengths))

    def batches(self, share: Share) -> list[Batch]:
        """Those of all steps."""
        return [self.batch(number, share) for number in range(len(self.ids))]

    def grad_of(self, share: Share) -> Array:
        """The gradient of a share's output, the same in all steps."""
        return self.grad[share.of(len(self.grad))]

"""A training step over a slow network: tables in one group, and in several, which travel while others are computed."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from hotrow.distributed import Comm, Kind, ShardedEmbeddingBagCollection, plan
from hotrow.distributed.comm import Exchange

from acrossranks.batches import EPS, LR, Batches, Share, workload
from acrossranks.steps import stepper
from acrossranks.turns import Contender, measure

_GROUPS = (1, 2, 4)


class Slow(Exchange):
    """Another comm, whose messages take as long as a network of so many bytes a second would take for them."""

    def __init__(self, comm: Comm, bytes_per_second: float) -> None:
        """The network of one rank."""
        self._comm, self._bytes_per_second = comm, bytes_per_second

    @property
    def rank(self) -> int:
        """That of the other comm."""
        return self._comm.rank

    @property
    def size(self) -> int:
        """That of the other comm."""
        return self._comm.size

    def exchange(self, operation: str, parts: list[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.uint8]]:
        """Carries the parts, and waits for what is left of their time, without using the processor."""
        begin = time.perf_counter()
        received = self._comm.all_to_all(parts)
        sent = sum(len(part) for rank, part in enumerate(parts) if rank != self.rank)
        came = sum(len(part) for rank, part in enumerate(received) if rank != self.rank)
        left = max(sent, came) / self._bytes_per_second - (time.perf_counter() - begin)
        if left > 0:
            time.sleep(left)
        return received


def run(comm: Comm, name: str, bytes_per_second: float, quick: bool) -> list[dict[str, Any]]:
    """Every rank has an equal share of the bags, and the tables are table_wise."""
    batches = Batches(workload(name, quick))
    slow, own, configs = Slow(comm, bytes_per_second), Share(comm.rank, comm.size), batches.configs()
    wishes: dict[str, Kind] = dict.fromkeys((config.name for config in configs), "table_wise")
    placement = plan(configs, world_size=comm.size, constraints=wishes)
    optimizer = (batches.work.optimizer, {"lr": LR, "eps": EPS})

    def contender(title: str, over: Comm, groups: int) -> Contender:
        collection = ShardedEmbeddingBagCollection(configs, placement, over, optimizer=optimizer, groups=groups)
        return Contender(title, stepper(collection, batches, own))

    contenders = [contender(f"slow network, groups={groups}", slow, groups) for groups in _GROUPS]
    contenders.append(contender("loopback, groups=1", comm, 1))
    return [asdict(times) for times in measure(comm, contenders, quick=quick)]

"""A training step of several processes with a thread each, against one process with as many threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import hotrow
from hotrow.distributed import Comm, Kind, LocalComm, ShardedEmbeddingBagCollection, plan

from acrossranks import check
from acrossranks.batches import ALL, EPS, LR, Batches, Share, workload
from acrossranks.steps import stepper
from acrossranks.turns import Contender, measure


def run(comm: Comm, name: str, quick: bool) -> list[dict[str, Any]]:
    """Every rank has an equal share of the bags, and the tables are table_wise."""
    batches = Batches(workload(name, quick))
    own = Share(comm.rank, comm.size)
    sharded = _sharded(comm, batches)
    plain = local = None
    if comm.rank == 0:
        plain = _plain(batches)
        local = _sharded(LocalComm(), batches)
    check.first_step(comm, plain, sharded, batches, own)
    if local is not None:
        check.first_step(LocalComm(), _plain(batches), local, batches, ALL)
    contenders = [
        Contender(f"1 process x {comm.size} threads", _step(plain, batches), comm.size),
        Contender("the same, sharded over LocalComm", _step(local, batches), comm.size),
        Contender(f"{comm.size} processes x 1 thread", stepper(sharded, batches, own), 1),
    ]
    return [asdict(times) for times in measure(comm, contenders, quick=quick)]


def _plain(batches: Batches) -> hotrow.EmbeddingBagCollection:
    collection = hotrow.EmbeddingBagCollection(batches.configs(), seed=1)
    return collection.with_optimizer(batches.work.optimizer, lr=LR, eps=EPS)


def _sharded(comm: Comm, batches: Batches) -> ShardedEmbeddingBagCollection:
    configs = batches.configs()
    wishes: dict[str, Kind] = dict.fromkeys((config.name for config in configs), "table_wise")
    return ShardedEmbeddingBagCollection(
        configs,
        plan(configs, world_size=comm.size, constraints=wishes),
        comm,
        seed=1,
        optimizer=(batches.work.optimizer, {"lr": LR, "eps": EPS}),
    )


def _step(collection: Any, batches: Batches) -> Callable[[int], None] | None:
    """Of the whole batch, where there is a collection."""
    return None if collection is None else stepper(collection, batches, ALL)

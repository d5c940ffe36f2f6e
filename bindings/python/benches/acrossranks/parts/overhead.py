"""A training step of several processes with a thread each, against one process with as many threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import hotrow
from hotrow.distributed import Comm, Kind, LocalComm, ShardedEmbeddingBagCollection, plan

from acrossranks import check
from acrossranks.batches import ALL, EPS, LR, Batches, Share, workload
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
        Contender(f"1 process x {comm.size} threads", _step(plain, batches, ALL), comm.size),
        Contender("the same, sharded over LocalComm", _step(local, batches, ALL), comm.size),
        Contender(f"{comm.size} processes x 1 thread", _step(sharded, batches, own), 1),
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


def _step(collection: Any, batches: Batches, share: Share) -> Callable[[int], None] | None:
    """Forward and backward, if this rank has a part in it."""
    if collection is None:
        return None
    keys, every, grad = batches.keys, batches.batches(share), batches.grad_of(share)

    def step(number: int) -> None:
        batch = every[number % len(every)]
        collection.forward(keys, batch.values, lengths=batch.lengths)
        collection.backward(grad)

    return step

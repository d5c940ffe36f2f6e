"""Bytes of a training step that ranks send to each other, where ids that come often travel each time, and once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hotrow.distributed import Comm, Kind, ShardedEmbeddingBagCollection, ShardedEmbeddingCollection, plan

from acrossranks.batches import Batches, Share, workload


@dataclass(frozen=True)
class Lookup:
    """A way to look up a batch; `doubles` and `once` are the options by which its ids travel."""

    title: str
    collection: Callable[..., Any]
    doubles: Mapping[str, Any]
    once: Mapping[str, Any]


_PLAIN, _ONCE = {"deduplicate": False}, {"deduplicate": True}
_LOOKUPS = (
    Lookup("bags", ShardedEmbeddingBagCollection, _PLAIN, _ONCE),
    Lookup("rows", ShardedEmbeddingCollection, _PLAIN, _ONCE),
    Lookup("rows, gradients summed", ShardedEmbeddingCollection, _PLAIN, {**_ONCE, "sum_gradients": True}),
)


def run(comm: Comm, names: list[str], kinds: list[Kind], zipf: float, quick: bool) -> list[dict[str, Any]]:
    """A step of each workload with ids of Zipf's law, by each kind of sharding, in each way."""
    found = []
    for name in names:
        batches = Batches(workload(name, quick), {"zipf": zipf}, batches=1)
        for kind in kinds:
            for lookup in _LOOKUPS:
                doubles, once = (_sent(comm, batches, kind, lookup, each) for each in (lookup.doubles, lookup.once))
                found.append(
                    {
                        "workload": name,
                        "kind": kind,
                        "lookup": lookup.title,
                        **{f"{what}_doubles": count for what, count in doubles.items()},
                        **{f"{what}_once": count for what, count in once.items()},
                    }
                )
    return found


def _sent(comm: Comm, batches: Batches, kind: Kind, lookup: Lookup, options: Mapping[str, Any]) -> dict[str, int]:
    """By all ranks together."""
    configs, own = batches.configs(), Share(comm.rank, comm.size)
    placement = plan(configs, world_size=comm.size, constraints=dict.fromkeys((each.name for each in configs), kind))
    collection = lookup.collection(configs, placement, comm, optimizer=("sgd", {"lr": 0.1}), **options)
    batch = batches.batch(0, own)
    # Of the gradient only the shape matters.
    collection.backward(collection.forward(batches.keys, batch.values, lengths=batch.lengths))
    last = collection.traffic.last
    every = comm.all_gather({"ids": last.ids, "bytes": last.bytes})
    return {what: sum(each[what] for each in every) for what in ("ids", "bytes")}

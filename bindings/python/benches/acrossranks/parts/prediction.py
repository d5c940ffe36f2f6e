"""The time of a training step as `hotrow.distributed.simulate` predicts it, and as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from hotrow.distributed import Comm, Kind, ShardedEmbeddingBagCollection
from hotrow.distributed.simulate import Costs, Workload, place, predict
from hotrow.distributed.simulate.network import measure_network

from acrossranks.batches import EPS, LR, Batches, Share, workload
from acrossranks.steps import stepper
from acrossranks.turns import Contender, measure


def run(comm: Comm, name: str, kind: Kind, costs: Mapping[str, Any], quick: bool) -> list[dict[str, Any]]:
    """From costs of one rank, and from exchanges between the ranks that there are; all tables are of one kind."""
    work = workload(name, quick)
    batches = Batches(work)
    cluster = replace(measure_network(comm), cores_per_node=len(os.sched_getaffinity(0)))
    configs = batches.configs()
    optimizer = (work.optimizer, {"lr": LR, "eps": EPS})
    placement = place(configs, kind, comm.size, comm.size, optimizer)
    lookups = {config.name: float(length) for config, length in zip(configs, work.bag_len, strict=True)}
    step = Workload(batch=work.bags // comm.size, lookups=lookups, skew=0.0, optimizer=work.optimizer)
    found = predict(configs, placement, step, cluster, Costs(**costs))
    collection = ShardedEmbeddingBagCollection(configs, placement, comm, optimizer=optimizer)
    contender = Contender(kind, stepper(collection, batches, Share(comm.rank, comm.size)))
    times = measure(comm, [contender], quick=quick)[0]
    row = {
        "ms_predicted": found.seconds * 1e3,
        "ms_median": times.ms_median,
        "ms_min": times.ms_min,
        "ms_max": times.ms_max,
        "bytes_predicted": found.sent,
        "bytes": sum(comm.all_gather(collection.traffic.last.bytes)),
        "ms_parts": {part: seconds * 1e3 for part, seconds in found.parts.items()},
        "costs": dict(costs),
        "cluster": asdict(cluster),
    }
    return [row]

"""Predictions for many numbers of ranks and kinds of sharding."""

from __future__ import annotations

from typing import TypeAlias

from hotrow.distributed.optimizers import Optimizer
from hotrow.distributed.sharding import Kind
from hotrow.distributed.simulate.options import Options
from hotrow.distributed.simulate.placement import place
from hotrow.distributed.simulate.predict import Prediction, predict

#: By number of ranks and kind.
Sweep: TypeAlias = dict[tuple[int, Kind], Prediction]


def sweep(options: Options) -> Sweep:
    """A prediction for each.

    Raises:
        ValueError: There is no such plan.
    """
    optimizer: Optimizer = (options.workload.optimizer, {})
    return {
        (ranks, kind): predict(
            options.configs,
            place(options.configs, kind, ranks, options.cluster.ranks_per_node, optimizer),
            options.workload.of(ranks),
            options.cluster,
            options.costs,
        )
        for ranks in options.ranks
        for kind in options.kinds
    }

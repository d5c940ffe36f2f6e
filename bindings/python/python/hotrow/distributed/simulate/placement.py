"""Plans in which all tables are cut alike."""

from __future__ import annotations

from collections.abc import Sequence

from hotrow.config import EmbeddingBagConfig
from hotrow.distributed.optimizers import Optimizer
from hotrow.distributed.planner import plan
from hotrow.distributed.sharding import Kind, Plan, Sharding

#: The fewest columns of a shard: 16 values are a line of the processor's cache.
_COLUMNS = 16


def place(
    configs: Sequence[EmbeddingBagConfig],
    kind: Kind,
    ranks: int,
    ranks_per_node: int,
    optimizer: Optimizer | None = None,
) -> Plan:
    """A plan of one kind. Columns are cut into as many pieces as ranks, but not into narrow ones.

    Raises:
        ValueError: The optimizer cannot train tables that are cut so, or the ranks are not whole nodes.
    """
    wishes: dict[str, Kind | Sharding] = {}
    first = 0
    for config in configs:
        if kind == "column_wise":
            pieces = max(1, min(ranks, config.embedding_dim // _COLUMNS))
            wishes[config.name] = Sharding(kind, ranks=[(first + piece) % ranks for piece in range(pieces)])
            first += pieces
        else:
            wishes[config.name] = kind
    return plan(
        configs,
        world_size=ranks,
        local_world_size=min(ranks_per_node, ranks),
        optimizer=optimizer,
        constraints=wishes,
    )

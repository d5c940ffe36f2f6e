"""Groups of tables: while the messages of one travel, the next is computed."""

from collections import Counter
from collections.abc import Sequence

from hotrow.config import EmbeddingConfig
from hotrow.distributed.sharding import Plan

__all__ = ["groups_of"]


def groups_of(configs: Sequence[EmbeddingConfig], plan: Plan, count: int) -> list[set[str]]:
    """The tables that are exchanged in `count` groups or fewer, in each of which every rank has its share of the work.

    It goes by the values that a lookup has at each rank. The widest tables are placed first.
    """
    groups: list[set[str]] = [set() for _ in range(count)]
    loads: list[Counter[int]] = [Counter() for _ in range(count)]
    exchanged = [config for config in configs if plan.table(config.name).kind != "data_parallel"]
    for config in sorted(exchanged, key=lambda config: -config.embedding_dim * len(config.feature_names)):
        own: Counter[int] = Counter()
        for shard in plan.table(config.name).shards:
            own[shard.owner] += len(shard.columns) * len(config.feature_names)
        # Where its busiest rank becomes the least busy; of equals the one with the fewest values.
        after = [(max((load + own).values()), load.total()) for load in loads]
        best = after.index(min(after))
        groups[best].add(config.name)
        loads[best] += own
    return [group for group in groups if group] or [set()]

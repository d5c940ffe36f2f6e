"""The time of a step, its bytes, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotrow.config import EmbeddingBagConfig
from hotrow.distributed.sharding import Plan
from hotrow.distributed.simulate.cluster import Cluster
from hotrow.distributed.simulate.costs import Costs
from hotrow.distributed.simulate.ledger import Ledger, features_of
from hotrow.distributed.simulate.workload import Workload


@dataclass(frozen=True)
class Prediction:
    """What to expect."""

    parts: dict[str, float]
    """Seconds of each part of a step, in their order."""
    memory: float
    """Bytes that the fullest rank needs: its shards, their optimizers' state, and a batch on its way."""
    sent: float
    """Bytes that all ranks together send to others in a step."""

    @property
    def seconds(self) -> float:
        """Of a step."""
        return sum(self.parts.values())


def predict(
    configs: Sequence[EmbeddingBagConfig], placement: Plan, workload: Workload, cluster: Cluster, costs: Costs
) -> Prediction:
    """What a step takes: forward and backward of all tables."""
    ledger = Ledger(placement, workload, costs)
    by_name = {config.name: config for config in configs}
    for number, table in enumerate(placement.tables):
        if table.kind == "data_parallel":
            ledger.add_copies(by_name[table.name])
        else:
            ledger.add_shards(by_name[table.name], table, number)
    width = sum(config.embedding_dim * features_of(config) for config in configs)
    own = 2 * 4 * workload.batch * width + ledger.ids.sum() + ledger.gradients.sum() + ledger.ranks * ledger.shared
    memory = ledger.tables + ledger.batches + ledger.ranks * (ledger.ids + ledger.gradients)
    sent = (ledger.ids + ledger.vectors + ledger.gradients + ledger.shared).sum() * (ledger.ranks - 1)
    return Prediction(_parts(ledger, cluster), float(memory.max() + own), float(sent))


def _parts(ledger: Ledger, cluster: Cluster) -> dict[str, float]:
    """Seconds. All ranks meet at each exchange, so in between it is the slowest that counts."""
    costs, workload = ledger.costs, ledger.workload
    slower = cluster.slowdown(ledger.ranks, costs.threads)
    received = ledger.ranks * costs.byte * ledger.ids
    packed, unpacked = (ledger.ranks * costs.byte * each for each in (ledger.vectors, ledger.gradients))
    placed, cut = (costs.byte * float(each.sum()) for each in (ledger.vectors, ledger.gradients))
    shared = ledger.ranks * costs.byte * ledger.shared
    return {
        "route": slower * ledger.routed * (costs.route_distinct if workload.deduplicate else costs.route),
        "send ids": cluster.exchange(ledger.ids),
        "look up": slower * float((received + ledger.lookup + packed).max()),
        "send vectors": cluster.exchange(ledger.vectors),
        "put in place": slower * placed,
        "dense": workload.dense,
        "cut gradients": slower * cut,
        "send gradients": cluster.exchange(ledger.gradients + ledger.shared),
        "update": slower * float((unpacked + shared + ledger.update).max()),
        "calls": slower * costs.call,
    }

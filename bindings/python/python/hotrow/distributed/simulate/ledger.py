"""What each rank has to do in a step, to send, and to keep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hotrow.config import EmbeddingBagConfig
from hotrow.distributed.optimizers import WHOLE_ROW_RULES
from hotrow.distributed.sharding import Plan, Shard, TablePlan
from hotrow.distributed.simulate import messages
from hotrow.distributed.simulate.costs import Costs
from hotrow.distributed.simulate.popularity import distinct, top
from hotrow.distributed.simulate.workload import Workload, state_bytes

Amounts = NDArray[np.float64]


class Ledger:
    """Added up over tables; arrays have a number for each rank.

    Ids have nothing to do with where a row lies, but for one: of a table that is cut by rows, one shard has the most
    popular id. Bags of a feature are equally long.
    """

    #: Bytes of ids that each rank sends to this owner, of vectors that it gets back, and of their gradients.
    ids: Amounts
    vectors: Amounts
    gradients: Amounts
    #: Seconds of the owner's lookups and steps, for the batches of all ranks.
    lookup: Amounts
    update: Amounts
    #: Bytes of tables with their optimizers' state, and of the batches of all ranks.
    tables: Amounts
    batches: Amounts
    #: Bytes that each rank sends to every other for the tables that all have.
    shared: float = 0.0
    #: Ids of a rank's own batch that are cut into messages.
    routed: float = 0.0

    def __init__(self, placement: Plan, workload: Workload, costs: Costs) -> None:
        """No tables yet."""
        self.ranks = placement.world_size
        self.workload = workload
        self.costs = costs
        self.ids, self.vectors, self.gradients = np.full((3, self.ranks), float(messages.HEADER))
        self.lookup, self.update, self.tables, self.batches = np.zeros((4, self.ranks))

    def add_copies(self, config: EmbeddingBagConfig) -> None:
        """A table that every rank has: looked up where it is, and stepped by everybody's gradients."""
        ids, bags = self._own(config)
        row_bytes = 4 * config.embedding_dim
        self.lookup += self.costs.looking_up(ids, bags, row_bytes)
        # The step is that of everybody's batch, which is looked up once more for it.
        self.update += self.costs.looking_up(self.ranks * ids, self.ranks * bags, row_bytes)
        self.update += self.costs.stepping(self.ranks * ids, row_bytes)
        self.tables += config.num_embeddings * self._row_bytes(config, config.embedding_dim)
        if not self.shared:
            self.shared = messages.COPIES
        self.shared += bags * config.embedding_dim * self.workload.wire_bytes
        self.shared += self._bytes_of_ids(config, 1.0, 1.0, cut=False)
        self.routed += ids

    def add_shards(self, config: EmbeddingBagConfig, table: TablePlan, number: int) -> None:
        """A table that is at its owners; `number` tells which shard of rows has the most popular id."""
        cut = table.kind in ("row_wise", "table_row_wise") and len(table.shards) > 1
        popular = top(config.num_embeddings, self.workload.skew) if cut else 0.0
        for place, shard in enumerate(table.shards):
            share = _part(shard, config)
            if cut:
                mine = place == number % len(table.shards)
                others = (len(shard.rows) - mine) / (config.num_embeddings - 1)
                share = (1 - popular) * others + mine * popular
            self._add_shard(config, shard, share, cut)
        # Each owner of columns gets all ids.
        self.routed += self._own(config)[0] * (len(table.shards) if table.kind == "column_wise" else 1)

    def _add_shard(self, config: EmbeddingBagConfig, shard: Shard, share: float, cut: bool) -> None:
        owner, columns = shard.owner, len(shard.columns)
        # A rule that looks at whole rows asks for them at each owner of columns.
        gradient = config.embedding_dim if self.workload.optimizer in WHOLE_ROW_RULES else columns
        ids, bags = self._own(config)
        ids *= share
        back = bags
        if cut and share < 1:
            # Of a bag that is cut, what is not empty travels back.
            back *= -np.expm1(self.workload.lookups[config.name] / features_of(config) * np.log1p(-share))
        self.ids[owner] += self._bytes_of_ids(config, _part(shard, config), share, cut=cut)
        self.vectors[owner] += back * columns * self.workload.wire_bytes
        self.gradients[owner] += back * gradient * self.workload.wire_bytes
        self.lookup[owner] += self.costs.looking_up(self.ranks * ids, self.ranks * bags, 4 * columns)
        # Of the bytes of a step one half are the gradient's.
        self.update[owner] += self.costs.stepping(self.ranks * ids, 2 * (columns + gradient))
        self.tables[owner] += len(shard.rows) * self._row_bytes(config, columns)
        # Ids, lengths, output and gradient.
        self.batches[owner] += self.ranks * (4 * ids + 4 * bags + 4 * bags * (columns + gradient))

    def _own(self, config: EmbeddingBagConfig) -> tuple[float, float]:
        """Ids and bags of a rank's own batch."""
        batch = self.workload.batch
        return batch * self.workload.lookups[config.name], float(batch * features_of(config))

    def _row_bytes(self, config: EmbeddingBagConfig, columns: int) -> int:
        """Of weights and state."""
        element = 4 if config.dtype == "float32" else 2
        return columns * element + state_bytes(self.workload.optimizer, columns)

    def _bytes_of_ids(self, config: EmbeddingBagConfig, rows: float, share: float, *, cut: bool) -> float:
        """Of one rank's message to the owner of a shard with this share of the rows and of the ids."""
        features = features_of(config)
        length = self.workload.lookups[config.name] / features
        count = self.workload.batch * length
        different = None
        if self.workload.deduplicate:
            # A shard that has the most popular id has hardly more different ones.
            different = distinct(count, config.num_embeddings, self.workload.skew) * rows
        alike = not cut and length.is_integer()
        return features * (messages.lengths(self.workload.batch, alike) + messages.ids(count * share, different))


def features_of(config: EmbeddingBagConfig) -> int:
    """How many features look up a table."""
    return max(len(config.feature_names), 1)


def _part(shard: Shard, config: EmbeddingBagConfig) -> float:
    """Which part of a table's rows a shard has."""
    return len(shard.rows) / config.num_embeddings if config.num_embeddings else 1.0

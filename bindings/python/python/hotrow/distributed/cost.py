"""What a shard asks of its rank: memory, and work in a step."""

from dataclasses import dataclass

from hotrow.config import EmbeddingBagConfig, EmbeddingConfig
from hotrow.distributed.optimizers import WHOLE_ROW_RULES, Optimizer, state_bytes

__all__ = ["TableCost"]

NETWORK = 8.0
"""A byte on a network of 10 Gbit/s (1.25 GB/s) takes as long as so many in memory (random rows: about 10 GB/s)."""
F32 = 4
"""Bytes of a value that travels, and of an id."""


@dataclass(frozen=True)
class TableCost:
    """A table and how much it is used. Work is counted in bytes of memory: what a step reads, writes and moves."""

    config: EmbeddingConfig
    """The table."""
    optimizer: Optimizer | None
    """What trains it."""
    lookups: float
    """Ids of an example, over all of the table's features."""
    batch: int
    """Examples of a rank."""
    world_size: int
    """The number of ranks."""

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.config.num_embeddings

    @property
    def dim(self) -> int:
        """Columns of the table."""
        return self.config.embedding_dim

    @property
    def whole(self) -> int:
        """The memory of the whole table."""
        return self.rows * self.row_bytes(self.dim)

    def row_bytes(self, columns: int) -> int:
        """The memory of so many columns of a row, and of their optimizer's state."""
        return columns * self._element + state_bytes(self.optimizer, columns)

    def work(self, columns: int, ranks: int = 1) -> float:
        """The work of a rank that owns so many columns of the table's rows, or of its share of them among `ranks`."""
        examples = self.batch * self.world_size
        ids = examples * self.lookups / ranks
        vectors = self._vectors(examples, ids)
        moved = F32 * ids + F32 * (columns + self._gradient(columns)) * vectors
        return self._memory(ids, ids, columns, self.rows / ranks) + NETWORK * moved * self._others

    @property
    def takes_whole_rows(self) -> bool:
        """Whether the owner of some columns would get the gradient of all."""
        return self.optimizer is not None and self.optimizer[0] in WHOLE_ROW_RULES

    def work_everywhere(self) -> float:
        """A rank's work if each has the whole table: it looks up its own examples, and steps by those of all."""
        examples = self.batch * self.world_size
        ids = examples * self.lookups
        moved = F32 * ids + F32 * self.dim * self._vectors(examples, ids)
        return self._memory(self.batch * self.lookups, ids, self.dim, self.rows) + NETWORK * moved * self._others

    def _gradient(self, columns: int) -> int:
        """The columns of the gradient that comes to the owner of so many."""
        return self.dim if self.takes_whole_rows else columns

    @property
    def _element(self) -> int:
        return 4 if self.config.dtype == "float32" else 2

    @property
    def _others(self) -> float:
        """How much of what all ranks send comes from other ranks."""
        return (self.world_size - 1) / self.world_size

    def _vectors(self, examples: int, ids: float) -> float:
        """How many vectors travel: one for an example that has an id here under a feature, or one for each id."""
        if not isinstance(self.config, EmbeddingBagConfig):
            return ids
        return min(ids, examples * max(1, len(self.config.feature_names)))

    def _memory(self, read: float, stepped: float, columns: int, rows: float) -> float:
        """Bytes of memory: rows that are looked up, gradients that are summed, and rows that are read and written."""
        sums = stepped * self._gradient(columns) * F32
        return read * columns * self._element + sums + 2 * min(stepped, rows) * self.row_bytes(columns)

"""The shards that one rank has, as an ordinary collection."""

from collections.abc import Collection, Sequence
from typing import Any, Generic, TypeVar

from hotrow import _native
from hotrow.config import EmbeddingBagConfig, EmbeddingConfig
from hotrow.distributed.optimizers import Optimizers, for_shard

__all__ = ["Owned", "Part"]

C = TypeVar("C", _native.EmbeddingBagCollection, _native.EmbeddingCollection)

Owned = tuple[int, int, int, int, int, int]
"""A shard as `Routes` takes it: table, owner, rows from and to, columns from and to."""


class Part(Generic[C]):
    """Tables that are exchanged by the same routes, and the shards of them that this rank has."""

    def __init__(
        self,
        collection: type[C],
        configs: Sequence[EmbeddingConfig],
        shards: Sequence[Owned],
        ranks: int,
        rank: int,
        *,
        names: dict[Owned, str],
        wire_dtype: str = "float32",
        whole_rows: Collection[int] = (),
    ) -> None:
        """Tables of zeros; `names` are those of this rank's shards.

        To the owners of columns of the tables `whole_rows` go gradients of all columns.
        """
        self.configs = configs
        self.rank = rank
        self.whole_rows = frozenset(whole_rows)
        self.routes = _native.Routes(configs, shards, ranks, wire_dtype=wire_dtype, whole_rows=sorted(whole_rows))
        self.keys = self.routes.keys_of(rank)
        every = self.routes.shards
        self.tables = frozenset(shard[0] for shard in every)
        self.shards = [every[number] for number in self.routes.shards_of(rank)]
        self.names = [names[shard] for shard in self.shards]
        cut = {shard[0] for shard in every if shard[2:4] != (0, configs[shard[0]].num_embeddings)}
        features = [self.routes.keys_of_shard(number) for number in self.routes.shards_of(rank)]
        self.collection: C = collection(
            [
                _local(configs[shard[0]], shard, name, keys, shard[0] in cut)
                for shard, name, keys in zip(self.shards, self.names, features, strict=True)
            ]
        )

    def draw(self, seed: int) -> None:
        """Fills the shards as one process would fill the tables from this seed."""
        for (table, _, row, _, column, _), name in zip(self.shards, self.names, strict=True):
            own = self.collection.table(name)
            _native.draw_part(self.configs[table], (seed + table) % 2**64, (row, column), own)

    def train(self, optimizers: Optimizers) -> None:
        """Gives every shard its table's optimizer."""
        for local, (shard, name) in enumerate(zip(self.shards, self.names, strict=True)):
            rule, options = optimizers[self.configs[shard[0]].name]
            columns = (shard[4], self._dim(shard)) if shard[0] in self.whole_rows else None
            self.collection.set_optimizer(name, rule, **for_shard(options, shard[0], local, columns))

    @property
    def gradient_dims(self) -> list[int]:
        """The columns of each shard's gradient."""
        return [self._dim(shard) if shard[0] in self.whole_rows else shard[5] - shard[4] for shard in self.shards]

    def _dim(self, shard: Owned) -> int:
        return self.configs[shard[0]].embedding_dim

    def set_lr(self, lr: float, table: str | None) -> None:
        """Changes the learning rate of the shards of one table, or of all."""
        for shard, name in zip(self.shards, self.names, strict=True):
            if table is None or self.configs[shard[0]].name == table:
                self.collection.set_lr(lr, table=name)

    def of_table(self, table: int) -> list[tuple[Owned, Any]]:
        """This rank's shards of a table, and their arrays."""
        named = zip(self.shards, self.names, strict=True)
        return [(shard, self.collection.table(name)) for shard, name in named if shard[0] == table]


def _local(config: EmbeddingConfig, shard: Owned, name: str, keys: Sequence[str], is_cut: bool) -> EmbeddingConfig:
    """A shard as a table of its own. What is cut by rows is summed, and who asked divides."""
    _, _, row, row_end, column, column_end = shard
    common: dict[str, Any] = {
        "name": name,
        "num_embeddings": row_end - row,
        "embedding_dim": column_end - column,
        "feature_names": keys,
        "dtype": config.dtype,
        # Drawn later, as a part of the whole table.
        "initializer": (0.0, 0.0),
    }
    if isinstance(config, EmbeddingBagConfig):
        return EmbeddingBagConfig(**common, pooling="sum" if is_cut else config.pooling)
    return EmbeddingConfig(**common)

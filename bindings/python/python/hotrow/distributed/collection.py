"""What both kinds of sharded collection share: tables, their shards, and the exchange between ranks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hotrow import _native
from hotrow.config import EmbeddingConfig
from hotrow.distributed.comm import Comm
from hotrow.distributed.describe import describe, require_equal
from hotrow.distributed.messages import Message, exchange, framed, together, unframed
from hotrow.distributed.optimizers import Optimizer, Optimizers, by_table, check_optimizers
from hotrow.distributed.part import Owned, Part
from hotrow.distributed.sharding import Plan
from hotrow.distributed.traffic import Traffic, What
from hotrow.typing import Element

__all__ = ["Sharded"]

C = TypeVar("C", _native.EmbeddingBagCollection, _native.EmbeddingCollection)
Config = TypeVar("Config", bound=EmbeddingConfig)
Kept = TypeVar("Kept")


class Sharded(Generic[C, Config]):
    """Tables over many ranks."""

    def __init__(
        self,
        collection: type[C],
        configs: Sequence[Config],
        plan: Plan,
        comm: Comm,
        *,
        seed: int,
        optimizer: Optimizer | Optimizers | None,
        wire_dtype: Element | None,
        deduplicate: bool,
        **options: object,
    ) -> None:
        """Asks all ranks whether they have the same, and makes this rank's shards."""
        self._configs = tuple(configs)
        self._plan = plan
        self._comm = comm
        self._deduplicate = deduplicate
        self._optimizers = by_table(optimizer, self._configs)
        # Before anything that can be refused, so that all ranks refuse it or none.
        more = {"seed": seed, "wire_dtype": wire_dtype, "deduplicate": deduplicate, **options}
        require_equal(comm, describe(self._configs, plan, self._optimizers, **more))
        plan.check(self._configs)
        if plan.world_size != comm.size:
            raise ValueError(f"the plan is for {plan.world_size} ranks, and there are {comm.size}")
        check_optimizers(self._optimizers, self._configs, plan)
        # What no collection can be made of is refused by every rank, also by one that has no shard of it.
        self._model: C = collection([replace(config, num_embeddings=1) for config in self._configs])
        for name, (rule, hyperparameters) in self._optimizers.items():
            self._model.set_optimizer(name, rule, **hyperparameters)
        self._sharded: Part[C]
        self._replicas: Part[C]
        with together(comm):
            self._sharded, self._replicas = self._parts(collection, wire_dtype or "float32")
            for part in (self._sharded, self._replicas):
                part.draw(seed)
                if self._optimizers:
                    part.train(self._optimizers)
        self.traffic = Traffic()

    def _parts(self, collection: type[C], wire_dtype: str) -> tuple[Part[C], Part[C]]:
        """The tables that are exchanged, and those that every rank has: those are each rank's own."""
        shards, replicas = [], []
        names: dict[Owned, str] = {}
        for at, config in enumerate(self._configs):
            table = self._plan.table(config.name)
            if table.kind == "data_parallel":
                whole = (at, 0, 0, config.num_embeddings, 0, config.embedding_dim)
                replicas.append(whole)
                names[whole] = config.name
                continue
            for shard in table.shards:
                rows, columns = shard.rows, shard.columns
                owned = (at, shard.owner, rows.start, rows.stop, columns.start, columns.stop)
                shards.append(owned)
                names[owned] = shard.name
        size, rank = self._comm.size, self._comm.rank
        sharded = Part(collection, self._configs, shards, size, rank, names=names, wire_dtype=wire_dtype)
        # Gradients of replicas travel as they are: those of the rank itself must be those of the others.
        return sharded, Part(collection, self._configs, replicas, 1, 0, names=names)

    @property
    def comm(self) -> Comm:
        """What carries the messages."""
        return self._comm

    @property
    def plan(self) -> Plan:
        """What lands where."""
        return self._plan

    @property
    def configs(self) -> tuple[Config, ...]:
        """The configurations of the tables."""
        return self._configs

    @property
    def table_names(self) -> list[str]:
        """The names of the tables."""
        return [config.name for config in self._configs]

    def set_lr(self, lr: float, *, table: str | None = None) -> None:
        """Changes the learning rate of one table, or of all; every rank has to do the same."""
        if table is not None:
            self._number(table)
        for part in (self._sharded, self._replicas):
            part.set_lr(lr, table)

    def gather_table(self, name: str) -> NDArray[Any]:
        """A whole table, put together on every rank: for tests, and for tables that every rank has memory for.

        Every rank has to call it.
        """
        at = self._number(name)
        config = self._configs[at]
        for _, array in self._replicas.of_table(at):
            return np.array(array)
        own = self._sharded.of_table(at)
        part = framed([np.ascontiguousarray(array).reshape(-1).view(np.uint8) for _, array in own])
        frames = self._comm.all_to_all([part] * self._comm.size)
        dtype = self._model.table(name).dtype
        whole = np.empty((config.num_embeddings, config.embedding_dim), dtype)
        arrays = {rank: iter(unframed(frame, rank)) for rank, frame in enumerate(frames)}
        for table, owner, row, row_end, column, column_end in self._sharded.routes.shards:
            if table == at:
                values = next(arrays[owner]).copy().view(dtype)
                whole[row:row_end, column:column_end] = values.reshape(row_end - row, column_end - column)
        return whole

    def _number(self, name: str) -> int:
        """Which table has this name."""
        if name not in self.table_names:
            raise ValueError(f"there is no table {name!r}: there are {', '.join(self.table_names)}")
        return self.table_names.index(name)

    def _lookups(self) -> list[tuple[int, str, str]]:
        """What looks up the tables, in the order of the output: the table's number, the key, and the output's name."""
        keys = [key for config in self._configs for key in config.feature_names]
        return [
            (at, key, key if keys.count(key) == 1 else f"{key}@{config.name}")
            for at, config in enumerate(self._configs)
            for key in config.feature_names
        ]

    def _exchange(
        self, what: What, prepare: Callable[[], tuple[Kept, Sequence[Message]]]
    ) -> tuple[Kept, list[Message]]:
        return exchange(self._comm, self.traffic, what, prepare)

    def _check_trained(self, last: object | None) -> None:
        """Refuses a backward that has nothing to step by."""
        if last is None:
            raise ValueError("there was no forward whose ids a backward could use")
        if not self._optimizers:
            raise ValueError("the collection has no optimizer: it was made without one")

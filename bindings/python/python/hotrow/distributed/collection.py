"""What both kinds of sharded collection share: tables, their shards, and the exchange between ranks."""

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hotrow import _native
from hotrow.config import EmbeddingConfig
from hotrow.distributed import checkpoint
from hotrow.distributed.checkpoint import LoadedCheckpoint, SavedCheckpoint
from hotrow.distributed.comm import Comm
from hotrow.distributed.conversation import Conversation
from hotrow.distributed.describe import describe, require_equal
from hotrow.distributed.groups import groups_of
from hotrow.distributed.messages import framed, together, unframed
from hotrow.distributed.optimizers import Optimizer, Optimizers, by_table, check_optimizers, takes_whole_rows
from hotrow.distributed.part import Owned, Part
from hotrow.distributed.sharding import Plan
from hotrow.distributed.traffic import Traffic
from hotrow.typing import Element

__all__ = ["Sharded"]

C = TypeVar("C", _native.EmbeddingBagCollection, _native.EmbeddingCollection)
Config = TypeVar("Config", bound=EmbeddingConfig)


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
        groups: int,
        **options: object,
    ) -> None:
        """Asks all ranks whether they have the same, and makes this rank's shards."""
        self._configs = tuple(configs)
        self._plan = plan
        self._comm = comm
        self._deduplicate = deduplicate
        self._optimizers = by_table(optimizer, self._configs)
        # Before anything that can be refused, so that all ranks refuse it or none.
        more = {"seed": seed, "wire_dtype": wire_dtype, "deduplicate": deduplicate, "groups": groups, **options}
        require_equal(comm, describe(self._configs, plan, self._optimizers, **more))
        if groups < 1:
            raise ValueError(f"tables are exchanged in one group or more, not in {groups}")
        plan.check(self._configs)
        if plan.world_size != comm.size:
            raise ValueError(f"the plan is for {plan.world_size} ranks, and there are {comm.size}")
        check_optimizers(self._optimizers, self._configs, plan)
        # What no collection can be made of is refused by every rank, also by one that has no shard of it.
        self._model: C = collection([replace(config, num_embeddings=1) for config in self._configs])
        for name, (rule, hyperparameters) in self._optimizers.items():
            self._model.set_optimizer(name, rule, **hyperparameters)
        self._groups: list[Part[C]]
        self._replicas: Part[C]
        with together(comm):
            self._groups, self._replicas = self._made(collection, wire_dtype or "float32", groups)
            self._parts: list[Part[C]] = list(self._groups)
            self._parts.append(self._replicas)
            for part in self._parts:
                part.draw(seed)
                if self._optimizers:
                    part.train(self._optimizers)
        self.traffic = Traffic()
        # With one group there is nothing to compute while its messages travel.
        self._carrier: Executor | None = None
        if len(self._groups) > 1 and comm.size > 1:
            self._carrier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hotrow-exchange")
        self._last: object | None = None
        self._half_loaded = False

    def _made(self, collection: type[C], wire_dtype: str, groups: int) -> tuple[list[Part[C]], Part[C]]:
        """The tables that are exchanged, in groups, and those that every rank has: those are each rank's own."""
        replicas: list[Owned] = []
        shards: dict[str, list[Owned]] = {}
        whole_rows: list[int] = []
        names: dict[Owned, str] = {}
        for at, config in enumerate(self._configs):
            table = self._plan.table(config.name)
            if table.kind == "data_parallel":
                whole = (at, 0, 0, config.num_embeddings, 0, config.embedding_dim)
                replicas.append(whole)
                names[whole] = config.name
                continue
            if takes_whole_rows(table, self._optimizers.get(config.name)):
                whole_rows.append(at)
            for shard in table.shards:
                rows, columns = shard.rows, shard.columns
                owned = (at, shard.owner, rows.start, rows.stop, columns.start, columns.stop)
                shards.setdefault(config.name, []).append(owned)
                names[owned] = shard.name
        size, rank = self._comm.size, self._comm.rank
        options: dict[str, Any] = {"wire_dtype": wire_dtype, "whole_rows": whole_rows}
        exchanged = []
        for tables in groups_of(self._configs, self._plan, groups):
            own = [shard for name in shards if name in tables for shard in shards[name]]
            exchanged.append(Part(collection, self._configs, own, size, rank, names=names, **options))
        # Gradients of replicas travel as they are: those of the rank itself must be those of the others.
        return exchanged, Part(collection, self._configs, replicas, 1, 0, names=names)

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
        for part in self._parts:
            part.set_lr(lr, table)

    def gather_table(self, name: str) -> NDArray[Any]:
        """A whole table, put together on every rank: for tests, and for tables that every rank has memory for.

        Every rank has to call it.
        """
        at = self._number(name)
        config = self._configs[at]
        for _, array in self._replicas.of_table(at):
            return np.array(array)
        own = [array for group in self._groups for _, array in group.of_table(at)]
        part = framed([np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in own])
        frames = self._comm.all_to_all([part] * self._comm.size)
        dtype = self._model.table(name).dtype
        whole = np.empty((config.num_embeddings, config.embedding_dim), dtype)
        arrays = {rank: iter(unframed(frame, rank)) for rank, frame in enumerate(frames)}
        every = [shard for group in self._groups for shard in group.routes.shards]
        for table, owner, row, row_end, column, column_end in every:
            if table == at:
                values = next(arrays[owner]).copy().view(dtype)
                whole[row:row_end, column:column_end] = values.reshape(row_end - row, column_end - column)
        return whole

    def save(
        self,
        folder: str | os.PathLike[str],
        step: int,
        *,
        keep_last: int | None = None,
        config: object = None,
    ) -> SavedCheckpoint:
        """Saves tables and optimizers as a checkpoint that any number of ranks, with any plan, can load.

        All ranks call it, and all see the folder under the path that they give: on several machines it lies on a file
        system that they share. Each writes the rows that it has; tables that are cut by columns are put together by
        their owners, some rows at a time. A checkpoint is there as a whole or not at all, whatever happens: what an
        interrupted save leaves behind is removed by the next one. It is one of hotrow's own: `hotrow info`, `verify`
        and `similar` read it.

        Args:
            folder: Where checkpoints are; it is made if it is not there. One job at a time saves into it.
            step: What counts the state of the training, such as its batches; not before the newest of the folder. A
                checkpoint of the same step is replaced.
            keep_last: How many checkpoints are kept; all, unless it is given.
            config: Whatever JSON can hold; that of rank 0 is saved.

        Raises:
            ValueError: The ranks do not save the same, the step is before the newest, another program saves there, or
                another rank has failed.
            OSError: A file cannot be written.
            CommError: A rank is gone. The checkpoints are as they were before.
        """
        return checkpoint.save(self._tables(), folder, step, keep_last, config)

    def load(self, folder: str | os.PathLike[str], step: int | None = None) -> LoadedCheckpoint | None:
        """Goes on from a checkpoint, whatever ranks and plan it was saved by; `None` if the folder has none.

        All ranks call it. Each reads its own shards, and compares the checksums of all that it touches. Optimizers go
        on with the checkpoint's hyperparameters, options and steps. A collection without optimizers loads the tables
        alone.

        Args:
            folder: Where checkpoints are.
            step: Which one; the newest, unless it is given.

        Raises:
            ValueError: The checkpoint is of other tables, elements or rules, needs what no rank has, is damaged, or
                another rank has failed. If that happens when tables are being read already, then the collection
                refuses to be used until a load succeeds.
            OSError: A file cannot be read.
        """
        self._last = None

        def begin() -> None:
            self._half_loaded = True

        loaded = checkpoint.load(self._tables(), folder, step, begin)
        if loaded is not None:
            self._half_loaded = False
        return loaded

    def _tables(self) -> checkpoint.Tables:
        return checkpoint.Tables(
            self._comm,
            self._configs,
            self._plan,
            self._model,
            self._parts,
            bool(self._optimizers),
        )

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

    def _conversation(self, exchanges: int) -> Conversation:
        return Conversation(self._comm, self.traffic, exchanges, self._carrier)

    def _check_loaded(self) -> None:
        """Refuses a batch for tables of which some are another checkpoint's."""
        if self._half_loaded:
            raise ValueError("a load has failed half way, so the tables are of no use: load a checkpoint first")

    def _check_trained(self, last: object | None) -> None:
        """Refuses a backward that has nothing to step by."""
        if last is None:
            raise ValueError("there was no forward whose ids a backward could use")
        if not self._optimizers:
            raise ValueError("the collection has no optimizer: it was made without one")

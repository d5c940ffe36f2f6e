"""Groups of tables: who is in which, and that one is computed while another travels."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hotrow import EmbeddingBagConfig
from hotrow.distributed import Plan, ShardedEmbeddingBagCollection, plan
from hotrow.distributed import bags as bags_module
from hotrow.distributed.groups import groups_of
from numpy.typing import NDArray
from worlds import SECONDS, ThreadComm, results


def configs(dims: list[int]) -> list[EmbeddingBagConfig]:
    """Tables t0, t1, ... of these dims, each with one feature."""
    return [
        EmbeddingBagConfig(name=f"t{i}", num_embeddings=64, embedding_dim=dim, feature_names=[f"f{i}"])
        for i, dim in enumerate(dims)
    ]


def loads(tables: list[EmbeddingBagConfig], placement: Plan, group: set[str]) -> list[int]:
    """The columns that each rank has of a group."""
    found = [0] * placement.world_size
    for table in tables:
        if table.name in group:
            for shard in placement.table(table.name).shards:
                found[shard.owner] += len(shard.columns)
    return found


def test_every_rank_has_its_share_of_every_group() -> None:
    tables = configs([16] * 8)
    placement = plan(tables, world_size=2, constraints=dict.fromkeys([table.name for table in tables], "table_wise"))
    groups = groups_of(tables, placement, 2)
    assert [loads(tables, placement, group) for group in groups] == [[32, 32], [32, 32]]
    assert set.union(*groups) == {table.name for table in tables}
    assert groups_of(tables, placement, 1) == [{table.name for table in tables}]


def test_there_are_no_more_groups_than_tables() -> None:
    tables = configs([8, 16, 4])
    wishes = {"t0": "data_parallel", "t1": "column_wise", "t2": "row_wise"}
    placement = plan(tables, world_size=2, constraints=wishes)
    assert groups_of(tables, placement, 5) == [{"t1"}, {"t2"}]
    alone = plan(tables, world_size=2, constraints=dict.fromkeys(wishes, "data_parallel"))
    # Ranks exchange also where there is nothing to exchange: one may refuse its batch.
    assert groups_of(tables, alone, 3) == [set()]


class Waiting(ThreadComm):
    """Carries the vectors of the first group only once the next group is pooled, and the same for the step."""

    def __init__(self, comm: ThreadComm) -> None:
        """Another rank of the same meeting."""
        super().__init__(comm._rank, comm._meeting)
        self.computed = threading.Event()
        self.waits: set[int] = set()
        self.exchanges = 0

    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Waits where it was told to."""
        if self.exchanges in self.waits:
            assert self.computed.wait(SECONDS / 2), "nothing was computed while messages travelled"
        self.exchanges += 1
        return super().exchange(operation, parts)


def test_one_group_is_computed_while_another_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = configs([8, 8, 8, 8])
    placement = plan(tables, world_size=2, constraints=dict.fromkeys([table.name for table in tables], "table_wise"))
    local = threading.local()
    pooled, step = bags_module._pooled, bags_module._step

    def counting(function):  # type: ignore[no-untyped-def]
        def counted(*arguments):  # type: ignore[no-untyped-def]
            found = function(*arguments)
            local.calls += 1
            if local.calls == local.enough:
                local.comm.computed.set()
            return found

        return counted

    monkeypatch.setattr(bags_module, "_pooled", counting(pooled))
    monkeypatch.setattr(bags_module, "_step", counting(step))

    def work(thread: ThreadComm) -> int:
        comm = Waiting(thread)
        collection = ShardedEmbeddingBagCollection(tables, placement, comm, optimizer=("sgd", {"lr": 0.1}), groups=2)
        keys = [f"f{i}" for i in range(4)]
        # Two exchanges of ids, then those of vectors: the first of them waits for the second group's.
        local.comm, local.calls, local.enough = comm, 0, 2
        comm.waits = {comm.exchanges + 2}
        out = collection.forward(keys, np.arange(12), lengths=np.ones(12, np.int64))
        # Two exchanges of gradients: the second waits for the first group's step.
        comm.computed.clear()
        local.calls, local.enough = 0, 1
        comm.waits = {comm.exchanges + 1}
        collection.backward(out)
        return comm.exchanges

    assert len(set(results(2, work))) == 1

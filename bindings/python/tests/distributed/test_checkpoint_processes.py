"""Checkpoints between processes, and a rank that is killed while one is saved."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import hotrow
import numpy as np
import pytest
import test_bags
from hotrow.distributed import Comm, CommError, ShardedEmbeddingBagCollection, checkpoint
from plain import same
from ranks import Transport, on_ranks, outcomes
from worlds import Batch, results

pytestmark = pytest.mark.thread_unsafe
ADAM = ("adam", {"lr": 0.1})


def made(comm: Comm, kind: str, seed: int = 0) -> ShardedEmbeddingBagCollection:
    """Tables that are trained."""
    placement = test_bags.planned(kind, comm.size)
    return ShardedEmbeddingBagCollection(test_bags.CONFIGS, placement, comm, seed=seed, optimizer=ADAM)


def train(collection: ShardedEmbeddingBagCollection, step: int) -> None:
    """One step, by the examples of rank 0 alone: so it is the same whatever the ranks."""
    batch = Batch.draw(np.random.default_rng(step), test_bags.ROWS, 7 if collection.comm.rank == 0 else 0)
    out = collection.forward(*batch.arguments(), **batch.options())
    collection.backward(np.cos(out))


def tables_of(collection: Any) -> dict[str, Any]:
    """All tables, whole, as bytes: those of some elements cannot be pickled everywhere."""
    return {name: collection.gather_table(name).view(np.uint8) for name in collection.table_names}


def saves(comm: Comm, folder: Path) -> None:
    """Saves after two steps."""
    # Column by column is exchanged a few rows at a time.
    checkpoint.BLOCK_BYTES = 100
    collection = made(comm, "mixed")
    for step in range(2):
        train(collection, step)
    collection.save(folder, 2, config=[1, 2])


def loads(comm: Comm, folder: Path, kind: str) -> dict[str, Any]:
    """Loads, and makes one step more."""
    collection = made(comm, kind, seed=5)
    assert collection.load(folder) == checkpoint.LoadedCheckpoint(2, [1, 2])
    train(collection, 2)
    return tables_of(collection)


def test_saved_by_some_processes_and_loaded_by_others(transport: Transport, tmp_path: Path) -> None:
    on_ranks(transport, 3, saves, tmp_path)
    # Bags whose table is cut by rows are summed in another order, so those are not compared.
    found = on_ranks(transport, 2, loads, tmp_path, "column_wise")
    alone = loads(hotrow.distributed.LocalComm(), tmp_path, "table_wise")
    for tables in found:
        for name, table in tables.items():
            same(table, alone[name])


def saves_until_killed(comm: Comm, folder: Path, place: str) -> str:
    """One rank is gone while the second checkpoint is saved; what the others say."""
    checkpoint.BLOCK_BYTES = 100
    collection = made(comm, "mixed")
    train(collection, 0)
    collection.save(folder, 1)
    train(collection, 1)
    victim = 0 if place == "commit" else 1

    def killed(*_args: object, **_options: object) -> Any:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    write, writes = checkpoint._write, checkpoint._Out.write

    def written(*args: Any) -> None:
        write(*args)
        killed()

    calls = 0

    def some_written(*args: Any) -> None:
        nonlocal calls
        calls += 1
        writes(*args)
        if calls == 5:
            killed()

    if comm.rank == victim:
        if place == "write":
            checkpoint._Out.write = some_written  # type: ignore[method-assign]
        else:
            checkpoint._write = written  # type: ignore[assignment]
    begin = time.monotonic()
    with pytest.raises(CommError) as error:
        collection.save(folder, 2)
    assert time.monotonic() - begin < 30
    return str(error.value)


def goes_on(comm: Comm, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Loads what is left, repeats what was lost, and saves it."""
    collection = made(comm, "mixed", seed=5)
    loaded = collection.load(folder)
    assert loaded is not None
    assert loaded.step == 1
    train(collection, 1)
    collection.save(folder, 2, keep_last=1)
    comm.barrier()
    return tables_of(collection), sorted(os.listdir(folder))


def trained(comm: Comm) -> dict[str, Any]:
    """What two steps make that nothing has interrupted."""
    collection = made(comm, "mixed")
    for step in range(2):
        train(collection, step)
    return tables_of(collection)


@pytest.mark.parametrize(
    ("transport", "place"), [("torch", "write"), ("torch", "commit"), ("mpi", "written")], indirect=["transport"]
)
def test_a_rank_that_is_killed_while_it_saves(transport: Transport, tmp_path: Path, place: str) -> None:
    found, log = outcomes(transport, 3, saves_until_killed, tmp_path, place, comm_timeout=4.0)
    victim = 0 if place == "commit" else 1
    for rank in {0, 1, 2} - {victim}:
        assert isinstance(found[rank].value, str), (found[rank], log)
        assert found[rank].value.startswith(f"rank {rank}: all_")
    assert found[victim].value is None
    assert hotrow._native.Checkpoints(tmp_path).steps() == [1]
    expected = results(3, trained)[0]
    for tables, names in on_ranks(transport, 3, goes_on, tmp_path):
        for name, table in tables.items():
            same(table, expected[name])
        # Nothing of what was interrupted is left.
        assert [name for name in names if not name.startswith("step-2.")] == [".hotrow-lock"]
        assert len(names) == 1 + 1 + 3

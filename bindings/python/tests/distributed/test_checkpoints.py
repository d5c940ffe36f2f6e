"""Checkpoints of sharded collections: saved by some ranks, loaded by others, and a step more is that of one process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hotrow
import numpy as np
import pytest
import test_bags
import test_sequences
from hotrow.distributed import (
    Comm,
    LocalComm,
    Plan,
    ShardedEmbeddingBagCollection,
    ShardedEmbeddingCollection,
    checkpoint,
)
from hotrow.distributed.blocks import blocks, writers
from hotrow.distributed.optimizers import refusal
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain import same
from plain_steps import DEFAULTS
from worlds import Batch, ThreadComm, outcomes, results

pytestmark = pytest.mark.thread_unsafe
BAGS, SEQUENCES = test_bags.CONFIGS, test_sequences.CONFIGS
KINDS = [*test_bags.KINDS, "mixed"]
RULES = list(DEFAULTS)
SGD: tuple[str, dict[str, Any]] = ("sgd", {"lr": 0.1, "momentum": 0.5})


def can_train(placement: Plan, rule: str) -> bool:
    """Whether shards of this plan can be trained by a rule."""
    tables = [(config, placement.table(config.name)) for config in BAGS]
    return all(len(table.shards) == 1 or refusal(config, table.kind, (rule, {})) is None for config, table in tables)


class Bags:
    """A training of bags."""

    def __init__(self, rng: np.random.Generator, steps: int) -> None:
        """The batches of one process, and the gradients."""
        self.batches = [Batch.draw(rng, test_bags.ROWS, 12) for _ in range(steps)]
        width = sum(config.embedding_dim for config, _ in test_bags.LOOKUPS)
        self.grads = [rng.standard_normal((12, width)).astype(np.float32) for _ in range(steps)]

    def share(self, step: int, rank: int, ranks: int) -> tuple[Batch, NDArray[np.float32]]:
        """A rank's examples, the first ones at rank 0."""
        batch = self.batches[step]
        first, end = (12 * at // ranks for at in (rank, rank + 1))
        ids, lengths = {}, {}
        for key in batch.keys:
            counts = batch.lengths[key]
            start = counts[:first].sum()
            lengths[key] = counts[first:end]
            ids[key] = batch.ids[key][start : start + lengths[key].sum()]
        return Batch(batch.keys, ids, lengths, None), self.grads[step][first:end]

    def train(self, collection: ShardedEmbeddingBagCollection, steps: range) -> None:
        """This rank's part of some steps."""
        for step in steps:
            batch, grad = self.share(step, collection.comm.rank, collection.comm.size)
            collection.forward(*batch.arguments(), **batch.options())
            collection.backward(grad)

    def single(self, rule: str, options: dict[str, Any]) -> dict[str, NDArray[Any]]:
        """The tables of one process after all steps."""
        single = hotrow.EmbeddingBagCollection(BAGS, seed=4).with_optimizer(rule, **options)
        for batch, grad in zip(self.batches, self.grads, strict=True):
            single.forward(*batch.arguments(), **batch.options())
            single.backward(grad)
        return {name: single.table(name) for name in single.table_names}


def made(comm: Comm, placement: Plan, optimizer: Any, seed: int = 4, **more: Any) -> Any:
    """A collection of bags."""
    return ShardedEmbeddingBagCollection(BAGS, placement, comm, seed=seed, optimizer=optimizer, **more)


def tables_of(collection: Any) -> dict[str, NDArray[Any]]:
    """All tables, whole."""
    return {name: collection.gather_table(name) for name in collection.table_names}


@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", KINDS)
def test_saved_by_some_ranks_and_loaded_by_others(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    # A few rows at a time, so that there are several.
    monkeypatch.setattr(checkpoint, "BLOCK_BYTES", 100)
    number = KINDS.index(before) * len(KINDS) + KINDS.index(after)
    for rule in (RULES[number % len(RULES)], RULES[(number + 3) % len(RULES)]):
        ranks, others = 1 + number % 4, 1 + (number // 4 + len(rule)) % 4
        plans = test_bags.planned(before, ranks), test_bags.planned(after, others)
        if not all(can_train(placement, rule) for placement in plans):
            continue
        optimizer = (rule, {"lr": 0.1})
        training = Bags(rng, 3)
        folder = tmp_path / rule

        def save(
            comm: ThreadComm,
            training: Bags = training,
            plans: Any = plans,
            optimizer: Any = optimizer,
            to: Path = folder,
        ) -> Any:
            collection = made(comm, plans[0], optimizer)
            training.train(collection, range(2))
            return collection.save(to, 2, config={"epoch": 7})

        def load(
            comm: ThreadComm, training: Bags = training, plans: Any = plans, rule: str = rule, of: Path = folder
        ) -> Any:
            # Of another seed and rate: both are as they were saved.
            collection = made(comm, plans[1], (rule, {"lr": 0.7}), seed=9)
            loaded = collection.load(of)
            assert loaded == checkpoint.LoadedCheckpoint(2, {"epoch": 7})
            training.train(collection, range(2, 3))
            return tables_of(collection)

        saved = results(ranks, save)
        assert {one.step for one in saved} == {2}
        assert len({one.bytes for one in saved}) == 1
        expected = training.single(rule, {"lr": 0.1})
        for found in results(others, load):
            for name, table in found.items():
                same(table, expected[name])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", test_bags.KINDS)
def test_rows_that_are_not_pooled(rng: np.random.Generator, tmp_path: Path, kind: str, rule: str) -> None:
    ranks, others = 3, 2
    plans = test_sequences.planned(kind, ranks), test_sequences.planned("row_wise", others)
    if kind == "column_wise" and refusal(SEQUENCES[0], kind, (rule, {})) is not None:
        pytest.skip("refused")
    batches = [Batch.draw(rng, test_sequences.ROWS, 6) for _ in range(3)]
    options = {"lr": 0.1}

    def step(collection: Any, batch: Batch) -> None:
        out = collection.forward(*batch.arguments(), **batch.options())
        collection.backward({name: np.sin(rows) + 1 for name, rows in out.items()})

    def collection_of(comm: ThreadComm, placement: Plan, lr: float, seed: int) -> ShardedEmbeddingCollection:
        return ShardedEmbeddingCollection(SEQUENCES, placement, comm, seed=seed, optimizer=(rule, {"lr": lr}))

    def mine(comm: ThreadComm, batch: Batch) -> Batch:
        return batch if comm.rank == 0 else Batch(batch.keys, *nothing(batch), None)

    def nothing(batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
        return {key: batch.ids[key][:0] for key in batch.keys}, {key: batch.lengths[key][:0] for key in batch.keys}

    def save(comm: ThreadComm) -> None:
        collection = collection_of(comm, plans[0], 0.1, 4)
        for batch in batches[:2]:
            step(collection, mine(comm, batch))
        collection.save(tmp_path, 2)

    def load(comm: ThreadComm) -> Any:
        collection = collection_of(comm, plans[1], 0.7, 5)
        assert collection.load(tmp_path, 2) is not None
        step(collection, mine(comm, batches[2]))
        return tables_of(collection)

    results(ranks, save)
    single = hotrow.EmbeddingCollection(SEQUENCES, seed=4).with_optimizer(rule, **options)
    for batch in batches:
        step(single, batch)
    for found in results(others, load):
        for name, table in found.items():
            same(table, single.table(name))


@given(
    rows=st.integers(0, 20),
    ranks=st.integers(1, 5),
    kind=st.sampled_from(test_bags.KINDS),
    block=st.integers(0, 300),
    number=st.integers(0, 9),
)
def test_every_row_is_written_once(rows: int, ranks: int, kind: Any, block: int, number: int) -> None:
    config = replace(BAGS[0], num_embeddings=rows)
    table = hotrow.distributed.plan([config], world_size=ranks, constraints={"users": kind}).table("users")
    found = writers(table, number, ranks)
    owners = {shard.owner for shard in table.shards}
    assert set(found) <= owners
    written = [row for each in found.values() for part in blocks(each, 32, block) for row in part]
    assert sorted(written) == list(range(rows))
    assert all(len(part) <= max(1, block // 32) for each in found.values() for part in blocks(each, 32, block))


def test_what_counts_and_what_was_changed_survives(rng: np.random.Generator, tmp_path: Path) -> None:
    training = Bags(rng, 3)
    placement = test_bags.planned("mixed", 3)

    def save(comm: ThreadComm) -> Any:
        collection = made(comm, placement, ("adam", {"lr": 0.1, "weight_decay": 0.1}))
        training.train(collection, range(1))
        collection.set_lr(0.3, table="users")
        training.train(collection, range(1, 2))
        collection.save(tmp_path, 5)
        training.train(collection, range(2, 3))
        return tables_of(collection)

    def load(comm: ThreadComm) -> Any:
        collection = made(comm, test_bags.planned("table_wise", 2), ("adam", {"lr": 0.9}), seed=1)
        collection.load(tmp_path)
        training.train(collection, range(2, 3))
        return tables_of(collection)

    expected = results(3, save)[0]
    for found in results(2, load):
        for name, table in found.items():
            same(table, expected[name])


def test_a_collection_without_optimizers_loads_the_tables(rng: np.random.Generator, tmp_path: Path) -> None:
    training = Bags(rng, 2)

    def save(comm: ThreadComm) -> Any:
        collection = made(comm, test_bags.planned("row_wise", 2), SGD)
        training.train(collection, range(2))
        collection.save(tmp_path, 1)
        return tables_of(collection)

    expected = results(2, save)[0]
    alone = made(LocalComm(), test_bags.planned("table_wise", 1), None)
    alone.load(tmp_path)
    for name, table in tables_of(alone).items():
        same(table, expected[name])
    # Without optimizers there are none to load from.
    alone.save(tmp_path, 2)
    trained = made(LocalComm(), test_bags.planned("table_wise", 1), SGD)
    with pytest.raises(ValueError, match="table 'users': sgd here, no optimizer in the checkpoint"):
        trained.load(tmp_path)
    trained.load(tmp_path, 1)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    def work(comm: ThreadComm) -> Any:
        collection = made(comm, test_bags.planned("mixed", 2), SGD)
        assert collection.load(tmp_path / "none") is None
        removed = [collection.save(tmp_path, step, keep_last=2).removed for step in (1, 2, 2, 5)]
        with pytest.raises(ValueError, match="step 4 would be older than the newest, of step 5"):
            collection.save(tmp_path, 4)
        with pytest.raises(ValueError, match="there is no checkpoint of step 1; there are those of 2, 5"):
            collection.load(tmp_path, 1)
        return removed

    assert results(2, work) == [[(), (), (), (1,)]] * 2
    assert sorted(name for name in os.listdir(tmp_path) if name != ".hotrow-lock") == [
        *["step-2.1.1-of-2.safetensors", "step-2.1.2-of-2.safetensors", "step-2.json"],
        *["step-5.0.1-of-2.safetensors", "step-5.0.2-of-2.safetensors", "step-5.json"],
    ]


def errors(ranks: int, work: Callable[[ThreadComm], Any]) -> list[str]:
    """What every rank raises."""
    found = outcomes(ranks, work)
    assert all(isinstance(one, Exception) for one in found), found
    return [f"{type(one).__name__}: {one}" for one in found]


def test_other_tables_are_refused_by_every_rank(tmp_path: Path) -> None:
    results(2, lambda comm: made(comm, test_bags.planned("mixed", 2), SGD).save(tmp_path, 3))
    head = f"ValueError: the checkpoint of step 3 in {tmp_path} is of other tables:\n"
    users = BAGS[0]
    for change, line in [
        (
            {"name": "people"},
            "table 'users': it is only in the checkpoint\ntable 'people': it is not in the checkpoint",
        ),
        ({"num_embeddings": 51}, "table 'users': 51 x 8 here, 50 x 8 in the checkpoint"),
        ({"dtype": "float16"}, "table 'users': float16 here, float32 in the checkpoint"),
    ]:
        configs = [replace(users, **change), *BAGS[1:]]

        def other(comm: ThreadComm, configs: Any = configs) -> None:
            placement = hotrow.distributed.plan(configs, world_size=2)
            collection = ShardedEmbeddingBagCollection(configs, placement, comm, optimizer=SGD)
            before = tables_of(collection)
            try:
                collection.load(tmp_path)
            finally:
                for name, table in tables_of(collection).items():
                    same(table, before[name])

        assert errors(2, other) == [head + line] * 2
    adam = errors(2, lambda comm: made(comm, test_bags.planned("mixed", 2), ("adam", {})).load(tmp_path))
    lines = [f"table {config.name!r}: adam here, sgd in the checkpoint" for config in BAGS]
    assert adam == ["\n".join([head.rstrip(), *lines])] * 2


def test_options_that_no_rank_can_follow_are_refused(tmp_path: Path) -> None:
    rule, options = SGD
    placement = test_bags.planned("table_wise", 1)
    for number, (option, kind) in enumerate([("clip_norm", "row_wise"), ("finite_check", "table_wise")]):
        alone = ShardedEmbeddingBagCollection(
            BAGS, placement, LocalComm(), optimizer=(rule, {**options, option: True if "check" in option else 0.5})
        )
        folder = tmp_path / option
        alone.save(folder, number)
        found = errors(2, lambda comm, kind=kind, of=folder: made(comm, test_bags.planned(kind, 2), SGD).load(of))  # type: ignore[misc]
        assert all(f"{option} " in text for text in found), found


def test_a_decay_that_owners_of_columns_cannot_follow_is_refused(tmp_path: Path) -> None:
    placement = test_bags.planned("table_wise", 1)
    rule = "rowwise_adagrad"
    for mode in ("l2", "decoupled"):
        options = {"lr": 0.1, "weight_decay": 0.1, "weight_decay_mode": mode}
        made(LocalComm(), placement, (rule, options)).save(tmp_path / mode, 1)
    columns = test_bags.planned("column_wise", 2)
    found = errors(2, lambda comm: made(comm, columns, (rule, {})).load(tmp_path / "l2"))
    assert all("weight_decay of rowwise_adagrad needs the weights of a whole row" in text for text in found), found
    results(2, lambda comm: made(comm, columns, (rule, {})).load(tmp_path / "decoupled"))


def test_ranks_that_do_not_save_the_same(tmp_path: Path) -> None:
    found = errors(2, lambda comm: made(comm, test_bags.planned("mixed", 2), SGD).save(tmp_path, comm.rank))
    assert found == ["ValueError: the ranks do not agree:\nstep: 0 at rank 0; 1 at rank 1"] * 2
    folders = [tmp_path / "one", tmp_path / "other"]

    def apart(comm: ThreadComm) -> None:
        collection = made(comm, test_bags.planned("table_wise", 2), SGD)
        os.makedirs(folders[comm.rank], exist_ok=True)
        collection.save(folders[comm.rank], 1)

    first, second = errors(2, apart)
    assert first.startswith("FileNotFoundError: ")
    assert "step-1.0.2-of-2.safetensors" in first
    assert second.startswith("ValueError: rank 0 could not finish the checkpoint: FileNotFoundError: ")


def test_a_rank_that_cannot_write_hangs_nobody(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    file.write_text("")
    tables = {}

    def work(comm: ThreadComm) -> Any:
        collection = made(comm, test_bags.planned("mixed", 3), SGD)
        collection.save(folder, 1)
        if comm.rank == 0:
            tables.update(tables_of(collection))
        else:
            tables_of(collection)
        wrong = file if comm.rank == 1 else folder
        error = (
            (OSError, "file") if comm.rank == 1 else (ValueError, "^rank 1 could not save its tables: NotADirectory")
        )
        with pytest.raises(error[0], match=error[1]):
            collection.save(wrong, 2)
        assert hotrow._native.Checkpoints(folder).steps() == [1]
        collection.load(folder)
        comm.barrier()
        collection.save(folder, 3, keep_last=1)
        return tables_of(collection)

    for found in results(3, work):
        for name, table in found.items():
            same(table, tables[name])
    assert len(os.listdir(folder)) == 1 + 1 + 3


@pytest.mark.parametrize("place", ["state_rows", "table"])
def test_a_rank_that_cannot_read_its_own_hangs_nobody(tmp_path: Path, place: str) -> None:
    class Failing:
        """A collection that has no memory for what is asked of it."""

        def __init__(self, collection: Any) -> None:
            self.collection = collection

        def __getattr__(self, name: str) -> Any:
            return fail if name == place else getattr(self.collection, name)

    def fail(*_args: object) -> Any:
        raise MemoryError("none left")

    def work(comm: ThreadComm) -> None:
        collection = made(comm, test_bags.planned("column_wise", 3), SGD)
        if comm.rank == 2:
            (part,) = collection._groups
            part.collection = Failing(part.collection)
        error = MemoryError if comm.rank == 2 else ValueError
        match = "^none left" if comm.rank == 2 else "^rank 2 could not save its tables: MemoryError: none left"
        with pytest.raises(error, match=match):
            collection.save(tmp_path, 1)
        comm.barrier()

    results(3, work)
    # Files that are finished belong to no checkpoint; there is none that is not.
    assert not list(tmp_path.glob(".hotrow-*.tmp"))
    assert hotrow._native.Checkpoints(tmp_path).steps() == []


def test_what_is_damaged_is_refused_by_every_rank(rng: np.random.Generator, tmp_path: Path) -> None:
    training = Bags(rng, 1)
    name = "step-2.0.2-of-3.safetensors"

    def work(comm: ThreadComm) -> Any:
        collection = made(comm, test_bags.planned("row_wise", 3), SGD)
        collection.save(tmp_path, 1)
        before = tables_of(collection)
        training.train(collection, range(1))
        collection.save(tmp_path, 2)
        if comm.rank == 0:
            shutil.copy(tmp_path / name, tmp_path / "whole")
            damaged = bytearray((tmp_path / name).read_bytes())
            damaged[-1] ^= 1
            (tmp_path / name).write_bytes(damaged)
        comm.barrier()
        with pytest.raises(ValueError, match="is damaged: its checksum is"):
            collection.load(tmp_path)
        with pytest.raises(ValueError, match="a load has failed half way"):
            training.train(collection, range(1))
        # An older one is loaded if it is asked for.
        assert collection.load(tmp_path, 1) == checkpoint.LoadedCheckpoint(1, None)
        for name_, table in tables_of(collection).items():
            same(table, before[name_])
        training.train(collection, range(1))
        return tables_of(collection)

    expected = training.single(*SGD)
    for found in results(3, work):
        for table, array in found.items():
            same(array, expected[table])


def test_a_forward_before_a_load_has_no_backward(rng: np.random.Generator, tmp_path: Path) -> None:
    training = Bags(rng, 1)
    collection = made(LocalComm(), test_bags.planned("table_wise", 1), SGD)
    collection.save(tmp_path, 1)
    batch, grad = training.share(0, 0, 1)
    collection.forward(*batch.arguments(), **batch.options())
    collection.load(tmp_path)
    with pytest.raises(ValueError, match="there was no forward"):
        collection.backward(grad)


def test_each_file_is_read_by_itself(tmp_path: Path) -> None:
    tables = results(2, lambda comm: _saved(comm, tmp_path))[0]
    found = [hotrow.load_all(path) for path in sorted(tmp_path.glob("*.safetensors"))]
    same(found[1]["words"].array if "words" in found[1] else found[0]["words"].array, tables["words"])
    same(
        np.concatenate([part[name].array for part in found for name in part if name.startswith("users.from")]),
        tables["users"],
    )


def _saved(comm: ThreadComm, folder: Path) -> dict[str, NDArray[Any]]:
    wishes = {"users": "row_wise", "words": "table_wise", "tags": "table_wise", "items": "table_wise"}
    placement = hotrow.distributed.plan(BAGS, world_size=2, constraints=wishes)
    collection = made(comm, placement, SGD)
    collection.save(folder, 1)
    return tables_of(collection)

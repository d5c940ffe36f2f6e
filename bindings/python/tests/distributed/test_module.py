"""Modules of several ranks train as one process does on all of their examples, to the bit."""

from __future__ import annotations

from typing import Any

import hotrow
import numpy as np
import pytest
from hotrow import EmbeddingBagConfig, EmbeddingConfig
from hotrow.distributed import ShardedEmbeddingBagCollection, ShardedEmbeddingCollection, plan
from numpy.typing import NDArray
from worlds import Batch, ThreadComm, results

torch = pytest.importorskip("torch")

from hotrow.distributed.torch import ShardedModule, ShardedSequenceModule  # noqa: E402
from hotrow.torch import KeyedJaggedTensor  # noqa: E402

ROWS = {"user": 50, "seen": 30, "liked": 30}
OPTIMIZER = ("adagrad", {"lr": 0.5})
# Powers of two: dividing by the ranks and by a rank's examples is dividing by all examples.
RANKS, EXAMPLES = 2, 8
STEPS = 3

pytestmark = pytest.mark.thread_unsafe


def batches(step: int) -> list[Batch]:
    rng = np.random.default_rng(step)
    return [Batch.draw(rng, ROWS, EXAMPLES) for _ in range(RANKS)]


def features(batch: Batch) -> KeyedJaggedTensor:
    keys, values = batch.arguments()
    lengths = batch.options()["lengths"]
    return KeyedJaggedTensor(keys, torch.from_numpy(values), lengths=torch.from_numpy(lengths))


def test_bags() -> None:
    configs = [
        EmbeddingBagConfig(name="users", num_embeddings=50, embedding_dim=8, feature_names=["user"]),
        EmbeddingBagConfig(
            name="items", num_embeddings=30, embedding_dim=4, feature_names=["seen", "liked"], pooling="mean"
        ),
    ]

    def train(comm: ThreadComm) -> list[NDArray[Any]]:
        placement = plan(configs, world_size=RANKS, constraints={"users": "column_wise", "items": "table_wise"})
        collection = ShardedEmbeddingBagCollection(configs, placement, comm, seed=1, optimizer=OPTIMIZER)
        module = ShardedModule(collection)
        for step in range(STEPS):
            (module(features(batches(step)[comm.rank])).square() / EXAMPLES).sum().backward()
        return [collection.gather_table(config.name) for config in configs]

    expected = hotrow.EmbeddingBagCollection(configs, seed=1).with_optimizer(OPTIMIZER[0], **OPTIMIZER[1])
    for step in range(STEPS):
        batch = Batch.joined(batches(step))
        out = expected.forward(*batch.arguments(), **batch.options())
        expected.backward(2 * out / (RANKS * EXAMPLES))
    for tables in results(RANKS, train):
        for config, table in zip(configs, tables, strict=True):
            assert np.array_equal(table, expected.table(config.name))


def test_sequences() -> None:
    configs = [EmbeddingConfig(name="items", num_embeddings=50, embedding_dim=4, feature_names=list(ROWS))]

    def train(comm: ThreadComm) -> NDArray[Any]:
        placement = plan(configs, world_size=RANKS, constraints={"items": "row_wise"})
        collection = ShardedEmbeddingCollection(configs, placement, comm, seed=1, optimizer=OPTIMIZER)
        module = ShardedSequenceModule(collection)
        for step in range(STEPS):
            found = module(features(batches(step)[comm.rank]))
            (torch.cat([found[key] for key in ROWS]).square() / EXAMPLES).sum().backward()
        return collection.gather_table("items")

    expected = hotrow.EmbeddingCollection(configs, seed=1).with_optimizer(OPTIMIZER[0], **OPTIMIZER[1])
    for step in range(STEPS):
        batch = Batch.joined(batches(step))
        found = expected.forward(*batch.arguments(), **batch.options())
        expected.backward({key: 2 * rows / (RANKS * EXAMPLES) for key, rows in found.items()})
    for table in results(RANKS, train):
        assert np.array_equal(table, expected.table("items"))

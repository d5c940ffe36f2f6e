"""The bytes that the model predicts are those that a sharded collection sends."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hotrow import EmbeddingBagConfig
from hotrow.distributed import Kind, ShardedEmbeddingBagCollection
from hotrow.distributed.simulate import RECORDED, Cluster, Workload, place, predict
from worlds import ThreadComm, results

CONFIGS = [
    EmbeddingBagConfig(name="a", num_embeddings=3000, embedding_dim=32, feature_names=["x", "y"]),
    EmbeddingBagConfig(name="b", num_embeddings=500, embedding_dim=16, feature_names=["z"]),
]
ROWS = {"x": 3000, "y": 3000, "z": 500}
BATCH, LENGTH = 300, 5


def sent(kind: Kind, ranks: int, deduplicate: bool, rule: str) -> int:
    """Bytes of a step, of all ranks."""
    placement = place(CONFIGS, kind, ranks, ranks_per_node=2)

    def step(comm: ThreadComm) -> int:
        rng = np.random.default_rng(comm.rank)
        collection = ShardedEmbeddingBagCollection(
            CONFIGS, placement, comm, optimizer=(rule, {"lr": 0.1}), deduplicate=deduplicate
        )
        values = np.concatenate([rng.integers(0, rows, BATCH * LENGTH) for rows in ROWS.values()])
        out = collection.forward(list(ROWS), values, lengths=np.full(BATCH * len(ROWS), LENGTH))
        collection.backward(np.ones_like(out))
        return collection.traffic.last.bytes

    return sum(results(ranks, step))


@pytest.mark.thread_unsafe
@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize(
    ("kind", "rule"), [*((kind, "sgd") for kind in get_args(Kind)), ("column_wise", "rowwise_adagrad")]
)
def test_bytes_are_those_that_are_sent(kind: Kind, rule: str, ranks: int, deduplicate: bool) -> None:
    lookups = {config.name: float(LENGTH * len(config.feature_names)) for config in CONFIGS}
    workload = Workload(batch=BATCH, lookups=lookups, skew=0.0, optimizer=rule, deduplicate=deduplicate)
    placement = place(CONFIGS, kind, ranks, ranks_per_node=2)
    expected = predict(CONFIGS, placement, workload, Cluster(), RECORDED).sent
    found = sent(kind, ranks, deduplicate, rule)
    if deduplicate or kind in ("row_wise", "table_row_wise"):
        # What is random here is expected there.
        assert expected == pytest.approx(found, rel=0.01)
    else:
        assert expected == found

"""Rows that are not pooled over many ranks against one process on their batches, bit for bit."""

from __future__ import annotations

from typing import Any

import hotrow
import ml_dtypes
import numpy as np
import pytest
from hotrow import EmbeddingConfig
from hotrow.distributed import Plan, RankError, ShardedEmbeddingCollection, plan
from numpy.typing import NDArray
from plain import same
from plain_steps import DEFAULTS
from worlds import Batch, ThreadComm, results

CONFIGS = [
    EmbeddingConfig(name="words", num_embeddings=40, embedding_dim=8, feature_names=["query", "title"]),
    EmbeddingConfig(
        name="chars",
        num_embeddings=30,
        embedding_dim=5,
        feature_names=["title"],
        dtype="bfloat16",
        initializer=(-1.0, 1.0),
    ),
    EmbeddingConfig(
        name="users", num_embeddings=9, embedding_dim=6, feature_names=["user"], dtype="float16", initializer="normal"
    ),
]
ROWS = {"user": 9, "unused": 3, "title": 30, "query": 40}
OUTPUTS = ["query", "title@words", "title@chars", "user"]
KEY_OF = {name: name.split("@")[0] for name in OUTPUTS}
KINDS = ["table_wise", "column_wise", "row_wise", "table_row_wise", "data_parallel", "mixed"]

Rows = dict[str, NDArray[np.float32]]


def planned(kind: str, ranks: int) -> Plan:
    """A plan for a kind, or for one of each."""
    kinds = ["row_wise", "column_wise", "data_parallel"] if kind == "mixed" else [kind] * 3
    wishes: Any = {config.name: own for config, own in zip(CONFIGS, kinds, strict=True)}
    return plan(CONFIGS, world_size=ranks, local_world_size=2 if ranks % 2 == 0 else 1, constraints=wishes)


def grads_for(rng: np.random.Generator, batch: Batch) -> Rows:
    """A gradient for every output."""
    dims = dict(zip(OUTPUTS, (8, 8, 5, 6), strict=True))
    return {
        name: rng.standard_normal((len(batch.ids[KEY_OF[name]]), dims[name])).astype(np.float32) for name in OUTPUTS
    }


def summed(batch: Batch, grads: Rows) -> tuple[Batch, Rows]:
    """Each id once, with the sum of its gradients in their order."""
    found, ids = {}, {}
    for name in OUTPUTS:
        own = batch.ids[KEY_OF[name]]
        ids[name] = np.array(list(dict.fromkeys(own.tolist())), np.int64)
        found[name] = np.zeros((len(ids[name]), grads[name].shape[1]), np.float32)
        for at, grad in zip(own.tolist(), grads[name], strict=True):
            found[name][ids[name].tolist().index(at)] += grad
    by_key = {KEY_OF[name]: ids[name] for name in OUTPUTS} | {"unused": np.zeros(0, np.int64)}
    lengths = {key: np.array([len(own)]) for key, own in by_key.items()}
    return Batch(batch.keys, by_key, lengths), found


def check(
    rng: np.random.Generator, placement: Plan, rule: str, *, sum_gradients: bool = False, deduplicate: bool = True
) -> None:
    """Trains at all ranks and in one process, and compares everything."""
    ranks = placement.world_size
    batches = [[Batch.draw(rng, ROWS, int(rng.integers(0, 6))) for _ in range(ranks)] for _ in range(3)]
    grads = [[grads_for(rng, batch) for batch in step] for step in batches]
    groups = int(rng.integers(1, 5))

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingCollection(
            CONFIGS,
            placement,
            comm,
            seed=4,
            optimizer=(rule, {"lr": 0.1}),
            sum_gradients=sum_gradients,
            deduplicate=deduplicate,
            groups=groups,
        )
        assert collection.outputs == OUTPUTS
        found = []
        for step, own in zip(batches, grads, strict=True):
            batch = step[comm.rank]
            out = collection.forward(*batch.arguments(), **batch.options())
            collection.backward(own[comm.rank])
            found.append((out, {name: collection.gather_table(name) for name in collection.table_names}))
        return found

    found = results(ranks, work)
    single = hotrow.EmbeddingCollection(CONFIGS, seed=4).with_optimizer(rule, lr=0.1)
    assert single.outputs == OUTPUTS
    for number, (step, own) in enumerate(zip(batches, grads, strict=True)):
        whole = Batch.joined(step)
        out = single.forward(*whole.arguments(), **whole.options())
        for name in OUTPUTS:
            same(np.concatenate([each[number][0][name] for each in found]), out[name])
        stepped = own
        if sum_gradients and deduplicate:
            sums = [summed(batch, grad) for batch, grad in zip(step, own, strict=True)]
            whole, stepped = Batch.joined([batch for batch, _ in sums]), [grad for _, grad in sums]
            single.forward(*whole.arguments(), **whole.options())
        single.backward({name: np.concatenate([grad[name] for grad in stepped]) for name in OUTPUTS})
        for each in found:
            for name, table in each[number][1].items():
                same(table, single.table(name))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("rule", list(DEFAULTS))
@pytest.mark.parametrize("kind", KINDS)
def test_all_is_as_in_one_process(rng: np.random.Generator, kind: str, rule: str, ranks: int) -> None:
    check(rng, planned(kind, ranks), rule)


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("rule", ["adagrad", "partial_rowwise_adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_may_be_summed_before_they_travel(
    rng: np.random.Generator, kind: str, rule: str, deduplicate: bool
) -> None:
    check(rng, planned(kind, 3), rule, sum_gradients=True, deduplicate=deduplicate)


@pytest.mark.parametrize("rule", ["adam", "rowwise_adagrad"])
def test_ids_may_travel_as_they_are(rng: np.random.Generator, rule: str) -> None:
    check(rng, planned("mixed", 3), rule, deduplicate=False)


@pytest.mark.parametrize("kind", ["table_wise", "row_wise", "data_parallel"])
def test_vectors_may_travel_rounded(rng: np.random.Generator, kind: str) -> None:
    batches = [Batch.draw(rng, ROWS, examples) for examples in (3, 0)]
    grads = [grads_for(rng, batch) for batch in batches]

    def rounded(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return rows if kind == "data_parallel" else rows.astype(ml_dtypes.bfloat16).astype(np.float32)

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingCollection(
            CONFIGS, planned(kind, 2), comm, optimizer=("sgd", {"lr": 0.1}), wire_dtype="bfloat16"
        )
        out = collection.forward(*batches[comm.rank].arguments(), **batches[comm.rank].options())
        collection.backward(grads[comm.rank])
        return out, [collection.gather_table(config.name) for config in CONFIGS]

    found = results(2, work)
    single = hotrow.EmbeddingCollection(CONFIGS).with_optimizer("sgd", lr=0.1)
    whole = Batch.joined(batches)
    out = single.forward(*whole.arguments(), **whole.options())
    single.backward({name: rounded(np.concatenate([grad[name] for grad in grads])) for name in OUTPUTS})
    for name in OUTPUTS:
        same(np.concatenate([own[name] for own, _ in found]), rounded(out[name]))
    for config, table in zip(CONFIGS, found[0][1], strict=True):
        same(table, single.table(config.name))


@pytest.mark.parametrize("policy", ["zero_fill", "tf_safe", "keras3_jax"])
def test_ids_without_a_row(rng: np.random.Generator, policy: Any) -> None:
    batch = Batch.draw(rng, ROWS, 5)
    for ids in batch.ids.values():
        ids[rng.random(len(ids)) < 0.4] = -1 if policy != "keras3_jax" else 10**6
    grads = grads_for(rng, batch)

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingCollection(CONFIGS, planned("mixed", 2), comm, optimizer=("sgd", {"lr": 0.1}))
        out = collection.forward(*batch.arguments(), **batch.options(), policy=policy)
        collection.backward(grads)
        return out, [collection.gather_table(config.name) for config in CONFIGS]

    found = results(2, work)
    single = hotrow.EmbeddingCollection(CONFIGS).with_optimizer("sgd", lr=0.1)
    whole = Batch.joined([batch, batch])
    out = single.forward(*whole.arguments(), **whole.options(), policy=policy)
    single.backward({name: np.concatenate([grads[name]] * 2) for name in OUTPUTS})
    for name in OUTPUTS:
        same(np.concatenate([own[name] for own, _ in found]), out[name])
    for config, table in zip(CONFIGS, found[1][1], strict=True):
        same(table, single.table(config.name))


def test_what_one_rank_refuses_no_rank_does(rng: np.random.Generator) -> None:
    good = Batch.draw(rng, ROWS, 3)
    bad = Batch.draw(rng, ROWS, 1, longest=0)
    bad.ids["query"], bad.lengths["query"] = np.array([40]), np.array([1])

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingCollection(CONFIGS, planned("mixed", 2), comm, optimizer=("sgd", {"lr": 0.1}))
        wrong = bad if comm.rank == 1 else good
        with pytest.raises(IndexError if comm.rank == 1 else RankError, match="id 40 at position"):
            collection.forward(*wrong.arguments(), **wrong.options())
        out = collection.forward(*good.arguments(), **good.options())
        before = [collection.gather_table(config.name) for config in CONFIGS]
        for error, grads in (
            (KeyError, {"query": out["query"]}),
            (ValueError, out | {"query": np.zeros((99, 8))}),
            (ValueError, out | {"title@chars": np.zeros(5)}),
        ):
            with pytest.raises(error if comm.rank == 0 else RankError):
                collection.backward(grads if comm.rank == 0 else out)
        for config, table in zip(CONFIGS, before, strict=True):
            same(collection.gather_table(config.name), table)
        collection.backward(out)

    results(2, work)

"""Collections against their tables called one by one."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from typing import Any

import hotrow
import numpy as np
import pytest
from numpy.typing import NDArray
from plain import BF16, same
from plain_steps import DEFAULTS

CONFIGS = [
    hotrow.EmbeddingBagConfig(name="users", num_embeddings=50, embedding_dim=8, feature_names=["user"]),
    hotrow.EmbeddingBagConfig(
        name="items",
        num_embeddings=300,
        embedding_dim=5,
        feature_names=["seen", "liked"],
        pooling="mean",
        dtype="bfloat16",
    ),
    hotrow.EmbeddingBagConfig(
        name="tags",
        num_embeddings=9,
        embedding_dim=16,
        feature_names=["tag"],
        pooling="sqrtn",
        dtype="float16",
        initializer="normal",
    ),
]
KEYS = ["tag", "user", "unused", "liked", "seen"]
ROWS = {"user": 50, "seen": 300, "liked": 300, "tag": 9, "unused": 5}
TABLE_OF = {"user": "users", "seen": "items", "liked": "items", "tag": "tags"}

Batch = dict[str, tuple[NDArray[np.int64], NDArray[np.int32]]]


def batch_of(rng: np.random.Generator, examples: int) -> Batch:
    """Ids and lengths under each key."""
    batch = {}
    for key in KEYS:
        lengths = rng.integers(0, 4, examples).astype(np.int32)
        batch[key] = (rng.integers(0, ROWS[key], lengths.sum()), lengths)
    return batch


def jagged(batch: Batch) -> tuple[list[str], NDArray[np.int64], NDArray[np.int32]]:
    """The same as one input."""
    return KEYS, np.concatenate([batch[key][0] for key in KEYS]), np.concatenate([batch[key][1] for key in KEYS])


@pytest.mark.parametrize("rule", list(DEFAULTS))
def test_pooled_tables_are_those_called_one_by_one(rng: np.random.Generator, rule: str) -> None:
    options: dict[str, Any] = {"lr": 0.1, "clip_value": 0.5, "stochastic_rounding": 3}
    collection = hotrow.EmbeddingBagCollection(CONFIGS, seed=4).with_optimizer(rule, **options)
    columns = {key: (part.start, part.stop) for key, part in collection.columns.items()}
    assert columns == {"user": (0, 8), "seen": (8, 13), "liked": (13, 18), "tag": (18, 34)}
    assert (collection.output_dim, collection.table_names) == (34, ["users", "items", "tags"])
    tables = {name: collection.table(name).copy() for name in collection.table_names}
    alone = {}
    for at, config in enumerate(CONFIGS):
        seed = options | {"stochastic_rounding": 3 + at}
        alone[config.name] = hotrow.Optimizer(rule, config.num_embeddings, config.embedding_dim, **seed)
    for examples in (3, 40):
        batch = batch_of(rng, examples)
        keys, values, lengths = jagged(batch)
        out = collection.forward(keys, values, lengths=lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        same(collection.forward(keys, values, offsets=offsets), out)
        grad = rng.standard_normal(out.shape).astype(np.float32)
        for config in CONFIGS:
            table = tables[config.name]
            ids = np.concatenate([batch[key][0] for key in config.feature_names])
            its_lengths = np.concatenate([batch[key][1] for key in config.feature_names])
            pooled = hotrow.embedding_bag(table, ids, lengths=its_lengths, mode=config.pooling)
            parts = [collection.columns[key] for key in config.feature_names]
            same(np.concatenate([out[:, part] for part in parts]), pooled)
            its_grad = np.concatenate([grad[:, part] for part in parts])
            alone[config.name].step(table, ids, its_grad, lengths=its_lengths, mode=config.pooling)
        collection.backward(grad)
        for name, table in tables.items():
            same(collection.table(name), table)


def test_weights(rng: np.random.Generator) -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS[:1]).with_optimizer("sgd", lr=1.0)
    table = collection.table("users").copy()
    ids, lengths, weights = [1, 2, 1, 7], [3, 1], rng.standard_normal(4).astype(np.float32)
    out = collection.forward(["user"], ids, lengths=lengths, weights=weights)
    same(out, hotrow.embedding_bag(table, ids, lengths=lengths, per_sample_weights=weights))
    collection.backward(out)
    hotrow.Optimizer("sgd", 50, 8, lr=1.0).step(table, ids, out, lengths=lengths, per_sample_weights=weights)
    same(collection.table("users"), table)
    with pytest.raises(ValueError, match="shape"):
        collection.forward(["user"], ids, lengths=lengths, weights=weights[:3])


@pytest.mark.parametrize("ids", [4, 20_000])
def test_rows_that_are_not_pooled(rng: np.random.Generator, ids: int) -> None:
    configs = [
        hotrow.EmbeddingConfig(name="words", num_embeddings=1000, embedding_dim=16, feature_names=["query", "title"]),
        {
            "name": "chars",
            "num_embeddings": 1000,
            "embedding_dim": 3,
            "feature_names": ["title"],
            "initializer": (-1.0, 1.0),
        },
    ]
    collection = hotrow.EmbeddingCollection(configs, seed=1).with_optimizer("adagrad", lr=0.5)
    assert collection.outputs == ["query", "title@words", "title@chars"]
    words, chars = collection.table("words").copy(), collection.table("chars").copy()
    assert np.abs(words).max() <= np.sqrt(1 / 1000)
    assert 0.9 < chars.max() < 1
    query, title = rng.integers(0, 1000, ids), rng.integers(0, 1000, ids + 1)
    values = np.concatenate([query, title])
    out = collection.forward(["query", "title"], values, lengths=np.array([ids, ids + 1]))
    assert list(out) == collection.outputs
    for name, table, its_ids in [("query", words, query), ("title@words", words, title), ("title@chars", chars, title)]:
        same(out[name], table[its_ids])
    grads = {name: rng.standard_normal(rows.shape).astype(np.float32) for name, rows in out.items()}
    collection.backward(grads)
    both = np.concatenate([grads["query"], grads["title@words"]])
    hotrow.Optimizer("adagrad", 1000, 16, lr=0.5).step(words, values, both)
    hotrow.Optimizer("adagrad", 1000, 3, lr=0.5).step(chars, title, grads["title@chars"])
    same(collection.table("words"), words)
    same(collection.table("chars"), chars)
    with pytest.raises(KeyError):
        collection.backward({"query": grads["query"]})
    with pytest.raises(ValueError, match="shape"):
        collection.backward(grads | {"query": grads["query"][1:]})


def test_tables_are_shared_and_kept(rng: np.random.Generator) -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS)
    users, items = collection.table("users"), collection.table("items")
    assert (users.dtype, items.dtype) == (np.float32, BF16)
    users[3] = 2
    out = collection.forward(KEYS, [3, 0, 0], lengths=[0, 1, 0, 1, 1])
    assert out[0, :8].tolist() == [2] * 8
    del collection
    gc.collect()
    assert users[3].tolist() == [2] * 8
    # The same seed draws the same tables.
    one, other = (hotrow.EmbeddingBagCollection(CONFIGS, seed=seed).table("tags") for seed in (5, 5))
    same(one, other)


def test_optimizers_of_single_tables(rng: np.random.Generator) -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS)
    assert collection.lrs == {}
    args = KEYS, [1, 3, 2], [0, 1, 0, 1, 1]
    with pytest.raises(ValueError, match="forward"):
        collection.backward(np.zeros((1, 34), np.float32))
    collection.forward(*args[:2], lengths=args[2])
    with pytest.raises(ValueError, match="no optimizer"):
        collection.backward(np.zeros((1, 34), np.float32))
    collection.with_optimizer("sgd", lr=0.5)
    collection.set_optimizer("items", "adam", lr=0.25)
    assert collection.lrs == {"users": 0.5, "items": 0.25, "tags": 0.5}
    collection.set_lr(0.125)
    collection.set_lr(2, table="users")
    assert collection.lrs == {"users": 2, "items": 0.125, "tags": 0.125}
    with pytest.raises(ValueError, match="lr"):
        collection.set_lr(-1)
    with pytest.raises(ValueError, match="no table"):
        collection.set_optimizer("nothing", "adam")
    with pytest.raises(ValueError, match="beta1"):
        collection.set_optimizer("items", "adam", beta1=1.5)
    before = collection.table("users").copy()
    collection.backward(np.ones((1, 34), np.float32))
    assert np.flatnonzero((collection.table("users") != before).any(1)).tolist() == [1]


@pytest.mark.parametrize("rule", ["sgd", "rowwise_adagrad", "adam"])
def test_whoever_is_saved_goes_on_bit_for_bit(rng: np.random.Generator, rule: str) -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS, seed=2).with_optimizer(rule, stochastic_rounding=1)
    batches = [jagged(batch_of(rng, 6)) for _ in range(4)]
    grad = rng.standard_normal((6, 34)).astype(np.float32)

    def train(collection: hotrow.EmbeddingBagCollection, some: slice) -> None:
        for keys, values, lengths in batches[some]:
            collection.forward(keys, values, lengths=lengths)
            collection.backward(grad)

    train(collection, slice(2))
    others = [pickle.loads(pickle.dumps(collection)), copy.copy(collection), copy.deepcopy(collection)]
    others.append(hotrow.EmbeddingBagCollection(CONFIGS))
    others[-1].load_state_dict(collection.state_dict())
    for each in (collection, *others):
        train(each, slice(2, 4))
    for other in others:
        assert list(other.configs) == CONFIGS
        mine, yours = collection.state_dict(), other.state_dict()
        for name, table in mine["tables"].items():
            same(table, yours["tables"][name])
        for name, state in mine["optimizers"].items():
            for key, value in state.items():
                np.testing.assert_array_equal(value, yours["optimizers"][name][key])
    sequence = hotrow.EmbeddingCollection(CONFIGS[:1], seed=3).with_optimizer(rule)
    same(pickle.loads(pickle.dumps(sequence)).table("users"), sequence.table("users"))


def test_what_is_no_state_is_refused() -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer("adam")
    good = collection.state_dict()
    tables, optimizers = good["tables"], good["optimizers"]
    adam = optimizers["users"]
    before = {name: table.copy() for name, table in tables.items()}
    for bad in (
        {},
        {"tables": tables},
        {"tables": {}, "optimizers": {}},
        {"tables": tables | {"more": tables["users"]}, "optimizers": {}},
        {"tables": tables | {"users": tables["users"][1:]}, "optimizers": {}},
        {"tables": tables | {"users": tables["users"].astype(np.float16)}, "optimizers": {}},
        {"tables": {name: table * 0 for name, table in tables.items()}, "optimizers": optimizers | {"tags": adam}},
    ):
        with pytest.raises(ValueError, match=r".+"):
            collection.load_state_dict(bad)
    for name, table in before.items():
        same(collection.table(name), table)


def test_bad_configurations_and_inputs() -> None:
    one = {"name": "a", "num_embeddings": 4, "embedding_dim": 2, "feature_names": ["x"]}
    for error, change in (
        (ValueError, {"pooling": "max"}),
        (ValueError, {"pooling": "median"}),
        (ValueError, {"dtype": "float64"}),
        (ValueError, {"initializer": "nothing"}),
        (ValueError, {"initializer": (1.0, -1.0)}),
        (ValueError, {"feature_names": []}),
        (ValueError, {"feature_names": ["x", "x"]}),
        (ValueError, {"embedding_dim": 0}),
        (ValueError, {"name": None}),
        (TypeError, {"feature_names": "x"}),
        (TypeError, {"num_embeddings": "many"}),
    ):
        with pytest.raises(error):
            hotrow.EmbeddingBagCollection([one | change])
    with pytest.raises(ValueError, match="two tables"):
        hotrow.EmbeddingBagCollection([one, one])
    collection = hotrow.EmbeddingBagCollection([one]).with_optimizer("sgd")
    inputs: list[tuple[type[Exception], list[str], Any, dict[str, Any]]] = [
        (ValueError, ["y"], [1], {"lengths": [1]}),
        (ValueError, ["x"], [1], {}),
        (ValueError, ["x"], [1], {"lengths": [1], "offsets": [0, 1]}),
        (ValueError, ["x"], [1], {"lengths": [2]}),
        (ValueError, ["x", "y"], [1], {"lengths": [1]}),
        (ValueError, ["x"], [[1]], {"lengths": [1]}),
        (IndexError, ["x"], [4], {"lengths": [1]}),
        (IndexError, ["x"], [-1], {"lengths": [1]}),
        (TypeError, ["x"], ["a"], {"lengths": [1]}),
        (TypeError, ["x"], [1], {"lengths": [1.0]}),
    ]
    for error, keys, values, cuts in inputs:
        with pytest.raises(error):
            collection.forward(keys, values, **cuts)
    out = collection.forward(["x"], [1], lengths=[1])
    for grad in (out[0], out[:, :1], np.zeros((2, 2), np.float32)):
        with pytest.raises(ValueError, match="shape"):
            collection.backward(grad)
    collection.forward(["x"], [0, 1], lengths=[1, 1])
    with pytest.raises(ValueError, match="shares memory"):
        collection.backward(collection.table("a")[:2])


def test_tables_may_be_columns_of_wider_ones(rng: np.random.Generator) -> None:
    whole = hotrow.EmbeddingCollection(
        [hotrow.EmbeddingConfig(name="t", num_embeddings=20, embedding_dim=7, feature_names=["a", "b"])]
    ).with_optimizer("rowwise_adagrad", lr=0.1)
    bounds = {"left": (0, 4), "right": (4, 7)}
    parts = hotrow.EmbeddingCollection(
        [
            hotrow.EmbeddingConfig(name=name, num_embeddings=20, embedding_dim=end - first, feature_names=["a", "b"])
            for name, (first, end) in bounds.items()
        ]
    )
    for name, (first, end) in bounds.items():
        parts.table(name)[...] = whole.table("t")[:, first:end]
        parts.set_optimizer(name, "rowwise_adagrad", lr=0.1, columns=(first, 7))
    ids = rng.integers(0, 20, 12)
    for _ in range(2):
        out = whole.forward(["a", "b"], ids, lengths=[3, 1, 8, 0])
        grads = {key: rng.standard_normal(rows.shape).astype(np.float32) for key, rows in out.items()}
        whole.backward(grads)
        parts = pickle.loads(pickle.dumps(parts))
        found = parts.forward(["a", "b"], ids, lengths=[3, 1, 8, 0])
        for key, rows in found.items():
            same(rows, out[key[0]][:, slice(*bounds[key[2:]])])
        with pytest.raises(ValueError, match="must have the shape"):
            parts.backward(found)
        parts.backward({key: grads[key[0]] for key in found})
    for name, (first, end) in bounds.items():
        same(parts.table(name), whole.table("t")[:, first:end])
        state = parts.state_dict()["optimizers"][name]
        same(state["state.sum"], whole.state_dict()["optimizers"]["t"]["state.sum"])


def test_no_examples_and_large_batches(rng: np.random.Generator, restored: None) -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer("rowwise_adagrad")
    out = collection.forward(KEYS, np.zeros(0, np.int64), lengths=np.zeros(0, np.int64))
    assert out.shape == (0, 34)
    collection.backward(out)
    keys, values, lengths = jagged(batch_of(rng, 3000))
    results = []
    for threads in (1, 2):
        hotrow.set_num_threads(threads)
        collection = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer("rowwise_adagrad")
        out = collection.forward(keys, values, lengths=lengths)
        collection.backward(out)
        results.append((out, collection.table("users").copy()))
    same(results[0][0], results[1][0])
    same(results[0][1], results[1][1])


@pytest.mark.parametrize("examples", [2, 2000])
def test_threads_take_turns(rng: np.random.Generator, examples: int) -> None:
    collection = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer("adam")
    keys, values, lengths = jagged(batch_of(rng, examples))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                collection.backward(collection.forward(keys, values, lengths=lengths))
                collection.state_dict()
                collection.set_lr(0.01)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failed

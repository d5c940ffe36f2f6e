"""Bags over many ranks against one process on their batches, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hotrow
import ml_dtypes
import numpy as np
import pytest
from hotrow import EmbeddingBagConfig
from hotrow.distributed import CommError, Plan, RankError, ShardedEmbeddingBagCollection, Sharding, plan
from hotrow.distributed.part import Part
from numpy.typing import NDArray
from plain import same
from plain_steps import DEFAULTS
from worlds import Batch, ThreadComm, outcomes, pooled_in_parts, results

CONFIGS = [
    EmbeddingBagConfig(name="users", num_embeddings=50, embedding_dim=8, feature_names=["user"]),
    EmbeddingBagConfig(
        name="items",
        num_embeddings=30,
        embedding_dim=5,
        feature_names=["seen", "liked"],
        pooling="mean",
        dtype="bfloat16",
    ),
    EmbeddingBagConfig(
        name="tags",
        num_embeddings=9,
        embedding_dim=6,
        feature_names=["tag", "seen"],
        pooling="sqrtn",
        dtype="float16",
        initializer="normal",
    ),
    EmbeddingBagConfig(
        name="words",
        num_embeddings=40,
        embedding_dim=4,
        feature_names=["word"],
        pooling="mean",
        initializer=(-1.0, 1.0),
    ),
]
ROWS = {"tag": 9, "user": 50, "unused": 5, "liked": 30, "seen": 9, "word": 40}
KINDS = ["table_wise", "column_wise", "row_wise", "table_row_wise", "data_parallel"]
BY_ROWS = ("row_wise", "table_row_wise")
WHOLE_ROW_RULES = ("rowwise_adagrad", "partial_rowwise_adam")
LOOKUPS = [(config, key) for config in CONFIGS for key in config.feature_names]


CROSSED = [(pooling, dtype) for pooling in ("sum", "mean", "sqrtn") for dtype in ("float32", "float16", "bfloat16")]


def crossed(number: int) -> list[EmbeddingBagConfig]:
    """The tables with other poolings and types of values: three numbers one after the other have all pairs of them."""
    pairs = [CROSSED[(number * len(CONFIGS) + at) % len(CROSSED)] for at in range(len(CONFIGS))]
    return [replace(config, pooling=pair[0], dtype=pair[1]) for config, pair in zip(CONFIGS, pairs, strict=True)]


def planned(kind: str, ranks: int) -> Plan:
    """A plan for a kind, or for one of each."""
    local = 2 if ranks % 2 == 0 else 1
    wishes = dict.fromkeys([config.name for config in CONFIGS], kind)
    if kind == "mixed":
        wishes = dict(zip(wishes, ["row_wise", "column_wise", "data_parallel", "table_row_wise"], strict=True))
    return plan(CONFIGS, world_size=ranks, local_world_size=local, constraints=wishes)


def starts_of(placement: Plan, name: str) -> list[int]:
    """The first row of each part of a table."""
    return sorted({shard.rows.start for shard in placement.table(name).shards})


def expected_output(
    placement: Plan, single: hotrow.EmbeddingBagCollection, batch: Batch, whole: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What one process has, but for tables whose rows are at several ranks."""
    parts, start = [], 0
    for config, key in [(each, key) for each in single.configs for key in each.feature_names]:
        starts = starts_of(placement, config.name)
        end = start + config.embedding_dim
        if len(starts) > 1:
            parts.append(pooled_in_parts(single.table(config.name), starts, batch, key, config.pooling))
        else:
            parts.append(whole[:, start:end])
        start = end
    return np.concatenate(parts, axis=1)


def check(
    rng: np.random.Generator,
    placement: Plan,
    *,
    optimizer: tuple[str, dict[str, Any]],
    steps: int = 3,
    weighted: bool,
    configs: list[EmbeddingBagConfig] = CONFIGS,
) -> None:
    """Trains at all ranks and in one process, and compares everything."""
    ranks = placement.world_size
    batches = [
        [
            Batch.draw(rng, ROWS, int(rng.integers(0, 6)), weighted=weighted and bool(rng.integers(0, 3)))
            for _ in range(ranks)
        ]
        for _ in range(steps)
    ]
    width = sum(config.embedding_dim for config, _ in LOOKUPS)
    grads = [[rng.standard_normal((batch.examples, width)).astype(np.float32) for batch in step] for step in batches]
    groups = int(rng.integers(1, 6))

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(configs, placement, comm, seed=4, optimizer=optimizer, groups=groups)
        found = []
        for step in range(steps):
            batch = batches[step][comm.rank]
            out = collection.forward(*batch.arguments(), **batch.options())
            collection.backward(grads[step][comm.rank])
            found.append((out, {name: collection.gather_table(name) for name in collection.table_names}))
        return found

    found = results(ranks, work)
    single = hotrow.EmbeddingBagCollection(configs, seed=4).with_optimizer(optimizer[0], **optimizer[1])
    for step in range(steps):
        whole = Batch.joined(batches[step])
        out = single.forward(*whole.arguments(), **whole.options())
        first = 0
        for rank, batch in enumerate(batches[step]):
            own = out[first : first + batch.examples]
            same(found[rank][step][0], expected_output(placement, single, batch, own))
            np.testing.assert_allclose(found[rank][step][0], own, rtol=1e-4, atol=1e-4)
            first += batch.examples
        single.backward(np.concatenate(grads[step]))
        for rank in range(ranks):
            for name, table in found[rank][step][1].items():
                same(table, single.table(name))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("rule", list(DEFAULTS))
@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_all_is_as_in_one_process(rng: np.random.Generator, kind: str, rule: str, ranks: int) -> None:
    for weighted in (False, True):
        configs = crossed(2 * ranks + weighted)
        check(rng, planned(kind, ranks), optimizer=(rule, {"lr": 0.1}), weighted=weighted, configs=configs)


@pytest.mark.parametrize(
    ("kind", "rule", "options"),
    [
        ("table_wise", "adam", {"clip_norm": 0.5, "max_row_norm": 1.0, "stochastic_rounding": 3}),
        ("data_parallel", "adam", {"clip_norm": 0.5, "max_row_norm": 1.0, "stochastic_rounding": 2**64 - 1}),
        ("row_wise", "adam", {"max_row_norm": 1.0, "clip_value": 0.1, "weight_decay": 0.1}),
        ("column_wise", "adam", {"clip_value": 0.1, "weight_decay": 0.1, "weight_decay_mode": "decoupled"}),
        ("column_wise", "rowwise_adagrad", {"clip_norm": 0.5}),
        ("column_wise", "rowwise_adagrad", {"clip_value": 0.1, "initial_accumulator": 0.5, "weight_decay": 0.0}),
        ("column_wise", "partial_rowwise_adam", {"weight_decay": 0.1, "weight_decay_mode": "decoupled", "beta2": 0.5}),
    ],
)
def test_options_of_optimizers(rng: np.random.Generator, kind: str, rule: str, options: dict[str, Any]) -> None:
    check(rng, planned(kind, 3), optimizer=(rule, {"lr": 0.1, **options}), weighted=False)


@pytest.mark.parametrize("rule", WHOLE_ROW_RULES)
def test_every_owner_of_columns_has_the_state_of_its_rows(rng: np.random.Generator, rule: str) -> None:
    batches = [Batch.draw(rng, ROWS, examples) for examples in (4, 0, 6)]
    width = sum(config.embedding_dim for config, _ in LOOKUPS)
    grads = [rng.standard_normal((batch.examples, width)).astype(np.float32) for batch in batches]

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(CONFIGS, planned("column_wise", 3), comm, optimizer=(rule, {}))
        for _ in range(2):
            collection.forward(*batches[comm.rank].arguments(), **batches[comm.rank].options())
            collection.backward(grads[comm.rank])
        (part,) = collection._groups
        state = part.collection.state_dict()["optimizers"]
        return [(shard, state[name]) for shard, name in zip(part.shards, part.names, strict=True)]

    single = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer(rule)
    whole = Batch.joined(batches)
    for _ in range(2):
        single.forward(*whole.arguments(), **whole.options())
        single.backward(np.concatenate(grads))
    expected = single.state_dict()["optimizers"]
    for shard, state in [found for rank in results(3, work) for found in rank]:
        config = CONFIGS[shard[0]]
        columns = slice(*shard[4:])
        assert state["columns"] == (shard[4], config.embedding_dim)
        for name, values in expected[config.name].items():
            if isinstance(values, np.ndarray):
                same(state[name], values if values.shape[1] == 1 else values[:, columns])


def test_a_plan_of_ones_own(rng: np.random.Generator) -> None:
    wishes = {"users": Sharding("row_wise", ranks=[2, 0]), "items": Sharding("column_wise", ranks=[1, 2])}
    placement = plan(CONFIGS, world_size=3, constraints=wishes)
    check(rng, placement, optimizer=("adagrad", {"lr": 0.1}), weighted=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("rule", ["sgd", "rowwise_adagrad"])
@pytest.mark.parametrize("kind", ["table_wise", "column_wise", "data_parallel"])
def test_vectors_may_travel_rounded(rng: np.random.Generator, kind: str, rule: str, dtype: Any) -> None:
    element = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}[dtype]
    batches = [Batch.draw(rng, ROWS, examples) for examples in (3, 0, 5)]
    width = sum(config.embedding_dim for config, _ in LOOKUPS)
    grads = [rng.standard_normal((batch.examples, width)).astype(np.float32) for batch in batches]

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(
            CONFIGS, planned(kind, 3), comm, optimizer=(rule, {"lr": 0.1}), wire_dtype=dtype
        )
        out = collection.forward(*batches[comm.rank].arguments(), **batches[comm.rank].options())
        collection.backward(grads[comm.rank])
        return out, [collection.gather_table(config.name) for config in CONFIGS]

    found = results(3, work)
    single = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer(rule, lr=0.1)
    whole = Batch.joined(batches)
    out, grad = single.forward(*whole.arguments(), **whole.options()), np.concatenate(grads)
    if kind != "data_parallel":
        out, grad = (array.astype(element).astype(np.float32) for array in (out, grad))
    same(np.concatenate([own for own, _ in found]), out)
    single.backward(grad)
    for _, tables in found:
        for config, table in zip(CONFIGS, tables, strict=True):
            same(table, single.table(config.name))


@pytest.mark.parametrize("kind", ["table_wise", "row_wise", "data_parallel", "mixed"])
def test_bad_ids_at_one_rank(rng: np.random.Generator, kind: str) -> None:
    good = [Batch.draw(rng, ROWS, 3) for _ in range(3)]
    bad = Batch.draw(rng, ROWS, 3, longest=0)
    bad.ids["word"], bad.lengths["word"] = np.array([7, 40]), np.array([0, 2, 0])

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(CONFIGS, planned(kind, 3), comm, optimizer=("sgd", {"lr": 0.1}))
        own = good[comm.rank]
        out = collection.forward(*own.arguments(), **own.options())
        before = [collection.gather_table(config.name) for config in CONFIGS]
        wrong = bad if comm.rank == 1 else own
        error = IndexError if comm.rank == 1 else RankError
        message = r"^id 40 at position \[1\]" if comm.rank == 1 else "^rank 1 refused its batch: IndexError: id 40"
        with pytest.raises(error, match=message):
            collection.forward(*wrong.arguments(), **wrong.options())
        # There is nothing to step by any more, at no rank.
        with pytest.raises((ValueError, RankError), match="there was no forward"):
            collection.backward(out)
        same(collection.forward(*own.arguments(), **own.options()), out)
        error = ValueError if comm.rank == 2 else RankError
        with pytest.raises(error, match="grad must have the shape"):
            collection.backward(out[:, 1:] if comm.rank == 2 else out)
        for config, table in zip(CONFIGS, before, strict=True):
            same(collection.gather_table(config.name), table)
        collection.backward(out)

    results(3, work)


def test_what_is_no_batch_is_refused_everywhere() -> None:
    arguments = ["tag", "user", "liked", "seen", "word"], [1, 2, 3, 4, 5]
    cases: list[tuple[type[Exception], tuple[Any, ...], dict[str, Any]]] = [
        (ValueError, (["tag"], [1]), {"lengths": [1]}),
        (ValueError, arguments, {}),
        (ValueError, arguments, {"lengths": [1, 1, 1, 1, 2]}),
        (ValueError, arguments, {"lengths": [1] * 5, "weights": [1.0]}),
        (ValueError, arguments, {"lengths": [1] * 5, "policy": "zero_fill"}),
        (ValueError, arguments, {"lengths": [1] * 5, "policy": "any"}),
        (TypeError, (arguments[0], list("abcde")), {"lengths": [1] * 5}),
        (IndexError, (arguments[0], [1, 2, -3, 4, 5]), {"lengths": [1] * 5}),
    ]

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(CONFIGS, planned("mixed", 2), comm)
        for error, args, options in cases:
            with pytest.raises(error if comm.rank == 0 else RankError):
                collection.forward(
                    *args if comm.rank == 0 else arguments, **(options if comm.rank == 0 else {"lengths": [1] * 5})
                )
        out = collection.forward(*arguments, lengths=[1] * 5)
        with pytest.raises((ValueError, RankError), match="no optimizer"):
            collection.backward(out)
        assert collection.forward(arguments[0], [1, -1, 3, 4, 5], lengths=[1] * 5, policy="keras3_numpy").shape == (
            1,
            34,
        )

    results(2, work)


def test_left_out_ids(rng: np.random.Generator) -> None:
    batch = Batch.draw(rng, ROWS, 5, weighted=True)
    for ids in batch.ids.values():
        ids[rng.random(len(ids)) < 0.3] = -1

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(
            CONFIGS, planned("table_wise", 2), comm, optimizer=("adagrad", {"lr": 0.1})
        )
        out = collection.forward(*batch.arguments(), **batch.options(), policy="tf_safe")
        collection.backward(out)
        return out, [collection.gather_table(config.name) for config in CONFIGS]

    found = results(2, work)
    single = hotrow.EmbeddingBagCollection(CONFIGS).with_optimizer("adagrad", lr=0.1)
    whole = Batch.joined([batch, batch])
    out = single.forward(*whole.arguments(), **whole.options(), policy="tf_safe")
    single.backward(out)
    same(np.concatenate([own for own, _ in found]), out)
    for config, table in zip(CONFIGS, found[1][1], strict=True):
        same(table, single.table(config.name))


@pytest.mark.parametrize(
    ("kind", "rule", "options", "message"),
    [
        ("column_wise", "rowwise_adagrad", {"weight_decay": 0.1}, "'users' is column_wise, and weight_decay of roww"),
        ("column_wise", "partial_rowwise_adam", {"weight_decay": 0.1, "weight_decay_mode": "l2"}, "weight_decay of p"),
        ("column_wise", "rowwise_adagrad", {"max_row_norm": 1.0}, "'users' is column_wise, and max_row_norm needs"),
        ("column_wise", "sgd", {"max_row_norm": 1.0}, "'users' is column_wise, and max_row_norm needs"),
        ("column_wise", "sgd", {"clip_norm": 1.0}, "'users' is column_wise, and clip_norm needs"),
        ("row_wise", "sgd", {"clip_norm": 1.0}, "'users' is row_wise, and clip_norm needs"),
        ("row_wise", "sgd", {"stochastic_rounding": 1}, "'items' is row_wise, and stochastic_rounding"),
        ("table_wise", "sgd", {"finite_check": True}, "'users': finite_check"),
    ],
)
def test_what_no_rank_could_do_is_refused(kind: str, rule: str, options: dict[str, Any], message: str) -> None:
    found = outcomes(
        2, lambda comm: ShardedEmbeddingBagCollection(CONFIGS, planned(kind, 2), comm, optimizer=(rule, options))
    )
    for error in found:
        assert isinstance(error, ValueError)
        assert message in str(error)
    # Alone a rank has all.
    alone = results(
        1, lambda comm: ShardedEmbeddingBagCollection(CONFIGS, planned(kind, 1), comm, optimizer=(rule, options))
    )
    assert alone[0].table_names == ["users", "items", "tags", "words"]


def test_columns_are_not_an_option() -> None:
    optimizer = ("rowwise_adagrad", {"columns": (0, 16)})
    for error in outcomes(
        2, lambda comm: ShardedEmbeddingBagCollection(CONFIGS, planned("row_wise", 2), comm, optimizer=optimizer)
    ):
        assert isinstance(error, ValueError)
        assert str(error) == "table 'users': which columns an optimizer has is said by the plan"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed"),
        ({"wire_dtype": "bfloat16"}, "wire_dtype"),
        ({"optimizer": ("sgd", {"lr": 0.2})}, "lr of the optimizer of table 'users'"),
        ({"optimizer": ("adam", {"lr": 0.1})}, "optimizer of table 'users'"),
        ({"plan": planned("row_wise", 3)}, "plan of table 'users'"),
        ({"plan": planned("table_wise", 2)}, "ranks of the plan"),
        ({"configs": CONFIGS[:3]}, "tables"),
    ],
)
def test_ranks_that_have_not_the_same(change: dict[str, Any], message: str) -> None:
    def work(comm: ThreadComm) -> Any:
        given = {"configs": CONFIGS, "plan": planned("table_wise", 3), "optimizer": ("sgd", {"lr": 0.1})}
        given |= change if comm.rank == 1 else {}
        return ShardedEmbeddingBagCollection(comm=comm, **given)

    for error in outcomes(3, work):
        assert isinstance(error, ValueError), error
        assert message in str(error)


@pytest.mark.parametrize(
    ("change", "optimizer", "error"),
    [
        ({"pooling": "max"}, None, ValueError),
        ({"initializer": "nothing"}, None, ValueError),
        ({"feature_names": []}, None, ValueError),
        ({}, ("sgd", {"lr": -1.0}), ValueError),
        ({}, ("sgd", {"speed": 1.0}), TypeError),
        ({}, ("other", {}), ValueError),
    ],
)
def test_what_no_collection_is_made_of_is_refused_everywhere(
    change: dict[str, Any], optimizer: Any, error: type[Exception]
) -> None:
    # Two of the ranks have no shard.
    configs = [replace(CONFIGS[0], **change)]
    placement = plan(configs, world_size=3, constraints={"users": Sharding("table_wise", ranks=[1])})
    for outcome in outcomes(
        3, lambda comm: ShardedEmbeddingBagCollection(configs, placement, comm, optimizer=optimizer)
    ):
        assert type(outcome) is error, outcome


@pytest.mark.thread_unsafe
def test_a_rank_without_memory_is_no_rank_of_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Part.draw

    def fails(self: Part[Any], seed: int) -> None:
        if self.rank == 1:
            raise MemoryError("no more")
        draw(self, seed)

    monkeypatch.setattr(Part, "draw", fails)
    first, second = outcomes(2, lambda comm: ShardedEmbeddingBagCollection(CONFIGS, planned("row_wise", 2), comm))
    assert isinstance(second, MemoryError)
    assert isinstance(first, ValueError)
    assert str(first) == "rank 1 could not make its shards: MemoryError: no more"


def test_a_plan_for_another_world() -> None:
    for error in outcomes(2, lambda comm: ShardedEmbeddingBagCollection(CONFIGS, planned("table_wise", 3), comm)):
        assert isinstance(error, ValueError)
        assert "the plan is for 3 ranks, and there are 2" in str(error)


def test_learning_rates_and_optimizers_of_single_tables(rng: np.random.Generator) -> None:
    optimizers = {config.name: ("adagrad" if at % 2 else "sgd", {"lr": 0.1 * at}) for at, config in enumerate(CONFIGS)}
    batch = Batch.draw(rng, ROWS, 4)

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(CONFIGS, planned("mixed", 2), comm, optimizer=optimizers)
        for lr in (None, 0.25):
            if lr is not None:
                collection.set_lr(lr)
                collection.set_lr(0.5, table="tags")
            collection.backward(collection.forward(*batch.arguments(), **batch.options()))
        with pytest.raises(ValueError, match="no table"):
            collection.set_lr(1, table="nothing")
        return [collection.gather_table(config.name) for config in CONFIGS]

    found = results(2, work)
    single = hotrow.EmbeddingBagCollection(CONFIGS)
    for name, (rule, options) in optimizers.items():
        single.set_optimizer(name, rule, **options)
    whole = Batch.joined([batch, batch])
    for lr in (None, 0.25):
        if lr is not None:
            single.set_lr(lr)
            single.set_lr(0.5, table="tags")
        single.forward(*whole.arguments(), **whole.options())
        out = expected_output(planned("mixed", 2), single, batch, single.forward(*batch.arguments(), **batch.options()))
        single.forward(*whole.arguments(), **whole.options())
        single.backward(np.concatenate([out, out]))
    for config, table in zip(CONFIGS, found[0], strict=True):
        same(table, single.table(config.name))
    incomplete = {"users": ("sgd", {})}
    for more, message in ((incomplete, "'items' has no optimizer"), (incomplete | {"other": ("sgd", {})}, "'other'")):
        with pytest.raises(ValueError, match=message):
            results(
                1,
                lambda comm, more=more: ShardedEmbeddingBagCollection(
                    CONFIGS, planned("mixed", 1), comm, optimizer=more
                ),
            )


def test_what_is_sent_is_counted(rng: np.random.Generator) -> None:
    configs = [EmbeddingBagConfig(name="t", num_embeddings=100_000, embedding_dim=4, feature_names=["x"])]
    placement = plan(configs, world_size=2, constraints={"t": Sharding("table_wise", ranks=[0])})
    ids = rng.integers(0, 50, 2000) * 1000

    def work(comm: ThreadComm, deduplicate: bool) -> Any:
        collection = ShardedEmbeddingBagCollection(
            configs, placement, comm, optimizer=("sgd", {"lr": 0.1}), deduplicate=deduplicate
        )
        for _ in range(2):
            collection.backward(collection.forward(["x"], ids, lengths=[1000, 1000]))
        return collection.traffic

    (owner, other), (_, plain) = (results(2, lambda comm, how=how: work(comm, how)) for how in (True, False))
    header = 8
    assert (owner.last.vectors, other.last.vectors) == (header + 2 * 4 * 4, header)
    assert (owner.last.gradients, other.last.gradients) == (header, header + 2 * 4 * 4)
    assert plain.last.ids - other.last.ids == 2000 * 4 - (2000 + 50 * 4 + 5)
    assert other.total.bytes == 2 * other.last.bytes
    assert other.total.messages == 2 * 3


def test_a_rank_that_ends_early_holds_nobody_up(rng: np.random.Generator) -> None:
    batch = Batch.draw(rng, ROWS, 2)

    def work(comm: ThreadComm) -> Any:
        collection = ShardedEmbeddingBagCollection(CONFIGS, planned("table_wise", 2), comm)
        if comm.rank == 0:
            raise KeyError("gone")
        collection.forward(*batch.arguments(), **batch.options())

    gone, other = outcomes(2, work)
    assert isinstance(gone, KeyError)
    assert isinstance(other, CommError)

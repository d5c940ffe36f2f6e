"""The planner: what it proposes, and that every plan holds what it promises."""

from __future__ import annotations

import re
from typing import Any

import hotrow
import pytest
from hotrow import EmbeddingBagConfig, EmbeddingConfig
from hotrow.distributed import Sharding, plan
from hotrow.distributed.optimizers import check_table, state_bytes
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 30
ADAGRAD = ("rowwise_adagrad", {"lr": 0.1})
BY_ROWS = ("rowwise_adagrad", {"lr": 0.1, "max_row_norm": 1.0})
"""What no cut by columns could train."""


def config(name: str, rows: int, dim: int, features: int = 1, **more: Any) -> EmbeddingBagConfig:
    keys = [f"{name}{i}" for i in range(features)]
    return EmbeddingBagConfig(name=name, num_embeddings=rows, embedding_dim=dim, feature_names=keys, **more)


def kinds(*args: Any, **options: Any) -> dict[str, tuple[str, list[int]]]:
    found = plan(*args, **options)
    return {table.name: (table.kind, [shard.owner for shard in table.shards]) for table in found.tables}


def test_equal_tables_are_shared_out_whole() -> None:
    found = kinds([config(f"t{i}", 1000, 16) for i in range(8)], world_size=4)
    assert {kind for kind, _ in found.values()} == {"table_wise"}
    assert sorted(owner for _, owners in found.values() for owner in owners) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_one_rank_has_everything() -> None:
    assert kinds([config("a", 10, 4), config("b", 10**9, 64)], world_size=1) == {
        "a": ("table_wise", [0]),
        "b": ("table_wise", [0]),
    }


def test_what_is_little_work_is_everywhere() -> None:
    found = kinds([config("big", 10**6, 256), config("rare", 100, 4)], world_size=2, lookups={"rare": 0.01})
    assert found["rare"] == ("data_parallel", [0, 1])
    found = kinds([config("big", 10**6, 256), config("never", 10**6, 4)], world_size=2, lookups={"never": 0})
    assert found["never"][0] == "table_wise"


def test_what_is_too_much_work_is_cut_by_columns_where_that_is_exact() -> None:
    tables = [config("hot", 1000, 64), config("cold", 1000, 64)]
    options: dict[str, Any] = {"world_size": 4, "lookups": {"hot": 100, "cold": 1}}
    assert kinds(tables, **options, optimizer=("adam", {}))["hot"] == ("column_wise", [0, 1, 2, 3])
    assert kinds(tables, **options, optimizer=ADAGRAD)["hot"] == ("column_wise", [0, 1, 2, 3])
    assert kinds(tables, **options, optimizer=BY_ROWS)["hot"] == ("row_wise", [0, 1, 2, 3])
    assert kinds(tables, **options, optimizer=("sgd", {"lr": 1.0, "max_row_norm": 1.0}))["hot"][0] == "row_wise"
    assert kinds(tables, **options, optimizer=("sgd", {"lr": 1.0, "clip_norm": 1.0}))["hot"][0] == "table_wise"


def test_sums_are_reordered_only_where_that_is_worth_it() -> None:
    tables = [config("a", 1000, 64), config("b", 1000, 64)]
    options: dict[str, Any] = {"world_size": 3, "optimizer": BY_ROWS}
    assert kinds(tables, **options) == {"a": ("table_wise", [0]), "b": ("table_wise", [1])}
    assert plan(tables, **options).table("a").why == "1.5 x a rank's share of work, and no exact cut is worth it"
    assert kinds(tables, **options, lookups={"a": 100})["a"][0] == "row_wise"
    # Rows that are not summed are in no order.
    rows = [EmbeddingConfig(name=one.name, num_embeddings=1000, embedding_dim=64) for one in tables]
    assert kinds(rows, **options)["a"][0] == "row_wise"


def test_gradients_go_to_every_owner_only_where_that_is_worth_it() -> None:
    tables = [config("a", 1000, 64), config("b", 1000, 64)]
    for rule, kind in [("rowwise_adagrad", "table_wise"), ("adagrad", "column_wise")]:
        found = kinds(tables, world_size=3, optimizer=(rule, {}))
        assert [found["a"][0], found["b"][0]] == [kind] * 2
    found = kinds(tables, world_size=3, optimizer=ADAGRAD, lookups={"a": 100})
    assert [found["a"][0], found["b"][0]] == ["column_wise", "table_wise"]
    # Each row's gradient goes to one owner, and that is as exact.
    rows = [EmbeddingConfig(name=one.name, num_embeddings=1000, embedding_dim=64) for one in tables]
    for rule, kind in [("rowwise_adagrad", "row_wise"), ("adagrad", "column_wise")]:
        assert kinds(rows, world_size=3, optimizer=(rule, {}))["a"][0] == kind


def test_what_does_not_fit_is_cut() -> None:
    big = config("big", 10_000_000, 64)  # 2.4 GiB, and 38 MiB of state
    tables = [big, *(config(f"busy{i}", 100, 64) for i in range(8))]
    options: dict[str, Any] = {"world_size": 4, "optimizer": BY_ROWS}
    assert kinds(tables, **options, memory=3 * GIB)["big"][0] == "table_wise"
    assert kinds(tables, **options, memory=2 * GIB)["big"] == ("row_wise", [0, 1, 2, 3])
    options["local_world_size"] = 2
    assert kinds(tables, **options, memory=2 * GIB)["big"] == ("table_row_wise", [0, 1])
    assert kinds(tables, **options, memory=[GIB, GIB, 2 * GIB, 2 * GIB])["big"] == ("table_row_wise", [2, 3])
    for optimizer in (("sgd", {}), ADAGRAD):
        exact = {**options, "optimizer": optimizer}
        assert kinds(tables, **exact, memory=[2 * GIB, GIB, 2 * GIB, GIB])["big"] == ("column_wise", [0, 2])
    with pytest.raises(ValueError, match=r"'big' needs 2.4 GiB, and fits in no cut: the ranks have 512.0 MiB to 512.0"):
        plan(tables, **options, memory=GIB // 2)


def test_what_no_rank_can_hold_is_placed_first() -> None:
    big, busy = config("big", 25_000_000, 64), config("busy", 4_000_000, 64)  # 6 GiB and 1 GiB
    tables = [busy, big, *(config(f"t{i}", 100, 64) for i in range(8))]
    found = kinds(tables, world_size=4, memory=2 * GIB, optimizer=("sgd", {}), lookups={"big": 0.5})
    assert found["big"] == ("column_wise", [0, 1, 2, 3])
    assert found["busy"][0] == "column_wise"


def test_a_node_is_not_enough_for_what_is_looked_up_most() -> None:
    tables = [config("hot", 1000, 64), config("cold", 1000, 64)]
    found = kinds(tables, world_size=4, local_world_size=2, lookups={"hot": 100}, optimizer=BY_ROWS)
    assert found["hot"] == ("row_wise", [0, 1, 2, 3])


def test_where_only_some_ranks_have_memory() -> None:
    big = config("big", 10_000_000, 64)  # 2.4 GiB
    options: dict[str, Any] = {"world_size": 4, "local_world_size": 2, "memory": [2 * GIB, 2 * GIB, 0, 0]}
    assert kinds([big], **options, optimizer=("sgd", {})) == {"big": ("column_wise", [0, 1])}
    assert kinds([big], **options, optimizer=BY_ROWS) == {"big": ("table_row_wise", [0, 1])}


def test_columns_are_cut_at_cache_lines_also_where_memory_is_short() -> None:
    table = config("t", 105, 129)
    options: dict[str, Any] = {"world_size": 2, "optimizer": ("adam", {})}
    shards = plan([table], **options, constraints={"t": "column_wise"}).table("t").shards
    assert [shard.columns for shard in shards] == [range(80), range(80, 129)]
    assert [shard.bytes for shard in shards] == [80 * 12 * 105, 49 * 12 * 105]
    assert kinds([table], **options, memory=80 * 12 * 105)["t"][0] == "column_wise"
    assert kinds([table], **options, memory=80 * 12 * 105 - 1)["t"][0] == "row_wise"


def test_constraints_are_kept() -> None:
    tables = [config(name, 1000, 32) for name in "abcdef"]
    wishes: dict[str, Any] = {
        "a": "row_wise",
        "b": Sharding("column_wise", [3, 1]),
        "c": Sharding("table_wise", [2]),
        "d": "data_parallel",
        "e": Sharding("row_wise", [2, 0]),
        "f": "table_row_wise",
    }
    found = kinds(tables, world_size=4, local_world_size=2, constraints=wishes)
    assert found == {
        "a": ("row_wise", [0, 1, 2, 3]),
        "b": ("column_wise", [3, 1]),
        "c": ("table_wise", [2]),
        "d": ("data_parallel", [0, 1, 2, 3]),
        "e": ("row_wise", [2, 0]),
        "f": ("table_row_wise", [0, 1]),
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"constraints": {"t": "column_wise"}, "optimizer": BY_ROWS},
            "table 't' is column_wise, and max_row_norm needs a whole row",
        ),
        ({"constraints": {"t": Sharding("table_wise", [5])}}, "'t' cannot be at rank 5: there are 2 ranks"),
        ({"constraints": {"u": "row_wise"}}, "constraints name a table 'u', and the tables are ['t']"),
        ({"lookups": {"u": 1}}, "lookups name a table 'u'"),
        ({"lookups": {"t": -1}}, "a number from 0, not -1"),
        ({"memory": [1, 2, 3]}, "memory has 3 numbers for 2 ranks"),
        (
            {"memory": 100, "constraints": {"t": "table_wise"}},
            "needs 3.9 KiB at rank 0, which is 3.8 KiB more than is left",
        ),
        ({"local_world_size": 3}, "2 ranks are not nodes of 3 ranks each"),
    ],
)
def test_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        plan([config("t", 100, 10)], **{"world_size": 2, **options})


TABLES = st.lists(
    st.builds(
        lambda rows, dim, features, dtype, bags: (
            (rows, dim, features, dtype),
            EmbeddingBagConfig if bags else EmbeddingConfig,
        ),
        st.integers(0, 10**6),
        st.integers(1, 200),
        st.integers(0, 3),
        st.sampled_from(["float32", "bfloat16"]),
        st.booleans(),
    ),
    max_size=6,
)


@given(
    tables=TABLES,
    nodes=st.integers(1, 3),
    local=st.integers(1, 3),
    memory=st.none() | st.integers(10**5, 10**9),
    lookups=st.lists(st.sampled_from([0, 0.1, 1, 50]), min_size=6, max_size=6),
    optimizer=st.sampled_from([None, ADAGRAD, BY_ROWS, ("adam", {}), ("sgd", {"clip_norm": 1.0})]),
)
def test_every_plan_is_whole_and_within_memory(
    tables: list[Any], nodes: int, local: int, memory: int | None, lookups: list[float], optimizer: Any
) -> None:
    configs = [
        kind(
            name=f"t{i}",
            num_embeddings=rows,
            embedding_dim=dim,
            feature_names=[f"t{i}f{j}" for j in range(features)],
            dtype=dtype,
        )
        for i, ((rows, dim, features, dtype), kind) in enumerate(tables)
    ]
    expected = {one.name: count for one, count in zip(configs, lookups, strict=False)}
    options: dict[str, Any] = {"world_size": nodes * local, "local_world_size": local, "memory": memory}
    try:
        found = plan(configs, **options, lookups=expected, optimizer=optimizer)
    except ValueError as error:
        assert memory is not None and "fits in no cut" in str(error)  # noqa: PT017, PT018
        return
    # That shards make up their tables is checked by `Plan` itself.
    found.check(configs)
    for table, one in zip(found.tables, configs, strict=True):
        assert table.name == one.name
        if optimizer is not None:
            check_table(one, table, optimizer)
        for shard in table.shards:
            element = 4 if one.dtype == "float32" else 2
            columns = len(shard.columns)
            assert shard.bytes == len(shard.rows) * (columns * element + state_bytes(optimizer, columns))
    for rank in range(found.world_size):
        assert memory is None or sum(shard.bytes or 0 for shard in found.shards_of(rank)) <= memory
    assert str(found).count("\n") >= len(configs) + 1


def test_state_bytes_are_those_of_the_engine() -> None:
    for rule, expected in [
        ("sgd", 0),
        ("adagrad", 40),
        ("rowwise_adagrad", 4),
        ("adam", 80),
        ("partial_rowwise_adam", 44),
    ]:
        assert state_bytes((rule, {}), 10) == expected
        whole = hotrow.Optimizer(rule, 7, 10).state()
        assert sum(values.nbytes for values in whole.values()) == 7 * expected
    assert state_bytes(("sgd", {"momentum": 0.9}), 10) == 40
    assert state_bytes(None, 10) == 0


def test_the_printed_plan() -> None:
    tables = [config("users", 3000, 32), config("items", 100, 8, features=2)]
    found = plan(tables, world_size=2, optimizer=ADAGRAD, constraints={"users": "row_wise"})
    assert str(found).splitlines() == [
        "table  kind        rows x dim  shards  at ranks  bytes      why",
        "users  row_wise    3,000 x 32  2       0, 1      386.7 KiB  asked for",
        "items  table_wise  100 x 8     1       0         3.5 KiB    65% of a rank's share of work",
        "",
        "rank 0  2 shards  196.9 KiB",
        "rank 1  1 shards  193.4 KiB",
    ]


def test_a_plan_of_many_ranks_is_printed_short() -> None:
    text = str(plan([config("t", 10**6, 64)], world_size=100, constraints={"t": "row_wise"}))
    assert len(text.splitlines()) == 4
    assert "0..99" in text
    assert text.endswith("ranks  100  2.4 MiB to 2.4 MiB each")

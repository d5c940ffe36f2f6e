"""Plans: what they refuse, and what they find."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hotrow import EmbeddingBagConfig
from hotrow.distributed import Plan, Shard, Sharding, TablePlan, plan

CONFIG = EmbeddingBagConfig(name="t", num_embeddings=10, embedding_dim=6, feature_names=["f"])


def shard(rows: tuple[int, int] = (0, 10), columns: tuple[int, int] = (0, 6), owner: int = 0, name: str = "t") -> Shard:
    return Shard("t", range(*rows), range(*columns), owner, name)


def by_rows(*ends: int) -> list[Shard]:
    return [shard((start, end), owner=i, name=f"t.r{i}") for i, (start, end) in enumerate(pairwise(ends))]


REFUSED: dict[str, Callable[[], object]] = {
    "'by_hand' is no kind of sharding": lambda: Sharding("by_hand"),  # type: ignore[arg-type]
    "the ranks of a sharding are one or more and all differ, and are not ()": lambda: Sharding("row_wise", []),
    "are one or more and all differ, and are not (1, 1)": lambda: Sharding("row_wise", [1, 1]),
    "table_wise has one owner, not (0, 1)": lambda: Sharding("table_wise", [0, 1]),
    "it takes no ranks": lambda: Sharding("data_parallel", [0]),
    "are a range without gaps, not range(0, 10, 2)": lambda: Shard("t", range(0, 10, 2), range(6), 0, "t"),
    "are a range without gaps, not range(-1, 6)": lambda: shard(columns=(-1, 6)),
    "are a range without gaps, not range(6, 2)": lambda: shard(columns=(6, 2)),
    "the owners are []": lambda: TablePlan("t", "table_wise", 10, 6, ()),
    "the owners are [0, 0]": lambda: TablePlan("t", "row_wise", 10, 6, (shard((0, 5)), shard((5, 10)))),
    "it has one shard, not 2": lambda: TablePlan("t", "table_wise", 10, 6, (shard(), shard(owner=1))),
    "shard 't' is of table 't'": lambda: TablePlan("u", "table_wise", 10, 6, (shard(),)),
    "a shard has rows 0 to 10, not range(0, 9)": lambda: TablePlan("t", "table_wise", 10, 6, (shard((0, 9)),)),
    "a shard has columns 0 to 6, not range(0, 5)": lambda: TablePlan("t", "row_wise", 10, 6, (shard(columns=(0, 5)),)),
    "rows of a shard start at 6, and should at 5": lambda: TablePlan(
        "t", "row_wise", 10, 6, (shard((0, 5)), shard((6, 10), owner=1))
    ),
    "rows of a shard start at 5, and should at 0": lambda: TablePlan(
        "t", "row_wise", 10, 6, (shard((5, 10)), shard((0, 5), owner=1))
    ),
    "a shard has no rows: range(4, 4)": lambda: TablePlan("t", "row_wise", 10, 6, tuple(by_rows(0, 4, 4, 10))),
    "the shards have rows up to 9, and the table has 10": lambda: TablePlan(
        "t", "row_wise", 10, 6, tuple(by_rows(0, 4, 9))
    ),
    "the shards have columns up to 4, and the table has 6": lambda: TablePlan(
        "t", "column_wise", 10, 6, (shard(columns=(0, 4)),)
    ),
    "3 ranks are not nodes of 2 ranks each": lambda: Plan(3, 2, ()),
    "0 ranks are not nodes": lambda: Plan(0, 1, ()),
    "of ['t', 't'] some are equal": lambda: Plan(1, 1, (TablePlan("t", "table_wise", 10, 6, (shard(),)),) * 2),
    "rank 2 is not one of 2 ranks": lambda: Plan(2, 2, (TablePlan("t", "table_wise", 10, 6, (shard(owner=2),)),)),
    "rank -1 is not one of 2 ranks": lambda: Plan(2, 2, (TablePlan("t", "table_wise", 10, 6, (shard(owner=-1),)),)),
    "every rank has it in order, and not [0]": lambda: Plan(
        2, 2, (TablePlan("t", "data_parallel", 10, 6, (shard(),)),)
    ),
    "its owners [0, 1, 2] are ranks of one node": lambda: Plan(
        4, 2, (TablePlan("t", "table_row_wise", 10, 6, tuple(by_rows(0, 3, 6, 10))),)
    ),
    "rank 0 owns 2 shards of the name 't.r0'": lambda: plan(
        [CONFIG, replace(CONFIG, name="t.r0")],
        world_size=2,
        constraints={"t": "row_wise", "t.r0": Sharding("table_wise", [0])},
    ),
    "the plan has no table 't'": lambda: Plan(1, 1, ()).check([CONFIG]),
    "the plan has a table 't', and the configurations have none": lambda: plan([CONFIG], world_size=1).check([]),
    "table 't' is 11 x 6, and the plan is for 10 x 6": lambda: plan([CONFIG], world_size=1).check(
        [replace(CONFIG, num_embeddings=11)]
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        REFUSED[text]()


def test_shards_of_a_rank_and_tables_are_found() -> None:
    other = replace(CONFIG, name="u", num_embeddings=3)
    found = plan([CONFIG, other], world_size=2, constraints={"t": "row_wise", "u": Sharding("table_wise", [1])})
    found.check([other, CONFIG])
    assert [one.name for one in found.shards_of(0)] == ["t.r0"]
    assert [one.name for one in found.shards_of(1)] == ["t.r1", "u"]
    assert found.table("u").kind == "table_wise"
    with pytest.raises(KeyError, match="no table 'x'"):
        found.table("x")


def test_plans_are_compared_by_what_lands_where_and_can_be_pickled() -> None:
    one = plan([CONFIG], world_size=2, constraints={"t": "row_wise"})
    same = plan([CONFIG], world_size=2, constraints={"t": "row_wise"}, optimizer=("adam", {}))
    assert one.table("t").shards[0].bytes != same.table("t").shards[0].bytes
    assert one == same == pickle.loads(pickle.dumps(one))
    assert one != plan([CONFIG], world_size=2, constraints={"t": "column_wise"})

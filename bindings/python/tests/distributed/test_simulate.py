"""The cost model: its counts against plain ones, its times against hand-made costs that single out one part each."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hotrow import EmbeddingBagConfig
from hotrow.distributed import Kind
from hotrow.distributed.simulate import (
    RECORDED,
    Cluster,
    Costs,
    Prediction,
    Workload,
    messages,
    place,
    popularity,
    predict,
)
from hotrow.distributed.simulate.__main__ import main
from hotrow.distributed.simulate.ledger import Ledger
from hotrow.distributed.simulate.measure import _fit, measure

KINDS: tuple[Kind, ...] = get_args(Kind)
FREE = Costs(
    row=0,
    row_byte=0,
    bag=0,
    bag_byte=0,
    step_row=0,
    step_byte=0,
    route=0,
    route_distinct=0,
    byte=0,
    call=0,
    threads=1,
    source="nobody",
)


def tables(count: int = 3, rows: int = 1000, dim: int = 32, features: int = 1) -> list[EmbeddingBagConfig]:
    return [
        EmbeddingBagConfig(
            name=f"t{number}",
            num_embeddings=rows,
            embedding_dim=dim,
            feature_names=[f"f{number}{feature}" for feature in range(features)],
        )
        for number in range(count)
    ]


def work(configs: list[EmbeddingBagConfig], **other: Any) -> Workload:
    given = {"batch": 16, "lookups": {config.name: 4.0 for config in configs}, "skew": 0.0, **other}
    return Workload(**given)


def predicted(
    configs: list[EmbeddingBagConfig], kind: Kind, ranks: int, costs: Costs = FREE, **other: Any
) -> Prediction:
    placement = place(configs, kind, ranks, ranks_per_node=2)
    return predict(configs, placement, work(configs, **other), Cluster(ranks_per_node=2), costs)


@pytest.mark.parametrize("skew", [0.0, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("rows", [1, 2, 1000, 300_000])
@pytest.mark.parametrize("draws", [1, 10, 5000])
def test_distinct_ids_are_counted_as_one_by_one(skew: float, rows: int, draws: int) -> None:
    weights = np.arange(1, rows + 1) ** -skew
    chances = weights / weights.sum()
    with np.errstate(divide="ignore"):
        expected = float(-np.expm1(draws * np.log1p(-chances)).sum())
    assert popularity.distinct(draws, rows, skew) == pytest.approx(expected, rel=1e-4)
    assert popularity.top(rows, skew) == pytest.approx(chances[0], rel=1e-4)


def test_distinct_ids_of_draws(rng: np.random.Generator) -> None:
    found = [len(np.unique(rng.integers(0, 500, 300))) for _ in range(300)]
    assert popularity.distinct(300, 500, 0.0) == pytest.approx(np.mean(found), rel=0.01)


def test_no_table_has_more_distinct_ids_than_rows_or_draws() -> None:
    assert popularity.distinct(1e9, 4_000_000_000, 1.05) < 1e9
    assert popularity.distinct(1e12, 10, 1.05) == pytest.approx(10)
    assert popularity.distinct(5, 0, 1.05) == 0


@pytest.mark.parametrize("per_node", [1, 2, 4])
def test_an_exchange_takes_the_fullest_interface(per_node: int, rng: np.random.Generator) -> None:
    ranks = 4
    parts = rng.random(ranks) * 1e6
    cluster = Cluster(
        ranks_per_node=per_node, latency=3e-3, local_latency=1e-3, overhead=1e-4, bandwidth=1e6, local_bandwidth=1e7
    )
    nodes = ranks // per_node
    out, into, within = np.zeros((3, nodes))
    for source in range(ranks):
        for owner in range(ranks):
            if source // per_node != owner // per_node:
                out[source // per_node] += parts[owner]
                into[owner // per_node] += parts[owner]
            elif source != owner:
                within[source // per_node] += parts[owner]
    latency = 3e-3 if nodes > 1 else 1e-3
    expected = 2 * (latency + 3e-4) + max(out.max(), into.max()) / 1e6 + within.max() / 1e7
    assert cluster.exchange(parts) == pytest.approx(expected)
    assert cluster.exchange(parts[:1]) == 0


def test_ranks_that_share_cores_take_turns() -> None:
    cluster = Cluster(ranks_per_node=4, cores_per_node=2)
    assert [cluster.slowdown(ranks, 1) for ranks in (1, 2, 4, 8)] == [1, 1, 2, 2]
    assert [cluster.slowdown(ranks, 2) for ranks in (1, 2, 4)] == [1, 2, 4]
    # Two threads' work by one thread takes twice as long.
    assert dataclasses.replace(cluster, threads_per_rank=1).slowdown(2, 2) == 2
    assert Cluster(ranks_per_node=4).slowdown(8, 2) == 1


def test_ids_travel_in_the_shorter_form() -> None:
    assert messages.ids(1000, None) == 2 + 4000
    assert messages.ids(1000, 900) == 2 + 4000
    assert messages.ids(1000, 200) == 2 + 4 + 800 + 1 + 1000
    assert messages.ids(1000, 300) == 2 + 4 + 1200 + 1 + 2000
    assert messages.ids(1_000_000, 100_000) == 2 + 4_000_000
    assert messages.lengths(16, alike=True) == 9
    assert messages.lengths(16, alike=False) == 17


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_shards_of_all_ranks_make_up_the_tables(kind: Kind, ranks: int) -> None:
    configs = tables(count=5, rows=1003, dim=48)
    ledger = Ledger(place(configs, kind, ranks, 2), work(configs, optimizer="adagrad"), FREE)
    placement = place(configs, kind, ranks, 2)
    for number, (config, table) in enumerate(zip(configs, placement.tables, strict=True)):
        if kind == "data_parallel":
            ledger.add_copies(config)
        else:
            ledger.add_shards(config, table, number)
    whole = 5 * 1003 * 48 * 4 * 2
    assert ledger.tables.sum() == whole * (ranks if kind == "data_parallel" else 1)
    # And the work is all there: the update reads every id of every rank.
    assert ledger.batches.sum() > 0 or kind == "data_parallel"


@pytest.mark.parametrize("kind", KINDS)
def test_one_rank_sends_nothing(kind: Kind) -> None:
    found = predicted(tables(), kind, 1)
    assert (found.seconds, found.sent) == (0, 0)


def test_memory_is_counted() -> None:
    configs = tables(count=2, rows=1000, dim=32, features=3)
    found = predicted(configs, "table_wise", 1, optimizer="rowwise_adagrad", deduplicate=False)
    weights = 2 * 1000 * (32 * 4 + 4)
    ids, bags = 2 * 16 * 4, 2 * 16 * 3
    # As an owner: ids, lengths, output, gradient. As one who looks up: output, gradient.
    batch = 4 * ids + 4 * bags + 2 * 4 * bags * 32 + 2 * 4 * bags * 32
    # Lists of 4/3 ids are not all alike.
    message = 8 + 6 * (1 + 16 + 2) + 4 * ids + 8 + 4 * bags * 32
    assert found.memory == pytest.approx(weights + batch + 2 * message)


def test_memory_of_an_owner_holds_the_batches_of_all_ranks() -> None:
    found = predicted(tables(count=2, rows=1000, dim=32), "table_wise", 2, deduplicate=False)
    weights = 1000 * 32 * 4 * 2
    owner = 2 * (4 * 64 + 4 * 16 + 2 * 4 * 16 * 32)
    message = 8 + 9 + 2 + 4 * 64 + 8 + 4 * 16 * 32
    # What it keeps for its own examples: output and gradient of both tables, and a message for each owner.
    own = 2 * 4 * 16 * 2 * 32 + 2 * message
    assert found.memory == pytest.approx(weights + owner + 2 * message + own)


@pytest.mark.parametrize(
    ("kind", "times"), [("table_wise", 1), ("row_wise", 1), ("column_wise", 2), ("data_parallel", 1)]
)
@pytest.mark.parametrize(("deduplicate", "cost"), [(False, "route"), (True, "route_distinct")])
def test_ids_are_routed_to_each_owner(kind: Kind, times: int, deduplicate: bool, cost: str) -> None:
    changed: dict[str, Any] = {cost: 1.0}
    found = predicted(tables(), kind, 4, dataclasses.replace(FREE, **changed), deduplicate=deduplicate)
    assert found.parts["route"] == 64 * 3 * times


def test_copies_are_stepped_by_what_all_ranks_send() -> None:
    costs = dataclasses.replace(FREE, byte=1.0)
    found = predicted(tables(1), "data_parallel", 4, costs, deduplicate=False)
    ids, gradients = 9 + 2 + 4 * 64, 4 * 16 * 32
    assert found.parts["update"] == 4 * (messages.HEADER + messages.COPIES + ids + gradients)


@pytest.mark.parametrize(
    ("kind", "ids"),
    # Each rank has 16 x 4 ids for each of 3 tables; 4 ranks.
    [
        ("data_parallel", 4 * 64 * 3),
        ("table_wise", 4 * 64),
        ("column_wise", 4 * 64 * 2),
        ("row_wise", 64 * 3),
        ("table_row_wise", 2 * 64 * 2),
    ],
)
def test_the_busiest_rank_counts(kind: Kind, ids: int) -> None:
    found = predicted(tables(), kind, 4, dataclasses.replace(FREE, step_row=1e-6))
    assert found.parts["update"] == pytest.approx(ids * 1e-6, rel=1e-6)
    assert sum(1 for part in found.parts.values() if part) == 4


def test_a_popular_id_makes_its_owner_busy() -> None:
    costs = dataclasses.replace(FREE, row=1.0)
    even = predicted(tables(1), "row_wise", 4, costs)
    skewed = predicted(tables(1), "row_wise", 4, costs, skew=1.0)
    popular = popularity.top(1000, 1.0)
    share = popular + (1 - popular) * 249 / 999
    assert even.parts["look up"] == pytest.approx(4 * 64 / 4)
    assert skewed.parts["look up"] == pytest.approx(4 * 64 * share)


@pytest.mark.parametrize(("part", "cost"), [("look up", "row_byte"), ("update", "step_byte")])
def test_bytes_are_those_of_the_shards_columns(part: str, cost: str) -> None:
    changed: dict[str, Any] = {cost: 1.0}
    costs = dataclasses.replace(FREE, **changed)
    whole = predicted(tables(4), "table_wise", 4, costs).parts[part]
    # 32 columns are cut into two shards of 16: twice as many shards, each half as wide.
    columns = predicted(tables(4), "column_wise", 4, costs).parts[part]
    assert whole == columns == 4 * 64 * 32 * 4


@pytest.mark.parametrize(("part", "times"), [("cut gradients", 2.0), ("put in place", 1.0), ("update", 2.0)])
def test_rules_that_look_at_whole_rows_ask_for_them_everywhere(part: str, times: float) -> None:
    costs = dataclasses.replace(FREE, byte=1.0)
    own, rows = (
        predicted(tables(4), "column_wise", 4, costs, optimizer=rule) for rule in ("adagrad", "rowwise_adagrad")
    )
    # 32 columns at two owners.
    header = 4 * messages.HEADER
    assert rows.parts[part] - header == times * (own.parts[part] - header)
    whole = predicted(tables(4), "table_wise", 4, costs, optimizer="rowwise_adagrad")
    assert whole.parts == predicted(tables(4), "table_wise", 4, costs).parts


def test_bags_that_are_cut_travel_where_they_have_ids(rng: np.random.Generator) -> None:
    costs = dataclasses.replace(FREE, byte=1.0)
    found = predicted(tables(1, rows=4000), "row_wise", 4, costs)
    owners = rng.integers(0, 4, (20_000, 4))
    filled = np.mean([len(set(bag)) for bag in owners.tolist()])
    assert found.parts["put in place"] == pytest.approx(16 * filled * 32 * 4 + 4 * 8, rel=0.01)


def test_half_the_bytes_travel_in_half_the_time() -> None:
    full, half = (predicted(tables(), "table_wise", 4, wire_dtype=wire) for wire in ("float32", "bfloat16"))
    latency = 2 * (Cluster.latency + 3 * Cluster.overhead)
    headers = 3 * 8 / Cluster.bandwidth
    times = [each.parts["send vectors"] - latency for each in (full, half)]
    assert times[0] > 1e-6
    assert times[0] == pytest.approx(2 * times[1], abs=10 * headers)
    assert half.parts["send ids"] == full.parts["send ids"]


def test_doubles_travel_once() -> None:
    given: dict[str, Any] = {"skew": 1.2, "batch": 4096}
    plain, once = (predicted(tables(), "table_wise", 4, deduplicate=each, **given) for each in (False, True))
    assert once.sent < plain.sent
    latency = 2 * (Cluster.latency + 3 * Cluster.overhead)
    assert once.parts["send ids"] - latency < (plain.parts["send ids"] - latency) / 1.5


def test_dense_layers_and_calls_are_added() -> None:
    found = predicted(tables(), "row_wise", 1, dataclasses.replace(FREE, call=0.25), dense=0.5)
    assert (found.parts["dense"], found.parts["calls"], found.seconds) == (0.5, 0.25, 0.75)


def test_a_trillion_parameters_on_a_thousand_ranks() -> None:
    configs = tables(26, rows=300_480_769, dim=128)
    lookups = {config.name: 20.0 for config in configs}
    placement = place(configs, "row_wise", 1024, 8)
    workload = Workload(batch=512, lookups=lookups, optimizer="rowwise_adagrad")
    found = predict(configs, placement, workload, Cluster(), RECORDED)
    assert found.memory < 32 * 2**30
    assert 1e-3 < found.seconds < 100


def test_costs_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    RECORDED.save(path)
    assert Costs.load(path) == RECORDED
    path.write_text('{"row": 1}')
    with pytest.raises(ValueError, match="costs are"):
        Costs.load(path)
    dataclasses.replace(RECORDED, row=-1).save(path)
    with pytest.raises(ValueError, match="row is a number"):
        Costs.load(path)


def test_costs_are_found_in_times_that_they_make(rng: np.random.Generator) -> None:
    samples = [(rng.integers(1, 1000, 3).tolist(), 0.0) for _ in range(8)]
    planted = [3e-9, 0.0, 5e-10]
    made = [(amounts, float(np.dot(amounts, planted))) for amounts, _ in samples]
    assert _fit(made) == pytest.approx(planted, rel=1e-6, abs=1e-15)
    # What takes away from the time is none of the costs.
    below = [(amounts, float(np.dot(amounts, [3e-9, -1e-10, 5e-10]))) for amounts, _ in samples]
    assert _fit(below)[1] == 0


@pytest.mark.thread_unsafe
def test_costs_are_measured() -> None:
    found = measure("rowwise_adagrad", table_bytes=1 << 18, ids=1 << 10, rounds=3)
    assert "rowwise_adagrad" in found.source
    assert all(value >= 0 for name, value in dataclasses.asdict(found).items() if name != "source")
    assert found.row + found.row_byte > 0


SMALL = ["--parameters", "1e8", "--tables", "4", "--dim", "32", "--ranks", "1", "4", "--per-node", "2"]


@pytest.mark.thread_unsafe
def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--parts", "row_wise", "--kinds", "row_wise", "data_parallel", "--memory", "0.5"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "4 tables of 781,250 x 32 float32: 1e+08 parameters, adagrad"
    table = [line.split() for line in said[5:9]]
    assert table[1] == ["ranks", "row_wise", "data_parallel"]
    # A hundred million parameters and their state are 0.75 GiB, which is more than there is.
    assert [row[0] for row in table[2:]] == ["1", "4"]
    assert [row[1] == "-" for row in table[2:]] == [True, False]
    assert [row[3] for row in table[2:]] == ["-", "-"]
    assert said[11].split() == [
        *["ranks", "route", "send", "ids", "look", "up", "send", "vectors", "put", "in", "place", "dense"],
        *["cut", "gradients", "send", "gradients", "update", "calls", "MB", "sent"],
    ]


@pytest.mark.thread_unsafe
def test_command_shares_out_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--global-batch", "4096", "--kinds", "table_wise"])
    assert "4,096 examples," in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*SMALL, "--global-batch", "4095"])
    assert "equally many" in capsys.readouterr().err


def test_plans_are_those_that_the_optimizer_allows() -> None:
    assert place(tables(), "column_wise", 4, 2, ("adagrad", {})) == place(tables(), "column_wise", 4, 2)
    with pytest.raises(ValueError, match="max_row_norm needs a whole row"):
        place(tables(), "column_wise", 4, 2, ("adagrad", {"max_row_norm": 1.0}))


@pytest.mark.thread_unsafe
def test_command_refuses_what_cannot_be() -> None:
    with pytest.raises(SystemExit, match="no such plan: 3 ranks are not nodes of 2 ranks each"):
        main([*SMALL, "--ranks", "3"])


@pytest.mark.thread_unsafe
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_chart(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"chart{suffix}"
    main([*SMALL, "--plot", str(path)])
    assert path.stat().st_size > 10_000


@pytest.mark.thread_unsafe
@pytest.mark.parametrize("name", ["", ".popularity", ".workload"])
def test_docstrings(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(f"hotrow.distributed.simulate{name}"))
    assert attempted
    assert not failed

"""The handshake: every rank hears of every difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hotrow import EmbeddingBagConfig
from hotrow.distributed import Comm, LocalComm, Sharding, plan
from hotrow.distributed.describe import describe, differences, require_equal
from ranks import on_ranks

CONFIG = EmbeddingBagConfig(name="t", num_embeddings=10, embedding_dim=6, feature_names=["f"])
SGD = ("sgd", {"lr": 0.1})


def description(config: EmbeddingBagConfig = CONFIG, **changes: Any) -> dict[str, object]:
    given: dict[str, Any] = {
        "plan": plan([config], world_size=3, constraints={"t": changes.pop("kind", "row_wise")}),
        "optimizers": {"t": SGD},
        "wire_dtype": None,
        "seed": 0,
    }
    return describe([config], **{**given, **changes})


DIFFERENT: dict[str, dict[str, object]] = {
    "num_embeddings of table 't': 10 at rank 0, 2; 11 at rank 1": description(replace(CONFIG, num_embeddings=11)),
    "embedding_dim of table 't': 6 at rank 0, 2; 7 at rank 1": description(replace(CONFIG, embedding_dim=7)),
    "dtype of table 't': 'float32' at rank 0, 2; 'bfloat16' at rank 1": description(replace(CONFIG, dtype="bfloat16")),
    "pooling of table 't': 'sum' at rank 0, 2; 'mean' at rank 1": description(replace(CONFIG, pooling="mean")),
    "initializer of table 't': None at rank 0, 2; 'zeros' at rank 1": description(replace(CONFIG, initializer="zeros")),
    "feature_names of table 't': ['f'] at rank 0, 2; ['f', 'g'] at rank 1": description(
        replace(CONFIG, feature_names=("f", "g"))
    ),
    "plan of table 't': 'row_wise' at rank 0, 2; 'column_wise' at rank 1": description(kind="column_wise"),
    "optimizer of table 't': 'sgd' at rank 0, 2; 'adam' at rank 1": description(
        optimizers={"t": ("adam", {"lr": 0.1})}
    ),
    "lr of the optimizer of table 't': 0.1 at rank 0, 2; 0.2 at rank 1": description(
        optimizers={"t": ("sgd", {"lr": 0.2})}
    ),
    "lr of the optimizer of table 't': 0.1 at rank 0, 2; nothing at rank 1": description(optimizers={"t": ("sgd", {})}),
    "optimizer of table 't': 'sgd' at rank 0, 2; None at rank 1": description(optimizers={}),
    "wire_dtype: None at rank 0, 2; 'float16' at rank 1": description(wire_dtype="float16"),
    "seed: 0 at rank 0, 2; 1 at rank 1": description(seed=1),
    "ranks of the plan: 3 at rank 0, 2; 2 at rank 1": description(plan=plan([CONFIG], world_size=2)),
    "version of hotrow: '1' at rank 0, 2; '2' at rank 1": {**description(), "version of hotrow": "2"},
}


@pytest.mark.parametrize("line", DIFFERENT)
def test_a_difference_names_field_values_and_ranks(line: str) -> None:
    usual = description() if "version" not in line else {**description(), "version of hotrow": "1"}
    assert line in differences([usual, DIFFERENT[line], usual])


def test_shards_that_lie_elsewhere_are_a_difference() -> None:
    plans = [
        plan([CONFIG], world_size=3, constraints={"t": Sharding("row_wise", ranks)})
        for ranks in ([0, 1], [0, 2], [1, 0])
    ]
    assert differences([description(plan=one) for one in plans]) == [
        "shards of table 't': ['rows 0..5, columns 0..6 at rank 0', 'rows 5..10, columns 0..6 at rank 1'] at rank 0; "
        "['rows 0..5, columns 0..6 at rank 0', 'rows 5..10, columns 0..6 at rank 2'] at rank 1; "
        "['rows 0..5, columns 0..6 at rank 1', 'rows 5..10, columns 0..6 at rank 0'] at rank 2"
    ]


def test_equal_descriptions_have_no_difference() -> None:
    assert differences([description(), description(replace(CONFIG, feature_names=("f",)))]) == []
    require_equal(LocalComm(), description())


def meet(comm: Comm) -> str:
    """Rank 1 has another learning rate and seed: what a rank is told."""
    require_equal(comm, description())
    other = description(seed=1, optimizers={"t": ("sgd", {"lr": 0.2})}) if comm.rank == 1 else description()
    with pytest.raises(ValueError, match="the ranks do not agree") as error:
        require_equal(comm, other)
    return str(error.value)


@pytest.mark.thread_unsafe
def test_every_rank_is_told() -> None:
    pytest.importorskip("mpi4py")
    for text in on_ranks("mpi", 3, meet):
        assert text.splitlines() == [
            "the ranks do not agree:",
            "seed: 0 at rank 0, 2; 1 at rank 1",
            "lr of the optimizer of table 't': 0.1 at rank 0, 2; 0.2 at rank 1",
        ]


def test_many_differences_are_cut_short() -> None:
    with pytest.raises(ValueError, match="and 6 more differences"):
        require_equal(Echo(), {f"field {i}": 0 for i in range(10)})


class Echo(LocalComm):
    """As if there were a rank that has other values everywhere."""

    def all_gather(self, item: Any) -> list[Any]:
        """The item, and another."""
        return [item, dict.fromkeys(item, 1)]

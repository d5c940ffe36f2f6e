"""Sharded collections between processes: what holds between threads holds there, and a rank that is gone is noticed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import test_bags
import test_sequences
from hotrow.distributed import Comm, CommError, RankError, ShardedEmbeddingBagCollection
from ranks import Transport, on_ranks, outcomes
from worlds import Batch

pytestmark = pytest.mark.thread_unsafe
RULES = ("rowwise_adagrad", "adam")


def checks(comm: Comm) -> int:
    """The checks of the other tests with this comm in place of threads: every rank draws the same, and compares all."""

    def results(size: int, work: Callable[[Comm], Any]) -> list[Any]:
        assert size == comm.size
        return comm.all_gather(work(comm))

    made = 0
    for module in (test_bags, test_sequences):
        vars(module)["results"] = results
    for kind in (*test_bags.KINDS, "mixed"):
        for rule in RULES:
            rng = np.random.default_rng([made, comm.size])
            placement = test_bags.planned(kind, comm.size)
            test_bags.check(rng, placement, optimizer=(rule, {"lr": 0.1}), weighted=made % 2 == 0)
            test_sequences.check(rng, test_sequences.planned(kind, comm.size), rule, sum_gradients=made % 3 == 0)
            made += 1
    if comm.size == 3:
        test_bags.test_bad_ids_at_one_rank(np.random.default_rng(3), "mixed")
    return made


@pytest.mark.parametrize("size", [2, 3, 4])
def test_all_is_as_in_one_process(transport: Transport, size: int) -> None:
    assert on_ranks(transport, size, checks) == [12] * size


def trains_until_killed(comm: Comm, place: str) -> None:
    """Rank 1 is gone in the third step, where the others are already in the exchange."""
    placement = test_bags.planned("mixed", comm.size)
    options: dict[str, Any] = {"optimizer": ("sgd", {"lr": 0.1}), "groups": 2 if place == "backward" else 1}
    collection = ShardedEmbeddingBagCollection(test_bags.CONFIGS, placement, comm, **options)
    batch = Batch.draw(np.random.default_rng(comm.rank), test_bags.ROWS, 5)
    for step in range(5):
        for name in ("forward", "backward"):
            if (step, name, comm.rank) == (2, place, 1):
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                if name == "forward":
                    out = collection.forward(*batch.arguments(), **batch.options())
                else:
                    collection.backward(out)
            except CommError as error:
                raise RuntimeError(step, name, str(error)) from error


@pytest.mark.parametrize("place", ["forward", "backward"])
def test_the_others_notice_that_a_rank_was_killed(transport: Transport, place: str) -> None:
    start = time.monotonic()
    found, log = outcomes(transport, 3, trains_until_killed, place, comm_timeout=4.0)
    assert time.monotonic() - start < 60, log
    for rank in (0, 2):
        error = found[rank].error
        assert isinstance(error, RuntimeError), (found[rank], log)
        assert error.args[:2] == (2, place)
        assert error.args[2].startswith(f"rank {rank}: all_to_all failed: ")


def refusals(comm: Comm) -> tuple[str, list[str]]:
    """Rank 1 has tables of another size; later rank 0 has a bad id in one step of three."""
    configs = list(test_bags.CONFIGS)
    if comm.rank == 1:
        configs[0] = replace(configs[0], num_embeddings=51)
    placement = test_bags.planned("table_wise", comm.size)
    with pytest.raises(ValueError, match="the ranks do not agree") as error:
        ShardedEmbeddingBagCollection(configs, placement, comm)
    collection = ShardedEmbeddingBagCollection(test_bags.CONFIGS, placement, comm, optimizer=("adam", {"lr": 0.1}))
    texts = []
    for step in range(3):
        user = 50 if step == 1 and comm.rank == 0 else 2
        try:
            out = collection.forward(["tag", "user", "liked", "seen", "word"], [1, user, 3, 4, 5], lengths=[1] * 5)
            collection.backward(out)
            texts.append("done")
        except (IndexError, RankError) as refused:
            texts.append(f"{type(refused).__name__}: {refused}")
    return str(error.value).splitlines()[1], texts


def test_what_one_rank_refuses_hangs_nobody(transport: Transport) -> None:
    found = on_ranks(transport, 3, refusals)
    bad = found[0][1][1]
    assert bad.startswith("IndexError: id 50 ")
    for rank, (line, texts) in enumerate(found):
        assert line == "num_embeddings of table 'users': 50 at rank 0, 2; 51 at rank 1"
        assert texts == ["done", bad if rank == 0 else f"RankError: rank 0 refused its batch: {bad}", "done"]

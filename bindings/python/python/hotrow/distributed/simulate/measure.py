"""Measures what the engine's work costs here, with as many threads as it has.

Each figure is fitted to the times of batches that differ in what they have much of: short rows and long ones, long bags
and single ids. Tables are larger than what caches hold, and ids are uniform: so rows come from memory.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hotrow
from hotrow.config import EmbeddingBagConfig
from hotrow.distributed import LocalComm, ShardedEmbeddingBagCollection, plan
from hotrow.distributed.simulate.costs import Costs

_DIMS = (16, 128)
_BAGS = (1, 32)


def measure(rule: str = "adagrad", table_bytes: int = 256 << 20, ids: int = 1 << 16, rounds: int = 25) -> Costs:
    """Takes a minute, and the memory of three tables with their optimizers.

    Plain and sharded collections take turns; of `rounds` the fastest counts, which was disturbed the least.
    """
    forward, backward, around = [], [], []
    for dim in _DIMS:
        rows = table_bytes // (4 * dim)
        for length in _BAGS:
            plain, routed, distinct = _times(rule, rows, dim, (ids, length), rounds)
            bags = ids // length
            forward.append(([ids, 4 * ids * dim, bags, 4 * bags * dim], plain[0]))
            backward.append(([ids, 4 * ids * dim], plain[1]))
            # A vector's byte is written and read twice each: on its way back, and as a gradient.
            moved = [ids, 0, 4 * 4 * bags * dim]
            around.append((moved, sum(routed) - sum(plain)))
            around.append(([0, ids, moved[2]], sum(distinct) - sum(plain)))
    call = sum(_times(rule, 1, _DIMS[0], (1, 1), rounds)[1])
    row, row_byte, bag, bag_byte = _fit(forward)
    step_row, step_byte = _fit(backward)
    route, route_distinct, byte = _fit(around)
    return Costs(
        row=row,
        row_byte=row_byte,
        bag=bag,
        bag_byte=bag_byte,
        step_row=step_row,
        step_byte=step_byte,
        route=route,
        route_distinct=max(route, route_distinct),
        byte=byte,
        call=call,
        threads=hotrow.get_num_threads(),
        source=f"measured with {rule} on {_cpu()}",
    )


def _fit(samples: list[tuple[list[int], float]]) -> list[float]:
    """The costs that explain the times with the least relative error, none of them negative."""
    amounts = np.array([amounts for amounts, _ in samples], np.float64)
    times = np.array([seconds for _, seconds in samples])
    weights = 1 / np.maximum(times, times.max() * 1e-3)
    used = list(range(amounts.shape[1]))
    while True:
        found = np.linalg.lstsq(amounts[:, used] * weights[:, None], times * weights, rcond=None)[0]
        if (found >= 0).all():
            break
        # What comes out below zero is not worth telling from nothing.
        del used[int(found.argmin())]
    costs = np.zeros(amounts.shape[1])
    costs[used] = found
    return [float(cost) for cost in costs]


Times = tuple[float, float]


def _times(rule: str, rows: int, dim: int, batch: tuple[int, int], rounds: int) -> tuple[Times, Times, Times]:
    """Forward and backward of a plain collection, of a sharded one, and of one that looks for doubles."""
    ids, length = batch
    configs = [EmbeddingBagConfig(name="t", num_embeddings=rows, embedding_dim=dim, feature_names=["f"])]
    placement = plan(configs, world_size=1, constraints={"t": "row_wise"})
    options: dict[str, Any] = {"optimizer": (rule, {"lr": 0.01})}
    collections: list[Any] = [
        hotrow.EmbeddingBagCollection(configs).with_optimizer(rule, lr=0.01),
        ShardedEmbeddingBagCollection(configs, placement, LocalComm(), **options, deduplicate=False),
        ShardedEmbeddingBagCollection(configs, placement, LocalComm(), **options, deduplicate=True),
    ]
    rng = np.random.default_rng(0)
    lengths = np.full(ids // length, length, np.int32)
    times = np.empty((rounds, len(collections), 2))
    for number in range(rounds):
        values = rng.integers(0, rows, ids)
        for place, collection in enumerate(collections):
            times[number, place] = _step(collection, values, lengths)
    plain, routed, distinct = times.min(axis=0).tolist()
    return plain, routed, distinct


def _step(collection: Any, values: NDArray[np.int64], lengths: NDArray[np.int32]) -> Times:
    forward, out = _timed(lambda: collection.forward(["f"], values, lengths=lengths))
    out *= 0.001
    return forward, _timed(lambda: collection.backward(out))[0]


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

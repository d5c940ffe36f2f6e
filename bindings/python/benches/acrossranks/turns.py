"""The times of contenders, taken in turns, by all ranks together."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import hotrow
from hotrow.distributed import Comm

_ROUNDS = 15
_SECONDS = 0.5
"""A turn takes about so long."""
_PAUSE = 0.003
"""Threads of a pool that wait busily for more work go to sleep meanwhile, and leave the cores to the next contender."""


@dataclass(frozen=True)
class Contender:
    """One way to make a step."""

    name: str
    step: Callable[[int], Any] | None
    """Makes the step of this number; none where this rank takes no part."""
    threads: int = 1
    """Of each of its processes."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of a step: the median, the least and the greatest of all turns."""

    contender: str
    ms_median: float
    ms_min: float
    ms_max: float
    turns: int
    steps: int
    """Of a turn."""


def measure(comm: Comm, contenders: Sequence[Contender], *, quick: bool) -> list[Times]:
    """Times of each, the same at every rank: what the slowest rank took for a turn, divided by its steps.

    A noise that lasts longer than a turn hits all of them alike.
    """
    rounds, seconds = (3, 0.02) if quick else (_ROUNDS, _SECONDS)
    # Each makes a step to warm up, and one to see how long a step takes.
    for contender in contenders:
        _turn(comm, contender, 1)
    steps = [max(1, math.ceil(seconds / _turn(comm, contender, 1))) for contender in contenders]
    taken: list[list[float]] = [[] for _ in contenders]
    collects = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            first = number % len(contenders)
            for at in [*range(first, len(contenders)), *range(first)]:
                _turn(comm, contenders[at], 1)
                taken[at].append(_turn(comm, contenders[at], steps[at]))
            gc.collect()
    finally:
        if collects:
            gc.enable()
    return [
        Times(one.name, median(each) * 1e3, min(each) * 1e3, max(each) * 1e3, len(each), count)
        for one, each, count in zip(contenders, taken, steps, strict=True)
    ]


def _turn(comm: Comm, contender: Contender, steps: int) -> float:
    """Seconds of a step."""
    hotrow.set_num_threads(contender.threads)
    time.sleep(_PAUSE)
    comm.barrier()
    begin = time.perf_counter()
    if contender.step is not None:
        for number in range(steps):
            contender.step(number)
    seconds = time.perf_counter() - begin
    return float(max(comm.all_gather(seconds)) / steps)

"""The times of contenders, taken in turns."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from sidebyside.contender import Contender

_ROUNDS = 9
_SECONDS = 1.0
_SHORT = 200e-6
"""Calls shorter than this are timed in blocks, for a reading of the clock costs some tens of nanoseconds."""
_BLOCK = 500e-6
_PAUSE = 0.003
"""Threads of a pool that wait busily for more work go to sleep meanwhile, and leave the cores to the next contender."""


@dataclass(frozen=True)
class Times:
    """Seconds of a call."""

    median: float
    least: float
    greatest: float
    repetitions: int


class _Turns:
    """One contender's turns."""

    def __init__(self, contender: Contender, seconds: float) -> None:
        self._calls = contender.calls
        self._seconds = seconds
        self._next = 0
        self._taken: list[float] = []
        self._block_size = self._blocks = 0

    def _plan(self) -> None:
        """How many calls a turn takes."""
        estimate = self._block(1)
        if estimate < _SHORT:
            estimate = self._block(len(self._calls))
        self._block_size = math.ceil(_BLOCK / max(estimate, 1e-8)) if estimate < _SHORT else 1
        self._blocks = max(1, math.ceil(self._seconds / (estimate * self._block_size)))

    def _block(self, size: int) -> float:
        """Seconds of a call, of so many with the batches in turn."""
        calls, at = self._calls, self._next
        run = [calls[(at + number) % len(calls)] for number in range(size)]
        self._next = at + size
        begin = time.perf_counter()
        for call in run:
            call()
        return (time.perf_counter() - begin) / size

    def turn(self) -> None:
        """A call to warm up, and then those that count."""
        time.sleep(_PAUSE)
        if not self._blocks:
            self._plan()
        self._block(self._block_size)
        self._taken += [self._block(self._block_size) for _ in range(self._blocks)]

    def times(self) -> Times:
        """Of all turns."""
        return Times(median(self._taken), min(self._taken), max(self._taken), len(self._taken))


def measure(contenders: list[Contender], *, quick: bool, progress: Callable[[str], None]) -> list[Times | Exception]:
    """Times of each: nine turns, and a second at least.

    A noise that lasts longer than a turn hits all of them alike. Of a contender that fails, the failure is returned.
    """
    rounds, seconds = (3, 0.02) if quick else (_ROUNDS, _SECONDS)
    turns = [_Turns(contender, seconds / rounds) for contender in contenders]
    failed: dict[int, Exception] = {}
    collects = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            first = number % len(turns)
            for at in [*range(first, len(turns)), *range(first)]:
                progress(f"round {number + 1} of {rounds}, {contenders[at].library} {contenders[at].name}")
                if at in failed:
                    continue
                try:
                    turns[at].turn()
                except Exception as error:
                    failed[at] = error
            gc.collect()
    finally:
        if collects:
            gc.enable()
    return [failed.get(at) or each.times() for at, each in enumerate(turns)]

"""Ranks that are threads of one process, and batches for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import hotrow
import numpy as np
from hotrow.distributed.comm import CommError, Exchange
from numpy.typing import NDArray

T = TypeVar("T")

SECONDS = 60
"""No exchange and no rank takes longer."""


class Meeting:
    """Where threads wait for each other. It ends for those who still wait when one has left."""

    def __init__(self, size: int) -> None:
        """For so many threads."""
        self.size = size
        self.parts: list[list[NDArray[np.uint8]]] = [[] for _ in range(size)]
        self._changed = threading.Condition()
        self._arrived = self._times = 0
        self._left = False

    def wait(self) -> bool:
        """Returns once all are there; whether they are."""
        with self._changed:
            times = self._times
            self._arrived += 1
            if self._arrived == self.size:
                self._arrived = 0
                self._times += 1
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._times != times or self._left, SECONDS)
            return self._times != times

    def leave(self) -> None:
        """One thread will not come any more."""
        with self._changed:
            self._left = True
            self._changed.notify_all()


class ThreadComm(Exchange):
    """A rank among threads: parts are left in a list that all of them see."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        """One of the meeting's threads."""
        self._rank, self._meeting = rank, meeting

    @property
    def rank(self) -> int:
        """The number of this rank."""
        return self._rank

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self._meeting.size

    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Leaves the parts, and takes those for this rank."""
        self._meeting.parts[self._rank] = parts
        if self._meeting.wait():
            received = [parts[self._rank].copy() for parts in self._meeting.parts]
            if self._meeting.wait():
                return received
        raise CommError(self._rank, operation, "another rank is gone")


def outcomes(size: int, work: Callable[[ThreadComm], T]) -> list[T | BaseException]:
    """What `work` returns or raises at each rank. A rank that raises ends the exchanges of the others."""
    meeting = Meeting(size)
    found: list[T | BaseException] = [TimeoutError("the rank has not come to an end") for _ in range(size)]

    def run(rank: int) -> None:
        try:
            found[rank] = work(ThreadComm(rank, meeting))
        # What pytest fails with is no Exception.
        except BaseException as error:
            found[rank] = error
            meeting.leave()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return found


def results(size: int, work: Callable[[ThreadComm], T]) -> list[T]:
    """What `work` returns at each rank; an error of any rank is raised."""
    found: list[T] = []
    failed = []
    for outcome in outcomes(size, work):
        if isinstance(outcome, BaseException):
            failed.append(outcome)
        else:
            found.append(outcome)
    # That a rank waits no more is because of another's error.
    failed.sort(key=lambda error: isinstance(error, CommError))
    if failed:
        raise failed[0]
    return found


class Batch:
    """Lists of ids under keys."""

    def __init__(
        self,
        keys: Sequence[str],
        ids: dict[str, NDArray[np.int64]],
        lengths: dict[str, NDArray[np.int64]],
        weights: dict[str, NDArray[np.float32]] | None = None,
    ) -> None:
        """Ids, lengths and weights by key."""
        self.keys, self.ids, self.lengths, self.weights = list(keys), ids, lengths, weights
        self.examples = len(lengths[self.keys[0]])

    @staticmethod
    def draw(
        rng: np.random.Generator, rows: dict[str, int], examples: int, *, weighted: bool = False, longest: int = 4
    ) -> Batch:
        """Random lists, some ids of which come often; `rows` are those of each key."""
        keys = list(rows)
        lengths = {key: rng.integers(0, longest + 1, examples) for key in keys}
        # Half of them are few, which come often.
        ids = {
            key: np.where(
                rng.random(lengths[key].sum()) < 0.5,
                rng.integers(0, min(3, rows[key]), lengths[key].sum()),
                rng.integers(0, rows[key], lengths[key].sum()),
            )
            for key in keys
        }
        weights = None
        if weighted:
            # Some add up to nothing.
            weights = {key: rng.integers(-2, 4, len(ids[key])).astype(np.float32) / 2 for key in keys}
        return Batch(keys, ids, lengths, weights)

    @staticmethod
    def joined(batches: Sequence[Batch]) -> Batch:
        """The examples of the first, then those of the second, and so on."""
        keys = batches[0].keys
        weights = None
        if any(batch.weights is not None for batch in batches):
            each = [
                batch.weights or {key: np.ones(len(batch.ids[key]), np.float32) for key in keys} for batch in batches
            ]
            weights = {key: np.concatenate([own[key] for own in each]) for key in keys}
        return Batch(
            keys,
            {key: np.concatenate([batch.ids[key] for batch in batches]) for key in keys},
            {key: np.concatenate([batch.lengths[key] for batch in batches]) for key in keys},
            weights,
        )

    def arguments(self) -> tuple[list[str], NDArray[np.int64]]:
        """Keys and values."""
        return self.keys, np.concatenate([self.ids[key] for key in self.keys])

    def options(self) -> dict[str, Any]:
        """Lengths, and weights where there are any."""
        options = {"lengths": np.concatenate([self.lengths[key] for key in self.keys])}
        if self.weights is not None:
            options["weights"] = np.concatenate([self.weights[key] for key in self.keys])
        return options


def pooled_in_parts(
    table: NDArray[Any], starts: Sequence[int], batch: Batch, key: str, mode: str
) -> NDArray[np.float32]:
    """Pools a table whose rows are at several ranks: each rank's sum in the order of the rows, then the division."""
    ids, lengths = batch.ids[key], batch.lengths[key]
    weights = None if batch.weights is None else batch.weights[key]
    bags = np.repeat(np.arange(len(lengths)), lengths)
    divisors = np.ones(len(lengths), np.float32)
    if mode != "sum":
        for bag in range(len(lengths)):
            own = np.ones(lengths[bag], np.float32) if weights is None else weights[bags == bag]
            total = np.float32(0)
            for weight in own:
                total += weight if mode == "mean" else weight * weight
            divisors[bag] = total if mode == "mean" else np.sqrt(total)
    nothing = divisors == 0
    safe = np.where(nothing, np.float32(1), divisors)
    if weights is not None:
        weights = np.where(nothing[bags], np.float32(0), weights / safe[bags])
    out = np.zeros((len(lengths), table.shape[1]), np.float32)
    for start, end in zip(starts, [*starts[1:], len(table)], strict=True):
        own = (ids >= start) & (ids < end)
        counts = np.bincount(bags[own], minlength=len(lengths))
        out += hotrow.embedding_bag(
            np.ascontiguousarray(table[start:end]),
            ids[own] - start,
            lengths=counts,
            per_sample_weights=None if weights is None else weights[own],
        )
    if weights is None:
        out = out / safe[:, None]
    return np.where(nothing[:, None], np.float32(0), out)

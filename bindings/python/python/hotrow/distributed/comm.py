"""What the sharded collections ask of a transport, and what they raise."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffer", "Comm", "CommError", "Exchange", "LocalComm", "RankError", "as_bytes"]

Buffer: TypeAlias = bytes | bytearray | memoryview | NDArray[Any]
"""Bytes to send: an array's memory has to be contiguous."""


class CommError(RuntimeError):
    """An exchange between ranks failed or took too long; what was going on is lost, and the comm is of no more use."""

    def __init__(self, rank: int, operation: str, reason: str) -> None:
        """The rank that saw it, in which operation, and why."""
        super().__init__(rank, operation, reason)
        self.rank = rank
        self.operation = operation
        self.reason = reason

    def __str__(self) -> str:
        """One line."""
        return f"rank {self.rank}: {self.operation} failed: {self.reason}"


class RankError(RuntimeError):
    """Another rank refused what it was given, so no rank did anything; this one can go on with the next batch."""

    def __init__(self, rank: int, reason: str) -> None:
        """The rank that refused, and why."""
        super().__init__(rank, reason)
        self.rank = rank
        self.reason = reason

    def __str__(self) -> str:
        """One line."""
        return f"rank {self.rank} refused its batch: {self.reason}"


class Comm(Protocol):
    """A transport between `size` ranks. Every rank calls the same operations in the same order."""

    @property
    def rank(self) -> int:
        """The number of this rank, from 0."""

    @property
    def size(self) -> int:
        """The number of ranks."""

    def all_to_all(self, parts: Sequence[Buffer]) -> list[NDArray[np.uint8]]:
        """Sends `parts[d]` to rank `d`, and returns what each rank sent here; parts have any length, also 0.

        What is returned is writable, shares no memory with `parts`, and starts at no particular alignment.
        """

    def all_gather(self, item: Any) -> list[Any]:
        """The item of every rank, pickled on the way: for small objects, between ranks that trust each other."""

    def barrier(self) -> None:
        """Returns once every rank has called it."""


class Exchange(ABC):
    """A `Comm` for transports that only move bytes: the other operations are made of that one."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """The number of this rank, from 0."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of ranks."""

    @abstractmethod
    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Moves one part to each rank; an error names the operation that it was for."""

    def all_to_all(self, parts: Sequence[Buffer]) -> list[NDArray[np.uint8]]:
        """Sends `parts[d]` to rank `d`, and returns what each rank sent here."""
        if len(parts) != self.size:
            raise ValueError(f"all_to_all takes a part for each of {self.size} ranks, and was given {len(parts)}")
        return self.exchange("all_to_all", [as_bytes(part) for part in parts])

    def all_gather(self, item: Any) -> list[Any]:
        """The item of every rank."""
        own = as_bytes(pickle.dumps(item))
        return [pickle.loads(part.data) for part in self.exchange("all_gather", [own] * self.size)]

    def barrier(self) -> None:
        """Returns once every rank has called it."""
        self.exchange("barrier", [as_bytes(b"")] * self.size)


class LocalComm(Exchange):
    """The only rank of its world."""

    @property
    def rank(self) -> int:
        """0."""
        return 0

    @property
    def size(self) -> int:
        """1."""
        return 1

    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """A copy of the part: what is received shares no memory with what was sent."""
        return [part.copy() for part in parts]


def as_bytes(part: Buffer) -> NDArray[np.uint8]:
    """The memory of a buffer, without a copy."""
    if isinstance(part, np.ndarray):
        if not part.flags.c_contiguous:
            raise ValueError(f"a part has to be contiguous; strides {part.strides} of shape {part.shape} are not")
        return part.reshape(-1).view(np.uint8)
    return np.frombuffer(part, np.uint8)

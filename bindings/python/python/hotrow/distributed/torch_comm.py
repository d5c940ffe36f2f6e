"""Bytes over `torch.distributed`, by gloo."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from hotrow.distributed.comm import CommError, Exchange

__all__ = ["TorchComm"]


class TorchComm(Exchange):
    """The ranks of a group of `torch.distributed`, which has to be initialized.

    Without a group all ranks are meant, and have to come here together: a group over gloo is made for them, so that the
    default group may be of any backend. A group that is given has to have gloo. An operation that takes longer than
    `timeout` seconds fails, and so does every later one: then end the process, and start the job again.
    """

    def __init__(self, group: dist.ProcessGroup | None = None, timeout: float = 300.0) -> None:
        """For the ranks of the group."""
        self._timeout = timeout
        self._failed: str | None = None
        self._started: list[dist.Work | None] = []
        if group is None:
            group = self._world()
        if dist.get_backend(group) != "gloo":
            raise ValueError(f"TorchComm needs a group of the backend gloo, not {dist.get_backend(group)}")
        self._group = group
        self._rank, self._size = dist.get_rank(group), dist.get_world_size(group)

    def _world(self) -> dist.ProcessGroup | None:
        try:
            made = dist.new_group(backend="gloo", timeout=timedelta(seconds=self._timeout))
        except RuntimeError as error:
            raise CommError(dist.get_rank(), "making a group", reason(error)) from error
        return made if isinstance(made, dist.ProcessGroup) else None

    @property
    def rank(self) -> int:
        """The number of this rank in the group."""
        return self._rank

    @property
    def size(self) -> int:
        """The ranks of the group."""
        return self._size

    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Tells each rank the length of its part, then sends the parts from where they are."""
        if self._failed is not None:
            raise CommError(self.rank, operation, f"an earlier operation failed: {self._failed}")
        lengths = torch.tensor([len(part) for part in parts], dtype=torch.int64)
        expected = torch.empty_like(lengths)
        received: list[NDArray[np.uint8]] = []
        try:
            self._wait([dist.all_to_all_single(expected, lengths, group=self._group, async_op=True)])
            received += [np.empty(length, np.uint8) for length in expected.tolist()]
            received[self.rank][...] = parts[self.rank]
            self._wait([*self._receives(received), *self._sends(parts)])
        except RuntimeError as error:
            self._failed = reason(error)
            raise CommError(self.rank, operation, self._failed) from error
        return received

    def _receives(self, parts: list[NDArray[np.uint8]]) -> Iterator[dist.Work | None]:
        for rank, part in enumerate(parts):
            if rank != self.rank and len(part):
                yield dist.irecv(torch.from_numpy(part), group=self._group, group_src=rank)

    def _sends(self, parts: list[NDArray[np.uint8]]) -> Iterator[dist.Work | None]:
        for rank, part in enumerate(parts):
            if rank != self.rank and len(part):
                # PyTorch warns of memory that must not be written, though it only reads this.
                readable = part if part.flags.writeable else part.copy()
                yield dist.isend(torch.from_numpy(readable), group=self._group, group_dst=rank)

    def _wait(self, started: list[dist.Work | None]) -> None:
        # Kept if one of them fails: gloo may still write to its memory.
        self._started = started
        end = time.monotonic() + self._timeout
        for work in started:
            if work is not None:
                # No time at all would mean any time.
                work.wait(timedelta(seconds=max(end - time.monotonic(), 0.001)))
        self._started = []


def reason(error: RuntimeError) -> str:
    """What happened, without the place in gloo's sources before it, and advice and stack behind it."""
    line = re.sub(r"^\[\S*\] ", "", str(error).partition("\n")[0])
    return line.partition(". ")[0]

"""Bytes over MPI, by mpi4py."""

import time

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from hotrow.distributed.comm import CommError, Exchange

__all__ = ["MpiComm"]

QUESTIONS = 64
"""How often MPI is asked between two looks at the clock: messages only move while it is asked, some 64 KiB a time."""
SPIN = 0.002
"""Seconds of asking without a pause."""
PAUSE = 0.0001
"""Seconds of every later pause: a wait for a slow rank leaves the processor to others."""


class MpiComm(Exchange):
    """The ranks of an MPI communicator, by default of the world. All have to come here together: it is duplicated.

    An operation that takes longer than `timeout` seconds fails, and so does every later one. `mpiexec` ends all ranks
    when one of them is killed; where it does not, the others see the timeout. MPI does not let a process go whose peers
    are gone, so call `MPI.COMM_WORLD.Abort()` then, as `python -m mpi4py program.py` does at any exception.

    Collections with several `groups` call MPI from a thread of their own, never two at a time: it has to be initialized
    with `THREAD_SERIALIZED` or more, as mpi4py does unless it is told otherwise.
    """

    def __init__(self, comm: MPI.Intracomm | None = None, timeout: float = 300.0) -> None:
        """For the ranks of the communicator."""
        given = MPI.COMM_WORLD if comm is None else comm
        self._timeout = timeout
        self._failed: str | None = None
        self._rank, self._size = given.Get_rank(), given.Get_size()
        self._started: list[MPI.Request] = []
        self._comm, request = given.Idup()
        self._wait("duplicating the communicator", [request])

    @property
    def rank(self) -> int:
        """The number of this rank in the communicator."""
        return self._rank

    @property
    def size(self) -> int:
        """The ranks of the communicator."""
        return self._size

    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Tells each rank the length of its part, then sends the parts from where they are."""
        if self._failed is not None:
            raise CommError(self.rank, operation, f"an earlier operation failed: {self._failed}")
        lengths = np.array([len(part) for part in parts], np.int64)
        expected = np.empty_like(lengths)
        self._wait(operation, [self._comm.Ialltoall(lengths, expected)])
        received = [np.empty(length, np.uint8) for length in expected]
        received[self.rank][...] = parts[self.rank]
        others = [rank for rank in range(self.size) if rank != self.rank]
        started = [self._comm.Irecv(received[rank], rank) for rank in others if len(received[rank])]
        started += [self._comm.Isend(parts[rank], rank) for rank in others if len(parts[rank])]
        self._wait(operation, started)
        return received

    def _wait(self, operation: str, started: list[MPI.Request]) -> None:
        # Kept if one of them fails: MPI may still write to its memory.
        self._started = started
        start = time.monotonic()
        try:
            while not any(MPI.Request.Testall(started) for _ in range(QUESTIONS)):
                waited = time.monotonic() - start
                if waited > self._timeout:
                    raise TimeoutError(f"other ranks have not come within {self._timeout:g} seconds")
                time.sleep(0 if waited < SPIN else PAUSE)
        except (MPI.Exception, TimeoutError) as error:
            self._failed = str(error)
            raise CommError(self.rank, operation, self._failed) from error
        self._started = []

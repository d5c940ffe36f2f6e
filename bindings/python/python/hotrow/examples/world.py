"""The processes that take part in a program: this one alone, or those of torchrun, mpiexec or Ray."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed

import hotrow
from hotrow.distributed import Comm, LocalComm, TorchComm


@contextmanager
def joined(kind: str) -> Iterator[Comm]:
    """What lookups travel over. PyTorch's default group is there, too, where there are several processes."""
    # Ray Train has made it already, and ends it.
    given = torch.distributed.is_initialized()
    if kind == "mpi":
        # It needs mpi4py, which nobody else needs.
        from hotrow.distributed import MpiComm  # noqa: PLC0415

        comm: Comm = MpiComm()
        if comm.size > 1:
            address = comm.all_gather(_free_address())[0]
            torch.distributed.init_process_group("gloo", init_method=address, rank=comm.rank, world_size=comm.size)
    elif given or "WORLD_SIZE" in os.environ:
        if not given:
            torch.distributed.init_process_group("gloo")
        comm = TorchComm()
    else:
        comm = LocalComm()
    if comm.size > 1:
        # Several processes share the processors: what OMP_NUM_THREADS says of PyTorch's threads goes for hotrow's, too.
        hotrow.set_num_threads(torch.get_num_threads())
    yield comm
    if torch.distributed.is_initialized() and not given:
        torch.distributed.destroy_process_group()


def local_size(comm: Comm) -> int:
    """How many ranks this machine has: those that are named so next to each other."""
    names = comm.all_gather(socket.gethostname())
    return names.count(names[comm.rank])


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("", 0))
        return f"tcp://{socket.gethostname()}:{free.getsockname()[1]}"

"""The processes that take part in a program: this one alone, those of torchrun, or those of mpiexec."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed

from hotrow.distributed import Comm, LocalComm, MpiComm, TorchComm


@contextmanager
def joined(kind: str) -> Iterator[Comm]:
    """What lookups travel over. PyTorch's default group is there, too, where there are several processes."""
    if kind == "mpi":
        comm: Comm = MpiComm()
        if comm.size > 1:
            address = comm.all_gather(_free_address())[0]
            torch.distributed.init_process_group("gloo", init_method=address, rank=comm.rank, world_size=comm.size)
    elif "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group("gloo")
        comm = TorchComm()
    else:
        comm = LocalComm()
    yield comm
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def local_size(comm: Comm) -> int:
    """How many ranks this machine has: those that are named so next to each other."""
    names = comm.all_gather(socket.gethostname())
    return names.count(names[comm.rank])


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("", 0))
        return f"tcp://{socket.gethostname()}:{free.getsockname()[1]}"

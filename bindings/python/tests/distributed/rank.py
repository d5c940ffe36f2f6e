"""One rank of those that `ranks.outcomes` starts."""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import traceback
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import hotrow.distributed
from hotrow.distributed import Comm
from ranks import SECONDS, Outcome


def main(transport: str, folder: Path, size: int, rank: int, timeout: float) -> None:
    """Connects, calls the function, and writes down what became of it."""
    module, name, args = pickle.loads((folder / "call").read_bytes())
    try:
        comm = connect(transport, folder, size, rank, timeout)
        rank = comm.rank
        outcome = Outcome(getattr(import_module(module), name)(comm, *args), trace=None)
    except Exception as error:
        outcome = Outcome(error=error, trace=traceback.format_exc())
    # Under another name first: the file appears whole or not at all.
    written = folder / f"outcome-{rank}.part"
    written.write_bytes(dumps(outcome))
    written.rename(folder / f"outcome-{rank}")
    # The usual way out of MPI and of a process group leads through the other ranks, which may be gone.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def connect(transport: str, folder: Path, size: int, rank: int, timeout: float) -> Comm:
    """The transport's comm. A file is where the processes meet, so no port has to be free."""
    if transport == "mpi":
        return hotrow.distributed.MpiComm(timeout=timeout)
    dist = import_module("torch.distributed")
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    return hotrow.distributed.TorchComm(timeout=timeout)


def dumps(outcome: Outcome) -> bytes:
    """The outcome, with what cannot be pickled left out."""
    try:
        return pickle.dumps(outcome)
    except Exception:
        return pickle.dumps(Outcome(trace=outcome.trace or "what it returned cannot be pickled"))


if __name__ == "__main__":
    faulthandler.dump_traceback_later(SECONDS - 5, exit=True)
    transport, folder, size, rank, timeout = sys.argv[1:]
    main(transport, Path(folder), int(size), int(rank), float(timeout))

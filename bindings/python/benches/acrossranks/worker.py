"""One rank: `python -m acrossranks.worker FOLDER RANK`; what to do lies in the folder."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import timedelta
from pathlib import Path

import hotrow
import torch
import torch.distributed as dist
from hotrow.distributed import TorchComm


def main(folder: str, rank: str) -> None:
    """Joins the others, does its share, and leaves what rank 0 has found in the folder."""
    call = json.loads((Path(folder) / "call.json").read_text())
    torch.set_num_threads(1)
    hotrow.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=int(rank),
        world_size=call["ranks"],
        timeout=timedelta(seconds=call["timeout"]),
    )
    comm = TorchComm(timeout=call["timeout"])
    found = importlib.import_module(f"acrossranks.parts.{call['part']}").run(comm, **call["options"])
    if comm.rank == 0:
        (Path(folder) / "found.json").write_text(json.dumps(found))
    comm.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Measures exchanges between the ranks that there are, which the model takes for those of larger worlds.

    torchrun --standalone --nproc-per-node 4 -m hotrow.distributed.simulate.network

It prints the options that `python -m hotrow.distributed.simulate` has for them: those within a node where all ranks are
on one, those between nodes where each rank has a node of its own.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

import numpy as np

from hotrow.distributed import Comm
from hotrow.distributed.simulate.cluster import Cluster

__all__ = ["measure_network"]

_WARM = 3


def measure_network(comm: Comm, bytes_of_part: int = 4 << 20, rounds: int = 20) -> Cluster:
    """A cluster whose ranks exchange as fast as these do; every rank has to call it, and gets the same.

    The work for each message cannot be told from the time on the way by one number of ranks: it stays as it is by
    default, and the rest is latency.
    """
    nodes = len(set(comm.all_gather(socket.gethostname())))
    if comm.size == 1 or nodes not in (1, comm.size):
        raise ValueError(
            f"it takes 2 ranks or more, all on one node or each on its own: there are {comm.size} on {nodes}"
        )
    # What the slowest rank sees is what all of them wait for.
    short, long = (max(comm.all_gather(_seconds(comm, part, rounds))) for part in (0, bytes_of_part))
    latency = max(short / 2 - (comm.size - 1) * Cluster.overhead, 0.0)
    sent = (comm.size - 1) * bytes_of_part * (comm.size if nodes == 1 else 1)
    bandwidth = sent / max(long - short, 1e-9)
    if nodes == 1:
        return Cluster(ranks_per_node=comm.size, local_latency=latency, local_bandwidth=bandwidth)
    return Cluster(ranks_per_node=1, latency=latency, bandwidth=bandwidth)


def _seconds(comm: Comm, bytes_of_part: int, rounds: int) -> float:
    """Of an exchange: the median."""
    parts = [np.zeros(bytes_of_part, np.uint8)] * comm.size
    times = []
    for _ in range(_WARM + rounds):
        comm.barrier()
        begin = time.perf_counter()
        comm.all_to_all(parts)
        times.append(time.perf_counter() - begin)
    return float(np.median(times[_WARM:]))


def options(cluster: Cluster) -> Sequence[str]:
    """What to give the command for such a cluster."""
    if cluster.ranks_per_node == 1:
        names, latency, bandwidth = ("--latency", "--bandwidth"), cluster.latency, cluster.bandwidth
    else:
        names = ("--local-latency", "--local-bandwidth")
        latency, bandwidth = cluster.local_latency, cluster.local_bandwidth
    return [
        *["--per-node", str(cluster.ranks_per_node)],
        *[names[0], f"{latency * 1e6:.3g}", names[1], f"{bandwidth * 8e-9:.3g}"],
    ]


def main() -> None:
    """Measures under torchrun."""
    import torch.distributed  # noqa: PLC0415

    from hotrow.distributed import TorchComm  # noqa: PLC0415

    torch.distributed.init_process_group("gloo")
    comm = TorchComm()
    found = options(measure_network(comm))
    if comm.rank == 0:
        print(*found)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()

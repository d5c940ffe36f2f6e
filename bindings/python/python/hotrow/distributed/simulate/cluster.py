"""The machines and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes with one network interface each, which sends and receives at the same time."""

    ranks_per_node: int = 8
    """Consecutive ranks share a node."""
    latency: float = 30e-6
    """Seconds until the first byte arrives at another node."""
    local_latency: float = 10e-6
    """The same between ranks of one node."""
    overhead: float = 2e-6
    """Seconds that a rank works for each message, however short."""
    bandwidth: float = 25e9 / 8
    """Bytes a second of a node's interface, each way."""
    local_bandwidth: float = 4e9
    """Bytes a second between the ranks of a node, all of them together."""
    threads_per_rank: int = 0
    """How many threads a rank works with; 0 for as many as the costs were measured with."""
    cores_per_node: int | None = None
    """Where there are fewer than the ranks' threads, these take turns. By default there are enough."""

    def exchange(self, parts: NDArray[np.float64]) -> float:
        """Seconds of an exchange in which each rank sends `parts[d]` bytes to rank `d`, or gets as many from it.

        The two are alike: what leaves a node in one enters it in the other. Lengths travel before the bytes.
        """
        ranks = len(parts)
        if ranks == 1:
            return 0.0
        local = min(self.ranks_per_node, ranks)
        of_node = np.add.reduceat(parts, np.arange(0, ranks, local))
        out, into = local * (parts.sum() - of_node), (ranks - local) * of_node
        between = max(out.max(), into.max()) / self.bandwidth
        within = (local - 1) * of_node.max() / self.local_bandwidth
        latency = self.latency if ranks > local else self.local_latency
        return float(2 * (latency + (ranks - 1) * self.overhead) + between + within)

    def slowdown(self, ranks: int, measured: int) -> float:
        """How many times as long a rank works as one of `measured` threads that each have a core.

        Work is taken to be shared out evenly among threads.
        """
        threads = self.threads_per_rank or measured
        running = min(ranks, self.ranks_per_node) * threads
        cores = self.cores_per_node or running
        return measured / threads * max(1.0, running / cores)

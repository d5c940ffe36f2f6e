"""What is measured of a network is what an exchange is then predicted to take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hotrow.distributed import LocalComm
from hotrow.distributed.comm import Exchange
from hotrow.distributed.simulate import network
from hotrow.distributed.simulate.options import parse
from numpy.typing import NDArray

LATENCY, BYTE = 2e-3, 4e-9


class _Slow(Exchange):
    """A world whose ranks are all alike, and whose exchanges take known times on a clock of its own."""

    def __init__(self, nodes: int) -> None:
        self.nodes, self.now = nodes, 0.0

    @property
    def rank(self) -> int:
        return 0

    @property
    def size(self) -> int:
        return 4

    def perf_counter(self) -> float:
        return self.now

    def exchange(self, operation: str, parts: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        if operation == "all_to_all":
            self.now += LATENCY + BYTE * sum(map(len, parts))
        return parts

    def all_gather(self, item: Any) -> list[Any]:
        return list("abcd"[: self.nodes] * (4 // self.nodes)) if isinstance(item, str) else [item] * 4


@pytest.mark.thread_unsafe
@pytest.mark.parametrize("nodes", [1, 4])
def test_what_is_measured_is_predicted(nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    comm = _Slow(nodes)
    monkeypatch.setattr(network, "time", comm)
    found = network.measure_network(comm)
    assert found.ranks_per_node == 4 // nodes
    for part in (0.0, 1e3, 1e6):
        parts = np.full(4, part)
        assert found.exchange(parts) == pytest.approx(LATENCY + BYTE * 4 * part)
        # As options they come back as they were, but for digits.
        again = parse([*network.options(found), "--ranks", "1"]).cluster
        assert again.exchange(parts) == pytest.approx(found.exchange(parts), rel=0.01)


def test_nodes_of_several_ranks_each_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 4 on 2"):
        network.measure_network(_Slow(2))


def test_one_rank_has_no_network() -> None:
    with pytest.raises(ValueError, match="2 ranks or more"):
        network.measure_network(LocalComm())

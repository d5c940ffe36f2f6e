"""One way to do a workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from sidebyside.data import Data

ALLOCATED = "allocated"
"""The result is a new array from each call."""
OUT = "out"
"""The result goes into an array that is given."""
IN_PLACE = "in place"
"""The table changes, and nothing is returned but what a layer's forward gives."""

Call = Callable[[], Any]


@dataclass(frozen=True)
class Contender:
    """A library's function on the batches of a workload."""

    library: str
    name: str
    variant: str
    calls: Sequence[Call]
    """One a batch: does the whole work, and returns its result or nothing."""
    result: Callable[[Any], npt.NDArray[Any]]
    """The result of a call, or the rows that it changed, as an array to compare."""


class Peer(Protocol):
    """A module of `peers`."""

    def start(self, threads: int) -> dict[str, str]:
        """Imports the library, sets its threads, and returns versions by name."""

    def contenders(self, data: Data) -> Iterator[Contender]:
        """The library's ways to do a workload."""

"""What a batch looks up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from hotrow import Optimizer


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A step's batch, and how it is trained."""

    batch: int
    """Examples of each rank."""
    global_batch: int | None = None
    """Examples of all ranks together: then `of` says how many a rank has."""
    lookups: Mapping[str, float]
    """By table: ids that an example looks up, in all of the table's features together."""
    skew: float = 1.05
    """How popular the popular ids are, by Zipf's law; 0 where all are alike."""
    optimizer: str = "adagrad"
    """The rule that the tables are trained by."""
    wire_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """What vectors travel as."""
    deduplicate: bool = True
    """Whether ids may travel as distinct ones and an index."""
    dense: float = 0.0
    """Seconds of everything else in a step, such as dense layers and their gradients' exchange."""

    def of(self, ranks: int) -> Workload:
        """The same on so many ranks."""
        return self if self.global_batch is None else replace(self, batch=self.global_batch // ranks)

    @property
    def wire_bytes(self) -> int:
        """Bytes of a value that travels."""
        return 4 if self.wire_dtype == "float32" else 2


@lru_cache(maxsize=256)
def state_bytes(rule: str, dim: int) -> int:
    """Bytes of the optimizer's state for a row.

    >>> state_bytes("adagrad", 16), state_bytes("rowwise_adagrad", 16)
    (64, 4)
    """
    return sum(state.nbytes for state in Optimizer(rule, 1, dim).state().values())

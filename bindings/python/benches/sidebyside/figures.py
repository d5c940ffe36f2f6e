"""The figures that hotrow is to reach through Python with two threads, and those that a run did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sidebyside.contender import ALLOCATED, IN_PLACE, OUT
from sidebyside.record import OURS, Result, Run


@dataclass(frozen=True)
class Figure:
    """At least so many times as fast as a contender, or as the fastest of the peers."""

    workload: str
    variant: str
    at_least: float
    library: str = ""
    contender: str = ""

    @property
    def against(self) -> str:
        """Who it is compared with."""
        return f"{self.library} {self.contender}" if self.library else "the fastest"


FIGURES = [
    Figure("gather-f32-uniform", ALLOCATED, 3.0, "torch", "F.embedding"),
    Figure("gather-f32-uniform", ALLOCATED, 1.15, "tensorflow", "tf.gather"),
    Figure("gather-f32-uniform", OUT, 1.4, "torch", "index_select(out=)"),
    Figure("gather-f32-cached", ALLOCATED, 1.0),
    Figure("gather-f32-cached", OUT, 1.0),
    Figure("gather-bf16-uniform", ALLOCATED, 1.3),
    Figure("gather-bf16-uniform", OUT, 1.3),
    Figure("bag-f32-uniform", ALLOCATED, 1.0, "torch", "F.embedding_bag"),
    Figure("bag-f32-uniform", ALLOCATED, 3.0, "fbgemm", "TBE"),
    Figure("bag-f16-uniform", ALLOCATED, 1.0, "torch", "F.embedding_bag"),
    Figure("bag-f16-uniform", ALLOCATED, 3.0, "fbgemm", "TBE"),
    Figure("bag-bf16-uniform", ALLOCATED, 1.0, "torch", "F.embedding_bag"),
    Figure("bag-f32-padding", ALLOCATED, 1.5),
    Figure("bag-bf16-to-f32", ALLOCATED, 1.5),
    Figure("scatter-f32-uniform", IN_PLACE, 1.6, "torch", "index_add_"),
    Figure("scatter-f32-zipf", IN_PLACE, 1.4, "torch", "index_add_"),
    Figure("train-rowwise-adagrad", IN_PLACE, 8.0),
    Figure("train-adagrad", IN_PLACE, 8.0),
    Figure("train-adam", IN_PLACE, 8.0),
    Figure("train-sgd", IN_PLACE, 2.5),
    Figure("train-sequence-sgd", IN_PLACE, 20.0, "fbgemm", "TBE"),
    Figure("train-sequence-sgd", IN_PLACE, 3.0, "torch", "sparse, SGD"),
    Figure("gather-f32-one", ALLOCATED, 1.0, "torch", "F.embedding"),
    Figure("gather-f32-one", ALLOCATED, 1.0, "numpy", "take"),
    Figure("gather-f32-request", ALLOCATED, 1.0, "torch", "F.embedding"),
    Figure("gather-f32-request", ALLOCATED, 1.0, "numpy", "take"),
]


@dataclass(frozen=True)
class Reached:
    """A figure in a run. Without a peer or without hotrow there is no ratio."""

    figure: Figure
    peer: Result | None
    ratio: float | None
    torch_ratio: float | None
    """The same of `hotrow.torch`, where it was measured."""

    @property
    def met(self) -> bool | None:
        """Whether it was reached, as far as the run tells."""
        return None if self.ratio is None else self.ratio >= self.figure.at_least

    def row(self) -> dict[str, Any]:
        """For the record."""
        figure = self.figure
        return {
            "workload": figure.workload,
            "variant": figure.variant,
            "against": figure.against,
            "peer": None if self.peer is None else f"{self.peer.library} {self.peer.contender}",
            "asked": figure.at_least,
            "reached": self.ratio,
            "reached_hotrow_torch": self.torch_ratio,
            "met": self.met,
        }


def reached(run: Run) -> list[Reached]:
    """All figures."""
    return [_reached(run, figure) for figure in FIGURES]


def _reached(run: Run, figure: Figure) -> Reached:
    contenders = run.of(figure.workload, figure.variant)
    peers = [each for each in contenders if each.library not in OURS]
    if figure.library:
        peers = [each for each in peers if (each.library, each.contender) == (figure.library, figure.contender)]
    if not peers:
        return Reached(figure, None, None, None)
    peer = peers[0]
    ratios = {each.library: peer.ms_median / each.ms_median for each in contenders if each.library in OURS}
    return Reached(figure, peer, ratios.get("hotrow"), ratios.get("hotrow.torch"))

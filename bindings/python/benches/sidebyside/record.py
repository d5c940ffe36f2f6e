"""A run: its results, and what they were made with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OWN = "hotrow"
"""The library whose NumPy interface all others are compared with."""
OURS = ("hotrow", "hotrow.torch")


@dataclass(frozen=True)
class Result:
    """Milliseconds of one contender's calls."""

    workload: str
    variant: str
    library: str
    contender: str
    ms_median: float
    ms_min: float
    ms_max: float
    repetitions: int


@dataclass(frozen=True)
class LeftOut:
    """What was not measured, and why."""

    workload: str
    library: str
    reason: str


@dataclass
class Run:
    """Everything that `--json` writes."""

    command: str
    date: str
    threads: int
    quick: bool
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def of(self, workload: str, variant: str) -> list[Result]:
        """All contenders of a workload, the fastest first."""
        found = [each for each in self.results if (each.workload, each.variant) == (workload, variant)]
        return sorted(found, key=lambda each: each.ms_median)

    def groups(self) -> list[tuple[str, str]]:
        """Workloads and variants, in the order in which they were measured."""
        return list(dict.fromkeys((each.workload, each.variant) for each in self.results))

    def own(self, workload: str, variant: str) -> Result | None:
        """Hotrow's result."""
        return next((each for each in self.of(workload, variant) if each.library == OWN), None)

    def save(self, path: Path, figures: list[dict[str, Any]]) -> None:
        """Writes it, and the figures that were reached."""
        path.write_text(json.dumps({"schema": 1, **asdict(self), "figures": figures}, indent=1) + "\n")


def load(path: Path) -> Run:
    """A run that was saved."""
    kept = json.loads(path.read_text())
    kept = {name: value for name, value in kept.items() if name not in ("schema", "figures")}
    kept["results"] = [Result(**each) for each in kept["results"]]
    kept["left_out"] = [LeftOut(**each) for each in kept["left_out"]]
    return Run(**kept)

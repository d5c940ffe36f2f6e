"""What a run has found, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Table:
    """What one world of ranks has found: rows that have the same fields."""

    part: str
    title: str
    rows: list[dict[str, Any]]


@dataclass
class LeftOut:
    """What was not measured, and why."""

    part: str
    title: str
    reason: str


@dataclass
class Run:
    """Everything that `--json` writes."""

    command: str
    date: str
    quick: bool
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes it."""
        path.write_text(json.dumps({"schema": 1, **asdict(self)}, indent=1) + "\n")


def load(path: Path) -> Run:
    """A run that was saved."""
    kept = {name: value for name, value in json.loads(path.read_text()).items() if name != "schema"}
    kept["tables"] = [Table(**each) for each in kept["tables"]]
    kept["left_out"] = [LeftOut(**each) for each in kept["left_out"]]
    return Run(**kept)

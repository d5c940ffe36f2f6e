"""What the engine's work costs on one rank."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds for each of what a step consists of, and where they come from."""

    row: float
    """A row that is looked up."""
    row_byte: float
    """Each byte of it, at four a value."""
    bag: float
    """A bag that is pooled."""
    bag_byte: float
    """Each byte of the vector that it becomes."""
    step_row: float
    """A row's gradient that is summed and stepped by."""
    step_byte: float
    """Each byte of it."""
    route: float
    """An id that is checked, written into a message, and read."""
    route_distinct: float
    """The same where ids are looked at for doubles."""
    byte: float
    """A byte of a message that is written or read."""
    call: float
    """A step, however small its batch: what calling takes, and Python's part in it."""
    threads: int
    """How many threads took that long."""
    source: str
    """The machine that they were measured on, or who says so."""

    def looking_up(self, ids: float, bags: float, row_bytes: float) -> float:
        """Seconds of the rows of so many ids, pooled into so many bags."""
        return ids * (self.row + row_bytes * self.row_byte) + bags * (self.bag + row_bytes * self.bag_byte)

    def stepping(self, ids: float, row_bytes: float) -> float:
        """Seconds of a step by the gradients of so many ids."""
        return ids * (self.step_row + row_bytes * self.step_byte)

    def save(self, path: str | Path) -> None:
        """Writes a file that `load` reads."""
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> Costs:
        """Reads what `save` wrote, or what was written by hand."""
        given: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        names = {each.name for each in fields(Costs)}
        if given.keys() != names:
            raise ValueError(f"{path}: costs are {', '.join(sorted(names))}, and not {', '.join(sorted(given))}")
        for name, value in given.items():
            if name != "source" and (not isinstance(value, int | float) or not value >= 0):
                raise ValueError(f"{path}: {name} is a number of seconds, 0 or more, and not {value!r}")
        return Costs(**given)

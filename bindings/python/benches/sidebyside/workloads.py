"""What is measured: the lists of workloads, whose fields `hotrow bench --help` explains.

Ours has one field more: `padding`, the share of the ids that are 0 and stand for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Workload:
    """One workload."""

    name: str
    op: str
    rows: int
    dim: int
    dtype: str
    ids: int = 0
    tables: int = 1
    bags: int = 0
    bag_len: tuple[int, ...] = ()
    pooling: str = "none"
    weighted: bool = False
    padding: float = 0.0
    optimizer: str = ""
    id_dtype: str = "i64"
    out_dtype: str = ""
    dist: Any = "uniform"
    threads: int | None = None
    against: str = ""

    @property
    def pooled(self) -> bool:
        """Whether ids come in bags."""
        return self.bags > 0

    @property
    def mutates(self) -> bool:
        """Whether the table changes."""
        return self.op in ("scatter_add", "train_step")

    def ids_of(self, table: int) -> int:
        """How many ids a call looks up in a table."""
        return self.bags * self.bag_len[table] if self.pooled else self.ids

    @property
    def total_ids(self) -> int:
        """How many ids a call looks up in all tables."""
        return sum(self.ids_of(table) for table in range(self.tables))

    def quick(self) -> Workload:
        """A sixteenth of it, for a run that is to end soon."""

        def less(count: int, least: int) -> int:
            return min(count, max(count // 16, least))

        return replace(self, rows=less(self.rows, 10_000), ids=less(self.ids, 256), bags=less(self.bags, 8))


_FIELDS = {each.name for each in fields(Workload)} - {"bag_len"}


def _of(given: dict[str, Any], path: Path) -> Workload:
    known = {name: given[name] for name in _FIELDS if name in given}
    unknown = given.keys() - _FIELDS - {"bag_len", "level"}
    if unknown:
        raise ValueError(f"{path.name}: {given.get('name')}: no workload has {', '.join(sorted(unknown))}")
    lengths = given.get("bag_len", 0)
    tables = given.get("tables", 1)
    known["bag_len"] = tuple(lengths) if isinstance(lengths, list) else (lengths,) * tables
    if given.get("bags") and len(known["bag_len"]) != tables:
        raise ValueError(
            f"{path.name}: {given['name']}: bag_len must be one number, or one for each of the {tables} tables"
        )
    return Workload(**known)


def load(paths: tuple[Path, ...]) -> list[Workload]:
    """The workloads of all lists."""
    return [_of(given, path) for path in paths for given in json.loads(path.read_text())["workloads"]]

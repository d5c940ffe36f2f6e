"""What the engine's work costs on one rank with one thread, for `prediction`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hotrow.distributed import Comm
from hotrow.distributed.simulate.measure import measure


def run(comm: Comm, rule: str, quick: bool) -> dict[str, Any]:
    """As `python -m hotrow.distributed.simulate --measure` finds it."""
    found = measure(rule, table_bytes=1 << 20, ids=1 << 12, rounds=3) if quick else measure(rule)
    return asdict(found)

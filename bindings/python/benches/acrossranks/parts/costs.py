"""What the engine's work costs on a rank with one thread, for `prediction`."""

from __future__ import annotations

from dataclasses import asdict
from statistics import mean
from typing import Any

from hotrow.distributed import Comm
from hotrow.distributed.simulate.measure import measure


def run(comm: Comm, rule: str, quick: bool) -> dict[str, Any]:
    """As `python -m hotrow.distributed.simulate --measure` finds it, at all ranks at once: these share the memory."""
    found = measure(rule, table_bytes=1 << 20, ids=1 << 12, rounds=3) if quick else measure(rule)
    every = comm.all_gather(asdict(found))
    return {
        name: value if name in ("threads", "source") else mean(each[name] for each in every)
        for name, value in every[0].items()
    }

"""Costs to start from: those of another machine differ."""

from __future__ import annotations

from hotrow.distributed.simulate.costs import Costs

__all__ = ["RECORDED"]

RECORDED = Costs(
    row=4e-9,
    row_byte=1.5e-10,
    bag=4e-9,
    bag_byte=2.1e-10,
    step_row=2e-8,
    step_byte=5e-10,
    route=5e-9,
    route_distinct=1e-8,
    byte=2.5e-10,
    call=1e-4,
    threads=2,
    source="adagrad on a busy Intel Xeon (2 cores); those of messages and calls are estimates",
)

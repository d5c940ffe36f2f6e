"""Costs to start from: those of another machine differ."""

from __future__ import annotations

from hotrow.distributed.simulate.costs import Costs

__all__ = ["RECORDED"]

RECORDED = Costs(
    row=4.6e-9,
    row_byte=8.0e-11,
    bag=3.1e-9,
    bag_byte=5.2e-11,
    step_row=2.7e-8,
    step_byte=1.8e-10,
    route=5.8e-9,
    route_distinct=1.1e-8,
    byte=2.7e-10,
    call=7.2e-5,
    threads=2,
    source="measured with adagrad on two cores of an Intel Xeon (Sapphire Rapids)",
)

"""All parts, one after the other."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import Any, get_args

from hotrow.distributed import Kind
from sidebyside import machine

from acrossranks import record, report
from acrossranks.arguments import Options
from acrossranks.launch import PartError, launch
from acrossranks.record import LeftOut, Run, Table

_WORKLOAD, _RULE = "train-tbe-default", "rowwise_adagrad"
"""What is trained, and its optimizer."""
_SENT, _ZIPF = ("train-tbe-default", "bag-f32-zipf"), 1.05
"""The workloads whose bytes are counted, and the law of their ids."""
_NETWORK = 1.25e8
"""Bytes a second of a rank's network that is slow."""
_PACKAGES = ("numpy", "torch", "torchrec", "fbgemm-gpu-cpu", "tensordict")


@dataclass(frozen=True)
class World:
    """Ranks to start, and what they are told."""

    part: str
    title: str
    ranks: int
    options: dict[str, Any] = field(default_factory=dict)


def run(options: Options) -> int:
    """Measures, or reads what was measured, and shows it. Returns the exit status."""
    if options.kept:
        made = record.load(options.kept)
        print("\n\n".join([report.header(made), *(report.table(made, each) for each in made.tables)]))
        print(report.left_out(made.left_out))
        return 0
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    made = Run(options.command, now, options.quick, machine.describe(), _versions())
    print(report.header(made), flush=True)
    for world in _worlds(options, made):
        rows = _measured(world, options, made)
        if rows is not None:
            made.tables.append(Table(world.part, world.title, rows))
            print(f"\n{report.table(made, made.tables[-1])}", flush=True)
    if options.json:
        made.save(options.json)
    return 1 if made.left_out else 0


def _measured(world: World, options: Options, made: Run) -> Any:
    """What rank 0 has found, or nothing: then the reason is noted."""
    try:
        return launch(world.part, world.ranks, options.timeout, quick=options.quick, **world.options)
    except PartError as error:
        made.left_out.append(LeftOut(world.part, world.title, str(error)))
        print(f"\n{report.left_out(made.left_out[-1:])}", file=sys.stderr, flush=True)
        return None


def _worlds(options: Options, made: Run) -> Iterator[World]:
    """Everything that is asked for."""
    name = {"name": _WORKLOAD}
    if "overhead" in options.parts:
        yield World("overhead", f"{_WORKLOAD}, table_wise", 2, name)
    if "overlap" in options.parts:
        network = {"bytes_per_second": _NETWORK}
        yield World("overlap", f"{_WORKLOAD}, table_wise", 2, {**name, **network})
    if "bytes" in options.parts:
        given = {"names": _SENT, "kinds": ("table_wise", "row_wise"), "zipf": _ZIPF}
        for ranks in (2, 4):
            yield World("bytes", f"MB of a step, ids of Zipf's law ({_ZIPF}), {ranks} ranks", ranks, given)
    if "torchrec" in options.parts:
        for kind, rule in product(("table_wise", "column_wise"), (_RULE, "adagrad")):
            yield World("torchrec", f"{_WORKLOAD}, {kind}, {rule}", 2, {**name, "kind": kind, "rule": rule})
    if "prediction" in options.parts:
        costs = _measured(World("costs", "costs of a rank", 2, {"rule": _RULE}), options, made)
        for ranks, kind in product((2, 4), get_args(Kind)):
            # All ranks are on one node, where this one is the same as row_wise.
            if costs is not None and kind != "table_row_wise":
                title = f"{_WORKLOAD}, {kind}, {ranks} ranks"
                yield World("prediction", title, ranks, {**name, "kind": kind, "costs": costs})


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found

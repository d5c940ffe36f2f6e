"""All parts, one after the other."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sidebyside import machine

from acrossranks import record, report
from acrossranks.arguments import Options
from acrossranks.launch import PartError, launch
from acrossranks.record import LeftOut, Run, Table

_WORKLOAD = "train-tbe-default"
_PACKAGES = ("numpy", "torch", "torchrec", "fbgemm-gpu-cpu", "tensordict")


def run(options: Options) -> int:
    """Measures, or reads what was measured, and shows it. Returns the exit status."""
    if options.kept:
        made = record.load(options.kept)
        print(report.header(made))
        for table in made.tables:
            print(f"\n{report.table(made, table)}")
        print(report.left_out(made))
        return 0
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    made = Run(options.command, now, options.quick, machine.describe(), _versions())
    print(report.header(made), flush=True)
    for part, title, ranks, given in _worlds(options):
        try:
            found = Table(part, title, launch(part, ranks, options.timeout, quick=options.quick, **given))
        except PartError as error:
            made.left_out.append(LeftOut(part, title, str(error)))
            print(f"\nleft out: {part}, {title}: {error}", file=sys.stderr, flush=True)
            continue
        made.tables.append(found)
        print(f"\n{report.table(made, found)}", flush=True)
    if options.json:
        made.save(options.json)
    return 1 if made.left_out else 0


def _worlds(options: Options) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """What to start: the part, what its table is called, how many ranks, and what else they are told."""
    if "overhead" in options.parts:
        yield "overhead", f"{_WORKLOAD}, table_wise", 2, {"name": _WORKLOAD}
    if "torchrec" in options.parts:
        for kind in ("table_wise", "column_wise"):
            for rule in ("rowwise_adagrad", "adagrad"):
                given = {"name": _WORKLOAD, "kind": kind, "rule": rule}
                yield "torchrec", f"{_WORKLOAD}, {kind}, {rule}", 2, given


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found

"""All workloads, one after the other."""

from __future__ import annotations

import datetime
import gc
import importlib
import sys
from types import ModuleType

from sidebyside import chart, figures, machine, record, report
from sidebyside.arguments import Options
from sidebyside.check import difference, expected
from sidebyside.contender import Contender
from sidebyside.data import Data
from sidebyside.progress import Progress
from sidebyside.record import LeftOut, Result, Run
from sidebyside.timing import measure
from sidebyside.workloads import Workload, load

# Which modules of `peers` belong to a name on the command line. hotrow's own come first.
_MODULES = {
    "hotrow": ("hotrow_numpy",),
    "torch": ("pytorch", "hotrow_torch"),
    "numpy": ("numpy_peer",),
    "fbgemm": ("fbgemm",),
    "tensorflow": ("tensorflow_peer",),
    "jax": ("jax_peer",),
}


def run(options: Options) -> int:
    """Measures, or reads what was measured, and shows it. Returns the exit status."""
    made = record.load(options.kept) if options.kept else _measure(options)
    if made is None:
        return 1
    if options.kept:
        print(report.header(made))
        for group in made.groups():
            print(f"\n{report.group(made, *group)}")
    print(f"\n{report.asked(made)}")
    if options.json:
        made.save(options.json, [each.row() for each in figures.reached(made)])
    if options.plot:
        for path in chart.draw(made, options.plot):
            print(f"drawn: {path}")
    return 0


def _measure(options: Options) -> Run | None:
    workloads = [each for each in load(options.workloads) if options.filter.search(each.name)]
    if not workloads:
        print(f"no workload's name matches {options.filter.pattern!r}", file=sys.stderr)
        return None
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    made = Run(options.command, now, options.threads, options.quick)
    progress = Progress()
    peers = _start(options, made, progress)
    made.machine = machine.describe()
    progress.clear()
    print(report.header(made))
    if made.left_out:
        print(report.left_out(made.left_out))
    try:
        for number, given in enumerate(workloads, 1):
            workload = given.quick() if options.quick else given
            progress.prefix = f"[{number}/{len(workloads)}] {workload.name}: "
            before = len(made.left_out)
            if workload.threads not in (None, options.threads):
                made.left_out.append(LeftOut(workload.name, "all", f"is for --threads {workload.threads}"))
            else:
                _one(workload, peers, made, options.quick, progress)
            progress.clear()
            _show(made, workload.name, before)
    except KeyboardInterrupt:
        # What has been measured is worth keeping.
        progress.clear()
        made.left_out.append(LeftOut("", "all", f"stopped in {workload.name}"))
        print(report.left_out(made.left_out[-1:]))
    return made


def _show(made: Run, workload: str, left_out_before: int) -> None:
    for name, variant in made.groups():
        if name == workload:
            print(f"\n{report.group(made, name, variant)}", flush=True)
    if len(made.left_out) > left_out_before:
        print(report.left_out(made.left_out[left_out_before:]), flush=True)


def _start(options: Options, made: Run, progress: Progress) -> list[ModuleType]:
    started = []
    for name, modules in _MODULES.items():
        if name != "hotrow" and name not in options.peers:
            continue
        for module in modules:
            progress(f"importing {name}")
            try:
                peer = importlib.import_module(f"sidebyside.peers.{module}")
                made.versions.update(peer.start(options.threads))
                started.append(peer)
            # Whatever keeps a library from starting here is a reason to go on without it.
            except Exception as error:
                made.left_out.append(LeftOut("", name, _reason(error)))
    return started


def _reason(error: BaseException) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0][:200] if first else ''}"


def _one(workload: Workload, peers: list[ModuleType], made: Run, quick: bool, progress: Progress) -> None:
    progress("drawing tables and ids")
    data = Data(workload)
    wanted = expected(data)
    right: list[Contender] = []
    for peer in peers:
        progress(f"checking {peer.LIBRARY}")
        # A peer copies the tables as they are at first, if it keeps its own.
        data.reset()
        try:
            for contender in peer.contenders(data):
                data.reset()
                wrong = difference(data, wanted, contender.result(contender.calls[0]()))
                if wrong is None:
                    right.append(contender)
                else:
                    made.left_out.append(LeftOut(workload.name, peer.LIBRARY, f"{contender.name} {wrong}"))
        except Exception as error:
            made.left_out.append(LeftOut(workload.name, peer.LIBRARY, _reason(error)))
    for variant in dict.fromkeys(each.variant for each in right):
        contenders = [each for each in right if each.variant == variant]
        for contender, times in zip(contenders, measure(contenders, quick=quick, progress=progress), strict=True):
            if isinstance(times, Exception):
                made.left_out.append(LeftOut(workload.name, contender.library, f"{contender.name}: {_reason(times)}"))
                continue
            milliseconds = (times.median * 1e3, times.least * 1e3, times.greatest * 1e3)
            made.results.append(
                Result(
                    workload.name,
                    variant,
                    contender.library,
                    contender.name,
                    *milliseconds,
                    repetitions=times.repetitions,
                )
            )
    # Gigabytes, held by cycles in some libraries' objects.
    del data, right
    gc.collect()

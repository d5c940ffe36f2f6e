"""The command line."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

PEERS = ("numpy", "torch", "fbgemm", "tensorflow", "jax")

_EXAMPLES = """\
examples:
  peers.py                                        everything, with as many threads as there are cores
  peers.py --filter '^gather-f32-(uniform|one)$'  two workloads
  peers.py --filter train --peers torch,fbgemm    training steps, against two libraries
  peers.py --quick                                does it work here? small tables, few repetitions
  peers.py --threads 2 --json run.json --plot peers.svg
                                                  a run to keep, and its chart (peers.png lies beside it)
  peers.py --from run.json --plot peers.svg       the chart and the tables of a run that was kept

A workload's table has one line a contender: median, least and greatest time of a call, and how many times as long as
hotrow it took. A gather has two tables: "allocated" returns a new array from each call, "out" writes into one that is
given. A peer that is not installed, that fails or that has another result is left out, and the reason is printed.
"""


@dataclass(frozen=True)
class Options:
    """What a run is asked for."""

    threads: int
    filter: re.Pattern[str]
    peers: tuple[str, ...]
    quick: bool
    workloads: tuple[Path, ...]
    json: Path | None
    plot: Path | None
    kept: Path | None
    command: str


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from None


def _peers(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PEERS)}")
    return names


def parse(given: list[str] | None = None) -> Options:
    """The options; ends the program with a message where they make no sense."""
    here = Path(__file__).resolve().parent.parent
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        prog="peers.py",
        description="Times hotrow and what it replaces in one process, in turns, on the same ids and tables.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--threads",
        type=_count,
        default=cores,
        metavar="N",
        help=f"threads of every library (default: {cores}, all cores)",
    )
    parser.add_argument(
        "--filter", type=_pattern, default=_pattern(""), metavar="REGEX", help="the workloads whose names match"
    )
    parser.add_argument(
        "--peers", type=_peers, default=PEERS, metavar="A,B", help=f"some of {','.join(PEERS)} (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a sixteenth of the rows and ids, few repetitions: times mean little"
    )
    parser.add_argument(
        "--workloads",
        type=Path,
        action="append",
        metavar="FILE",
        help="a list of workloads instead of standard.json and more.json; may be given several times",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all times, the machine, the versions and the command there"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a chart, as .svg and as .png")
    parser.add_argument(
        "--from", dest="kept", type=Path, metavar="FILE", help="measure nothing: show what --json wrote"
    )
    args = parser.parse_args(given)
    if args.threads > cores:
        parser.error(f"--threads {args.threads}: this process may use {cores} cores")
    shown = [f"--threads {args.threads}"]
    shown += [f"--filter '{args.filter.pattern}'"] if args.filter.pattern else []
    shown += [f"--peers {','.join(args.peers)}"] if args.peers != PEERS else []
    shown += ["--quick"] if args.quick else []
    shown += [f"--workloads {path.name}" for path in args.workloads or ()]
    return Options(
        threads=args.threads,
        filter=args.filter,
        peers=args.peers,
        quick=args.quick,
        workloads=tuple(args.workloads or (here / "standard.json", here / "more.json")),
        json=args.json,
        plot=args.plot,
        kept=args.kept,
        command=f"peers.py {' '.join(shown)}",
    )

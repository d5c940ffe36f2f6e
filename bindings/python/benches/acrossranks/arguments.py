"""The command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

PARTS = ("overhead", "overlap", "bytes", "torchrec", "prediction")

_EXAMPLES = """\
examples:
  sharded.py                            everything; it starts its processes itself, over gloo on the loopback interface
  sharded.py --quick                    does it work here? small tables, few repetitions
  sharded.py --parts overhead,torchrec     some of it
  sharded.py --json run.json            a run to keep
  sharded.py --from run.json            the tables of a run that was kept

parts:
  overhead    two processes with a thread each against one process with two threads, table_wise
  overlap     two processes over a network of 1 Gbit/s, which is feigned: tables in one group, and in several
  bytes       what 2 and 4 ranks send each other, where ids that come often travel each time, and once
  torchrec    side by side with TorchRec, two processes with a thread each: tables whole, and cut by columns
  prediction  steps of 2 and 4 ranks, and what hotrow.distributed.simulate says, from costs measured before
"""


@dataclass(frozen=True)
class Options:
    """What a run is asked for."""

    parts: tuple[str, ...]
    quick: bool
    timeout: float
    json: Path | None
    kept: Path | None
    command: str


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}")
    return names


def parse(given: list[str] | None = None) -> Options:
    """The options; ends the program with a message where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="sharded.py",
        description="Times and counts what tables that are shared out over processes cost.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parts", type=_parts, default=PARTS, metavar="A,B", help="some parts (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="a sixteenth of the rows and bags, few repetitions: times mean little"
    )
    parser.add_argument(
        "--timeout", type=float, default=600, metavar="S", help="seconds after which a part is ended (default: 600)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found there")
    parser.add_argument(
        "--from", dest="kept", type=Path, metavar="FILE", help="measure nothing: show what --json wrote"
    )
    args = parser.parse_args(given)
    shown = [f"--parts {','.join(args.parts)}"] if args.parts != PARTS else []
    shown += ["--quick"] if args.quick else []
    return Options(
        parts=args.parts,
        quick=args.quick,
        timeout=args.timeout,
        json=args.json,
        kept=args.kept,
        command=" ".join(["sharded.py", *shown]),
    )

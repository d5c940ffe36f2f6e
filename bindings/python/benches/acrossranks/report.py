"""Tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sidebyside import machine

from acrossranks.record import LeftOut, Run, Table

OVERHEAD = 0.6
"""What several processes are to reach of one with as many threads."""
TORCHREC = 2.0
"""How many times as many steps as TorchRec hotrow is to make, by exact row-wise Adagrad."""


def header(run: Run) -> str:
    """What, with what, on what."""
    lines = [
        f"{run.command}   ({run.date})",
        *machine.shown(run.machine),
        f"hotrow {run.machine['commit']}, level {run.machine['level']}",
        ", ".join(f"{name} {version}" for name, version in run.versions.items()),
    ]
    if run.quick:
        lines.append(
            "quick: a sixteenth of the rows and bags, few repetitions; these times say that it works, and little more"
        )
    return "\n".join(lines)


def table(run: Run, found: Table) -> str:
    """One table, and what follows from it."""
    lines: list[str] = _TEXTS[found.part](found)
    asked = {"overhead": OVERHEAD, "torchrec": TORCHREC}.get(found.part)
    if asked is not None and not run.quick and not found.title.endswith(", adagrad"):
        lines.append(f"  asked: {asked:.2f}")
    return "\n".join(lines)


def left_out(every: Iterable[LeftOut]) -> str:
    """What was not measured."""
    return "\n".join(f"left out: {each.part}, {each.title}: {each.reason}" for each in every)


def _times(found: Table) -> list[str]:
    """Milliseconds of steps."""
    lines = [f"{found.title:48}{'ms median':>10}{'min':>10}{'max':>10}{'turns':>7}{'steps':>7}{'steps/s':>9}"]
    for row in found.rows:
        times = "".join(f"{short(row[name]):>10}" for name in ("ms_median", "ms_min", "ms_max"))
        per_second = short(1e3 / row["ms_median"])
        lines.append(f"  {row['contender']:46}{times}{row['turns']:>7}{row['steps']:>7}{per_second:>9}")
    return lines


def _overhead(found: Table) -> list[str]:
    plain, *others = found.rows
    lines = _times(found)
    for row in others:
        ratio = plain["ms_median"] / row["ms_median"]
        lines.append(f"  {row['contender']}: {ratio:.2f} of the steps of {plain['contender']}")
    return lines


def _overlap(found: Table) -> list[str]:
    *slow, loopback = found.rows
    lines = _times(found)
    waits = slow[0]["ms_median"] - loopback["ms_median"]
    for row in slow[1:]:
        hidden = slow[0]["ms_median"] - row["ms_median"]
        lines.append(f"  {row['contender']}: {short(hidden)} of the {short(waits)} ms of waiting are gone")
    return lines


def _torchrec(found: Table) -> list[str]:
    ours, theirs = (row["ms_median"] for row in found.rows)
    return [*_times(found), f"  hotrow: {theirs / ours:.2f} times the steps of TorchRec"]


def _bytes(found: Table) -> list[str]:
    """Ids with what comes with them, and everything; as often as they come, once, and how many times as much."""
    names = f"{'ids':>9}{'once':>9}{'ratio':>7}{'all':>11}{'once':>9}{'ratio':>7}"
    lines = [found.title, f"  {'workload':20}{'kind':13}{'lookup':24}{names}"]
    for row in found.rows:
        cells = []
        for what in ("ids", "bytes"):
            doubles, once = row[f"{what}_doubles"], row[f"{what}_once"]
            cells.append(f"{short(doubles * 1e-6):>9}{short(once * 1e-6):>9}{doubles / once:>7.2f}")
        lines.append(f"  {row['workload']:20}{row['kind']:13}{row['lookup']:24}{'  '.join(cells)}")
    return lines


def _prediction(found: Table) -> list[str]:
    lines = []
    for row in found.rows:
        ratio = row["ms_predicted"] / row["ms_median"]
        lines.append(
            f"{found.title}: predicted {short(row['ms_predicted'])} ms, measured {short(row['ms_median'])} "
            f"({short(row['ms_min'])} to {short(row['ms_max'])}): {ratio:.2f}; "
            f"{short(row['bytes_predicted'] * 1e-6)} MB sent, measured {short(row['bytes'] * 1e-6)}"
        )
        parts = ", ".join(f"{part} {short(each)}" for part, each in row["ms_parts"].items())
        lines.append(f"  predicted: {parts}")
    return lines


def short(value: float) -> str:
    """Three digits, and more only before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_TEXTS: dict[str, Callable[[Table], list[str]]] = {
    "overhead": _overhead,
    "overlap": _overlap,
    "bytes": _bytes,
    "torchrec": _torchrec,
    "prediction": _prediction,
}

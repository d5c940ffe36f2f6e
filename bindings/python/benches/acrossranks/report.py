"""Tables for people."""

from __future__ import annotations

from typing import Any

from acrossranks.record import Run, Table

OVERHEAD = 0.6
"""What several processes are to reach of one with as many threads."""
TORCHREC = 2.0
"""How many times as many steps as TorchRec hotrow is to make, by exact row-wise Adagrad."""


def header(run: Run) -> str:
    """What, with what, on what."""
    machine = run.machine
    lines = [
        f"{run.command}   ({run.date})",
        f"{machine['cpu']}; cores {machine['cores']}; {machine['caches']}; {machine['memory']}",
        f"{machine['system']}, huge pages {machine['huge_pages']}; Python {machine['python']}",
        f"hotrow {machine['commit']}, level {machine['level']}",
        ", ".join(f"{name} {version}" for name, version in run.versions.items()),
    ]
    if run.quick:
        lines.append(
            "quick: a sixteenth of the rows and bags, few repetitions; these times say that it works, and little more"
        )
    return "\n".join(lines)


def table(run: Run, found: Table) -> str:
    """One table, and what follows from it."""
    asked = {"overhead": OVERHEAD, "torchrec": TORCHREC}.get(found.part)
    lines = [_TEXTS[found.part](found)]
    if asked is not None and not run.quick:
        lines.append(f"  asked: {asked:.2f}")
    return "\n".join(lines)


def left_out(run: Run) -> str:
    """What was not measured."""
    return "\n".join(f"left out: {each.part}, {each.title}: {each.reason}" for each in run.left_out)


def _times(found: Table) -> list[str]:
    """Milliseconds of steps."""
    lines = [f"{found.title:48}{'ms median':>10}{'min':>10}{'max':>10}{'turns':>7}{'steps':>7}{'steps/s':>9}"]
    for row in found.rows:
        times = "".join(f"{short(row[name]):>10}" for name in ("ms_median", "ms_min", "ms_max"))
        per_second = short(1e3 / row["ms_median"])
        lines.append(f"  {row['contender']:46}{times}{row['turns']:>7}{row['steps']:>7}{per_second:>9}")
    return lines


def _overhead(found: Table) -> str:
    plain, local, several = found.rows
    lines = _times(found)
    for row in (local, several):
        ratio = plain["ms_median"] / row["ms_median"]
        lines.append(f"  {row['contender']} reach {ratio:.2f} of {plain['contender']}")
    return "\n".join(lines)


def _torchrec(found: Table) -> str:
    ours, theirs = (row["ms_median"] for row in found.rows)
    return "\n".join([*_times(found), f"  hotrow makes {theirs / ours:.2f} times as many steps as TorchRec"])


def short(value: float) -> str:
    """Three digits, and more only before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_TEXTS: dict[str, Any] = {"overhead": _overhead, "torchrec": _torchrec}

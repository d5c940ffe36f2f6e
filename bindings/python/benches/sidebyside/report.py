"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from sidebyside import figures, machine
from sidebyside.record import LeftOut, Run


def header(run: Run) -> str:
    """What, with what, on what."""
    lines = [
        f"{run.command}   ({run.date})",
        *machine.shown(run.machine),
        f"hotrow {run.machine['commit']}, level {run.machine['level']}, {run.threads} threads",
        ", ".join(f"{name} {version}" for name, version in run.versions.items() if version),
    ]
    if run.quick:
        lines.append(
            "quick: a sixteenth of the rows and ids, few repetitions; these times say that it works, and little more"
        )
    return "\n".join(lines)


def group(run: Run, workload: str, variant: str) -> str:
    """The contenders of a workload, the fastest first."""
    own = run.own(workload, variant)
    found = run.of(workload, variant)
    names = [f"{each.library} {each.contender}" if each.contender != each.library else each.library for each in found]
    width = max(36, *(len(name) for name in names))
    unit, factor = ("µs", 1e3) if found[0].ms_median < 0.5 else ("ms", 1.0)
    title, times = f"{workload}, {variant}", f"{unit} median"
    lines = [f"{title:{width + 2}}{times:>10}{'min':>10}{'max':>10}{'calls':>7}{'/ hotrow':>10}"]
    for name, each in zip(names, found, strict=True):
        times = "".join(f"{_short(value * factor):>10}" for value in (each.ms_median, each.ms_min, each.ms_max))
        ratio = "" if own is None or each is own else _short(each.ms_median / own.ms_median)
        lines.append(f"  {name:{width}}{times}{each.repetitions:>7}{ratio:>10}")
    return "\n".join(lines)


def _short(value: float) -> str:
    """Three digits, and more only before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def left_out(every: Iterable[LeftOut]) -> str:
    """What was not measured."""
    return "\n".join(
        f"left out: {each.library}{f' in {each.workload}' if each.workload else ''}: {each.reason}" for each in every
    )


def asked(run: Run) -> str:
    """The figures that were asked for; those of workloads that were not run are missing."""
    rows = [each for each in figures.reached(run) if each.ratio is not None]
    if not rows:
        return ""
    if run.quick:
        return "quick: the figures to reach are of larger tables, and not compared"
    lines = [f"{'figures':30}{'against':32}{'asked':>7}{'reached':>9}{'hotrow.torch':>14}  met"]
    for each in rows:
        figure = each.figure
        fastest = (
            f" ({each.peer.library} {each.peer.contender})" if each.peer is not None and not figure.library else ""
        )
        under_torch = "" if each.torch_ratio is None else _short(each.torch_ratio)
        name = figure.workload if figure.variant != "out" else f"{figure.workload}, out="
        lines.append(
            f"{name:30}{_cut(figure.against + fastest, 31):32}{figure.at_least:7.2f}"
            f"{_short(each.ratio or 0):>9}{under_torch:>14}  {'yes' if each.met else 'NO'}"
        )
    met = sum(1 for each in rows if each.met)
    lines.append(f"{met} of {len(rows)} met")
    return "\n".join(lines)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

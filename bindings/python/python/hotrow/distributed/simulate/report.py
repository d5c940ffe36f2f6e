"""Predictions as text."""

from __future__ import annotations

from hotrow.distributed.simulate.options import Options
from hotrow.distributed.simulate.sweep import Sweep

_GIB = 2**30
# Numbers from here on are shown without decimals.
_LARGE = 100


def report(options: Options, found: Sweep) -> str:
    """What was assumed, and the time and memory of each number of ranks and kind."""
    lines = [*_assumed(options), "", *_steps(options, found)]
    if options.parts is not None and options.parts in options.kinds:
        lines += ["", *_parts(options, found)]
    return "\n".join(lines)


def _assumed(options: Options) -> list[str]:
    first, work, cluster = options.configs[0], options.workload, options.cluster
    parameters = sum(config.num_embeddings * config.embedding_dim for config in options.configs)
    batch = f"{work.batch:,} examples a rank" if work.global_batch is None else f"{work.global_batch:,} examples"
    doubles = "de-duplicated" if work.deduplicate else "as they are"
    return [
        f"{len(options.configs)} tables of {first.num_embeddings:,} x {first.embedding_dim} {first.dtype}: "
        f"{parameters:.4g} parameters, {work.optimizer}",
        f"{batch}, {work.lookups[first.name]:g} ids of each in a table, Zipf {work.skew:g}; ids travel {doubles}, "
        f"vectors as {work.wire_dtype}",
        f"nodes of {cluster.ranks_per_node} ranks, {cluster.bandwidth * 8e-9:g} Gbit/s and "
        f"{cluster.latency * 1e6:g} µs between them, {cluster.local_bandwidth * 8e-9:g} Gbit/s and "
        f"{cluster.local_latency * 1e6:g} µs in them",
        f"costs: {options.costs.source}, {options.costs.threads} threads",
    ]


def _steps(options: Options, found: Sweep) -> list[str]:
    rows = [["ranks", *options.kinds]]
    for ranks in options.ranks:
        cells = [f"{ranks:,}"]
        for kind in options.kinds:
            each = found[ranks, kind]
            time = f"{each.seconds * 1e3:.3g}" if each.memory <= options.memory else "-"
            cells.append(f"{time:>7} {'(' + _short(each.memory / _GIB) + ')':>9}")
        rows.append(cells)
    title = "ms of a step, and GiB of the fullest rank"
    return [f"{title}; - where that is more than {options.memory / _GIB:g}", *_aligned(rows)]


def _parts(options: Options, found: Sweep) -> list[str]:
    assert options.parts is not None
    kind = options.parts
    names = list(found[options.ranks[0], kind].parts)
    rows = [["ranks", *names, "MB sent"]]
    for ranks in options.ranks:
        each = found[ranks, kind]
        cells = [f"{seconds * 1e3:.3g}" for seconds in each.parts.values()]
        rows.append([f"{ranks:,}", *cells, _short(each.sent / ranks * 1e-6)])
    return [f"ms of the parts of a step, and megabytes that a rank sends in it: {kind}", *_aligned(rows)]


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= _LARGE else f"{number:.3g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]

"""One chart: how many times as long as hotrow its peers take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidebyside.contender import ALLOCATED, OUT
from sidebyside.figures import FIGURES
from sidebyside.record import OURS, Result, Run

# Distinct in print and to most who see fewer colors; hotrow is the line at 1.
_COLORS = {"torch": "#d1603d", "numpy": "#4a7fb5", "fbgemm": "#8a6fae", "tensorflow": "#d9a441", "jax": "#5a9a7a"}
_NAMES = {"torch": "PyTorch", "numpy": "NumPy", "fbgemm": "FBGEMM", "tensorflow": "TensorFlow", "jax": "JAX"}
_BAR = 0.8


def draw(run: Run, path: Path) -> list[Path]:
    """Draws the workloads that figures are asked of, as SVG and as PNG; returns the files."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    groups = _groups(run)
    if not groups:
        raise SystemExit("nothing to draw: none of the workloads that are in the chart was measured with a peer")
    bars = sum(len(each) for _, each in groups)
    with mpl.rc_context({"font.size": 9, "svg.fonttype": "path", "svg.hashsalt": "hotrow", "axes.axisbelow": True}):
        figure, axes = plt.subplots(
            figsize=(8.5, 1.5 + 0.19 * bars + 0.12 * len(groups)), facecolor="white", layout="constrained"
        )
        _bars(axes, groups)
        threads = "1 thread" if run.threads == 1 else f"{run.threads} threads"
        axes.set_title("Time of a call, as a multiple of hotrow's", loc="left", fontsize=11, pad=24)
        axes.set_xlabel(
            "times as long as hotrow (log scale; left of 1: faster than hotrow)\n"
            f"{run.machine['cpu']}, {threads}, medians of one run"
        )
        handles = [Rectangle((0, 0), 1, 1, color=_COLORS[library]) for library in _seen(groups)]
        names = [_NAMES[library] for library in _seen(groups)]
        axes.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(names),
            frameon=False,
            borderaxespad=0.2,
            handlelength=1,
        )
        paths = [path.with_suffix(".svg"), path.with_suffix(".png")]
        for each in paths:
            figure.savefig(each, dpi=160, facecolor="white", metadata={"Date": None} if each.suffix == ".svg" else None)
        plt.close(figure)
    return paths


def _groups(run: Run) -> list[tuple[str, list[tuple[str, float]]]]:
    """For each workload its label, and each library's fastest way with its ratio, the fastest first."""
    groups = []
    for workload, variant in dict.fromkeys((figure.workload, figure.variant) for figure in FIGURES):
        own = run.own(workload, variant)
        if own is None:
            continue
        best: dict[str, Result] = {}
        for each in run.of(workload, variant):
            if each.library not in OURS:
                best.setdefault(each.library, each)
        if best:
            ratios = [(library, each.ms_median / own.ms_median) for library, each in best.items()]
            note = {OUT: ", out=", ALLOCATED: ""}.get(variant, "")
            groups.append((f"{workload}{note}\n{_time(own.ms_median)}", ratios))
    return groups


def _time(milliseconds: float) -> str:
    return f"hotrow {milliseconds:.3g} ms" if milliseconds >= 0.1 else f"hotrow {milliseconds * 1e3:.2g} µs"


def _seen(groups: list[tuple[str, list[tuple[str, float]]]]) -> list[str]:
    seen = {library for _, ratios in groups for library, _ in ratios}
    return [library for library in _COLORS if library in seen]


def _bars(axes: Any, groups: list[tuple[str, list[tuple[str, float]]]]) -> None:
    at, ticks = 0.0, []
    for _, ratios in groups:
        first = at
        for library, ratio in ratios:
            axes.barh(at, ratio - 1, left=1, height=_BAR, color=_COLORS[library])
            axes.annotate(
                f"{ratio:.3g}",
                (ratio, at),
                xytext=(3 if ratio >= 1 else -3, 0),
                textcoords="offset points",
                va="center",
                ha="left" if ratio >= 1 else "right",
                fontsize=8,
            )
            at += 1
        ticks.append((first + at - 1) / 2)
        # A gap, and room for the two lines of a label where a group has one bar.
        at += 0.7 + max(0, 2 - len(ratios)) * 0.6
    every = [ratio for _, ratios in groups for _, ratio in ratios]
    axes.set_xscale("log")
    axes.set_xlim(min(0.6, min(every) / 1.6), max(every) * 1.6)
    axes.set_ylim(at - 0.5, -0.9)
    axes.set_yticks(ticks, [label for label, _ in groups])
    axes.tick_params(axis="y", length=0)
    axes.axvline(1, color="black", linewidth=1)
    marks = [
        mark
        for mark in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
        if axes.get_xlim()[0] <= mark <= axes.get_xlim()[1]
    ]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)

"""Predictions as a chart: time and memory over the number of ranks."""

from __future__ import annotations

from typing import Any

from hotrow.distributed.sharding import Kind
from hotrow.distributed.simulate.options import Options
from hotrow.distributed.simulate.sweep import Sweep

# Distinct in print and to most who see fewer colors.
_COLORS: dict[Kind, str] = {
    "data_parallel": "#5a9a7a",
    "table_wise": "#d1603d",
    "column_wise": "#d9a441",
    "row_wise": "#4a7fb5",
    "table_row_wise": "#8a6fae",
}


def draw(options: Options, found: Sweep, path: str) -> None:
    """Writes the chart; lines are dashed where the memory of a rank does not suffice."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with mpl.rc_context({"font.size": 9, "svg.fonttype": "path", "svg.hashsalt": "hotrow", "axes.axisbelow": True}):
        figure, (times, memory) = plt.subplots(1, 2, figsize=(9.5, 4), facecolor="white", layout="constrained")
        for kind in options.kinds:
            each = [found[ranks, kind] for ranks in options.ranks]
            fits = [one.memory <= options.memory for one in each]
            _line(times, options.ranks, [one.seconds * 1e3 for one in each], fits, kind)
            _line(memory, options.ranks, [one.memory / 2**30 for one in each], fits, kind)
        memory.axhline(options.memory / 2**30, color="black", linewidth=0.8)
        _axes(times, "ms of a step", options.ranks)
        _axes(memory, "GiB of the fullest rank", options.ranks)
        times.legend(frameon=False)
        parameters = sum(config.num_embeddings * config.embedding_dim for config in options.configs)
        figure.suptitle(
            f"Predicted: {parameters:.3g} parameters in {len(options.configs)} tables; "
            f"dashed where they do not fit into {options.memory / 2**30:g} GiB a rank",
            fontsize=10,
        )
        figure.savefig(path, dpi=160, facecolor="white", metadata={"Date": None} if path.endswith(".svg") else None)
        plt.close(figure)


def _line(axes: Any, ranks: list[int], values: list[float], fits: list[bool], kind: Kind) -> None:
    axes.plot(ranks, values, color=_COLORS[kind], linewidth=0.7, linestyle="--")
    kept = [value if fit else float("nan") for value, fit in zip(values, fits, strict=True)]
    axes.plot(ranks, kept, color=_COLORS[kind], linewidth=2, marker="o", markersize=3.5, label=kind)


def _axes(axes: Any, title: str, ranks: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ranks, [f"{each:,}" for each in ranks])
    axes.minorticks_off()
    axes.set_xlabel("ranks")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#dddddd", linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
